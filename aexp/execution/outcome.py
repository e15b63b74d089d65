"""What the end of a command means for its run: a result, a fault, or nothing."""

import signal
from typing import Any

from aexp import slurm
from aexp.execution.process import Finished
from aexp.model import COMPLETE, FAILED, QUEUED
from aexp.runs.declared import Declared
from aexp.runs.outcome import Outcome

_KILLED = (-signal.SIGKILL, 128 + signal.SIGKILL)
_ASKED_TO_END = tuple(
    code
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
    for code in (-number, 128 + number)
)


def was_asked_to_end(returncode: int) -> bool:
    """Return whether an exit code says SIGTERM, SIGINT or SIGHUP."""
    return returncode in _ASKED_TO_END


def classify(
    finished: Finished, metrics: dict[str, Any] | None, declared: Declared | None = None
) -> Outcome:
    """Draw the line of docs/architecture.md between results, faults and interruptions.

    What the training code itself has declared is obeyed. Otherwise a non-zero exit, a
    crash signal and our own time limit are results; SIGKILL from outside and the
    scheduler's time limit are faults of the infrastructure; SIGTERM, SIGINT and SIGHUP
    decide nothing.
    """
    code, usage, tail = finished.returncode, finished.usage, finished.tail
    if declared is not None:
        return _obey(declared, finished, metrics)
    if finished.timed_out:
        message = f"ran into its own time limit after {usage['wallclock_s']:.0f} s"
        return Outcome(FAILED, code, "timeout", False, message, tail, usage, metrics)
    if finished.interrupted_by is not None or was_asked_to_end(code):
        return _interrupted(finished)
    if finished.in_prelude:
        message = f"the experiment's prelude failed here: {_words(code)}"
        return Outcome(FAILED, code, "prelude", True, message, tail, usage)
    if code == 0:
        return Outcome(COMPLETE, 0, usage=usage, metrics=metrics)
    if code in _KILLED:
        message = "the command was killed by SIGKILL from outside, mostly for its use of memory"
        return Outcome(FAILED, code, "oom", True, message, tail, usage)
    return Outcome(FAILED, code, None, False, _words(code), tail, usage, metrics)


def _obey(declared: Declared, finished: Finished, metrics: dict[str, Any] | None) -> Outcome:
    code, usage = finished.returncode, finished.usage
    if declared.status == COMPLETE:
        message = f"declared complete by the run; then {_words(code)}" if code else ""
        return Outcome(COMPLETE, code, message=message, usage=usage, metrics=metrics)
    message = declared.message or "declared failed by the run"
    tail = declared.traceback or finished.tail
    return Outcome(FAILED, code, declared.reason, False, message, tail, usage, metrics)


def _interrupted(finished: Finished) -> Outcome:
    allocation = slurm.allocation()
    cause, cancelled = (
        slurm.end_cause(allocation, slurm.restart_count()) if allocation else (None, False)
    )
    if cause is not None and not cancelled:
        message = f"Slurm ended the job: {cause}"
        return Outcome(
            FAILED, finished.returncode, cause, True, message, finished.tail, finished.usage
        )
    number = finished.interrupted_by
    if number is None:
        # Nobody asked us to end: if the command always ends so, it must not be tried for ever.
        message = f"{_words(finished.returncode)}, which nobody sent to aexp"
        return Outcome(
            FAILED,
            finished.returncode,
            "interrupted",
            True,
            message,
            finished.tail,
            finished.usage,
        )
    name = signal.Signals(number).name if number else _words(finished.returncode)
    return Outcome(
        QUEUED,
        finished.returncode,
        "interrupted",
        message=f"interrupted: {name}",
        usage=finished.usage,
    )


def _words(code: int) -> str:
    number = -code if code < 0 else code - 128
    if code < 0 or 128 < code < 160:
        try:
            return f"the command was ended by {signal.Signals(number).name}"
        except ValueError:
            pass
    return f"the command exited with {code}"
