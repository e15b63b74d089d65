"""Pins: checkpoints that no policy drops, by a person's word.

``checkpoints/pins.json`` of a run maps ids to when and why. Whoever pins and whoever prunes
holds the run's keeping lock: what is pinned when `pin` returns is not dropped any more.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from aexp.checkpoints.store import Checkpoint, checkpoints_dir
from aexp.errors import CheckpointNotFound, CorruptFile, UsageError
from aexp.files import locked, pretty_json, read_object, write_atomic
from aexp.model import CHECKPOINT_ID, printable, utc_now
from aexp.paths import Repo

PINS = "pins.json"
_LOCK = ".keeping.lock"
_SCHEMA = 1
_MAX_NOTE = 200


@contextmanager
def keeping(repo: Repo, job_id: str) -> Iterator[None]:
    """Hold the lock under which a run's checkpoints are pinned and dropped."""
    try:
        with locked(os.path.join(checkpoints_dir(repo, job_id), _LOCK)):
            yield
    except FileNotFoundError:
        raise CheckpointNotFound(
            f"run {job_id} has no checkpoints", "see: aexp checkpoints ls"
        ) from None


def pins_of(repo: Repo, job_id: str) -> dict[str, dict[str, Any]]:
    """Return a run's pinned ids, with ``at`` and ``note`` of each.

    Raises
    ------
    CorruptFile
        If the file cannot be understood: nothing of the run is to be dropped then.
    """
    path = os.path.join(checkpoints_dir(repo, job_id), PINS)
    content = read_object(path)
    if content is None:
        return {}
    pins = content.get("pins")
    if content.get("schema") != _SCHEMA or not isinstance(pins, dict):
        raise CorruptFile(f"{path} holds no pins", "mend or remove it, then pin again")
    return {key: value if isinstance(value, dict) else {} for key, value in pins.items()}


def pin(repo: Repo, checkpoint: Checkpoint, note: str = "") -> bool:
    """Pin a checkpoint; False when it was pinned already, with the same note.

    Raises
    ------
    CheckpointNotFound
        If it has been dropped meanwhile.
    """
    if len(note) > _MAX_NOTE or note != printable(note):
        raise UsageError("the note is no line of text", f"one line, at most {_MAX_NOTE} characters")
    job_id = holder_of(checkpoint)
    with keeping(repo, job_id):
        if not os.path.isdir(checkpoint.path):
            raise CheckpointNotFound(
                f"{checkpoint.id} has been dropped meanwhile", "see: aexp checkpoints ls"
            )
        pins = pins_of(repo, job_id)
        before = pins.get(checkpoint.id)
        if before is not None and before.get("note", "") == note:
            return False
        pins[checkpoint.id] = {"at": utc_now(), **({"note": note} if note else {})}
        _write(repo, job_id, pins)
        return True


def unpin(repo: Repo, job_id: str, checkpoint_id: str) -> bool:
    """Take a pin back; False when there was none."""
    with keeping(repo, job_id):
        pins = pins_of(repo, job_id)
        if pins.pop(checkpoint_id, None) is None:
            return False
        _write(repo, job_id, pins)
        return True


def holder_of(checkpoint: Checkpoint) -> str:
    """Return the run in whose folder a checkpoint lies, which need not have saved it."""
    return checkpoint.path.parent.parent.name


def _write(repo: Repo, job_id: str, pins: dict[str, dict[str, Any]]) -> None:
    # A pin of a checkpoint that has gone says nothing any more, but it may come back by a pull.
    known = {key: pins[key] for key in sorted(pins) if CHECKPOINT_ID.fullmatch(key)}
    path = os.path.join(checkpoints_dir(repo, job_id), PINS)
    write_atomic(path, pretty_json({"schema": _SCHEMA, "pins": known}))
