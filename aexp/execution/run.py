"""Execute one run: the only code path, whoever calls it."""

import contextlib
import errno
import os
import signal
import sys
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from aexp import slurm
from aexp.errors import (
    EXIT_FAILED,
    EXIT_OK,
    EXIT_TEMPFAIL,
    AexpError,
    CorruptFile,
    StatusError,
)
from aexp.execution.gpus import Lease, lease
from aexp.execution.outcome import classify, read_metrics, was_asked_to_end
from aexp.execution.plan import PRELUDE_VARIABLE, Plan, plan_command
from aexp.execution.process import Command, Finished, Output
from aexp.execution.signals import SignalBox
from aexp.files import remove, write_atomic
from aexp.model import (
    COMPLETE,
    CREATED,
    FAILED,
    QUEUED,
    RUNNING,
    TERMINAL_STATUSES,
    Run,
    short,
    utc_now,
)
from aexp.paths import METRICS, STATEPOINT, Repo, hostname
from aexp.processes import signal_group, start_time
from aexp.runs import claims, heartbeat
from aexp.runs.claims import Claim, Held
from aexp.runs.outcome import Outcome
from aexp.runs.parents import parent_statuses
from aexp.runs.publish import restore_outputs
from aexp.runs.settle import check_unclaimed, settle_dead_attempt
from aexp.runs.status import (
    abandon,
    begin_attempt,
    end_attempt,
    record_interruption,
    record_process,
    requeue,
    stop_requested,
)
from aexp.runs.store import read_intact_run, read_run, resolve_id

if TYPE_CHECKING:
    from pathlib import Path

DEFAULT_GRACE_S = 20.0
_LATE_SIGNAL_S = 1.0
_WAIT_MAX_S = 2.0


def run_queued(
    job_id: str,
    *,
    repo_root: "str | Path | Repo | None" = None,
    force: bool = False,
    dry_run: bool = False,
    engine: bool = False,
    remote: bool = False,
    adopt: bool = False,
    wait: bool | None = None,
) -> int:
    """Execute one queued run to its end.

    Parameters
    ----------
    job_id : str
        The run's id or a unique beginning of it.
    repo_root : str, Path or Repo, optional
        Default: the repository around the current folder.
    force : bool, default False
        Queue an ended run again first.
    dry_run : bool, default False
        Print the command and change nothing.
    engine : bool, default False
        The caller is Snakemake: exit 0 for every recorded end, whatever it is.
    remote : bool, default False
        Snakemake has submitted this run as a job of its own: give the job back, instead
        of trying again in it.
    adopt : bool, default False
        Take over a run whose owner is not known to be dead.
    wait : bool, optional
        Wait for another process that executes the run. Default: wait, except inside a
        Slurm allocation, which is given back at once.

    Returns
    -------
    int
        0 complete, or skipped because it had ended before; 1 ended otherwise (0 with
        `engine`); 75 the run is queued, to be tried again.
    """
    repo = repo_root if isinstance(repo_root, Repo) else Repo.find(repo_root)
    with SignalBox() as signals:
        return execute_run(
            repo.require_store(),
            job_id,
            signals,
            force=force,
            dry_run=dry_run,
            engine=engine,
            remote=remote,
            adopt=adopt,
            wait=wait,
        )


def execute_run(
    repo: Repo,
    job_id: str,
    signals: SignalBox,
    *,
    force: bool = False,
    dry_run: bool = False,
    engine: bool = False,
    remote: bool = False,
    adopt: bool = False,
    wait: bool | None = None,
) -> int:
    """Do what `run_queued` says, for a caller that watches the signals itself."""
    full_id = resolve_id(repo, job_id)
    run = read_intact_run(repo, full_id)
    if dry_run:
        print(plan_command(repo, run).command)
        return EXIT_OK
    waits = slurm.allocation() is None if wait is None else wait
    execution = _Execution(
        repo, full_id, signals, engine=engine, remote=remote, adopt=adopt, wait=waits
    )
    return execution.start(force)


