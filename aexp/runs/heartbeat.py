"""Signs of life: a file whose time is touched while a run executes, and its age."""

import contextlib
import os
import time

from aexp.errors import AexpError
from aexp.files import remove, temporary_name
from aexp.model import utc_now
from aexp.paths import HEARTBEAT, Repo
from aexp.runs.claims import Claim
from aexp.runs.document import edit_document
from aexp.runs.status import is_attempt_of, stop_requested

DEFAULT_INTERVAL_S = 30.0


def interval_s(explicit: float | None = None) -> float:
    """Return the seconds between heartbeats: argument, ``AEXP_HEARTBEAT_S``, 30; 0 is off."""
    if explicit is not None:
        return max(0.0, explicit)
    try:
        return max(0.0, float(os.environ.get("AEXP_HEARTBEAT_S", DEFAULT_INTERVAL_S)))
    except ValueError:
        return DEFAULT_INTERVAL_S


def beat(repo: Repo, claim: Claim) -> bool:
    """Give a sign of life; a store that cannot be written now is tried again next time.

    Returns
    -------
    bool
        False when the run is no longer ours to execute: a person has asked to stop it, or
        another process has taken it over.
    """
    with contextlib.suppress(AexpError, OSError):
        path = repo.run_file(claim.job_id, HEARTBEAT)
        with open(path, "ab"):
            os.utime(path)
        with edit_document(repo, claim.job_id) as run:
            ours = is_attempt_of(run, claim)
            if ours:
                run.doc["heartbeat_at"] = utc_now()
        return ours and not stop_requested(run)
    return True


def age_s(repo: Repo, job_id: str) -> float | None:
    """Return how long ago a run's owner gave a sign of life, None when there is none.

    The clock is the file system's own, read from a fresh file beside the heartbeat: the
    clocks of two hosts may differ. For people to read; it never decides that an owner is dead.
    """
    path = repo.run_file(job_id, HEARTBEAT)
    try:
        beaten = os.stat(path).st_mtime
    except OSError:
        return None
    return max(0.0, file_clock(path) - beaten)


def file_clock(beside: str) -> float:
    """Return the time by a file system's own clock, read from a fresh file beside another.

    Where no file can be made, it is this host's time.
    """
    probe = temporary_name(beside)
    try:
        with open(probe, "wb"):
            pass
        return os.stat(probe).st_mtime
    except OSError:
        return time.time()
    finally:
        remove(probe)
