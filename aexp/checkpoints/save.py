"""Save a checkpoint: files staged, hashed, written to the disk, then published."""

import contextlib
import os
import stat
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

from aexp.checkpoints.manifest import (
    CHECKPOINT,
    MANIFEST,
    PERIODIC,
    REASONS,
    Component,
    Manifest,
    check_step,
    make_manifest,
    unsafe_path,
)
from aexp.checkpoints.objects import Objects, copy_file, hash_file, short_temporary
from aexp.checkpoints.store import Checkpoint, publish, read_checkpoint
from aexp.errors import CheckpointDamaged, CheckpointError
from aexp.files import remove
from aexp.paths import Repo
from aexp.runs.series import plain

_THREADS = 4
_NEXT = "check the folder's permissions and the free space; earlier checkpoints are whole"


class Facts(NamedTuple):
    """What a caller says of a checkpoint, and what its run adds."""

    job: str
    variation: str
    attempt: int
    kind: str = CHECKPOINT
    step: Any = None
    epoch: Any = None
    metrics: Mapping[str, Any] | None = None
    reason: str = PERIODIC
    format: str = "any"
    metadata: Mapping[str, Any] | None = None
    parent: str | None = None
    resumed_from: str | None = None
    code_commit: str | None = None

    def checked(self) -> "Facts":
        """Return the facts in the types of JSON, as they are at this moment.

        Raises
        ------
        CheckpointError, MetricError
            If one of them cannot be kept; nothing was written.
        """
        if self.reason not in REASONS:
            raise CheckpointError(
                f"{self.reason!r} is no reason to save", "one of: " + ", ".join(REASONS)
            )
        for name in ("metrics", "metadata"):
            if not isinstance(getattr(self, name), (Mapping, type(None))):
                raise CheckpointError(f"{name} is no mapping", f"write {name}={{'name': value}}")
        if not isinstance(self.format, str):
            raise CheckpointError("format is no text", "write format='torch'")
        return self._replace(
            step=check_step(self.step, self.kind),
            epoch=plain(self.epoch, "epoch"),
            metrics=plain(dict(self.metrics or {}), "metrics"),
            metadata=plain(dict(self.metadata or {}), "metadata"),
        )


def copy_folder(source: str, folder: str) -> None:
    """Copy what a trainer has written to a staging folder.

    The trainer may change or remove its own files as soon as this returns.

    Raises
    ------
    CheckpointError
        If something is no plain file, cannot be read or stored, or changes meanwhile.
    """
    try:
        if stat.S_ISREG(os.stat(source).st_mode):
            _copy_unchanged(source, os.path.join(folder, os.path.basename(source)))
            return
        real = os.path.join(os.path.realpath(source), "")
        if os.path.realpath(folder).startswith(real):
            raise CheckpointError(
                f"{source} holds the run's checkpoints themselves",
                "save a folder that has the files of one checkpoint only",
            )
        own = _has_manifest(source)
        for path in plain_files(source, leave_out=MANIFEST if own else None):
            target = os.path.join(folder, path)
            os.makedirs(os.path.dirname(target), exist_ok=True)
            _copy_unchanged(os.path.join(source, path), target)
    except OSError as error:
        where = error.filename or source
        raise CheckpointError(f"cannot copy {where}: {error.strerror or error}", _NEXT) from error


def _copy_unchanged(source: str, target: str) -> None:
    before = os.stat(source, follow_symlinks=False)
    after = copy_file(source, target)
    size = os.stat(target).st_size
    if (before.st_size, before.st_mtime_ns) != (size, after.st_mtime_ns):
        raise CheckpointError(
            f"{source} was written to while it was copied",
            "save a checkpoint when the trainer has closed its files",
        )


def _has_manifest(folder: str) -> bool:
    """Return whether a folder is a checkpoint, or a restored copy of one."""
    try:
        read_checkpoint(folder)
    except (CheckpointDamaged, OSError):
        return False
    return True


