"""Checkpoints of a run that was complete and has started afresh since."""

from typing import TYPE_CHECKING, NamedTuple

from aexp.model import Run
from aexp.runs.afresh import passed_over

if TYPE_CHECKING:
    from aexp.checkpoints.store import Checkpoint


class Past(NamedTuple):
    """Which checkpoints nothing goes on from, unless they are named.

    Attributes
    ----------
    job : str
        The run.
    attempt : int
        The last of its attempts that is past; 0 when none is.
    """

    job: str
    attempt: int

    def holds(self, checkpoint: "Checkpoint") -> bool:
        """Return whether a checkpoint is one of them."""
        return checkpoint.job == self.job and 0 < checkpoint.manifest.attempt <= self.attempt


NOTHING = Past("", 0)


def past_of(run: Run) -> Past:
    """Return what is past of a run."""
    return Past(run.job_id, passed_over(run.record))
