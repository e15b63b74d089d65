"""Dependencies between runs: what a run's parents are doing."""

from aexp.errors import AexpError
from aexp.ledger.entries import load_ledger_entry
from aexp.model import COMPLETE, TERMINAL_STATUSES, Run
from aexp.paths import Repo
from aexp.runs.earlier import ended_elsewhere
from aexp.runs.store import read_run


def parent_statuses(
    repo: Repo, run: Run, runs: dict[str, Run] | None = None
) -> dict[str, str | None]:
    """Return the status of each parent; a parent that only the ledger knows counts too.

    One that is queued here is complete when another machine has completed it since, not when
    it was complete before it was queued again.
    """
    found: dict[str, str | None] = {}
    for parent in run.after:
        known = runs.get(parent) if runs is not None else _read_or_none(repo, parent)
        if known is not None:
            found[parent] = known.status
        if known is None or not known.is_terminal:
            entry = load_ledger_entry(repo, parent)
            if known is None:
                found[parent] = None if entry is None else str(entry["status"])
            elif (
                entry is not None and entry["status"] == COMPLETE and ended_elsewhere(known, entry)
            ):
                found[parent] = COMPLETE
    return found


def _read_or_none(repo: Repo, job_id: str) -> Run | None:
    try:
        return read_run(repo, job_id)
    except AexpError:
        return None


def failed_parent(repo: Repo, run: Run, runs: dict[str, Run] | None = None) -> str | None:
    """Return a parent that has ended otherwise than complete, None when there is none."""
    for parent, status in parent_statuses(repo, run, runs).items():
        if status in TERMINAL_STATUSES and status != COMPLETE:
            return parent
    return None
