"""The one place that changes a run's status, and what must follow each change.

A terminal status is written to the job document first (the truth), then projected into
the ledger, then shown by the sentinel. A crash between two of these is repaired by
`aexp.runs.reconcile`, which calls the same functions.
"""

import json
import time
import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

from aexp.errors import AexpError, LedgerWarning, StatusError
from aexp.files import read_bytes, remove, write_atomic
from aexp.ledger.entries import load_ledger_entry, write_entry
from aexp.ledger.projection import project_to_ledger_entry
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
    epoch,
    short,
    utc_now,
)
from aexp.paths import GATE, SENTINEL, Repo
from aexp.runs.claims import Claim
from aexp.runs.document import block_of, edit_document, run_lock, write_document
from aexp.runs.store import read_run
from aexp.version import __version__

MAX_FAULTS = 3

_ALLOWED: dict[str, frozenset[str]] = {
    CREATED: frozenset({QUEUED, RUNNING, *TERMINAL_STATUSES}),
    QUEUED: frozenset({RUNNING, *TERMINAL_STATUSES}),
    RUNNING: frozenset({CREATED, QUEUED, *TERMINAL_STATUSES}),
}


class Outcome(NamedTuple):
    """How one attempt ended.

    Attributes
    ----------
    status : str
        ``complete``, ``failed``, ``stopped``, or ``queued`` when the attempt decides nothing.
    returncode : int or None
        Exit code of the command, negative for a signal.
    cause : str or None
        ``oom``, ``timeout``, ``node_fail``, ``lost``, ``interrupted``, ``operator_stop``, …
    fault : bool
        Whether the infrastructure failed; counted against `MAX_FAULTS`.
    message : str
        What happened, for people.
    tail : str
        The end of the command's output.
    usage : dict
        ``max_rss_mb`` and ``cpu_s`` of the command.
    metrics : dict or None
        What the run wrote to its metrics file.
    """

    status: str
    returncode: int | None = None
    cause: str | None = None
    fault: bool = False
    message: str = ""
    tail: str = ""
    usage: dict[str, float] = {}  # noqa: RUF012  (never mutated)
    metrics: dict[str, Any] | None = None


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


def publish(repo: Repo, run: Run) -> bool:
    """Make a terminal run's ledger entry and sentinel say what its document says.

    The run's lock must be held. A ledger that cannot be written is warned about, never an
    error: the record is complete without it and the next reconcile repairs it.

    Returns
    -------
    bool
        Whether the ledger file was changed.
    """
    changed = False
    try:
        changed = promote_locked(repo, run)
    except AexpError as error:
        warnings.warn(
            f"run {short(run.job_id)} is {run.status}, but its ledger entry was not written: "
            f"{error.message}; mend that, then: aexp ledger backfill",
            LedgerWarning,
            stacklevel=3,
        )
    path = repo.run_file(run.job_id, SENTINEL)
    data = sentinel_bytes(run)
    if read_bytes(path) != data:
        write_atomic(path, data)
    return changed


def promote_locked(repo: Repo, run: Run, machine_label: str | None = None) -> bool:
    """Write the ledger entry of an ended run whose lock is held; False if nothing changed."""
    record = block_of(run.doc, "aexp_run")
    machine = machine_label or record.get("registered_machine") or repo.machine_label
    promoted_at = record.get("promoted_at") or run.doc.get("ended_at") or utc_now()
    entry = project_to_ledger_entry(run, promoted_at=promoted_at, registered_machine=machine)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a corrupt entry is about to be replaced
        existing = load_ledger_entry(repo, run.job_id)
    if existing is not None and existing != entry and record.get("promoted_at"):
        without = {key: value for key, value in existing.items() if key != "promoted_at"}
        if without != {key: value for key, value in entry.items() if key != "promoted_at"}:
            entry["promoted_at"] = utc_now()
    if (record.get("promoted_at"), record.get("registered_machine")) != (
        entry["promoted_at"],
        machine,
    ):
        # First into the document: from it the entry can be made again, byte for byte.
        record["promoted_at"], record["registered_machine"] = entry["promoted_at"], machine
        write_document(repo, run)
    return write_entry(repo, entry)


def sentinel_bytes(run: Run) -> bytes:
    """Return the content of ``terminal.json``: a pure function of the document."""
    content = {
        "job_id": run.job_id,
        "status": run.status,
        "ended_at": run.doc.get("ended_at"),
        "cause": run.record.get("cause"),
        "attempts": len(run.attempts),
    }
    return (json.dumps(content, sort_keys=True) + "\n").encode()


