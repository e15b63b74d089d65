"""Dependencies between runs: what a run's parents are doing."""

from aexp.errors import AexpError
from aexp.ledger.entries import load_ledger_entry
from aexp.model import COMPLETE, TERMINAL_STATUSES, Run
from aexp.paths import Repo
from aexp.runs.store import read_run


def parent_statuses(
    repo: Repo, run: Run, runs: dict[str, Run] | None = None
) -> dict[str, str | None]:
    """Return the status of each parent; a parent that only the ledger knows counts too."""
    found: dict[str, str | None] = {}
    for parent in run.after:
        known = runs.get(parent) if runs is not None else _read_or_none(repo, parent)
        if known is not None:
            found[parent] = known.status
        if known is None or not known.is_terminal:
            elsewhere = _ledger_status(repo, parent)
            if elsewhere == COMPLETE or known is None:
                found[parent] = elsewhere
    return found


def _read_or_none(repo: Repo, job_id: str) -> Run | None:
    try:
        return read_run(repo, job_id)
    except AexpError:
        return None


def _ledger_status(repo: Repo, job_id: str) -> str | None:
    entry = load_ledger_entry(repo, job_id)
    return None if entry is None else str(entry["status"])


def failed_parent(repo: Repo, run: Run, runs: dict[str, Run] | None = None) -> str | None:
    """Return a parent that has ended otherwise than complete, None when there is none."""
    for parent, status in parent_statuses(repo, run, runs).items():
        if status in TERMINAL_STATUSES and status != COMPLETE:
            return parent
    return None
