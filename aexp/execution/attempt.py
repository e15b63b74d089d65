"""One attempt: the command of a claimed run, from its start to the record of its end."""

import contextlib
import errno
import os
import signal
import sys
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from aexp.environment.record import PYTHON_VARIABLE, record_environment
from aexp.errors import AexpError
from aexp.execution import grace
from aexp.execution.gpus import Lease, lease
from aexp.execution.inherited import end_of_time, inherited
from aexp.execution.outcome import classify, was_asked_to_end, was_killed
from aexp.execution.plan import PRELUDE_VARIABLE, Plan, plan_command
from aexp.execution.process import Command, Finished, Output
from aexp.execution.resume import Resume
from aexp.execution.signals import FORWARDED, SignalBox
from aexp.execution.uploads import finish_uploads
from aexp.files import remove, write_atomic
from aexp.footprint.record import Footprint
from aexp.model import COMPLETE, FAILED, QUEUED, Run, utc_now
from aexp.paths import METRICS, OUTCOME, PROGRESS, STATEPOINT, STOP, Repo, hostname
from aexp.processes import signal_group, start_time
from aexp.runs import claims, heartbeat
from aexp.runs.claims import Claim
from aexp.runs.declared import read_declared
from aexp.runs.notice import Notice, give_notice
from aexp.runs.outcome import Outcome
from aexp.runs.preemption import has_advanced
from aexp.runs.results import AttemptNumbers
from aexp.runs.status import (
    begin_attempt,
    end_attempt,
    next_attempt,
    record_interruption,
    record_process,
    stop_requested,
)
from aexp.runs.store import read_intact_run, read_run

if TYPE_CHECKING:
    from aexp.trackers.sidecar import Sidecar

DEFAULT_GRACE_S = 20.0
# What a shell exits with where it cannot start a command.
_NO_SUCH_COMMAND = {
    errno.ENOENT: 127,
    errno.EACCES: 126,
    errno.ENOEXEC: 126,
    errno.ENOTDIR: 126,
    errno.E2BIG: 126,
    errno.ENAMETOOLONG: 126,
    errno.ELOOP: 126,
}
_LATE_SIGNAL_S = 1.0


