"""Change what is queued: remove, clear, retry, release."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from aexp.errors import AexpError, CorruptFile, StatusError
from aexp.model import (
    ABANDONED,
    CREATED,
    FAILED,
    QUEUED,
    RUNNING,
    STOPPED,
    TERMINAL_STATUSES,
    Run,
    short,
)
from aexp.paths import Repo
from aexp.runs import claims
from aexp.runs.adhoc import is_adhoc, recorded_command
from aexp.runs.again import requeue, withdraw
from aexp.runs.claims import Claim
from aexp.runs.select import RunFilter
from aexp.runs.settle import settle_dead_attempt
from aexp.runs.status import next_sequence
from aexp.runs.store import read_run, resolve_id, scan_status


class Change(NamedTuple):
    """What was done to one run, or why nothing was."""

    job_id: str
    status: str
    done: bool
    note: str


def select_for(
    repo: Repo, ids: Sequence[str], chosen: RunFilter, statuses: frozenset[str]
) -> list[Run]:
    """Return the runs named by id, or else all under a filter with one of the statuses."""
    if ids:
        full_ids = dict.fromkeys(resolve_id(repo, job_id) for job_id in ids)
        return [read_run(repo, job_id) for job_id in full_ids]
    found = [run for run in scan_status(repo, statuses) if _is_ours(run) and chosen.matches(run)]
    return sorted(found, key=lambda run: run.order)


def _is_ours(run: Run) -> bool:
    """Return whether a filter means a run: one of the queue's, or a command that is executing."""
    return run.is_of_queue or (run.status == RUNNING and "proc" in run.queue)


def remove_runs(repo: Repo, runs: Sequence[Run], *, dry_run: bool = False) -> list[Change]:
    """Take queued runs out of the queue: they become ``abandoned`` with cause ``removed``."""
    changes: list[Change] = []
    for run in runs:
        if run.status not in (QUEUED, CREATED):
            hint = "stop it with: aexp queue stop" if run.status == RUNNING else "it has ended"
            changes.append(Change(run.job_id, run.status, False, f"is {run.status}; {hint}"))
        elif dry_run:
            changes.append(Change(run.job_id, run.status, True, "would be removed"))
        else:
            changes.append(_remove(repo, run))
    return changes


def _remove(repo: Repo, run: Run) -> Change:
    got = claims.acquire(repo, run.job_id)
    if not isinstance(got, Claim):
        return Change(run.job_id, run.status, False, f"is being executed: {got.liveness.reason}")
    try:
        after = withdraw(repo, run.job_id)
    except StatusError as error:
        return Change(run.job_id, run.status, False, error.message)
    finally:
        claims.release(repo, got)
    note = "removed" if after.status == ABANDONED else f"removed, {after.status} as before"
    return Change(run.job_id, after.status, True, note)


def retry_runs(
    repo: Repo, runs: Sequence[Run], *, resume: bool = False, dry_run: bool = False
) -> list[Change]:
    """Queue ended runs again, and with them the children that were abandoned for them.

    With `resume` complete ones, too, go on from their last checkpoints.
    """
    sequence = next_sequence()
    changes: list[Change] = []
    wanted = list(runs)
    if any(run.is_terminal for run in wanted):
        wanted += _abandoned_children(repo, wanted)
    for run in wanted:
        if run.status not in (*TERMINAL_STATUSES, CREATED):
            changes.append(Change(run.job_id, run.status, False, f"is {run.status} already"))
            continue
        refused = _no_command(run)
        if refused is not None:
            changes.append(Change(run.job_id, run.status, False, refused))
            continue
        if dry_run:
            changes.append(Change(run.job_id, run.status, True, f"{run.status}, would be queued"))
            continue
        try:
            after = requeue(repo, run.job_id, sequence=sequence + len(changes), resume=resume)
            changes.append(Change(run.job_id, after.status, True, f"was {run.status}"))
        except AexpError as error:
            changes.append(Change(run.job_id, run.status, False, error.message))
    return changes