def plain_files(folder: str, leave_out: str | None = None) -> Iterator[str]:
    """Return the relative paths of all files below a folder but one, sorted.

    Raises
    ------
    CheckpointError
        If one is a link, a device or a pipe, or has a name that a manifest cannot hold.
    """
    pending = [""]
    while pending:
        inner = pending.pop()
        with os.scandir(os.path.join(folder, inner)) as entries:
            for entry in sorted(entries, key=lambda entry: entry.name):
                path = f"{inner}/{entry.name}" if inner else entry.name
                if path == leave_out:
                    continue
                problem = unsafe_path(path)
                if problem:
                    raise CheckpointError(problem, "rename it; nothing was saved")
                if entry.is_dir(follow_symlinks=False):
                    pending.append(path)
                elif entry.is_file(follow_symlinks=False):
                    yield path
                else:
                    what = "a link" if entry.is_symlink() else "no plain file"
                    raise CheckpointError(
                        f"{path} is {what}; a checkpoint holds files only",
                        "write the file itself; nothing was saved",
                    )


def settle_files(repo: Repo, folder: str) -> list[Component]:
    """Hash the files of a staging folder, put them into the content store and on the disk.

    Raises
    ------
    CheckpointError
        If there are none, or something that is no plain file.
    """
    objects = Objects(repo)
    if _has_manifest(folder):  # of another checkpoint, copied with its files
        remove(os.path.join(folder, MANIFEST))
    paths = list(plain_files(folder))
    if not paths:
        raise CheckpointError(
            "nothing was written into the checkpoint's folder",
            "write the files before the block ends, or before save_checkpoint is called",
        )

    def settle(path: str) -> Component:
        return _settle(objects, folder, path)

    if len(paths) == 1:
        return [settle(paths[0])]
    with ThreadPoolExecutor(min(_THREADS, len(paths))) as pool:
        return list(pool.map(settle, paths))


def _settle(objects: Objects, folder: str, path: str) -> Component:
    full = os.path.join(folder, path)
    if os.lstat(full).st_nlink > 1:
        _make_own(full)  # somebody else has a name of it, and may write to it
    digest = hash_file(full)
    with contextlib.suppress(OSError):  # a file system without modes
        os.chmod(full, 0o444)
    size = os.lstat(full).st_size
    if not objects.is_whole(digest):
        _to_disk(full)
        objects.put(full, digest)
    elif not objects.put(full, digest):
        _to_disk(full)
    return Component(path, size, digest)


def _make_own(path: str) -> None:
    temporary = short_temporary(path)
    try:
        copy_file(path, temporary)
        os.replace(temporary, path)
    finally:
        remove(temporary)


def _to_disk(path: str) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def save_staged(repo: Repo, folder: str, facts: Facts, began: float) -> Checkpoint:
    """Make a staging folder a checkpoint.

    Parameters
    ----------
    repo : Repo
        The repository.
    folder : str
        The files, which nobody writes to any more.
    facts : Facts
        What is said of them, `checked`.
    began : float
        ``time.monotonic()`` when saving began.

    Raises
    ------
    CheckpointError
        If it cannot be saved; nothing is visible of it then.
    """
    try:
        components = settle_files(repo, folder)
        manifest = _manifest(facts, components, began)
        return publish(repo, folder, manifest)
    except OSError as error:
        where = f" {error.filename}" if error.filename else ""
        raise CheckpointError(
            f"cannot save a checkpoint of step {facts.step}:{where} {error.strerror or error}",
            _NEXT,
        ) from error


def _manifest(facts: Facts, components: list[Component], began: float) -> Manifest:
    return make_manifest(
        components=components,
        created_at=now(),
        save_seconds=time.monotonic() - began,
        **facts._asdict(),
    )


def now() -> str:
    """Return the time in UTC with microseconds, which sorts as text."""
    seconds, rest = divmod(time.time_ns() // 1000, 1_000_000)
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds)) + f".{rest:06d}Z"
