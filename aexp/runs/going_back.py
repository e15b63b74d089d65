"""Runs that went back to an earlier checkpoint: what they had saved beyond it is left behind.

Otherwise the next attempt would go on with what was given up, and retention would drop what
is saved from now on as older than that. It is kept, and can be restored by its name.
"""

from collections.abc import Iterable
from typing import Any, NamedTuple

from aexp.model import Run

_KEY = "went_back"


class Turn(NamedTuple):
    """A moment at which training went back.

    Attributes
    ----------
    step : int
        Where it went back to.
    attempt : int
        The attempt that did.
    at : str
        When, as checkpoints are dated; "" before the attempt had saved anything.
    """

    step: int
    attempt: int
    at: str

    def holds(self, step: float, attempt: float, created_at: str) -> bool:
        """Return whether a checkpoint was saved before, and beyond that step."""
        return step > self.step and (attempt, created_at) <= (self.attempt, self.at)


def turns_of(run: Run) -> tuple[Turn, ...]:
    """Return the turns that count, the oldest first."""
    rows = run.record.get(_KEY)
    found = (_turn(row) for row in rows) if isinstance(rows, list) else ()
    return tuple(turn for turn in found if turn is not None)


def add_turn(record: dict[str, Any], known: Iterable[Turn], turn: Turn) -> None:
    """Note a turn in a run's own block, in place of those that say less."""
    kept = [one for one in known if not turn.holds(one.step + 1, one.attempt, one.at)]
    record[_KEY] = [one._asdict() for one in [*kept, turn]]


def _turn(row: object) -> Turn | None:
    if not isinstance(row, dict):
        return None
    step, attempt, at = row.get("step"), row.get("attempt"), row.get("at")
    if type(step) is not int or type(attempt) is not int or not isinstance(at, str):
        return None
    return Turn(step, attempt, at)
