"""Checkpoints on disk: published in one rename, listed, read and dropped.

``<run>/checkpoints/step-000001200/`` holds the files and ``manifest.json``. There is no other
mark: a folder of such a name is complete, because it got its name when it was.
"""

import contextlib
import math
import os
import re
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from aexp.checkpoints.manifest import CHECKPOINT, MANIFEST, Manifest, parse_manifest
from aexp.checkpoints.past import past_of
from aexp.errors import AexpError, CheckpointDamaged, CheckpointError, CheckpointNotFound
from aexp.files import write_new
from aexp.paths import CHECKPOINTS, STAGING, Repo
from aexp.runs.store import read_run, run_ids

FOLDER = re.compile(r"(?:step-\d{9,16}|snapshot-(?:final|\d{9,16}))(?:\.[0-9a-f]{6}(?:-\d+)?)?")
DROPPED = "dropped-"  # begins the name that a removed checkpoint has for its last moments
_MAX_MANIFEST = 64 << 20


class Checkpoint:
    """One saved checkpoint or snapshot, complete on disk.

    It can be used as a path: ``torch.load(checkpoint / "state.pt")``. Its files are
    read-only, and may be shared with other checkpoints: copy what you want to change.

    Parameters
    ----------
    path : str
        Its folder.
    manifest : Manifest
        What it holds.
    """

    __slots__ = ("manifest", "path")

    def __init__(self, path: str, manifest: Manifest) -> None:
        self.path = Path(path)
        self.manifest = manifest

    def __fspath__(self) -> str:
        return os.fspath(self.path)

    def __truediv__(self, name: "str | os.PathLike[str]") -> Path:
        return self.path / name

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Checkpoint) and (self.path, self.id) == (other.path, other.id)

    def __hash__(self) -> int:
        return hash((self.path, self.id))

    def __repr__(self) -> str:
        step = "" if self.step is None else f" step {self.step}"
        return f"<aexp {self.kind} {self.id[:11]}{step} of run {self.job[:8]}>"

    @property
    def id(self) -> str:
        """``ck_`` and 32 hexadecimal digits."""
        return self.manifest.id

    @property
    def kind(self) -> str:
        """``checkpoint`` or ``snapshot``."""
        return self.manifest.kind

    @property
    def job(self) -> str:
        """The id of the run that saved it."""
        return self.manifest.job

    @property
    def step(self) -> int | None:
        """Where training was; None for a final snapshot without a step."""
        return self.manifest.step

    @property
    def metrics(self) -> dict[str, Any]:
        """The numbers that it was saved with."""
        return self.manifest.metrics

    @property
    def metadata(self) -> dict[str, Any]:
        """What it was saved with besides."""
        return self.manifest.metadata

    @property
    def files(self) -> list[str]:
        """The paths of its files in the folder."""
        return [component.path for component in self.manifest.components]


class Damage(NamedTuple):
    """A checkpoint's folder that cannot be used, and why."""

    path: str
    reason: str

    @property
    def step(self) -> float:
        """The step in the folder's name; infinity for a final snapshot."""
        digits = os.path.basename(self.path).split("-")[1].split(".")[0]
        return int(digits) if digits.isdecimal() else math.inf

    def is_of(self, kind: str) -> bool:
        """Return whether the folder's name is one of this kind."""
        return os.path.basename(self.path).startswith("step-") == (kind == CHECKPOINT)


def checkpoints_dir(repo: Repo, job_id: str) -> str:
    """Return the folder of a run's checkpoints, which need not exist."""
    return repo.run_file(job_id, CHECKPOINTS)


def staging_dir(repo: Repo, job_id: str) -> str:
    """Return the folder where a run's checkpoints are put together."""
    return os.path.join(checkpoints_dir(repo, job_id), STAGING)


def list_checkpoints(
    repo: Repo, job_id: str, kind: str | None = None, damaged: list[Damage] | None = None
) -> list[Checkpoint]:
    """Return a run's checkpoints, the newest first: by step, then by time.

    Parameters
    ----------
    repo : Repo
        The repository.
    job_id : str
        The run.
    kind : str, optional
        ``checkpoint`` or ``snapshot``; default both.
    damaged : list of Damage, optional
        Folders whose manifest cannot be used are added to it.
    """
    found = []
    for path in _folders(checkpoints_dir(repo, job_id)):
        try:
            checkpoint = read_checkpoint(path)
        except FileNotFoundError:
            continue  # dropped meanwhile
        except CheckpointDamaged as error:
            if damaged is not None:
                damaged.append(Damage(path, error.message))
            continue
        if kind is None or checkpoint.kind == kind:
            found.append(checkpoint)
    return sorted(found, key=lambda item: item.manifest.order, reverse=True)


def _folders(folder: str) -> list[str]:
    try:
        names = sorted(os.listdir(folder))
    except (FileNotFoundError, NotADirectoryError):
        return []
    return [os.path.join(folder, name) for name in names if FOLDER.fullmatch(name)]


def read_checkpoint(path: "str | os.PathLike[str]") -> Checkpoint:
    """Read a checkpoint's manifest; its files are looked at by `aexp.checkpoints.verify`.

    Raises
    ------
    FileNotFoundError
        If the folder is not there.
    CheckpointDamaged
        If it has no usable manifest.
    """
    folder = os.fspath(path)
    if stat.S_ISLNK(os.lstat(folder).st_mode):
        raise CheckpointDamaged(f"{folder} is a link to another folder", "remove the link")
    where = os.path.join(folder, MANIFEST)
    try:
        data = _read_plain(where)
    except OSError as error:
        os.lstat(folder)  # gone meanwhile: FileNotFoundError
        raise CheckpointDamaged(
            f"{where} cannot be read: {error.strerror or error}",
            "an earlier checkpoint is used instead; see: aexp checkpoints verify",
        ) from None
    return Checkpoint(folder, parse_manifest(data, where))