class Attempt:
    """One execution of a run that this process has claimed.

    Parameters
    ----------
    repo : Repo
        The repository.
    claim : Claim
        This process's claim on the run.
    signals : SignalBox
        Signals that reach the wrapper.
    say : callable
        Tells the caller what happens.
    plan : Plan, optional
        What to execute; default what the run's experiment says.
    """

    def __init__(
        self,
        repo: Repo,
        claim: Claim,
        signals: SignalBox,
        say: Callable[[str], None],
        plan: Plan | None = None,
    ) -> None:
        self.repo = repo
        self.claim = claim
        self.job_id = claim.job_id
        self.signals = signals
        self.say = say
        self._plan = plan
        self._sidecar: Sidecar | None = None
        self._resume: Resume | None = None

    def execute(self) -> tuple[Run, Outcome | None]:
        """Execute the command once; no outcome means that nothing was executed."""
        try:
            return self._execute()
        finally:
            if self._sidecar is not None:
                self._sidecar.close()

    def _execute(self) -> tuple[Run, Outcome | None]:
        run = read_intact_run(self.repo, self.job_id)
        plan = self._plan or plan_command(self.repo, run, remember=True)
        number = next_attempt(run)
        log = self.repo.log_path(self.job_id, number)
        gpus = _count(run.record.get("resources"))
        self._resume = Resume(self.repo, run, number, self.say)
        with lease(gpus, cancelled=self._is_unwanted, say=self.say) as devices:
            footprint = Footprint(self.repo, run, plan.runner, lambda: bool(self.signals.ending))
            files = footprint.begin(plan.command, plan.cwd)
            if self.signals.ending:
                return run, None
            run = begin_attempt(
                self.repo,
                self.claim,
                command=plan.command,
                prelude=plan.prelude,
                log=os.path.relpath(log, self.repo.run_dir(self.job_id)),
                environment=self._record_environment(run, plan, number, devices),
                files=files,
                origin=self._resume.lineage(),
            )
            if run.is_terminal:  # a person has stopped it before it began
                return run, None
            self._compare_sidecar(run)
            try:
                outcome = self._run_command(run, plan, log, number, devices)
            except OSError as error:
                outcome = _cannot_start(error)
            except AexpError as error:
                outcome = Outcome(QUEUED, message=error.message)
                end_attempt(self.repo, self.job_id, outcome, claim=self.claim)
                raise
        files = footprint.end() if outcome.is_result else None
        if run.record.get("preregistration"):
            from aexp.preregistration.judge import with_verdict

            outcome = with_verdict(self.repo, run, number, outcome)
        run = end_attempt(self.repo, self.job_id, outcome, claim=self.claim, files=files)
        if not run.attempts or run.attempts[-1].get("claim") != self.claim.owner.nonce:
            self.say("another process has taken this run over; nothing was recorded here")
            return run, None
        self._tell(run, outcome, log)
        if self._sidecar is not None:  # the end is recorded: the tracker can only cost time now
            self._sidecar.finish(run, outcome.returncode, lambda: bool(self.signals.ending))
        finish_uploads(self.repo, run, self.say, lambda: bool(self.signals.ending))
        return run, outcome

    def _is_unwanted(self) -> bool:
        return bool(self.signals.ending) or stop_requested(read_run(self.repo, self.job_id))

    def _run_command(self, run: Run, plan: Plan, log: str, number: int, devices: Lease) -> Outcome:
        metrics_path = self.repo.run_file(self.job_id, METRICS)
        for name in (METRICS, OUTCOME, PROGRESS, STOP):  # of an earlier attempt
            remove(self.repo.run_file(self.job_id, name))
        numbers = AttemptNumbers(self.repo, self.job_id, number)
        mark = self._prelude_mark(plan)
        self._start_tracker(run, number)
        resume = self._resume or Resume(self.repo, run, number, self.say)
        resume.prepare()
        timeout = run.record.get("timeout_s")
        timeout_s = timeout if isinstance(timeout, (int, float)) else None
        around = self._environment(number, metrics_path, devices)
        output = Output(log)
        try:
            command = Command(
                plan.arguments,
                cwd=plan.cwd or self.repo.root,
                env={
                    **around,
                    **resume.environment(),
                    **end_of_time(around, time.time() + timeout_s if timeout_s else None),
                },
                keep_open=devices.descriptors,
                reads_stdin=plan.reads_stdin,
                forwards_to_group=not plan.is_script,
            )
            try:
                now = record_process(self.repo, self.claim, _process_record(command.pid))
                finished = command.follow(
                    output,
                    self.signals,
                    timeout_s=timeout_s,
                    stop_at_once=stop_requested(now),
                    beat=lambda: self._beat(numbers, resume),
                    beat_every_s=heartbeat.interval_s(),
                    on_stop=lambda reason, number_: self._on_stop(number, reason, number_),
                )
            except BaseException:
                signal_group(command.pid, signal.SIGKILL)
                raise
        finally:
            output.close()
        metrics, problems = numbers.finish()
        for problem in problems:
            self.say(problem)
        if mark is not None and remove(mark) and finished.returncode != 0:
            finished = finished._replace(in_prelude=True)
        finished = self._await_late_signal(finished)
        declared = read_declared(self.repo, self.job_id, number)
        resume.finish(
            killed=was_killed(finished.returncode),
            reason="periodic" if finished.interrupted_by is None else "preempt",
        )
        remove(self.repo.run_file(self.job_id, STOP))
        advanced = has_advanced(self.repo, read_run(self.repo, self.job_id))
        return classify(finished, metrics, declared, advanced=advanced)

    def _start_tracker(self, run: Run, number: int) -> None:
        if run.record.get("tracker") is not None:
            from aexp.trackers.sidecar import Sidecar

            self._sidecar = Sidecar(self.repo, run, number, self.say)

    def _beat(self, numbers: AttemptNumbers, resume: Resume) -> bool:
        numbers.look()
        resume.look()
        return heartbeat.beat(self.repo, self.claim)

    def _record_environment(
        self, run: Run, plan: Plan, number: int, devices: Lease
    ) -> dict[str, str] | None:
        """Record what the command will run in; a run goes on without that record."""
        variables = self._environment(number, "", devices)
        try:
            return record_environment(
                self.repo, run, number, command=plan.command, variables=variables
            )
        except (AexpError, OSError) as error:
            self.say(f"the environment was not recorded: {error}")
            return None

    def _prelude_mark(self, plan: Plan) -> str | None:
        """Make the file that a prelude removes when it has succeeded."""
        path = self.repo.run_file(self.job_id, ".prelude")
        remove(path)
        if plan.prelude is None:
            return None
        write_atomic(path, b"")
        return path

    def _on_stop(self, attempt: int, reason: str, number: int | None) -> float:
        """Tell the command why it was asked to end, and how long it has; return that."""
        if number in FORWARDED:  # it may end or go on, as it likes
            give_notice(self.repo, self.job_id, attempt, Notice(reason, None))
            return 0.0
        longest = self._resume.longest_save_s if self._resume is not None else 0.0
        given, began = grace.grace_s(longest), time.time()
        give_notice(self.repo, self.job_id, attempt, Notice(reason, began + given))
        if number is None:
            return given
        with contextlib.suppress(AexpError, OSError):  # a full disk must not cost the grace time
            record_interruption(self.repo, self.claim)
        more = grace.grace_now_s(longest)  # asks Slurm
        if more > given:
            give_notice(self.repo, self.job_id, attempt, Notice(reason, time.time() + more))
        return max(given - (time.time() - began), more)

    def _await_late_signal(self, finished: Finished) -> Finished:
        """Give our own signal a moment: Slurm sends it to the command and to us at once."""
        if finished.interrupted_by is None and was_asked_to_end(finished.returncode):
            end = time.monotonic() + _LATE_SIGNAL_S
            while not self.signals.ending and time.monotonic() < end:
                time.sleep(0.02)
            if self.signals.ending:
                return finished._replace(interrupted_by=self.signals.ending[0])
        return finished

    def _environment(self, number: int, metrics_path: str, devices: Lease) -> Mapping[str, str]:
        return {
            "PYTHONUNBUFFERED": "1",  # so that a Python command's output is seen live
            **inherited(),
            **devices.environment(),
            **(self._sidecar.environment if self._sidecar is not None else {}),
            "AEXP_JOB_ID": self.job_id,
            "AEXP_JOB_WORKSPACE": self.repo.run_dir(self.job_id),
            "AEXP_STATEPOINT_PATH": self.repo.run_file(self.job_id, STATEPOINT),
            "AEXP_METRICS_PATH": metrics_path,
            "AEXP_STOP_PATH": self.repo.run_file(self.job_id, STOP),
            "AEXP_ATTEMPT": str(number),
            PYTHON_VARIABLE: sys.prefix,
            PRELUDE_VARIABLE: self.repo.run_file(self.job_id, ".prelude"),
            claims.MARKER_VARIABLE: self.claim.owner.nonce,
        }

    def _compare_sidecar(self, run: Run) -> None:
        if run.record.get("preregistration"):
            from aexp.preregistration.frozen import note_change

            for warning in note_change(self.repo, run):
                self.say(warning)

    def _tell(self, run: Run, outcome: Outcome, log: str) -> None:
        if run.status == COMPLETE:
            if run.record.get("verdict"):
                from aexp.preregistration.judge import verdict_text

                self.say(verdict_text(run))
            return
        words = outcome.message or run.status
        if run.record.get("cause") == "operator_stop":
            words = "stopped by aexp queue stop"
        self.say(f"{words}; the run is {run.status}; log: {self.repo.relative(log)}")


def _cannot_start(error: OSError) -> Outcome:
    """Tell a command that no shell can start from a machine that cannot start any."""
    message = f"the command cannot be started: {error.strerror or error}"
    fault = error.errno not in _NO_SUCH_COMMAND
    code = None if fault else _NO_SUCH_COMMAND[error.errno or 0]
    return Outcome(FAILED, code, cause="cannot_start", fault=fault, message=message)


def _process_record(pid: int) -> dict[str, Any]:
    return {
        "pid": pid,
        "pgid": pid,
        "host": hostname(),
        "started_at": utc_now(),
        "start_fingerprint": start_time(pid),
    }


def _count(resources: object) -> int:
    if not isinstance(resources, dict):
        return 0
    value = resources.get("gpus", resources.get("gpu", 0))
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else 0
