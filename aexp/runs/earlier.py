"""What a run was before it was queued again: kept, given back, told from news."""

from typing import Any

from aexp.ledger.entries import load_ledger_entry
from aexp.model import Run, epoch, section
from aexp.paths import Repo
from aexp.runs.document import block_of

_END_KEYS = (
    "status",
    "started_at",
    "heartbeat_at",
    "ended_at",
    "wallclock_s",
    "summary_metrics",
    "tracker",
)
_END_RECORD_KEYS = (
    "cause",
    "message",
    "returncode",
    "metrics",
    "promoted_at",
    "registered_machine",
)
_PROGRESS_KEYS = ("stop_requested_at", "failures", "faults")
_NOT_KEPT = frozenset({"attempts", "before", "superseded", "stop_requested_at"})


def kept_end(run: Run) -> dict[str, Any]:
    """Return what is needed to take a queueing back that has not begun to execute."""
    return {
        "doc": {key: run.doc[key] for key in _END_KEYS if key in run.doc},
        "record": {key: item for key, item in run.record.items() if key not in _NOT_KEPT},
        "queue": dict(run.queue),
    }


def forget_end(run: Run) -> None:
    """Take the earlier end out of the document of a run that is queued again."""
    for key in _END_KEYS:
        # A run that was only created keeps the tracker that it was bound to.
        if key != "status" and (key != "tracker" or run.is_terminal):
            run.doc.pop(key, None)
    record = block_of(run.doc, "aexp_run")
    for key in (*_END_RECORD_KEYS, *_PROGRESS_KEYS):
        record.pop(key, None)


def restore_end(run: Run) -> bool:
    """Make a run what it was before it was queued again; False if it had not ended before."""
    before = section(run.record, "before")
    if not before:
        return False
    run.doc.update(before["doc"])
    run.doc["queue"] = before["queue"]
    kept = {"attempts": run.attempts} if run.attempts else {}
    run.doc["aexp_run"] = {**before["record"], **kept}
    return True


def known_entry(entry: dict[str, Any]) -> list[Any]:
    """Return what tells one ledger entry of a run from a later one."""
    return [entry.get("registered_machine"), entry.get("ended_at")]


def remember_entry(repo: Repo, run: Run) -> None:
    """Note the ledger entry that is there now: it is not news from another machine later."""
    entry = load_ledger_entry(repo, run.job_id)
    if entry is not None:
        block_of(run.doc, "aexp_run")["known_entry"] = known_entry(entry)


def ended_elsewhere(run: Run, entry: dict[str, Any]) -> bool:
    """Return whether a ledger entry tells that a run queued here has ended on another machine."""
    if known_entry(entry) == run.record.get("known_entry"):
        return False  # it was there when the run was queued, whatever the clocks say
    return epoch(entry.get("ended_at")) > epoch(run.queue.get("queued_at"))
