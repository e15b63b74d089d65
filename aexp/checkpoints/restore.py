"""Restore a checkpoint into a folder of the user's: copied, verified, then renamed."""

import os
import shutil

from aexp.checkpoints.manifest import MANIFEST
from aexp.checkpoints.objects import copy_file
from aexp.checkpoints.staging import remove_tree
from aexp.checkpoints.store import Checkpoint, read_checkpoint
from aexp.checkpoints.verify import HASH, problems
from aexp.errors import CheckpointDamaged, CheckpointError
from aexp.files import temporary_name


def copy_to(checkpoint: Checkpoint, to: "str | os.PathLike[str]") -> Checkpoint:
    """Copy a checkpoint to a folder that is new, empty, or an earlier restored copy.

    The folder gets the copy whole or not at all, with ``manifest.json``; its files can be
    written to, and are shared with nobody.

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
    _check_target(target)
    temporary = temporary_name(target)
    try:
        os.makedirs(temporary)
        for path in [*checkpoint.files, MANIFEST]:
            inner = os.path.join(temporary, path)
            os.makedirs(os.path.dirname(inner), exist_ok=True)
            copy_file(os.path.join(checkpoint, path), inner)
        copy = read_checkpoint(temporary)
        wrong = problems(copy, HASH)
        if copy.id != checkpoint.id:
            wrong = ["it was replaced meanwhile"]
        if wrong:
            raise damage(checkpoint, wrong)
        _replace(temporary, target)
    except OSError as error:
        wrong = problems(checkpoint)
        if wrong:
            raise damage(checkpoint, wrong) from error
        raise CheckpointError(
            f"cannot restore to {target}: {error.strerror or error}",
            "check the folder's permissions and the free space",
        ) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return Checkpoint(target, copy.manifest)


def damage(checkpoint: Checkpoint, wrong: list[str]) -> CheckpointDamaged:
    """Return the error for a checkpoint that was asked for and is not whole."""
    more = f" and {len(wrong) - 1} more" if len(wrong) > 1 else ""
    return CheckpointDamaged(
        f"{checkpoint.path} is damaged: {wrong[0]}{more}",
        "use an earlier one: run.restore() chooses the newest that is whole",
    )


def _check_target(target: str) -> None:
    if not os.path.lexists(target):
        return
    if not os.path.isdir(target):
        raise CheckpointError(f"{target} is no folder", "give a new folder")
    if not os.listdir(target):
        return
    try:
        read_checkpoint(target)
    except (CheckpointDamaged, OSError):
        raise CheckpointError(
            f"{target} holds other files; nothing was written", "give a new or empty folder"
        ) from None


def _replace(temporary: str, target: str) -> None:
    """Give a folder its name, in place of an empty folder or of an earlier copy."""
    if not os.path.lexists(target) or not os.listdir(target):
        os.rename(temporary, target)
        return
    aside = temporary_name(target)
    os.rename(target, aside)
    os.rename(temporary, target)
    remove_tree(aside)
