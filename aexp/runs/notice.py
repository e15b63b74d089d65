"""The wrapper's word to the command that its end is near, as ``stop.json``.

A signal reaches one process, and the main thread of it; this file reaches every process and
every thread of a command, and shell scripts: ``while ! test -e "$AEXP_STOP_PATH"; do …``.
"""

import json
import os
import time
from typing import NamedTuple

from aexp.errors import CorruptFile
from aexp.files import read_object, remove, temporary_name
from aexp.paths import STOP, Repo


class Notice(NamedTuple):
    """What the wrapper has said to one attempt.

    Attributes
    ----------
    reason : str
        The signal's name, ``timeout`` (the run's own limit) or ``stop`` (a person's wish).
    until : float or None
        When the command will be killed, in seconds since 1970; None when nobody has said.
    """

    reason: str
    until: float | None


def give_notice(repo: Repo, job_id: str, attempt: int, notice: Notice) -> None:
    """Write the file; a store that cannot be written costs the command only this hint."""
    path = repo.run_file(job_id, STOP)
    content = {"attempt": attempt, "at": round(time.time(), 3), **notice._asdict()}
    temporary = temporary_name(path)
    try:  # without fsync: it says nothing to anybody after a crash
        with open(temporary, "w") as file:
            json.dump(content, file)
        os.replace(temporary, path)
    except OSError:
        remove(temporary)


def read_notice(repo: Repo, job_id: str, attempt: int) -> Notice | None:
    """Return what was said to this attempt, None when it may go on."""
    try:
        content = read_object(repo.run_file(job_id, STOP))
    except CorruptFile:
        return None
    if content is None or content.get("attempt") != attempt:
        return None
    until = content.get("until")
    return Notice(
        str(content.get("reason")), float(until) if isinstance(until, (int, float)) else None
    )
