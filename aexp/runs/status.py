"""The one place that changes a run's status, and what must follow each change.

A terminal status is written to the job document first (the truth), then projected into
the ledger, then shown by the sentinel. A crash between two of these is repaired by
`aexp.runs.reconcile`, which calls the same functions.
"""

import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

from aexp import slurm
from aexp.errors import CorruptFile, StatusError
from aexp.model import (
    ABANDONED,
    COMPLETE,
    CREATED,
    FAILED,
    QUEUED,
    RUNNING,
    STOPPED,
    TERMINAL_STATUSES,
    Run,
    short,
    utc_now,
)
from aexp.paths import Repo
from aexp.project import configured_slug
from aexp.runs.claims import Claim
from aexp.runs.document import block_of, edit_document, run_lock, write_document
from aexp.runs.outcome import Outcome, close_attempt, close_record, decide, last_error
from aexp.runs.preemption import newest_checkpoint
from aexp.runs.publish import publish
from aexp.runs.store import read_run_to_edit
from aexp.version import __version__

_MAX_PRELUDE = 10_000
_ALLOWED: dict[str, frozenset[str]] = {
    CREATED: frozenset({QUEUED, RUNNING, *TERMINAL_STATUSES}),
    QUEUED: frozenset({RUNNING, *TERMINAL_STATUSES}),
    RUNNING: frozenset({CREATED, QUEUED, *TERMINAL_STATUSES}),
}


def next_sequence() -> int:
    """Return a number that grows with time: microseconds since 1970."""
    return time.time_ns() // 1000


def set_status(run: Run, status: str) -> None:
    """Write a status word into a run's document, if the change is a legal one.

    Raises
    ------
    StatusError
        If the run has ended: a recorded end is never overwritten, only queued again.
    """
    if run.status == status:
        return
    if status not in _ALLOWED.get(run.status, frozenset()):
        raise StatusError(
            f"run {short(run.job_id)} is {run.status} and cannot become {status}",
            f"to run it again: aexp queue retry {short(run.job_id)}",
        )
    run.doc["status"] = status


def change_run(repo: Repo, job_id: str, edit: Callable[[Run], None]) -> Run:
    """Apply `edit` to a run under its lock, write it, and publish it if it has ended."""
    with run_lock(repo, job_id):
        run = read_run_to_edit(repo, job_id)
        edit(run)
        if run.is_terminal:
            record = block_of(run.doc, "aexp_run")
            record.setdefault("promoted_at", run.doc.get("ended_at") or utc_now())
            record.setdefault("registered_machine", repo.machine_label)
        write_document(repo, run)
        if run.is_terminal:
            publish(repo, run)
        return run


def begin_attempt(
    repo: Repo,
    claim: Claim,
    *,
    command: str | None = None,
    prelude: str | None = None,
    log: str | None = None,
    environment: dict[str, str] | None = None,
    files: dict[str, Any] | None = None,
    by_hand: Mapping[str, Any] | None = None,
    origin: dict[str, str] | None = None,
) -> Run:
    """Record that a claimed run starts to execute, unless a person has asked to stop it.

    `origin` names the checkpoint that it goes on from: ``resumed_from``, and ``resumed_run``
    for one of another run.

    Returns
    -------
    Run
        The run. It is ``running``, with its new attempt as ``run.attempts[-1]``, or
        ``stopped``.

    Raises
    ------
    StatusError
        If the run is neither queued nor created.
    """
    owner = claim.owner
    project: str | None = None
    with suppress(CorruptFile):  # a name, not the run
        project = configured_slug(repo)

    def edit(run: Run) -> None:
        previous = run.status
        if stop_requested(run):
            _stop(run)
            return
        set_status(run, RUNNING)
        now = utc_now()
        run.doc.setdefault("started_at", now)
        run.doc["heartbeat_at"] = now
        record = block_of(run.doc, "aexp_run")
        record["aexp_version"] = __version__
        record.pop("metrics", None)  # of an attempt that failed
        record.pop("before", None)
        record["store"] = {"id": repo.store_id, "machine": repo.machine_label}
        if project is not None:
            record["project"] = project
        attempt: dict[str, Any] = {
            "attempt": next_attempt(run),
            "status": RUNNING,
            "started_at": now,
            "host": owner.host,
            "claim": owner.nonce,
            "from": previous,
        }
        if owner.slurm_job_id:
            attempt["slurm_job_id"] = owner.slurm_job_id
            attempt.update(slurm.array_facts())
        if command is not None:
            attempt["command"] = command
        if prelude is not None and len(prelude) <= _MAX_PRELUDE:
            attempt["prelude"] = prelude
        if log is not None:
            attempt["log"] = log
        if environment is not None:
            attempt["environment"] = environment
        if files is not None:
            attempt["files"] = files
        attempt.update(origin or {})
        if by_hand is not None:
            attempt["by_hand"] = dict(by_hand)
        record["attempts"] = [*run.attempts, attempt]

    return change_run(repo, claim.job_id, edit)


def next_attempt(run: Run) -> int:
    """Return the number of a run's next attempt; the first is 1."""
    numbers = [attempt.get("attempt", 0) for attempt in run.attempts]
    return max([n for n in numbers if isinstance(n, int)], default=0) + 1


def is_attempt_of(run: Run, claim: Claim) -> bool:
    """Return whether a run's last attempt is the one of this claim, and not yet closed."""
    last = run.attempts[-1] if run.attempts else {}
    return last.get("claim") == claim.owner.nonce and last.get("status") == RUNNING


