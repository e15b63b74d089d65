"""Runs that were complete and are executed once more: they start from the beginning.

What they have saved before stays where it is, and nothing goes on from it unless it is named.
"""

from typing import Any

from aexp.model import Run

_KEY = "resume_after"


def start_afresh(run: Run, record: dict[str, Any]) -> None:
    """Have later attempts of a complete run go on from none of its checkpoints."""
    record[_KEY] = max((_number(attempt.get("attempt")) for attempt in run.attempts), default=0)
    record.pop("checkpoint", None)


def go_on(record: dict[str, Any]) -> None:
    """Have later attempts of a run go on from any of its checkpoints, as a person wishes."""
    record.pop(_KEY, None)


def passed_over(record: dict[str, Any]) -> int:
    """Return the attempt up to which a run's checkpoints are not gone on from; mostly 0."""
    return _number(record.get(_KEY))


def _number(value: object) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) else 0
