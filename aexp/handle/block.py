"""A block of Python as an attempt of a run, where no wrapper executes it."""

import contextlib
import os
import shlex
import sys
import threading
import time
import warnings

from aexp.errors import AexpError, CorruptFileWarning
from aexp.files import remove
from aexp.handle.place import Place
from aexp.model import COMPLETE, FAILED, QUEUED, Run
from aexp.paths import METRICS, OUTCOME, PROGRESS, STATEPOINT, STOP, Repo
from aexp.runs.claims import MARKER_VARIABLE
from aexp.runs.declared import read_declared
from aexp.runs.lifecycle import end_of_block, executing
from aexp.runs.outcome import Outcome
from aexp.runs.preemption import has_advanced
from aexp.runs.results import AttemptNumbers
from aexp.runs.status import requeue
from aexp.runs.store import read_run


class Block:
    """The way from `begin` to `end` of one such attempt.

    Parameters
    ----------
    repo : Repo
        The repository.
    job_id : str
        A created or queued run.
    again : bool, default False
        Queue a run that has ended again first.
    """

    def __init__(self, repo: Repo, job_id: str, *, again: bool = False) -> None:
        self._again = again
        self._repo = repo
        self._job_id = job_id
        self._numbers: AttemptNumbers | None = None
        self._reading = threading.Lock()
        self._attempt = 0
        self._began = 0.0
        self._variables: dict[str, str | None] = {}
        self._lifecycle = executing(repo, job_id, end=self._outcome, on_beat=self._look)

    def begin(self) -> Place:
        """Claim the run, mark it running, and make it the current one.

        Raises
        ------
        StatusError
            If somebody else executes the run, or it has ended.
        """
        if self._again and read_run(self._repo, self._job_id).is_terminal:
            requeue(self._repo, self._job_id)
        run = self._lifecycle.__enter__()
        assert run is not None
        try:
            return self._prepare(run)
        except BaseException as error:  # Ctrl-C
            self.end(error)
            raise

    def _prepare(self, run: Run) -> Place:
        self._began = time.monotonic()
        last = run.attempts[-1]
        self._attempt, claim = last["attempt"], last["claim"]
        for name in (METRICS, OUTCOME, PROGRESS, STOP):  # of an earlier attempt
            remove(self._repo.run_file(self._job_id, name))
        self._numbers = AttemptNumbers(self._repo, self._job_id, self._attempt)
        self._record_environment(run)
        self._set_variables(claim)
        return Place(self._repo, self._job_id, self._attempt, claim)

    def end(self, error: BaseException | None) -> None:
        """Record how the block ended; `error` is what left it."""
        for name, value in self._variables.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
        if error is None:
            self._lifecycle.__exit__(None, None, None)
        else:
            self._lifecycle.__exit__(type(error), error, error.__traceback__)

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
            warnings.warn(problem, CorruptFileWarning, stacklevel=2)
        usage = {"wallclock_s": time.monotonic() - self._began}
        outcome = end_of_block(error)
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
        return outcome._replace(metrics=metrics, usage=usage)

    def _record_environment(self, run: Run) -> None:
        """Record what the attempt runs in, as the wrapper does."""
        from aexp.environment.record import record_environment
        from aexp.runs.document import edit_document

        command = shlex.join([sys.executable, *sys.argv])
        with contextlib.suppress(AexpError, OSError):
            kept = record_environment(self._repo, run, self._attempt, command=command)
            if kept:
                with edit_document(self._repo, self._job_id) as fresh:
                    fresh.attempts[-1]["environment"] = kept

    def _set_variables(self, claim: str) -> None:
        """Let child processes find the run as they do in a queued one."""
        wanted = {
            "AEXP_JOB_ID": self._job_id,
            "AEXP_JOB_WORKSPACE": self._repo.run_dir(self._job_id),
            "AEXP_STATEPOINT_PATH": self._repo.run_file(self._job_id, STATEPOINT),
            "AEXP_METRICS_PATH": self._repo.run_file(self._job_id, METRICS),
            "AEXP_ATTEMPT": str(self._attempt),
            MARKER_VARIABLE: claim,
        }
        self._variables = {name: os.environ.get(name) for name in wanted}
        os.environ.update(wanted)
