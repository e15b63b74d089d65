"""A block of Python as an attempt of a run, where no wrapper executes it."""

import contextlib
import os
import sys
import threading
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from aexp.errors import AexpError, StatusError
from aexp.files import remove
from aexp.handle.place import Place
from aexp.handle.program import command_of, own_program
from aexp.model import COMPLETE, CREATED, FAILED, QUEUED, TERMINAL_STATUSES, Run, short
from aexp.paths import METRICS, OUTCOME, PROGRESS, STATEPOINT, STOP, Repo
from aexp.runs.again import reopen
from aexp.runs.claims import MARKER_VARIABLE
from aexp.runs.declared import read_declared
from aexp.runs.lifecycle import end_of_block, executing
from aexp.runs.outcome import Outcome
from aexp.runs.preemption import has_advanced
from aexp.runs.results import AttemptNumbers
from aexp.runs.store import read_run

if TYPE_CHECKING:
    from aexp.footprint.record import Footprint
    from aexp.trackers.sidecar import Sidecar


# Of the run whose command executes the block, which is another one.
_OF_ANOTHER = ("AEXP_CHECKPOINT_DIR", "AEXP_RESUME_FROM")
_open: "Block | None" = None  # of this process: its environment can name one run only
_opening = threading.Lock()
_begun = 0


