"""Where a checkpoint is put together: on the same file system, under its writer's name.

``checkpoints/.staging/<id>/`` is what will be renamed, ``checkpoints/.staging/<id>.owner``
says which process writes it. What a dead process has left is removed by the next one.
"""

import json
import os
import shutil
import time

from aexp import slurm
from aexp.checkpoints.store import DROPPED, staging_dir
from aexp.errors import AexpError, CheckpointError
from aexp.files import read_object, remove, write_new
from aexp.paths import Repo
from aexp.runs.claims import liveness, parse_owner, this_owner

OWNER = ".owner"
# What has no owner, as a lost disk leaves it, is left alone that long.
_UNOWNED_S = 3600.0


class Staging:
    """The folder of one checkpoint that is being saved.

    Attributes
    ----------
    folder : str
        Where its files go.
    """

    def __init__(self, folder: str) -> None:
        self.folder = folder

    def open(self) -> None:
        """Make the folder, below one that is there."""
        owner = json.dumps(this_owner()._asdict()).encode()
        write_new(self.folder + OWNER, owner)  # first: no folder is ever without one
        os.mkdir(self.folder)

    def close(self) -> None:
        """Remove what is left: everything, unless the files have been published."""
        remove_tree(self.folder)
        remove(self.folder + OWNER)


def open_staging(repo: Repo, job_id: str) -> Staging:
    """Make a staging folder for this process in a run's folder.

    Raises
    ------
    CheckpointError
        If it cannot be made.
    """
    folder = os.path.join(staging_dir(repo, job_id), os.urandom(8).hex())
    if not os.path.isdir(repo.run_dir(job_id)):
        raise CheckpointError(f"run {job_id} has vanished", "see: aexp list-runs")
    staging = Staging(folder)
    try:
        os.makedirs(os.path.dirname(folder), exist_ok=True)
        staging.open()
    except OSError as error:
        staging.close()
        raise CheckpointError(
            f"cannot save a checkpoint in {os.path.dirname(folder)}: {error.strerror or error}",
            "check the folder's permissions and the free space; earlier checkpoints are whole",
        ) from error
    return staging


def leftovers(repo: Repo, job_id: str) -> list[str]:
    """Return what is left in a run's staging folder that nobody alive writes to any more."""
    parent = staging_dir(repo, job_id)
    try:
        names = sorted(os.listdir(parent))
    except OSError:
        return []
    return [path for name in names if is_left(path := os.path.join(parent, name))]


def remove_leftovers(repo: Repo, job_id: str) -> int:
    """Remove a run's `leftovers` and return how many there were."""
    found = leftovers(repo, job_id)
    for path in found:
        remove_tree(path)
    return len(found)


def is_left(path: str) -> bool:
    """Return whether nobody alive writes to a staging folder, or to what it has beside it."""
    if os.path.basename(path).startswith(DROPPED):
        return True
    where = path if path.endswith(OWNER) else path + OWNER
    try:
        content = read_object(where)
        if content is not None:
            return liveness(parse_owner(content, where)).state == slurm.DEAD
    except AexpError:
        pass  # not written yet, or torn
    try:
        return time.time() - os.lstat(path).st_mtime > _UNOWNED_S
    except OSError:
        return False  # published or removed meanwhile


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
