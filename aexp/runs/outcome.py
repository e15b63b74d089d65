"""How an attempt ended, and what that makes of its run: edits of a document in memory."""

from typing import Any, NamedTuple

from aexp.model import COMPLETE, FAILED, QUEUED, STOPPED, Run, epoch, section
from aexp.runs.preemption import count_preemption

MAX_FAULTS = 3


class Outcome(NamedTuple):
    """How one attempt ended.

    Attributes
    ----------
    status : str
        ``complete``, ``failed``, ``stopped``, or ``queued`` when the attempt decides nothing.
    returncode : int or None
        Exit code of the command, negative for a signal.
    cause : str or None
        ``oom``, ``timeout``, ``node_fail``, ``lost``, ``preempted``, ``interrupted``, …
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
    ended_at : str or None
        When the attempt ended, where that is known to be before now.
    verdict : dict or None
        Which pre-registered outcome its numbers are: ``outcome``, ``residual``, ``notes``.
    again : bool
        Whether the attempt asks for another one, to go on from its checkpoint.
    earned : bool
        Whether it has saved a newer checkpoint, or was ended from outside.
    """

    status: str
    returncode: int | None = None
    cause: str | None = None
    fault: bool = False
    message: str = ""
    tail: str = ""
    usage: dict[str, float] = {}  # noqa: RUF012  (never mutated)
    metrics: dict[str, Any] | None = None
    ended_at: str | None = None
    verdict: dict[str, Any] | None = None
    again: bool = False
    earned: bool = True

    @property
    def is_result(self) -> bool:
        """Whether it is what the command says, not what the machine or a person does."""
        return self.status in (COMPLETE, FAILED) and not self.fault


def decide(record: dict[str, Any], outcome: Outcome) -> Outcome:
    """Return what an outcome makes of the run, counting in `record` what is bounded.

    A person's stop wins over everything; a fault below the cap and a
    failure with retries left bring the run back to ``queued``.
    """
    # Also with exit code 0: a command that ends well on SIGTERM has not done its work.
    if record.get("stop_requested_at"):
        return outcome._replace(
            status=STOPPED, cause="operator_stop", fault=False, message="stopped by aexp queue stop"
        )
    if record.get("once") and outcome.status == QUEUED:
        return outcome._replace(status=STOPPED)  # nothing would bring it back
    if outcome.again:
        refused = count_preemption(record, outcome.earned)
        if refused is not None:
            return outcome._replace(status=FAILED, cause=refused[0], message=refused[1])
        return outcome
    if outcome.fault:
        record["faults"] = int(record.get("faults", 0)) + 1
        cap = record.get("max_faults", MAX_FAULTS)
        return outcome._replace(status=FAILED if record["faults"] >= cap else QUEUED)
    if outcome.status == FAILED:
        record["failures"] = int(record.get("failures", 0)) + 1
        if record["failures"] <= record.get("retries", 0):
            return outcome._replace(status=QUEUED)
    return outcome


def close_attempt(attempt: dict[str, Any], reported: Outcome, outcome: Outcome, now: str) -> None:
    """Write the end of an attempt: what was reported, and what was decided."""
    to_be_retried = outcome.status == QUEUED and (reported.fault or reported.status == FAILED)
    attempt["status"] = FAILED if to_be_retried else outcome.status
    attempt["ended_at"] = ended = reported.ended_at or now
    wallclock = outcome.usage.get("wallclock_s")
    attempt["wallclock_s"] = (
        round(wallclock, 3)
        if wallclock is not None
        else round(max(0.0, epoch(ended) - epoch(attempt.get("started_at"))), 3)
    )
    attempt["returncode"] = outcome.returncode
    attempt["cause"] = outcome.cause
    for key in ("max_rss_mb", "cpu_s"):
        if key in outcome.usage:
            attempt[key] = outcome.usage[key]
    if outcome.metrics:
        attempt["metrics"] = outcome.metrics
    if outcome.message:
        attempt["message"] = outcome.message
    attempt.pop("interrupted", None)


def close_record(run: Run, record: dict[str, Any], outcome: Outcome, now: str) -> None:
    """Write the end of a run: when, after how much time, why."""
    run.doc["ended_at"] = now
    since = record.get("attempts_before", 0)
    spent = [attempt.get("wallclock_s") or 0.0 for attempt in run.attempts[since:]]
    run.doc["wallclock_s"] = round(float(sum(spent)), 3)
    record["cause"], record["returncode"] = outcome.cause, outcome.returncode
    if section(record, "preregistration").get("mode") == "declared":
        # Only a complete run has an outcome; one that nobody has judged has an unknown one.
        word = "unknown" if outcome.status == COMPLETE else "none"
        judged = outcome.verdict if outcome.status == COMPLETE else None
        record["verdict"] = judged or {"outcome": word, "residual": False}
    for key in ("stop_requested_at", "superseded", "before", "promoted_at", "registered_machine"):
        record.pop(key, None)


def last_error(outcome: Outcome, now: str) -> dict[str, Any]:
    """Return the queue block's description of an attempt that went wrong."""
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
