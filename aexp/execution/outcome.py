"""What the end of a command means for its run: a result, a fault, or nothing."""

import signal
from typing import Any

from aexp import slurm
from aexp.errors import EXIT_TEMPFAIL
from aexp.execution.process import Finished
from aexp.model import COMPLETE, FAILED, QUEUED
from aexp.runs.declared import Declared
from aexp.runs.outcome import Outcome
from aexp.runs.preemption import GOES_ON_AFTER

_AHEAD_S = 3600.0  # who wants a signal ahead of a limit seldom wants it earlier
_KILLED = (-signal.SIGKILL, 128 + signal.SIGKILL)
_ASKED_TO_END = tuple(
    code
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
    for code in (-number, 128 + number)
)


def was_asked_to_end(returncode: int) -> bool:
    """Return whether an exit code says SIGTERM, SIGINT or SIGHUP."""
    return returncode in _ASKED_TO_END


def was_killed(returncode: int) -> bool:
    """Return whether an exit code says that a signal ended the command, whichever."""
    return returncode < 0 or 128 < returncode < 160


def classify(
    finished: Finished,
    metrics: dict[str, Any] | None,
    declared: Declared | None = None,
    *,
    advanced: bool = False,
) -> Outcome:
    """Draw the line of docs/architecture.md between results, faults and interruptions.

    What the training code itself has declared is obeyed. Otherwise a non-zero exit, a
    crash signal and our own time limit are results; SIGKILL from outside and the
    scheduler's time limit are faults of the infrastructure; SIGTERM, SIGINT and SIGHUP
    decide nothing.

    Exit code 75 asks for another attempt. With `advanced`, that it has saved a newer
    checkpoint than it began with, the scheduler's time limit is no fault either.
    """
    code, usage, tail = finished.returncode, finished.usage, finished.tail
    if declared is not None and declared.status != QUEUED:
        return _obey(declared, finished, metrics)
    if declared is not None or (code == EXIT_TEMPFAIL and not finished.in_prelude):
        return _again(finished, metrics, declared.message if declared else "", advanced)
    if finished.timed_out:
        message = f"ran into its own time limit after {usage['wallclock_s']:.0f} s"
        return Outcome(FAILED, code, "timeout", False, message, tail, usage, metrics)
    if finished.interrupted_by is not None or was_asked_to_end(code):
        return _interrupted(finished, metrics, advanced)
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


def _again(
    finished: Finished, metrics: dict[str, Any] | None, words: str, advanced: bool
) -> Outcome:
    """Return what an attempt means that asks for another one.

    It has a right to it when it has got somewhere, or when others have ended it. The limits
    of time, ours and the scheduler's, are no others: they are the same the next time.
    """
    number = finished.interrupted_by or finished.told
    earned = advanced or (number is not None and not _is_time_limit(number))
    why = f"after {_name(number)}" if number is not None else "of its own accord"
    message = words or f"it gave its place back {why}"
    if not advanced:
        message += ", without a newer checkpoint"
    code, usage = finished.returncode, finished.usage
    return Outcome(
        *(QUEUED, code, "preempted", False, message, finished.tail, usage, metrics),
        again=True,
        earned=earned,
    )


def _is_time_limit(number: int) -> bool:
    """Return whether Slurm has sent a signal at a time limit, or ahead of it as it was told."""
    if _slurm_cause()[0] == "timeout":
        return True
    allocation = slurm.allocation()
    if allocation is None or number in (signal.SIGINT, signal.SIGHUP):
        return False
    return slurm.nears_limit(allocation, _AHEAD_S)


def _slurm_cause() -> tuple[str | None, bool]:
    allocation = slurm.allocation()
    return slurm.end_cause(allocation, slurm.restart_count()) if allocation else (None, False)


def _interrupted(finished: Finished, metrics: dict[str, Any] | None, advanced: bool) -> Outcome:
    cause, cancelled = _slurm_cause()
    if cause in GOES_ON_AFTER and not cancelled and advanced:
        message = f"Slurm ended the job: {cause}; there is a newer checkpoint to go on from"
        code, usage = finished.returncode, finished.usage
        return Outcome(
            QUEUED, code, cause, False, message, usage=usage, metrics=metrics, again=True
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
    return Outcome(
        QUEUED,
        finished.returncode,
        "interrupted",
        message=f"interrupted: {_name(number)}",
        usage=finished.usage,
    )


def _name(number: int) -> str:
    return signal.Signals(number).name


def _words(code: int) -> str:
    number = -code if code < 0 else code - 128
    if code < 0 or 128 < code < 160:
        try:
            return f"the command was ended by {signal.Signals(number).name}"
        except ValueError:
            pass
    return f"the command exited with {code}"