def _read_plain(path: str) -> bytes:
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    with open(os.open(path, flags), "rb") as file:
        state = os.fstat(file.fileno())
        if not stat.S_ISREG(state.st_mode) or state.st_size > _MAX_MANIFEST:
            raise OSError("it is no manifest")
        return file.read()


def find_checkpoint(repo: Repo, text: str) -> Checkpoint:
    """Return the one checkpoint of any run here whose id begins with `text`.

    ``ck_`` may be left out. One that was copied between runs is found once.

    Raises
    ------
    CheckpointNotFound
        If none, or more than one, begins so.
    """
    prefix = "ck_" + text.strip().lower().removeprefix("ck_")
    found = {item.id: item for item in all_checkpoints(repo) if item.id.startswith(prefix)}
    if prefix == "ck_" or not found:
        raise CheckpointNotFound(
            f"no checkpoint here begins with {text!r}", "see: aexp checkpoints ls"
        )
    if len(found) > 1:
        shown = ", ".join(sorted(item[:15] for item in found)[:5])
        raise CheckpointNotFound(
            f"{len(found)} checkpoints begin with {text!r}: {shown}", "give more digits"
        )
    return next(iter(found.values()))


def all_checkpoints(repo: Repo, damaged: list[Damage] | None = None) -> Iterator[Checkpoint]:
    """Return the checkpoints of all runs here, run by run, the newest of each first."""
    for job_id in run_ids(repo):
        yield from list_checkpoints(repo, job_id, damaged=damaged)


def publish(repo: Repo, folder: str, manifest: Manifest, *, job_id: str = "") -> Checkpoint:
    """Give a staged folder its name, durably; from then on it is a checkpoint.

    Parameters
    ----------
    repo : Repo
        The repository.
    folder : str
        The files, hashed and written to the disk (`aexp.checkpoints.save.settle_files`), in
        the staging folder of the run. It is gone afterwards.
    manifest : Manifest
        What it holds.
    job_id : str, optional
        The run to publish it in; default the one that saved it.

    Returns
    -------
    Checkpoint
        The published one, or an earlier one of the same step with the same content.
    """
    parent = checkpoints_dir(repo, job_id or manifest.job)
    data = manifest.to_bytes()
    if len(data) > _MAX_MANIFEST:
        raise CheckpointError(
            f"its manifest has {len(data) >> 20} MB, at most {_MAX_MANIFEST >> 20} are read again",
            "put large metadata into a file of the checkpoint, and many small files into one",
        )
    write_new(os.path.join(folder, MANIFEST), data, 0o444)
    sync_folders(folder)
    for name in _names(manifest):
        target = os.path.join(parent, name)
        try:
            os.rename(folder, target)
        except OSError:
            if not os.path.lexists(target):
                raise
            same = _same_as(repo, target, manifest)
            if same is not None:
                shutil.rmtree(folder, ignore_errors=True)
                return same
            continue
        sync_folder(parent)
        return Checkpoint(target, manifest)
    raise CheckpointError(
        f"{parent} has too many checkpoints called {manifest.folder}", "remove some of them"
    )


def _names(manifest: Manifest) -> Iterator[str]:
    yield manifest.folder
    other = f"{manifest.folder}.{manifest.id[3:9]}"
    yield other
    for number in range(2, 1000):
        yield f"{other}-{number}"


def _same_as(repo: Repo, path: str, manifest: Manifest) -> Checkpoint | None:
    """Return the checkpoint at `path` if it is whole and holds the same.

    One of a run that has started afresh since is another one: nothing goes on from it.
    """
    from aexp.checkpoints.verify import problems

    try:
        there = read_checkpoint(path)
    except (CheckpointDamaged, OSError):
        return None
    if not there.manifest.same_content(manifest) or problems(there, "hash"):
        return None
    with contextlib.suppress(AexpError):  # a run that is not here has no past
        if there.id != manifest.id and past_of(read_run(repo, there.job)).holds(there):
            return None
    return there


def drop(repo: Repo, checkpoint: Checkpoint) -> None:
    """Remove a checkpoint: out of sight in one rename, then its files."""
    folder = os.fspath(checkpoint)
    staging = os.path.join(os.path.dirname(folder), STAGING)
    os.makedirs(staging, exist_ok=True)
    aside = os.path.join(staging, DROPPED + os.urandom(8).hex())
    try:
        os.rename(folder, aside)
    except FileNotFoundError:
        return
    except OSError as error:
        raise CheckpointError(
            f"cannot remove {folder}: {error.strerror or error}",
            "check the folder's permissions",
        ) from error
    shutil.rmtree(aside, ignore_errors=True)


def sync_folders(folder: str) -> None:
    """Have the names in a folder, and in those below it, on the disk."""
    for path, _, _ in os.walk(folder):
        sync_folder(path)


def sync_folder(path: str) -> None:
    """Have the names in one folder on the disk."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        with contextlib.suppress(OSError):  # file systems that cannot
            os.fsync(descriptor)
    finally:
        os.close(descriptor)