def _change(repo: Repo, job_id: str, edit: Callable[[Run], None]) -> Run:
    """Apply `edit` to a run under its lock, write it, and publish it if it has ended."""
    with run_lock(repo, job_id):
        run = read_run(repo, job_id)
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
    repo: Repo, claim: Claim, *, command: str | None = None, log: str | None = None
) -> Run:
    """Record that a claimed run starts to execute.

    Returns
    -------
    Run
        The run; its new attempt is ``run.attempts[-1]``.

    Raises
    ------
    StatusError
        If the run is neither queued nor created.
    """
    owner = claim.owner

    def edit(run: Run) -> None:
        previous = run.status
        set_status(run, RUNNING)
        now = utc_now()
        run.doc.setdefault("started_at", now)
        run.doc["heartbeat_at"] = now
        record = block_of(run.doc, "aexp_run")
        record["aexp_version"] = __version__
        record["store"] = {"id": repo.store_id, "machine": repo.machine_label}
        attempt: dict[str, Any] = {
            "attempt": _next_attempt(run),
            "status": RUNNING,
            "started_at": now,
            "host": owner.host,
            "claim": owner.nonce,
            "from": previous,
        }
        if owner.slurm_job_id:
            attempt["slurm_job_id"] = owner.slurm_job_id
        if command is not None:
            attempt["command"] = command
        if log is not None:
            attempt["log"] = log
        record["attempts"] = [*run.attempts, attempt]

    return _change(repo, claim.job_id, edit)


def _next_attempt(run: Run) -> int:
    numbers = [attempt.get("attempt", 0) for attempt in run.attempts]
    return max([n for n in numbers if isinstance(n, int)], default=0) + 1


def record_process(repo: Repo, job_id: str, process: dict[str, Any]) -> None:
    """Record the command's process, as ``queue.proc``, for the duration of the attempt."""
    with edit_document(repo, job_id) as run:
        block_of(run.doc, "queue")["proc"] = process


def record_interruption(repo: Repo, job_id: str) -> None:
    """Record that the attempt is being ended from outside, before it has ended."""
    with edit_document(repo, job_id) as run:
        if run.attempts:
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

    return _change(repo, job_id, edit)


def end_attempt(repo: Repo, job_id: str, outcome: Outcome, *, ended_at: str | None = None) -> Run:
    """Record how an attempt ended and decide what the run becomes.

    A command failure with retries left, and a fault below the cap, bring the run back to
    ``queued``; a person's stop wins over both.
    """

    def edit(run: Run) -> None:
        if run.is_terminal:
            return
        record = block_of(run.doc, "aexp_run")
        result = _decide(record, outcome)
        now = ended_at or utc_now()
        attempt = run.attempts[-1] if run.attempts else {}
        if attempt.get("status") == RUNNING:
            _close_attempt(attempt, outcome, result, now)
        returns_to = result.status
        if returns_to == QUEUED and not run.queue.get("queued_at"):
            returns_to = str(attempt.get("from", CREATED))
        set_status(run, returns_to)
        run.queue.pop("proc", None)
        if result.status in (FAILED, STOPPED) or result.fault:
            block_of(run.doc, "queue")["last_error"] = _last_error(result, now)
        elif result.status == COMPLETE:
            run.queue.pop("last_error", None)
        if result.metrics is not None:
            record["metrics"] = result.metrics
        if run.is_terminal:
            _close_record(run, record, result, now)

    return _change(repo, job_id, edit)


def _decide(record: dict[str, Any], outcome: Outcome) -> Outcome:
    if outcome.status != COMPLETE and record.get("stop_requested_at"):
        return outcome._replace(
            status=STOPPED, cause="operator_stop", fault=False, message="stopped by aexp queue stop"
        )
    if outcome.fault:
        record["faults"] = int(record.get("faults", 0)) + 1
        cap = record.get("max_faults", MAX_FAULTS)
        return outcome._replace(status=FAILED if record["faults"] >= cap else QUEUED)
    if outcome.status == FAILED:
        record["failures"] = int(record.get("failures", 0)) + 1
        if record["failures"] <= record.get("retries", 0):
            return outcome._replace(status=QUEUED)
    return outcome


def _close_attempt(attempt: dict[str, Any], reported: Outcome, outcome: Outcome, now: str) -> None:
    to_be_retried = outcome.status == QUEUED and (reported.fault or reported.status == FAILED)
    attempt["status"] = FAILED if to_be_retried else outcome.status
    attempt["ended_at"] = now
    wallclock = outcome.usage.get("wallclock_s")
    attempt["wallclock_s"] = (
        round(wallclock, 3)
        if wallclock is not None
        else round(max(0.0, epoch(now) - epoch(attempt.get("started_at"))), 3)
    )
    attempt["returncode"] = outcome.returncode
    attempt["cause"] = outcome.cause
    for key in ("max_rss_mb", "cpu_s"):
        if key in outcome.usage:
            attempt[key] = outcome.usage[key]
    if outcome.message:
        attempt["message"] = outcome.message
    attempt.pop("interrupted", None)


def _close_record(run: Run, record: dict[str, Any], outcome: Outcome, now: str) -> None:
    run.doc["ended_at"] = now
    since = record.get("attempts_before", 0)
    spent = [attempt.get("wallclock_s") or 0.0 for attempt in run.attempts[since:]]
    run.doc["wallclock_s"] = round(float(sum(spent)), 3)
    record["cause"], record["returncode"] = outcome.cause, outcome.returncode
    for key in ("stop_requested_at", "superseded", "promoted_at", "registered_machine"):
        record.pop(key, None)


