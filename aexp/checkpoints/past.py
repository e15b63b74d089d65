"""Checkpoints that nothing goes on from unless they are named.

Those of a run that was complete and has started afresh since, and those beyond the one that
training went back to.
"""

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, NamedTuple

from aexp.errors import AexpError
from aexp.model import Run
from aexp.paths import Repo
from aexp.runs.afresh import passed_over
from aexp.runs.document import block_of
from aexp.runs.going_back import Turn, add_turn, turns_of
from aexp.runs.store import read_run

if TYPE_CHECKING:
    from aexp.checkpoints.store import Checkpoint

_CHECKPOINT = "checkpoint"


class Past(NamedTuple):
    """Which checkpoints of a run are past.

    Attributes
    ----------
    job : str
        The run.
    attempt : int
        The last of its attempts before it started afresh; 0 when it did not.
    turns : tuple of Turn
        Where its training went back.
    """

    job: str
    attempt: int
    turns: tuple[Turn, ...] = ()

    def holds(self, checkpoint: "Checkpoint") -> bool:
        """Return whether a checkpoint is one of them."""
        return self.is_finished(checkpoint) or self.is_left_behind(checkpoint)

    def is_finished(self, checkpoint: "Checkpoint") -> bool:
        """Return whether the run was complete with it, and has started afresh since."""
        return checkpoint.job == self.job and 0 < checkpoint.manifest.attempt <= self.attempt

    def is_left_behind(self, checkpoint: "Checkpoint") -> bool:
        """Return whether training has gone back to an earlier one since."""
        return checkpoint.job == self.job and any(_holds(turn, checkpoint) for turn in self.turns)


NOTHING = Past("", 0)


def past_of(run: Run) -> Past:
    """Return what is past of a run."""
    return Past(run.job_id, passed_over(run.record), turns_of(run))


def past_in(repo: Repo, job_id: str) -> Past:
    """Return what is past of a run, nothing where only its checkpoints are here."""
    try:
        return past_of(read_run(repo, job_id))
    except AexpError:
        return NOTHING


def leave_behind(
    run: Run,
    found: Iterable["Checkpoint"],
    origin: "Checkpoint",
    at: str,
    edit: Callable[[], AbstractContextManager[Run]],
) -> Run:
    """Note, before the first save since, that training goes on from an earlier checkpoint.

    Parameters
    ----------
    run : Run
        The run.
    found : iterable of Checkpoint
        What it has saved.
    origin : Checkpoint
        What training goes on from, of this run or another.
    at : str
        Since when, dated as checkpoints are; "" since the attempt began.
    edit : callable
        Opens the run for a change of its document.

    Returns
    -------
    Run
        The run as it is then.
    """
    if origin.step is None or not run.attempts:
        return run
    turn, past = Turn(origin.step, int(run.attempts[-1]["attempt"]), at), past_of(run)
    if not past.is_left_behind(origin) and not any(
        _holds(turn, item) and not past.holds(item) for item in found
    ):
        return run
    with edit() as fresh:
        # What it goes on from now is left behind no more.
        is_own = origin.job == run.job_id
        known = [one for one in turns_of(fresh) if not (is_own and _holds(one, origin))]
        add_turn(block_of(fresh.doc, "aexp_run"), known, turn)
        return fresh


def _holds(turn: Turn, checkpoint: "Checkpoint") -> bool:
    manifest = checkpoint.manifest
    if manifest.kind != _CHECKPOINT or manifest.step is None:
        return False
    return turn.holds(manifest.step, manifest.attempt, manifest.created_at)
