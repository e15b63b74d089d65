"""Repair what a crash left: dead owners, missing outputs, children of failed parents."""

import os
import shutil
import time
from typing import NamedTuple

from aexp import slurm
from aexp.errors import AexpError
from aexp.files import remove
from aexp.model import CREATED, QUEUED, RUNNING, Run, short
from aexp.paths import NEW_PREFIX, SENTINEL, Repo
from aexp.runs import claims
from aexp.runs.document import run_lock
from aexp.runs.parents import failed_parent
from aexp.runs.publish import keep_entry, restore_outputs
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


def reconcile(repo: Repo, *, dry_run: bool = False) -> Repairs:
    """Repair everything that can be repaired without asking; one scan of the store.

    Runs left ``running`` by a dead owner become ``queued`` or ``failed``; sentinels and
    ledger entries that should exist are made again; queued runs whose parent ended
    otherwise than complete are abandoned.

    Parameters
    ----------
    repo : Repo
        An installed repository.
    dry_run : bool, default False
        Only find out what would be repaired.
    """
    repairs = Repairs([], [], [], [])
    runs = {run.job_id: run for run in scan_runs(repo)}
    states = slurm.JobStates()
    for run in list(runs.values()):
        try:
            runs[run.job_id] = _repair(repo, run, states, repairs, dry_run)
        except AexpError as error:
            repairs.problems.append(f"{short(run.job_id)}: {error.message}")
    _abandon_orphaned_children(repo, runs, repairs, dry_run)
    if not dry_run:
        _sweep_staging(repo)
    return repairs


def _repair(repo: Repo, run: Run, states: slurm.JobStates, repairs: Repairs, dry_run: bool) -> Run:
    if run.status == RUNNING:
        run = _settle_if_dead(repo, run, states, repairs, dry_run)
    # A run that is queued again has no outputs of its own, but may have an earlier entry.
    if restore_outputs(repo, run, dry_run=dry_run):
        repairs.restored.append(run.job_id)
    if run.status in (QUEUED, CREATED) and not dry_run:
        _drop_stale_sentinel(repo, run)
    if run.status == QUEUED and not dry_run:
        keep_entry(repo, run)
    if run.status != RUNNING and not dry_run:
        claims.drop_dead(repo, run.job_id, states)
    return run


def _settle_if_dead(
    repo: Repo, run: Run, states: slurm.JobStates, repairs: Repairs, dry_run: bool
) -> Run:
    state = run_liveness(repo, run, states)
    if state.state != slurm.DEAD:
        return run
    if dry_run:
        repairs.settled.append(f"{short(run.job_id)}: {state.reason}")
        return run
    settled = settle(repo, run, states=states)
    if settled is None or settled.status == RUNNING:
        return run
    repairs.settled.append(f"{short(run.job_id)}: {state.reason}, now {settled.status}")
    return settled


def _drop_stale_sentinel(repo: Repo, run: Run) -> None:
    """Remove a sentinel that a run cannot have which is still to be executed."""
    path = repo.run_file(run.job_id, SENTINEL)
    if not os.path.exists(path):
        return
    with run_lock(repo, run.job_id):
        if read_run(repo, run.job_id).status in (QUEUED, CREATED):
            remove(path)


def _abandon_orphaned_children(
    repo: Repo, runs: dict[str, Run], repairs: Repairs, dry_run: bool
) -> None:
    """Give up queued runs whose parent ended otherwise than complete, and their children."""
    waiting = [run for run in runs.values() if run.status == QUEUED and run.after]
    children: dict[str, list[Run]] = {}
    for run in waiting:
        for parent in run.after:
            children.setdefault(parent, []).append(run)
    lost = [(run, found) for run in waiting if (found := failed_parent(repo, run, runs))]
    done: set[str] = set()
    while lost:
        run, parent = lost.pop()
        if run.job_id in done:
            continue
        done.add(run.job_id)
        repairs.abandoned.append(run.job_id)
        if not dry_run:
            reason = f"its parent {short(parent)} did not complete"
            try:
                abandon(repo, run.job_id, "parent_failed", reason)
            except AexpError as error:
                repairs.problems.append(f"{short(run.job_id)}: {error.message}")
                continue
        lost += [(child, run.job_id) for child in children.get(run.job_id, [])]


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
