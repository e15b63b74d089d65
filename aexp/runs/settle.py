"""Runs left ``running``: is anybody executing them, and what becomes of them if not."""

import contextlib
import os
import time
from typing import Any

from aexp import slurm
from aexp.errors import CorruptFile, StatusError
from aexp.model import FAILED, QUEUED, RUNNING, Run, epoch, section, short, utc_at
from aexp.paths import HEARTBEAT, Repo, hostname
from aexp.processes import is_running
from aexp.runs import claims
from aexp.runs.claims import Claim, Liveness, Owner
from aexp.runs.outcome import Outcome
from aexp.runs.preemption import GOES_ON_AFTER, has_advanced
from aexp.runs.status import end_attempt
from aexp.runs.store import read_run


def run_liveness(repo: Repo, run: Run, states: slurm.JobStates | None = None) -> Liveness:
    """Tell whether anybody executes a run whose document says ``running``."""
    try:
        owner = claims.read_owner(repo, run.job_id)
    except CorruptFile as error:
        return Liveness(slurm.UNKNOWN, error.message)
    if owner is not None:
        return claims.liveness(owner, states)
    return _unclaimed_liveness(repo, run)


def _unclaimed_liveness(repo: Repo, run: Run) -> Liveness:
    store = section(run.record, "store")
    if store.get("id") is not None:
        if store["id"] == repo.store_id:
            return Liveness(slurm.DEAD, "its owner has left no claim")
        machine = store.get("machine") or "another machine"
        return Liveness(slurm.UNKNOWN, f"it runs in another store ({machine})")
    process = section(run.queue, "proc")
    pid, host = process.get("pid"), process.get("host")
    if isinstance(pid, int) and host == hostname():
        started = process.get("start_fingerprint")
        if is_running(pid, started if isinstance(started, float) else None):
            return Liveness(slurm.ALIVE, f"process {pid} on {host} is running")
        return Liveness(slurm.DEAD, f"process {pid} on {host} has ended")
    return Liveness(slurm.UNKNOWN, f"nothing says what executes it (host {host or 'unknown'})")


def check_unclaimed(repo: Repo, run: Run, *, adopt: bool = False) -> None:
    """Refuse a running run that nobody claims here, unless its owner is known to be dead.

    Raises
    ------
    StatusError
        Saying who may execute it.
    """
    state = _unclaimed_liveness(repo, run)
    if state.state == slurm.ALIVE or (state.state == slurm.UNKNOWN and not adopt):
        raise StatusError(
            f"run {short(run.job_id)} may be executing now: {state.reason}",
            f"if it is dead: aexp queue release {short(run.job_id)}, or pass --adopt",
        )


def settle_dead_attempt(repo: Repo, job_id: str, reason: str, owner: Owner | None) -> Run:
    """Decide what a run becomes whose owner died while it was running.

    The caller holds the claim. An attempt that was being interrupted, or that Slurm
    cancelled, preempted or requeued, counts as nothing, and neither does one that a time
    limit or a lost node has ended after it had saved a newer checkpoint; any other death is
    a fault.
    """
    run = read_run(repo, job_id)
    if run.status != RUNNING:
        return run
    last = run.attempts[-1] if run.attempts else {}
    cause: str | None = None
    interrupted = bool(last.get("interrupted"))
    if owner is not None and owner.slurm_job_id:
        cause, cancelled = slurm.end_cause(owner.slurm_job_id, owner.slurm_restart)
        if cause == "requeued" and not interrupted:
            cause = "node_fail"  # any other requeue is announced by a signal
        elif cause != "timeout":  # a time limit is announced by a signal too, and counts
            interrupted = interrupted or cancelled
        else:
            interrupted = False
    if interrupted:
        outcome = Outcome(QUEUED, cause="interrupted", message=reason)
    elif cause in GOES_ON_AFTER and has_advanced(repo, run):
        outcome = Outcome(QUEUED, cause=cause, message=reason, again=True)
    else:
        outcome = Outcome(FAILED, cause=cause or "lost", fault=True, message=reason)
    return end_attempt(repo, job_id, outcome._replace(ended_at=_last_seen(repo, job_id, last)))


def _last_seen(repo: Repo, job_id: str, attempt: dict[str, Any]) -> str | None:
    """Return when an attempt last gave a sign of life, not before its start, nor in the future.

    It may be found days later; those days are not the run's.
    """
    files = [repo.run_file(job_id, HEARTBEAT)]
    if isinstance(attempt.get("attempt"), int):
        files.append(repo.log_path(job_id, attempt["attempt"]))
    seen = epoch(attempt.get("started_at"))
    for path in files:
        with contextlib.suppress(OSError):
            seen = max(seen, os.stat(path).st_mtime)
    return utc_at(min(seen, time.time())) if seen else None


def settle(
    repo: Repo, run: Run, *, adopt: bool = False, states: slurm.JobStates | None = None
) -> Run | None:
    """Take a running run from a dead owner; None when the owner is not known to be dead."""
    owner: Owner | None
    try:
        owner = claims.read_owner(repo, run.job_id)
    except CorruptFile:
        owner = None
    state = run_liveness(repo, run, states)
    if state.state == slurm.ALIVE or (state.state == slurm.UNKNOWN and not adopt):
        return None
    got = claims.acquire(repo, run.job_id, adopt=adopt, states=states)
    if not isinstance(got, Claim):
        return None
    try:
        return settle_dead_attempt(repo, run.job_id, state.reason, owner)
    finally:
        claims.release(repo, got)
