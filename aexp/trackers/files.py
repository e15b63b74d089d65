"""The files of a run's ``tracker/`` folder: who writes to the tracker, and how far it is."""

import os
from typing import Any, NamedTuple

from aexp.errors import AexpError
from aexp.files import pretty_json, read_object, write_atomic
from aexp.paths import TRACKER, Repo

OWNER = "owner.json"
CURSOR = "cursor.json"
STATE = "state.json"
LOG = "follow.log"


def tracker_file(repo: Repo, job_id: str, name: str) -> str:
    """Return the path of a file in a run's ``tracker/`` folder."""
    return os.path.join(repo.run_file(job_id, TRACKER), name)


class Ownership(NamedTuple):
    """The training process itself has opened the tracker's run.

    Attributes
    ----------
    attempt : int
        In this attempt.
    backend : str
        Of this tracker.
    run_id : str
        The tracker's id of it.
    pid : int
        Which process.
    """

    attempt: int
    backend: str
    run_id: str
    pid: int


def write_owner(repo: Repo, job_id: str, *, attempt: int, backend: str, run_id: str) -> None:
    """Say that this process writes to the tracker's run, so that nobody else opens it."""
    owner = Ownership(attempt, backend, run_id, os.getpid())
    write_atomic(tracker_file(repo, job_id, OWNER), pretty_json(owner._asdict()))


def read_owner(repo: Repo, job_id: str, attempt: int) -> Ownership | None:
    """Return which process of an attempt writes to the tracker by itself, None without one."""
    value = read_quietly(repo, job_id, OWNER)
    try:
        owner = Ownership(**value)
    except TypeError:
        return None
    return owner if owner.attempt == attempt else None


def read_quietly(repo: Repo, job_id: str, name: str) -> dict[str, Any]:
    """Return the object in a file of the folder; a missing or damaged one is empty."""
    try:
        return read_object(tracker_file(repo, job_id, name)) or {}
    except AexpError:
        return {}


def init_bound_s() -> float:
    """Return how long opening a tracker's run may take: ``AEXP_TRACKER_INIT_S``, 20."""
    return seconds_of("AEXP_TRACKER_INIT_S", 20.0)


def seconds_of(variable: str, default: float) -> float:
    """Return a duration from the environment; what is no number counts as not set."""
    try:
        return max(0.1, float(os.environ.get(variable, default)))
    except ValueError:
        return default
