"""Restore a checkpoint into a folder of the user's: copied, verified, then renamed."""

import contextlib
import errno
import fcntl
import os
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from glob import escape, glob

from aexp.checkpoints.manifest import MANIFEST, Manifest
from aexp.checkpoints.objects import copy_file
from aexp.checkpoints.staging import OWNER, Staging, is_left, remove_tree
from aexp.checkpoints.store import FOLDER, Checkpoint, read_checkpoint
from aexp.checkpoints.verify import HASH, problems
from aexp.errors import CheckpointDamaged, CheckpointError, CheckpointWarning
from aexp.files import remove, temporary_name
from aexp.paths import STAGING

_TRIES = 20


def copy_to(
    checkpoint: Checkpoint,
    to: "str | os.PathLike[str]",
    may_replace: Callable[[Checkpoint], None] | None = None,
) -> Checkpoint:
    """Copy a checkpoint to a folder that is new, empty, or an earlier restored copy.

    The folder gets the copy whole or not at all, with ``manifest.json``; its files can be
    written to, and are shared with nobody. What somebody has put beside an earlier copy's
    files is moved out of the way, not removed.

    Parameters
    ----------
    checkpoint : Checkpoint
        What to copy.
    to : path
        The folder.
    may_replace : callable, optional
        Raises if the earlier copy in the folder is not to be replaced.

    Returns
    -------
    Checkpoint
        The copy.

    Raises
    ------
    CheckpointDamaged
        If a file is not what the manifest says.
    CheckpointError
        If the folder holds something else, or cannot be written.
    """
    target = os.path.realpath(to)
    refuse = may_replace or (lambda _: None)
    staging = Staging(temporary_name(target))
    try:
        if _is_copy_of(target, checkpoint):  # of another process of this run, for instance
            return read_checkpoint(target)
        _check_target(target, refuse)
        os.makedirs(os.path.dirname(target), exist_ok=True)
        _remove_leftovers(target)
        staging.open()
        manifest = _copy(checkpoint, staging.folder)
        for _ in range(_TRIES):
            with _one_at_a_time(os.path.dirname(target)):
                if _is_copy_of(target, checkpoint) or _replace(staging.folder, target, refuse):
                    return Checkpoint(target, manifest)
        raise CheckpointError(
            f"cannot restore to {target}: other processes restore there, too",
            "give each its own folder",
        )
    except OSError as error:
        wrong = problems(checkpoint)
        if wrong:
            raise damage(checkpoint, wrong) from error
        raise CheckpointError(
            f"cannot restore to {target}: {error.strerror or error}",
            "check the folder's permissions and the free space",
        ) from error
    finally:
        staging.close()


def _copy(checkpoint: Checkpoint, folder: str) -> Manifest:
    for path in [*checkpoint.files, MANIFEST]:
        inner = os.path.join(folder, path)
        os.makedirs(os.path.dirname(inner), exist_ok=True)
        copy_file(os.path.join(checkpoint, path), inner)
    copy = read_checkpoint(folder)
    wrong = problems(copy, HASH)
    if copy.id != checkpoint.id:
        wrong = ["it was replaced meanwhile"]
    if wrong:
        raise damage(checkpoint, wrong)
    return copy.manifest


def _is_copy_of(target: str, checkpoint: Checkpoint) -> bool:
    try:
        there = read_checkpoint(target)
    except (CheckpointDamaged, OSError):
        return False
    is_other = os.path.realpath(checkpoint) != target  # not the checkpoint itself
    return is_other and there.id == checkpoint.id and not problems(there, HASH)


def _remove_leftovers(target: str) -> None:
    """Remove the unfinished copies for a folder that processes left which were killed."""
    parent, name = os.path.split(target)
    for owner in glob(os.path.join(escape(parent), f".{escape(name)}.*.tmp{OWNER}")):
        folder = owner.removesuffix(OWNER)
        if is_left(folder):
            Staging(folder).close()


def damage(checkpoint: Checkpoint, wrong: list[str]) -> CheckpointDamaged:
    """Return the error for a checkpoint that was asked for and is not whole."""
    more = f" and {len(wrong) - 1} more" if len(wrong) > 1 else ""
    return CheckpointDamaged(
        f"{checkpoint.path} is damaged: {wrong[0]}{more}",
        "use an earlier one: run.restore() chooses the newest that is whole",
    )


def _check_target(target: str, refuse: Callable[[Checkpoint], None]) -> None:
    if not os.path.lexists(target):
        return
    if not os.path.isdir(target):
        raise CheckpointError(f"{target} is no folder", "give a new folder")
    if not os.listdir(target):
        return
    if FOLDER.fullmatch(os.path.basename(target)) and _is_kept(os.path.dirname(target)):
        raise CheckpointError(f"{target} is a run's checkpoint itself", "give a new folder")
    try:
        there = read_checkpoint(target)
    except (CheckpointDamaged, OSError):
        raise CheckpointError(
            f"{target} holds other files; nothing was written", "give a new or empty folder"
        ) from None
    refuse(there)


@contextmanager
def _one_at_a_time(folder: str) -> Iterator[None]:
    """Keep others from taking a fresh copy away again, where folders can be locked."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        with contextlib.suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _is_kept(folder: str) -> bool:
    return os.path.isdir(os.path.join(folder, STAGING))


def _replace(temporary: str, target: str, refuse: Callable[[Checkpoint], None]) -> bool:
    """Give a folder its name, in place of an empty folder or of an earlier copy.

    False: another process has given or taken the name meanwhile.
    """
    old = ""
    try:
        _check_target(target, refuse)
        if os.path.lexists(target) and os.listdir(target):
            name = f"{target}.old-{os.urandom(3).hex()}"
            os.rename(target, name)
            old = name
        os.rename(temporary, target)
    except OSError as error:
        if error.errno not in (errno.ENOENT, errno.EEXIST, errno.ENOTEMPTY):
            raise
        return False
    finally:
        if old:
            _remove_old(old)
    return True


def _remove_old(old: str) -> None:
    """Remove an earlier copy, but for what somebody has put beside its files."""
    try:
        copied = {*read_checkpoint(old).files, MANIFEST}
    except (CheckpointDamaged, OSError):
        return
    others = [
        path
        for folder, _, names in os.walk(old)
        for name in names
        if (path := os.path.relpath(os.path.join(folder, name), old)) not in copied
    ]
    if not others:
        remove_tree(old)
        return
    for path in copied:
        remove(os.path.join(old, path))
    for folder, _, _ in os.walk(old, topdown=False):
        with contextlib.suppress(OSError):  # not empty
            os.rmdir(folder)
    warnings.warn(
        f"{others[0]}, and all else that was no file of the checkpoint, is in {old} now",
        CheckpointWarning,
        stacklevel=6,
    )
