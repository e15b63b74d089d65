"""Where a checkpoint is put together: on the same file system, under its writer's name.

``checkpoints/.staging/<id>/owner.json`` says which process writes, ``…/files/`` is what will
be renamed. What a dead process has left is removed by the next one that saves.
"""

import json
import os
import shutil
import time

from aexp import slurm
from aexp.checkpoints.store import staging_dir
from aexp.errors import AexpError, CheckpointError
from aexp.files import read_object, remove
from aexp.paths import Repo
from aexp.runs.claims import liveness, parse_owner, this_owner

OWNER = "owner.json"
FILES = "files"
# A folder whose owner is not written yet, or was lost with a disk: left alone that long.
_UNOWNED_S = 3600.0


class Staging:
    """The folder of one checkpoint that is being saved.

    Attributes
    ----------
    folder : str
        Where its files go.
    """

    def __init__(self, base: str) -> None:
        self._base = base
        self.folder = os.path.join(base, FILES)

    def close(self) -> None:
        """Remove what is left: everything, unless the files have been published."""
        remove(os.path.join(self._base, OWNER))
        try:
            os.rmdir(self._base)
        except OSError:
            remove_tree(self._base)


def open_staging(repo: Repo, job_id: str) -> Staging:
    """Make a staging folder for this process in a run's folder.

    Raises
    ------
    CheckpointError
        If it cannot be made.
    """
    base = os.path.join(staging_dir(repo, job_id), os.urandom(8).hex())
    if not os.path.isdir(repo.run_dir(job_id)):
        raise CheckpointError(f"run {job_id} has vanished", "see: aexp list-runs")
    try:
        os.makedirs(base)
        with open(os.path.join(base, OWNER), "x") as file:
            json.dump(this_owner()._asdict(), file)
        os.mkdir(os.path.join(base, FILES))
    except OSError as error:
        remove_tree(base)
        raise CheckpointError(
            f"cannot save a checkpoint in {os.path.dirname(base)}: {error.strerror or error}",
            "check the folder's permissions and the free space; earlier checkpoints are whole",
        ) from error
    return Staging(base)


def leftovers(repo: Repo, job_id: str) -> list[str]:
    """Return the staging folders of a run that nobody alive writes to any more."""
    parent = staging_dir(repo, job_id)
    try:
        names = sorted(os.listdir(parent))
    except OSError:
        return []
    return [path for name in names if _is_left(path := os.path.join(parent, name))]


def remove_leftovers(repo: Repo, job_id: str) -> int:
    """Remove a run's `leftovers` and return how many there were."""
    found = leftovers(repo, job_id)
    for path in found:
        remove_tree(path)
    return len(found)


def _is_left(path: str) -> bool:
    if os.path.basename(path).startswith("dropped-"):
        return True
    where = os.path.join(path, OWNER)
    try:
        content = read_object(where)
        if content is None:
            return time.time() - os.lstat(path).st_mtime > _UNOWNED_S
        return liveness(parse_owner(content, where)).state == slurm.DEAD
    except FileNotFoundError:
        return False  # published or removed meanwhile
    except (AexpError, OSError):
        return _is_old(path)


def _is_old(path: str) -> bool:
    try:
        return time.time() - os.lstat(path).st_mtime > _UNOWNED_S
    except OSError:
        return False


def remove_tree(path: str) -> None:
    """Remove a folder with all that is in it, also where folders were made read-only."""
    if os.path.islink(path) or not os.path.isdir(path):
        remove(path)
        return
    for folder, _, _ in os.walk(path):
        try:
            os.chmod(folder, 0o700)
        except OSError:
            continue
    shutil.rmtree(path, ignore_errors=True)
