"""The rule for two entries of one run: which of them is the record.

Two clones can execute the same run, or promote it at different moments. The rule takes one
entry whole, never parts of both, so that what is cited is always what one machine wrote. It
compares a key that orders all entries, and so gives the same answer on every machine, in
whatever order entries meet.
"""

import json
from typing import Any

from aexp.errors import CorruptFile
from aexp.files import parse_object
from aexp.model import JOB_ID, TERMINAL_STATUSES, epoch

Order = tuple[bool, float, int, float, bytes]


def is_entry(entry: dict[str, Any]) -> bool:
    """Return whether an object can be a ledger entry at all: a run's id and how it ended."""
    job_id, status = entry.get("job_id"), entry.get("status")
    return (
        isinstance(job_id, str)
        and JOB_ID.fullmatch(job_id) is not None
        and isinstance(status, str)
        and status in TERMINAL_STATUSES
        and isinstance(entry.get("statepoint"), dict)
    )


def order(entry: dict[str, Any]) -> Order:
    """Return an entry's place among all entries of its run; the highest is the record.

    An end beats none; then the later ``ended_at``; then more attempts; then the later
    ``promoted_at`` (a correction, such as another link, is promoted again); then the greater
    canonical form, so that no two different entries are equal.
    """
    attempts = entry.get("attempts")
    return (
        is_entry(entry),
        epoch(entry.get("ended_at")),
        len(attempts) if isinstance(attempts, list) else 0,
        epoch(entry.get("promoted_at")),
        json.dumps(entry, sort_keys=True).encode(),
    )


def merge(ours: dict[str, Any], theirs: dict[str, Any]) -> dict[str, Any]:
    """Return the entry that stays of two entries of one run.

    The function is commutative, associative and idempotent: any number of clones that
    exchange entries in any order end with the same one.
    """
    return ours if order(ours) >= order(theirs) else theirs


def merge_bytes(ours: bytes | None, theirs: bytes | None) -> bytes | None:
    """Return the file that stays of two versions of one entry's file.

    A file beats none: evidence that one side has removed and the other renewed is kept. An
    entry beats anything that is not one.
    """
    if ours is None or theirs is None:
        return theirs if ours is None else ours
    return ours if _file_order(ours) >= _file_order(theirs) else theirs


def _file_order(data: bytes) -> tuple[Order, bytes]:
    try:
        return order(parse_object(data, "an entry")), data
    except (CorruptFile, RecursionError):
        return (False, 0.0, 0, 0.0, b""), data