def stop_requested(run: Run) -> bool:
    """Return whether a person has asked to stop this run."""
    return bool(run.record.get("stop_requested_at"))


def record_process(repo: Repo, claim: Claim, process: dict[str, Any]) -> Run:
    """Record the command's process, as ``queue.proc``, for the duration of the attempt."""
    with edit_document(repo, claim.job_id) as run:
        if is_attempt_of(run, claim):
            block_of(run.doc, "queue")["proc"] = process
        return run


def record_interruption(repo: Repo, claim: Claim) -> None:
    """Record that the attempt is being ended from outside, before it has ended."""
    with edit_document(repo, claim.job_id) as run:
        if is_attempt_of(run, claim):
            run.attempts[-1]["interrupted"] = True


def request_stop(repo: Repo, job_id: str) -> Run:
    """Record a person's wish to stop a run; whoever ends the attempt obeys it."""

    def edit(run: Run) -> None:
        if run.is_terminal:
            raise StatusError(
                f"run {short(job_id)} is already {run.status}",
                f"see: aexp show-run {short(job_id)}",
            )
        block_of(run.doc, "aexp_run")["stop_requested_at"] = utc_now()

    return change_run(repo, job_id, edit)


def end_attempt(
    repo: Repo,
    job_id: str,
    outcome: Outcome,
    *,
    claim: Claim | None = None,
    files: dict[str, Any] | None = None,
) -> Run:
    """Record how an attempt ended and decide what the run becomes.

    A command failure with retries left, and a fault below the cap, bring the run back to
    ``queued``; a person's stop wins over both.

    Parameters
    ----------
    repo : Repo
        The repository.
    job_id : str
        The run.
    outcome : Outcome
        How the attempt ended.
    claim : Claim, optional
        Whose attempt it is: when another process has taken the run over in the meantime,
        its attempt is not touched. Default: the last attempt, whoever's it is.
    files : dict, optional
        What is known of the attempt's files by now, in place of what was at its beginning.
    """

    def edit(run: Run) -> None:
        if claim is not None and not is_attempt_of(run, claim):
            return
        record = block_of(run.doc, "aexp_run")
        now = utc_now()
        attempt = run.attempts[-1] if run.attempts else {}
        if files is not None:
            attempt["files"] = files
        if run.is_terminal:  # the command has marked its own run
            if attempt.get("status") == RUNNING:
                close_attempt(attempt, outcome, outcome._replace(status=run.status), now)
                if run.status == COMPLETE and outcome.verdict:
                    record["verdict"] = outcome.verdict
                run.queue.pop("proc", None)
            return
        result = decide(record, outcome)
        if attempt.get("status") == RUNNING:
            close_attempt(attempt, outcome, result, now)
        # What was not in the queue does not get there by an interruption.
        before = attempt.get("from", QUEUED if run.queue.get("queued_at") else CREATED)
        set_status(run, str(before) if result.status == QUEUED else result.status)
        run.queue.pop("proc", None)
        if result.status in (FAILED, STOPPED) or result.fault:
            block_of(run.doc, "queue")["last_error"] = last_error(result, now)
        elif result.status == COMPLETE:
            run.queue.pop("last_error", None)
        if result.metrics is not None:
            record["metrics"] = result.metrics
        newest = newest_checkpoint(repo, run)
        if newest is not None:
            record["checkpoint"] = newest
        if run.is_terminal:
            close_record(run, record, result, now)

    return change_run(repo, job_id, edit)


def abandon(repo: Repo, job_id: str, cause: str, message: str = "") -> Run:
    """Give up a run that has not started: a person's removal, or a parent that failed."""

    def edit(run: Run) -> None:
        if run.status == RUNNING:
            raise StatusError(
                f"run {short(job_id)} is running", f"stop it first: aexp queue stop {short(job_id)}"
            )
        set_status(run, ABANDONED)
        record = block_of(run.doc, "aexp_run")
        superseded = record.get("superseded")
        close_record(run, record, Outcome(ABANDONED, cause=cause, message=message), utc_now())
        if superseded is not None and not run.attempts:
            record["superseded"] = superseded  # nothing has superseded it: see publish.py
        if message:
            record["message"] = message

    return change_run(repo, job_id, edit)


def stop_unstarted(repo: Repo, job_id: str) -> Run:
    """Mark a queued run that is not executing as stopped by a person."""
    return change_run(repo, job_id, _stop)


def _stop(run: Run) -> None:
    set_status(run, STOPPED)
    outcome = Outcome(STOPPED, cause="operator_stop", message="stopped by aexp queue stop")
    block_of(run.doc, "queue")["last_error"] = last_error(outcome, utc_now())
    close_record(run, block_of(run.doc, "aexp_run"), outcome, utc_now())


def set_by_hand(repo: Repo, job_id: str, status: str, *, set_ended_at: bool = True) -> Run:
    """Set any legal status on a person's or a library caller's word (see `mark_status`)."""

    def edit(run: Run) -> None:
        if run.status == status:
            return
        set_status(run, status)
        if run.is_terminal:
            record = block_of(run.doc, "aexp_run")
            before = run.doc.get("ended_at")
            spent = run.doc.get("wallclock_s")
            close_record(run, record, Outcome(status), utc_now())
            if before is not None:
                run.doc["ended_at"], run.doc["wallclock_s"] = before, spent
            if not set_ended_at and before is None:
                del run.doc["ended_at"]

    return change_run(repo, job_id, edit)
