"""Repair what a crash left: dead owners, missing outputs, children of failed parents."""

import os
import shutil
import time
from typing import NamedTuple

from aexp import slurm
from aexp.errors import AexpError, CorruptFile
from aexp.model import FAILED, QUEUED, RUNNING, Run, section, short
from aexp.paths import SENTINEL, Repo, hostname
from aexp.processes import is_running
from aexp.runs import claims
from aexp.runs.claims import Claim, Liveness, Owner
from aexp.runs.create import NEW_PREFIX
from aexp.runs.parents import failed_parent
from aexp.runs.status import Outcome, abandon, end_attempt, restore_outputs
from aexp.runs.store import read_run, scan_runs

_STAGING_AGE_S = 3600.0


class Repairs(NamedTuple):
    """What a reconcile found and did.

    Attributes
    ----------
    settled : list of str
        Runs whose owner was dead: ``id: what became of it``.
    restored : list of str
        Ids whose sentinel or ledger entry was made again.
    abandoned : list of str
        Ids given up because a parent ended otherwise than complete.
    problems : list of str
        What could not be repaired, and why.
    """

    settled: list[str]
    restored: list[str]
    abandoned: list[str]
    problems: list[str]


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


def settle_dead_attempt(repo: Repo, job_id: str, reason: str, owner: Owner | None) -> Run:
    """Decide what a run becomes whose owner died while it was running.

    The caller holds the claim. An attempt that was being interrupted, or that Slurm
    cancelled, preempted or requeued, counts as nothing; any other death is a fault.
    """
    run = read_run(repo, job_id)
    if run.status != RUNNING:
        return run
    last = run.attempts[-1] if run.attempts else {}
    cause: str | None = None
    interrupted = bool(last.get("interrupted"))
    if owner is not None and owner.slurm_job_id and not interrupted:
        cause, interrupted = slurm.end_cause(owner.slurm_job_id)
    if interrupted:
        outcome = Outcome(QUEUED, cause="interrupted", message=reason)
    else:
        outcome = Outcome(FAILED, cause=cause or "lost", fault=True, message=reason)
    return end_attempt(repo, job_id, outcome)


def settle(repo: Repo, run: Run, *, adopt: bool = False) -> Run | None:
    """Take a running run from a dead owner; None when the owner is not known to be dead."""
    owner: Owner | None
    try:
        owner = claims.read_owner(repo, run.job_id)
    except CorruptFile:
        owner = None
    state = run_liveness(repo, run)
    if state.state == slurm.ALIVE or (state.state == slurm.UNKNOWN and not adopt):
        return None
    got = claims.acquire(repo, run.job_id, adopt=adopt)
    if not isinstance(got, Claim):
        return None
    try:
        return settle_dead_attempt(repo, run.job_id, state.reason, owner)
    finally:
        claims.release(repo, got)


def reconcile(repo: Repo) -> Repairs:
    """Repair everything that can be repaired without asking; one scan of the store.

    Runs left ``running`` by a dead owner become ``queued`` or ``failed``; sentinels and
    ledger entries that should exist are made again; queued runs whose parent ended
    otherwise than complete are abandoned.
    """
    repairs = Repairs([], [], [], [])
    runs = {run.job_id: run for run in scan_runs(repo)}
    states = slurm.JobStates()
    for run in list(runs.values()):
        try:
            after = _repair(repo, run, states, repairs)
        except AexpError as error:
            repairs.problems.append(f"{short(run.job_id)}: {error.message}")
            continue
        runs[run.job_id] = after
    _abandon_orphaned_children(repo, runs, repairs)
    _sweep_staging(repo)
    return repairs


def _repair(repo: Repo, run: Run, states: slurm.JobStates, repairs: Repairs) -> Run:
    if run.status == RUNNING:
        state = run_liveness(repo, run, states)
        if state.state == slurm.DEAD:
            settled = settle(repo, run)
            if settled is not None and settled.status != RUNNING:
                repairs.settled.append(f"{short(run.job_id)}: {state.reason}, now {settled.status}")
                return settled
        return run
    if run.is_terminal or "superseded" in run.record:
        if restore_outputs(repo, run):
            repairs.restored.append(run.job_id)
    elif run.status == QUEUED:
        _drop_stale_sentinel(repo, run)
    return run


def _drop_stale_sentinel(repo: Repo, run: Run) -> None:
    """Remove a sentinel that a queued run cannot have."""
    path = repo.run_file(run.job_id, SENTINEL)
    if os.path.exists(path) and read_run(repo, run.job_id).status == QUEUED:
        os.unlink(path)


def _abandon_orphaned_children(repo: Repo, runs: dict[str, Run], repairs: Repairs) -> None:
    waiting = [run for run in runs.values() if run.status == QUEUED and run.after]
    changed = True
    while changed:
        changed = False
        for run in list(waiting):
            parent = failed_parent(repo, run, runs)
            if parent is None:
                continue
            waiting.remove(run)
            runs[run.job_id] = abandon(
                repo, run.job_id, "parent_failed", f"its parent {short(parent)} did not complete"
            )
            repairs.abandoned.append(run.job_id)
            changed = True


def _sweep_staging(repo: Repo) -> None:
    """Remove folders that a killed ``queue add`` left half-made."""
    try:
        entries = list(os.scandir(repo.workspace))
    except OSError:
        return
    for entry in entries:
        if not entry.name.startswith(NEW_PREFIX):
            continue
        try:
            old = time.time() - entry.stat().st_mtime > _STAGING_AGE_S
        except OSError:
            continue
        if old:
            shutil.rmtree(entry.path, ignore_errors=True)
