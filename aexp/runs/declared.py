"""What training code itself says about the end of its attempt, as ``outcome.json``."""

import json
from typing import NamedTuple

from aexp.errors import CorruptFile
from aexp.files import read_object, write_atomic
from aexp.model import COMPLETE, FAILED, printable
from aexp.paths import OUTCOME, Repo
from aexp.runs.document import run_lock

TRACEBACK_CHARACTERS = 2048
_MAX_REASON = 100
_MAX_MESSAGE = 2000


class Declared(NamedTuple):
    """One word about an attempt.

    Attributes
    ----------
    status : str
        ``complete`` or ``failed``.
    reason : str or None
        A word for it, kept as the run's cause.
    message : str
        What happened, for people.
    traceback : str
        The end of the exception's traceback, if it was one.
    """

    status: str
    reason: str | None = None
    message: str = ""
    traceback: str = ""


def declare(repo: Repo, job_id: str, attempt: int, word: Declared) -> None:
    """Write the word down; a failure that has been declared stays one."""
    content = {
        "attempt": attempt,
        "status": word.status,
        "reason": printable(word.reason)[:_MAX_REASON] if word.reason else None,
        "message": word.message[:_MAX_MESSAGE],
        "traceback": word.traceback[-TRACEBACK_CHARACTERS:],
    }
    with run_lock(repo, job_id):
        before = read_declared(repo, job_id, attempt)
        if before is None or before.status != FAILED or word.status == FAILED:
            write_atomic(repo.run_file(job_id, OUTCOME), json.dumps(content).encode())


def read_declared(repo: Repo, job_id: str, attempt: int) -> Declared | None:
    """Return what was said about this attempt; None for nothing, or nothing to be understood."""
    try:
        content = read_object(repo.run_file(job_id, OUTCOME)) or {}
    except CorruptFile:
        return None
    status, reason = content.get("status"), content.get("reason")
    if content.get("attempt") != attempt or status not in (COMPLETE, FAILED):
        return None
    message, traceback = content.get("message"), content.get("traceback")
    return Declared(
        str(status),
        printable(reason)[:_MAX_REASON] if isinstance(reason, str) and reason else None,
        printable(message)[:_MAX_MESSAGE] if isinstance(message, str) else "",
        traceback[-TRACEBACK_CHARACTERS:] if isinstance(traceback, str) else "",
    )
