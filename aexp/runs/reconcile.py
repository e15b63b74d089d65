"""Repair what a crash left: dead owners, missing outputs, children of failed parents."""

import os
import shutil
import time
from typing import NamedTuple

from aexp import slurm
from aexp.errors import AexpError
from aexp.model import QUEUED, RUNNING, Run, short
from aexp.paths import NEW_PREFIX, SENTINEL, Repo
from aexp.runs.parents import failed_parent
from aexp.runs.publish import restore_outputs
from aexp.runs.settle import run_liveness, settle
from aexp.runs.status import abandon
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