class _Execution:
    """One call of `run_queued`."""

    def __init__(
        self,
        repo: Repo,
        job_id: str,
        signals: SignalBox,
        *,
        engine: bool,
        remote: bool,
        adopt: bool,
        wait: bool,
    ) -> None:
        self.repo = repo
        self.job_id = job_id
        self.signals = signals
        self.engine = engine
        self.remote = remote
        self.adopt = adopt
        self.wait = wait

    def say(self, text: str) -> None:
        """Tell the caller what happens, beside the command's own output."""
        with contextlib.suppress(OSError, ValueError):  # nobody listens any more: no matter
            sys.stderr.write(f"aexp: {short(self.job_id)}: {text}\n")
            sys.stderr.flush()

    def start(self, force: bool) -> int:
        """Bring the run to an end, or say why it cannot be brought there now."""
        run = read_run(self.repo, self.job_id)
        if run.is_terminal and not force:
            return self._already(run)
        if run.is_terminal:
            run = requeue(self.repo, self.job_id)
        if run.status == CREATED:
            raise StatusError(
                f"run {short(self.job_id)} was created but never queued",
                "queue it with: aexp queue add, with the same configuration",
            )
        blocked = self._check_parents(run)
        if blocked is not None:
            return blocked
        while not self.signals.ending:
            # Read before the claim: afterwards the dead owner's own words are gone.
            before = _owner_or_none(self.repo, self.job_id)
            got = claims.acquire(self.repo, self.job_id, adopt=self.adopt)
            if isinstance(got, Claim):
                return self._with_claim(got, before)
            if got.owner is None:
                raise CorruptFile(
                    got.liveness.reason,
                    f"if nothing executes this run: aexp queue release {short(self.job_id)}",
                )
            if not self.wait:
                self.say(f"is being executed elsewhere: {got.liveness.reason}")
                return EXIT_TEMPFAIL
            if not self._wait_for(got):
                return EXIT_TEMPFAIL
            run = read_run(self.repo, self.job_id)
            if run.is_terminal:
                return self._already(run)
        return EXIT_TEMPFAIL

    def _already(self, run: Run) -> int:
        restore_outputs(self.repo, run)
        self.say(f"skipping, already {run.status}")
        return EXIT_OK

    def _check_parents(self, run: Run) -> int | None:
        for parent, status in parent_statuses(self.repo, run).items():
            if status in TERMINAL_STATUSES and status != COMPLETE:
                message = f"its parent {short(parent)} is {status}"
                abandon(self.repo, self.job_id, "parent_failed", message)
                self.say(f"abandoned: {message}")
                return EXIT_OK if self.engine else EXIT_FAILED
            if status != COMPLETE:
                self.say(f"waits for its parent {short(parent)}, which is {status or 'unknown'}")
                return EXIT_TEMPFAIL
        return None

    def _wait_for(self, held: Held) -> bool:
        """Wait until the present owner is done or dead; False when a signal came first."""
        self.say(f"waiting, it is being executed elsewhere: {held.liveness.reason}")
        pause = 0.05
        while not self.signals.ending:
            time.sleep(pause)
            pause = min(pause * 1.5, _WAIT_MAX_S)
            owner = _owner_or_none(self.repo, self.job_id)
            if owner is None or (held.owner and owner.nonce != held.owner.nonce):
                return True
            if claims.liveness(owner).state == slurm.DEAD:
                return True
        return False

    def _with_claim(self, claim: Claim, before: claims.Owner | None) -> int:
        try:
            run = read_run(self.repo, self.job_id)
            if run.status == RUNNING:
                if before is None:
                    check_unclaimed(self.repo, run, adopt=self.adopt)
                reason = "its owner has ended without a word"
                run = settle_dead_attempt(self.repo, self.job_id, reason, before)
                self.say(f"{reason}; now {run.status}")
            if run.is_terminal:
                restore_outputs(self.repo, run)
                return self._code(run)
            restore_outputs(self.repo, run)
            while run.status == QUEUED and not self.signals.ending:
                run, again = self._attempt(claim)
                if not again:
                    break
            return self._code(run)
        finally:
            claims.release(self.repo, claim)

    def _code(self, run: Run) -> int:
        if not run.is_terminal:
            return EXIT_TEMPFAIL
        return EXIT_OK if self.engine or run.status == COMPLETE else EXIT_FAILED

    def _attempt(self, claim: Claim) -> tuple[Run, bool]:
        """Execute the command once; the second value says whether to do so again at once."""
        run = read_intact_run(self.repo, self.job_id)
        plan = plan_command(self.repo, run, remember=True)
        number = max((attempt.get("attempt", 0) for attempt in run.attempts), default=0) + 1
        log = self.repo.log_path(self.job_id, number)
        gpus = _count(run.record.get("resources"))
        with lease(gpus, cancelled=self._is_unwanted, say=self.say) as devices:
            if self.signals.ending:
                return run, False
            run = begin_attempt(
                self.repo,
                claim,
                command=plan.command,
                log=os.path.relpath(log, self.repo.run_dir(self.job_id)),
            )
            if run.is_terminal:  # a person has stopped it before it began
                return run, False
            try:
                outcome = self._execute(claim, run, plan, log, number, devices)
            except OSError as error:
                outcome = _cannot_start(error)
            except AexpError as error:
                outcome = Outcome(QUEUED, message=error.message)
                end_attempt(self.repo, self.job_id, outcome, claim=claim)
                raise
        run = end_attempt(self.repo, self.job_id, outcome, claim=claim)
        if not run.attempts or run.attempts[-1].get("claim") != claim.owner.nonce:
            self.say("another process has taken this run over; nothing was recorded here")
            return run, False
        self._tell(run, outcome, log)
        failed = outcome.status != QUEUED and not outcome.fault
        # A Slurm job of the engine's is given back: the next attempt gets one of its own.
        return run, run.status == QUEUED and failed and not self.remote

    def _is_unwanted(self) -> bool:
        return bool(self.signals.ending) or stop_requested(read_run(self.repo, self.job_id))

    def _execute(
        self, claim: Claim, run: Run, plan: Plan, log: str, number: int, devices: Lease
    ) -> Outcome:
        metrics_path = self.repo.run_file(self.job_id, METRICS)
        remove(metrics_path)
        mark = self._prelude_mark(plan)
        output = Output(log)
        try:
            command = Command(
                plan.arguments,
                cwd=self.repo.root,
                env=self._environment(claim, number, metrics_path, devices),
                keep_open=devices.descriptors,
            )
            timeout = run.record.get("timeout_s")
            try:
                now = record_process(self.repo, claim, _process_record(command.pid))
                finished = command.follow(
                    output,
                    self.signals,
                    timeout_s=timeout if isinstance(timeout, (int, float)) else None,
                    grace_s=_seconds("AEXP_GRACE_S", DEFAULT_GRACE_S),
                    stop_at_once=stop_requested(now),
                    beat=lambda: heartbeat.beat(self.repo, claim),
                    beat_every_s=heartbeat.interval_s(),
                    on_interrupt=lambda: self._record_interruption(claim),
                )
            except BaseException:
                signal_group(command.pid, signal.SIGKILL)
                raise
        finally:
            output.close()
        metrics, problem = read_metrics(metrics_path)
        if problem:
            self.say(problem)
        if mark is not None and remove(mark) and finished.returncode != 0:
            finished = finished._replace(in_prelude=True)
        return classify(self._await_late_signal(finished), metrics)

    def _prelude_mark(self, plan: Plan) -> str | None:
        """Make the file that a prelude removes when it has succeeded."""
        path = self.repo.run_file(self.job_id, ".prelude")
        remove(path)
        if not plan.has_prelude:
            return None
        write_atomic(path, b"")
        return path

    def _record_interruption(self, claim: Claim) -> None:
        with contextlib.suppress(AexpError, OSError):  # a full disk must not cost the grace time
            record_interruption(self.repo, claim)

    def _await_late_signal(self, finished: Finished) -> Finished:
        """Give our own signal a moment: Slurm sends it to the command and to us at once."""
        if finished.interrupted_by is None and was_asked_to_end(finished.returncode):
            end = time.monotonic() + _LATE_SIGNAL_S
            while not self.signals.ending and time.monotonic() < end:
                time.sleep(0.02)
            if self.signals.ending:
                return finished._replace(interrupted_by=self.signals.ending[0])
        return finished

    def _environment(
        self, claim: Claim, number: int, metrics_path: str, devices: Lease
    ) -> Mapping[str, str]:
        return {
            "PYTHONUNBUFFERED": "1",  # so that a Python command's output is seen live
            **os.environ,
            **devices.environment(),
            "AEXP_JOB_ID": self.job_id,
            "AEXP_JOB_WORKSPACE": self.repo.run_dir(self.job_id),
            "AEXP_STATEPOINT_PATH": self.repo.run_file(self.job_id, STATEPOINT),
            "AEXP_METRICS_PATH": metrics_path,
            "AEXP_ATTEMPT": str(number),
            PRELUDE_VARIABLE: self.repo.run_file(self.job_id, ".prelude"),
            claims.MARKER_VARIABLE: claim.owner.nonce,
        }

    def _tell(self, run: Run, outcome: Outcome, log: str) -> None:
        if run.status == COMPLETE:
            return
        words = outcome.message or run.status
        self.say(f"{words}; the run is {run.status}; log: {self.repo.relative(log)}")


def _cannot_start(error: OSError) -> Outcome:
    """Tell a command that no shell can start from a machine that cannot start any."""
    message = f"the command cannot be started: {error.strerror or error}"
    fault = error.errno not in (errno.E2BIG, errno.ENOENT, errno.EACCES, errno.ENAMETOOLONG)
    return Outcome(FAILED, cause="cannot_start", fault=fault, message=message)


def _owner_or_none(repo: Repo, job_id: str) -> claims.Owner | None:
    try:
        return claims.read_owner(repo, job_id)
    except AexpError:
        return None


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


def _seconds(variable: str, default: float) -> float:
    try:
        return max(0.0, float(os.environ.get(variable, default)))
    except ValueError:
        return default