def _last_error(outcome: Outcome, now: str) -> dict[str, Any]:
    error: dict[str, Any] = {
        "returncode": outcome.returncode,
        "stderr_tail": outcome.tail or outcome.message,
        "failed_at": now,
    }
    if outcome.cause:
        error["cause"] = outcome.cause
    if outcome.message:
        error["message"] = outcome.message
    return error


def requeue(repo: Repo, job_id: str, *, tag: str | None = None, sequence: int | None = None) -> Run:
    """Queue an ended or created run again; its attempts and last ledger entry are kept.

    Raises
    ------
    StatusError
        If the run is running.
    """

    def edit(run: Run) -> None:
        if run.status == RUNNING:
            raise StatusError(
                f"run {short(job_id)} is running", f"stop it first: aexp queue stop {short(job_id)}"
            )
        record = block_of(run.doc, "aexp_run")
        if run.is_terminal:
            record["superseded"] = load_ledger_entry(repo, job_id) or _entry_now(repo, run)
        for name in (SENTINEL, GATE):  # before the document: see docs/architecture.md
            remove(repo.run_file(job_id, name))
        for key in ("started_at", "ended_at", "wallclock_s", "heartbeat_at", "summary_metrics"):
            run.doc.pop(key, None)
        for key in (
            "cause",
            "returncode",
            "metrics",
            "promoted_at",
            "registered_machine",
            "stop_requested_at",
            "failures",
            "faults",
        ):
            record.pop(key, None)
        record["attempts_before"] = len(run.attempts)
        record["sequence"] = sequence or next_sequence()
        queue = block_of(run.doc, "queue")
        queue.pop("last_error", None)
        queue.pop("proc", None)
        queue["queued_at"] = utc_now()
        if tag is not None:
            queue["tag"] = tag
        run.doc["status"] = QUEUED

    return _change(repo, job_id, edit)


def _entry_now(repo: Repo, run: Run) -> dict[str, Any]:
    return project_to_ledger_entry(
        run,
        promoted_at=run.record.get("promoted_at") or run.doc.get("ended_at") or utc_now(),
        registered_machine=run.record.get("registered_machine") or repo.machine_label,
    )


def abandon(repo: Repo, job_id: str, cause: str, message: str = "") -> Run:
    """Give up a run that has not started: a person's removal, or a parent that failed."""

    def edit(run: Run) -> None:
        if run.status == RUNNING:
            raise StatusError(
                f"run {short(job_id)} is running", f"stop it first: aexp queue stop {short(job_id)}"
            )
        set_status(run, ABANDONED)
        record = block_of(run.doc, "aexp_run")
        _close_record(run, record, Outcome(ABANDONED, cause=cause, message=message), utc_now())
        if message:
            record["message"] = message

    return _change(repo, job_id, edit)


def stop_unstarted(repo: Repo, job_id: str) -> Run:
    """Mark a queued run that is not executing as stopped by a person."""

    def edit(run: Run) -> None:
        set_status(run, STOPPED)
        outcome = Outcome(STOPPED, cause="operator_stop", message="stopped by aexp queue stop")
        block_of(run.doc, "queue")["last_error"] = _last_error(outcome, utc_now())
        _close_record(run, block_of(run.doc, "aexp_run"), outcome, utc_now())

    return _change(repo, job_id, edit)


def set_terminal(repo: Repo, job_id: str, status: str, *, set_ended_at: bool = True) -> Run:
    """Set any legal status on a person's or a library caller's word (see `mark_status`)."""

    def edit(run: Run) -> None:
        if run.status == status:
            return
        set_status(run, status)
        if run.is_terminal:
            record = block_of(run.doc, "aexp_run")
            before = run.doc.get("ended_at")
            spent = run.doc.get("wallclock_s")
            _close_record(run, record, Outcome(status), utc_now())
            if before is not None:
                run.doc["ended_at"], run.doc["wallclock_s"] = before, spent
            if not set_ended_at and before is None:
                del run.doc["ended_at"]

    return _change(repo, job_id, edit)


def restore_outputs(repo: Repo, run: Run) -> bool:
    """Make a terminal run's sentinel and ledger entry again if one is missing.

    For a run that was queued again, its last ledger entry is put back: a cited entry stays
    until a new record supersedes it.

    Returns
    -------
    bool
        Whether anything had to be made.
    """
    if not run.is_terminal:
        superseded = run.record.get("superseded")
        if isinstance(superseded, dict) and read_bytes(repo.ledger_path(run.job_id)) is None:
            return write_entry(repo, superseded)
        return False
    has_sentinel = read_bytes(repo.run_file(run.job_id, SENTINEL)) == sentinel_bytes(run)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a corrupt entry counts as missing
        if has_sentinel and load_ledger_entry(repo, run.job_id) is not None:
            return False
    with run_lock(repo, run.job_id):
        fresh = read_run(repo, run.job_id)
        if fresh.is_terminal:
            publish(repo, fresh)
    return True
