"""Where a run's training came from: what it was branched from, what it resumed from."""

import contextlib
from typing import Any

from aexp.checkpoints.store import Checkpoint, find_checkpoint
from aexp.errors import CheckpointNotFound
from aexp.model import CHECKPOINT_ID, Run
from aexp.model import INIT_FROM as INIT_FROM
from aexp.paths import Repo

INIT, RESUME = "init", "resume"


def note_resumed(run: Run, checkpoint: Checkpoint) -> None:
    """Note, in the document of a run whose lock is held, what its present attempt began with.

    A checkpoint of another run is noted with that run.
    """
    attempt = run.attempts[-1]
    attempt["resumed_from"] = checkpoint.id
    attempt.pop("resumed_run", None)
    if checkpoint.job != run.job_id:
        attempt["resumed_run"] = checkpoint.job


def resumed_from(run: Run) -> str | None:
    """Return the id of the checkpoint that a run's latest attempt began with."""
    value = run.attempts[-1].get("resumed_from") if run.attempts else None
    return value if isinstance(value, str) else None


def branched_from(sp: dict[str, Any]) -> str | None:
    """Return the id of the checkpoint that a run with this state point begins with."""
    value = sp.get(INIT_FROM)
    return value if isinstance(value, str) and CHECKPOINT_ID.fullmatch(value) else None


def initial_checkpoint(repo: Repo, sp: dict[str, Any]) -> Checkpoint | None:
    """Return the checkpoint that a branched run begins with, None for any other run.

    Raises
    ------
    CheckpointNotFound
        If it is not here.
    """
    wanted = branched_from(sp)
    if wanted is None:
        return None
    try:
        return find_checkpoint(repo, wanted)
    except CheckpointNotFound as error:
        raise CheckpointNotFound(
            f"{INIT_FROM}: {error.message}", "one at a remote comes with: aexp pull RUN"
        ) from None


def inputs(repo: Repo, run: Run) -> list[dict[str, Any]]:
    """Return the checkpoints that a run's training came from, oldest first.

    Returns
    -------
    list of dict
        ``role`` (``init`` or ``resume``), ``id``, ``attempt`` (None for ``init``) and, of
        one that is still here, ``job``, ``step``, ``kind`` and ``path``.
    """
    found: list[dict[str, Any]] = []
    wanted = branched_from(run.sp)
    if wanted is not None:
        found.append(_input(repo, INIT, wanted, None))
    for attempt in run.attempts:
        value = attempt.get("resumed_from")
        if isinstance(value, str):
            found.append(_input(repo, RESUME, value, attempt.get("attempt")))
    return found


def _input(repo: Repo, role: str, checkpoint_id: str, attempt: Any) -> dict[str, Any]:
    row: dict[str, Any] = {"role": role, "id": checkpoint_id, "attempt": attempt}
    with contextlib.suppress(CheckpointNotFound):
        found = find_checkpoint(repo, checkpoint_id)
        row |= {"job": found.job, "step": found.step, "kind": found.kind, "path": str(found.path)}
    return row