class Block:
    """The way from `begin` to `end` of one such attempt.

    A process has one at a time.

    Parameters
    ----------
    repo : Repo
        The repository.
    job_id : str
        A created or queued run.
    again : bool, default False
        Open a run that has ended once more.
    sidecar : bool, default True
        Whether what is pre-registered counts.
    agent_mode : str, optional
        Who works here, for the record.
    """

    def __init__(
        self,
        repo: Repo,
        job_id: str,
        *,
        again: bool = False,
        sidecar: bool = True,
        agent_mode: str | None = None,
    ) -> None:
        self._again = again
        self._sidecar_counts = sidecar
        self._agent_mode = agent_mode
        self._registered: Run | None = None
        self._repo = repo
        self._job_id = job_id
        self._numbers: AttemptNumbers | None = None
        self._reading = threading.Lock()
        self._attempt = 0
        self._began = 0.0
        self._variables: dict[str, tuple[str | None, str | None]] = {}
        self._sidecar: Sidecar | None = None
        self._process = os.getpid()
        self._program: dict[str, Any] = {}
        self._footprint: Footprint | None = None
        self._once = False
        self._lifecycle = executing(
            repo, job_id, end=self._outcome, on_beat=self._look, by_hand=self._program
        )

    def begin(self) -> Place:
        """Claim the run, mark it running, and make it the current one.

        Raises
        ------
        StatusError
            If somebody else executes the run, it has ended, or this process executes another.
        """
        self._occupy()
        try:
            before = read_run(self._repo, self._job_id)
            self._check_ended(before)
            self._program.update(own_program(self._repo, _begun))
            self._register(before)
            run = self._lifecycle.__enter__()
        except BaseException:
            self._leave()
            raise
        assert run is not None
        try:
            return self._prepare(run)
        except BaseException as error:  # Ctrl-C
            self.end(error)
            raise

    def _occupy(self) -> None:
        global _open, _begun
        with _opening:
            if _open is not None and _open._process == os.getpid():
                raise StatusError(
                    f"this process is executing run {short(_open._job_id)}; it executes one at "
                    "a time",
                    "end its block first; for several at once use processes, or the queue",
                )
            _open, _begun = self, _begun + 1

    def _leave(self) -> None:
        global _open
        with _opening:
            if _open is self:
                _open = None

    def _check_ended(self, run: Run) -> None:
        if run.is_terminal and not self._again:
            raise StatusError(
                f"run {short(self._job_id)} is already {run.status}",
                "to execute it once more: again=True; to pass over complete runs: run.is_done",
            )

    def _register(self, run: Run) -> None:
        """Freeze what is pre-registered, unless that was done when the run was queued or began."""
        if run.status not in TERMINAL_STATUSES | {CREATED}:
            return
        before = run.record.get("attempts_before", 0)
        if run.status == CREATED and len(run.attempts) > before and self._sidecar_counts:
            return  # it was interrupted and goes on: its numbers so far may be known
        from aexp.preregistration.by_hand import registration_by_hand, write_registration

        found = registration_by_hand(
            self._repo,
            run,
            self._program,
            use_sidecar=self._sidecar_counts,
            agent_mode=self._agent_mode,
        )
        for warning in found.warnings:
            _say(warning)
        if run.is_terminal:
            reopen(self._repo, self._job_id)
        if found.record != run.record.get("preregistration"):
            write_registration(self._repo, self._job_id, found)

    def _prepare(self, run: Run) -> Place:
        self._began = time.monotonic()
        last = run.attempts[-1]
        self._attempt, claim = last["attempt"], last["claim"]
        self._once = bool(run.record.get("once"))
        for name in (METRICS, OUTCOME, PROGRESS, STOP):  # of an earlier attempt
            remove(self._repo.run_file(self._job_id, name))
        self._numbers = AttemptNumbers(self._repo, self._job_id, self._attempt)
        self._record_environment(run)
        self._set_variables(claim)
        if run.record.get("preregistration"):
            self._compare_sidecar(run)
        if run.record.get("tracker") is not None:
            self._start_tracker(run)
        return Place(self._repo, self._job_id, self._attempt, claim)

    def end(self, error: BaseException | None) -> None:
        """Record how the block ended; `error` is what left it."""
        self._restore_variables()
        try:
            if error is None:
                self._lifecycle.__exit__(None, None, None)
            else:
                self._lifecycle.__exit__(type(error), error, error.__traceback__)
            self._tell_outcome()
            self._finish_tracker()
        finally:
            self._leave()
            if self._sidecar is not None:
                self._sidecar.close()

    def _compare_sidecar(self, run: Run) -> None:
        from aexp.preregistration.frozen import note_change

        self._registered = run
        for warning in note_change(self._repo, run):
            _say(warning)

    def _tell_outcome(self) -> None:
        if self._registered is not None:
            run = read_run(self._repo, self._job_id)
            if run.status == COMPLETE and run.record.get("verdict"):
                from aexp.preregistration.judge import verdict_text

                _say(verdict_text(run))

    def _look(self) -> None:
        with self._reading:
            if self._numbers is not None:
                self._numbers.look()

    def _outcome(self, error: BaseException | None) -> Outcome:
        if self._numbers is None:
            return end_of_block(error)
        with self._reading:
            metrics, problems = self._numbers.finish()
        for problem in problems:
            _say(problem)
        usage = {"wallclock_s": time.monotonic() - self._began}
        outcome = end_of_block(error)
        if self._once and isinstance(error, SystemExit):
            outcome = _end_of_program(error)
        said = read_declared(self._repo, self._job_id, self._attempt)
        if said is not None and not isinstance(error, Exception):
            outcome = Outcome(
                said.status,
                returncode=0 if said.status == COMPLETE else None,
                cause=said.reason,
                message=said.message,
                tail=said.traceback,
            )
            if said.status == QUEUED:
                advanced = has_advanced(self._repo, read_run(self._repo, self._job_id))
                outcome = outcome._replace(cause="preempted", again=True, earned=advanced)
            if said.status == FAILED and not said.message:
                outcome = outcome._replace(message="declared failed by the run")
        elif isinstance(error, Exception):
            outcome = outcome._replace(cause="exception")
        if self._footprint is not None and outcome.is_result:
            with contextlib.suppress(AexpError, OSError):
                self._keep_files(self._footprint.end())
        outcome = outcome._replace(metrics=metrics, usage=usage)
        if self._registered is None:
            return outcome
        from aexp.preregistration.judge import with_verdict

        return with_verdict(self._repo, self._registered, self._attempt, outcome)

    def _record_environment(self, run: Run) -> None:
        """Record what the attempt runs in, and its files, as the wrapper does."""
        from aexp.environment.record import record_environment
        from aexp.runs.document import edit_document

        known = {"script", "module", "code"} & self._program.keys()
        command = command_of(self._program) if known else None
        self._record_files(run, command)
        with contextlib.suppress(AexpError, OSError):
            kept = record_environment(self._repo, run, self._attempt, command=command)
            if kept:
                with edit_document(self._repo, self._job_id) as fresh:
                    fresh.attempts[-1]["environment"] = kept

    def _record_files(self, run: Run, command: str | None) -> None:
        from aexp.footprint.record import Footprint
        from aexp.kb.runner import load_runner

        with contextlib.suppress(AexpError, OSError):
            runner = load_runner(self._repo, run.experiment_id) if run.experiment_id else None
            self._footprint = Footprint(self._repo, run, runner)
            self._keep_files(self._footprint.begin(command))

    def _keep_files(self, files: dict[str, Any] | None) -> None:
        from aexp.runs.document import edit_document

        if files is not None:
            with edit_document(self._repo, self._job_id) as fresh:
                fresh.attempts[-1]["files"] = files

    def _start_tracker(self, run: Run) -> None:
        from aexp.trackers.sidecar import Sidecar

        self._sidecar = Sidecar(self._repo, run, self._attempt, _say)
        self._change_variables(self._sidecar.environment)

    def _finish_tracker(self) -> None:
        if self._sidecar is not None:
            run = read_run(self._repo, self._job_id)
            code = 0 if run.status == COMPLETE else 1
            self._sidecar.finish(run, code, lambda: False)

    def _set_variables(self, claim: str) -> None:
        """Let child processes find the run, as in a queued one, and no other's checkpoints."""
        wanted = {
            **dict.fromkeys(_OF_ANOTHER),
            "AEXP_JOB_ID": self._job_id,
            "AEXP_JOB_WORKSPACE": self._repo.run_dir(self._job_id),
            "AEXP_STATEPOINT_PATH": self._repo.run_file(self._job_id, STATEPOINT),
            "AEXP_METRICS_PATH": self._repo.run_file(self._job_id, METRICS),
            "AEXP_ATTEMPT": str(self._attempt),
            MARKER_VARIABLE: claim,
        }
        self._change_variables(wanted)

    def _change_variables(self, wanted: Mapping[str, str | None]) -> None:
        for name, value in wanted.items():
            _, before = self._variables.get(name, ("", os.environ.get(name)))
            self._variables[name] = (value, before)
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value

    def _restore_variables(self) -> None:
        for name, (ours, before) in self._variables.items():
            if os.environ.get(name) != ours:
                continue  # the training code's own since
            if before is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = before
        self._variables.clear()


def _say(text: str) -> None:
    print(f"aexp: {text}", file=sys.stderr, flush=True)


def _end_of_program(error: SystemExit) -> Outcome:
    """Return what ``sys.exit`` means for a run that is this call of a function and no other."""
    if error.code is None or error.code == 0:
        return Outcome(COMPLETE, returncode=0)
    if isinstance(error.code, int):
        return Outcome(FAILED, error.code & 0xFF, message=f"the program exited with {error.code}")
    return Outcome(FAILED, 1, message=f"the program exited: {error.code}")