def _no_command(run: Run) -> str | None:
    """Return why an ad-hoc run can be executed by nobody else; None if it can."""
    if not is_adhoc(run) or run.queue.get("runner_command_override"):
        return None
    try:
        is_known = recorded_command(run) is not None
    except AexpError as error:
        return f"{error.message}; {error.hint}"
    return None if is_known else "was executed by a program, not by a command: call that again"


def _abandoned_children(repo: Repo, parents: Sequence[Run]) -> list[Run]:
    candidates = [
        run
        for run in scan_status(repo, frozenset({ABANDONED}))
        if run.after and run.record.get("cause") == "parent_failed"
    ]
    chosen = {run.job_id for run in parents}
    found: list[Run] = []
    changed = True
    while changed:
        changed = False
        for run in candidates:
            if run.job_id not in chosen and chosen.intersection(run.after):
                chosen.add(run.job_id)
                found.append(run)
                changed = True
    return sorted(found, key=lambda run: run.order)


def retriable(repo: Repo, chosen: RunFilter, statuses: frozenset[str]) -> list[Run]:
    """Return the ended runs under a filter that a person may want to run again.

    Children abandoned for their parent are left out, they come back with it; so is what a
    person has removed.
    """
    return [
        run
        for run in select_for(repo, (), chosen, statuses)
        if run.record.get("cause") not in ("parent_failed", "removed")
    ]


RETRIED_BY_DEFAULT = frozenset({FAILED, STOPPED, ABANDONED})


def release_run(repo: Repo, job_id: str, *, dry_run: bool = False) -> Change:
    """Declare a run's owner dead on a person's word; the attempt counts as lost.

    Raises
    ------
    StatusError
        If the owner is known to live, or nobody executes the run.
    """
    run = read_run(repo, job_id)
    try:
        owner = claims.read_owner(repo, job_id)
        claimed = owner is not None
    except CorruptFile:
        owner, claimed = None, True
    if not claimed and run.status != RUNNING:
        raise StatusError(
            f"run {short(job_id)} is {run.status} and nobody claims it", "there is nothing to do"
        )
    if dry_run:
        return Change(job_id, run.status, True, "would be released")
    claims.drop_claim(repo, job_id)
    got = claims.acquire(repo, job_id)
    if not isinstance(got, Claim):
        return Change(job_id, run.status, False, got.liveness.reason)
    try:
        after = settle_dead_attempt(repo, job_id, "released by a person", owner)
    finally:
        claims.release(repo, got)
    return Change(job_id, after.status, True, "released")


def remove_from_queue(job_id: str, *, repo_root: str | Path | None = None) -> str:
    """Take one queued run out of the queue; return its status.

    Raises
    ------
    StatusError
        If it is running or has ended.
    """
    repo = Repo.installed(repo_root)
    (change,) = remove_runs(repo, [read_run(repo, resolve_id(repo, job_id))])
    if not change.done:
        raise StatusError(f"run {short(change.job_id)} {change.note}", "see: aexp queue list")
    return change.status


def clear_queue(
    *,
    experiment_id: str | None = None,
    tag: str | None = None,
    repo_root: str | Path | None = None,
) -> list[str]:
    """Take every queued run under the filter out of the queue; return their ids.

    Running runs are left alone.
    """
    repo = Repo.installed(repo_root)
    chosen = RunFilter(experiment_id=experiment_id, tag=tag)
    runs = select_for(repo, (), chosen, frozenset({QUEUED}))
    return [change.job_id for change in remove_runs(repo, runs) if change.done]


def retry_queued(
    job_ids: Sequence[str], *, resume: bool = False, repo_root: str | Path | None = None
) -> list[Change]:
    """Queue ended runs again; children abandoned for them come back with them.

    Complete ones start from the beginning unless `resume`; others go on from their last
    checkpoints.
    """
    repo = Repo.installed(repo_root)
    return retry_runs(repo, select_for(repo, job_ids, RunFilter(), frozenset()), resume=resume)
