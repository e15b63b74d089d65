"""The wrapper's side of tracking: start the process beside the run, and end it in time.

Nothing here raises: a tracker that fails costs a message, never the run.
"""

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

from aexp.errors import AexpError
from aexp.model import Run, printable
from aexp.paths import Repo
from aexp.runs.claims import TRACKER_VARIABLES
from aexp.trackers.binding import bind, wanted
from aexp.trackers.contract import TrackerAdapter, TrackerBinding, call_supported
from aexp.trackers.files import (
    LOG,
    STATE,
    init_bound_s,
    read_quietly,
    seconds_of,
    tracker_file,
)
from aexp.trackers.registry import adapter_class, adapter_for

TIMEOUT_S = 30.0
INTERRUPTED_S = 5.0
_MAX_LOG = 1_000_000


class Sidecar:
    """The process that hands one attempt's rows to the tracker.

    Parameters
    ----------
    repo : Repo
        The repository.
    run : Run
        The run, whose attempt has begun.
    attempt : int
        The attempt's number.
    say : callable
        Tells the caller what happens.

    Attributes
    ----------
    environment : dict
        Variables by which a command that opens the tracker itself gets the same run there.
    """

    def __init__(self, repo: Repo, run: Run, attempt: int, say: Callable[[str], None]) -> None:
        self._repo = repo
        self._job_id = run.job_id
        self._attempt = attempt
        self._say = say
        self._process: subprocess.Popen[bytes] | None = None
        self._backend = "?"
        self._remark: str | None = None
        self.environment: dict[str, str] = {}
        try:
            settings = wanted(run)
            if settings is None:
                return
            self._backend = str(settings["backend"])
            kind = adapter_class(self._backend)
            self._process = self._start()  # it takes its time, and opens nothing yet
            binding = bind(repo, run, settings)
            if kind.environment is not TrackerAdapter.environment:
                told = self._ask_environment(run, settings, binding)
                names = {TRACKER_VARIABLES: " ".join(sorted(told))}
                self.environment = {**told, **(names if told else {})}
        except Exception as error:
            self._complain(_words(error), getattr(error, "hint", None))

    def finish(self, run: Run, exit_code: int | None, is_ending: Callable[[], bool]) -> None:
        """Tell how the attempt has ended and wait for the tracker, at most its time.

        Parameters
        ----------
        run : Run
            The run as it was recorded.
        exit_code : int or None
            The command's.
        is_ending : callable
            Whether somebody wants this process to end now.
        """
        if self._process is None:
            return
        try:
            self._finish(run, exit_code, is_ending)
        except Exception as error:
            self._complain(_words(error))
        finally:
            self.close()

    def close(self) -> None:
        """Let go: the process ends by itself when nobody holds its input any more."""
        if self._process is not None and self._process.stdin is not None:
            with contextlib.suppress(OSError):
                self._process.stdin.close()

    def _ask_environment(
        self, run: Run, settings: dict[str, Any], binding: TrackerBinding
    ) -> dict[str, str]:
        """Ask the adapter, another's code perhaps, in a thread that may be left behind."""
        answer: list[dict[str, str]] = []
        problem: list[Exception] = []

        def ask() -> None:
            from aexp.trackers.frame import frame_of

            try:
                adapter = adapter_for(settings)
                found = call_supported(
                    adapter.environment,
                    binding,
                    workspace=self._repo.run_dir(self._job_id),
                    offline=bool(settings.get("offline")),
                    tags=frame_of(self._repo, run).tags,
                )
                self._remark = adapter.remark
                answer.append({str(key): str(value) for key, value in found.items()})
            except Exception as error:
                problem.append(error)

        thread = threading.Thread(target=ask, name="aexp-tracker", daemon=True)
        thread.start()
        seconds = init_bound_s()
        thread.join(seconds)
        if problem:
            raise problem[0]
        if not answer:
            self._complain(f"it gave the command no variables within {seconds:g} s")
            return {}
        return {key: value for key, value in answer[0].items() if "\0" not in key + value}

    def _start(self) -> "subprocess.Popen[bytes]":
        path = tracker_file(self._repo, self._job_id, LOG)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
        log = os.open(path, flags, 0o644)
        try:
            if os.fstat(log).st_size > _MAX_LOG:
                os.ftruncate(log, 0)
            program = [sys.executable, "-P", "-m", "aexp.trackers.follow"]
            return subprocess.Popen(
                [*program, self._job_id, str(self._attempt)],
                cwd=self._repo.root,
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        finally:
            os.close(log)

    def _finish(self, run: Run, exit_code: int | None, is_ending: Callable[[], bool]) -> None:
        seconds = seconds_of("AEXP_TRACKER_TIMEOUT_S", TIMEOUT_S)
        if is_ending():
            seconds = min(seconds, INTERRUPTED_S)
        deadline = time.monotonic() + seconds
        assert self._process is not None
        code = self._process.poll()
        if code is not None and code < 0:
            # Killed while the run went on. What it has not sent yet is in the series.
            self.close()
            self._process = self._start()
        self._tell(run.status, exit_code, seconds)
        code = self._wait(deadline, is_ending)
        if code is not None and code < 0:
            signal_name = signal.Signals(-code).name
            self._complain(f"its process was killed by {signal_name}", self._elsewhere())
        elif code in (None, 3):
            self._complain(f"not done within {seconds:g} s, and ended", self._elsewhere())
        else:
            self._report(code)

    def _tell(self, status: str, exit_code: int | None, seconds: float) -> None:
        assert self._process is not None
        assert self._process.stdin is not None
        words = {"status": status, "exit_code": exit_code, "seconds": seconds}
        with contextlib.suppress(OSError):  # it has gone already, and has said why
            self._process.stdin.write(json.dumps(words).encode() + b"\n")
            self._process.stdin.close()

    def _wait(self, deadline: float, is_ending: Callable[[], bool]) -> int | None:
        """Return its exit code, None when it had to be killed."""
        assert self._process is not None
        while True:
            left = deadline - time.monotonic()
            if left <= 0:
                with contextlib.suppress(OSError):
                    os.killpg(self._process.pid, signal.SIGKILL)
                self._process.wait()
                return None
            with contextlib.suppress(subprocess.TimeoutExpired):
                return self._process.wait(min(left, 0.2))
            if is_ending():
                deadline = min(deadline, time.monotonic() + INTERRUPTED_S)

    def _report(self, code: int) -> None:
        state = read_quietly(self._repo, self._job_id, STATE)
        if state.get("attempt") != self._attempt or not state.get("ended"):
            if code:
                self._complain(f"its process ended with {code}", self._elsewhere())
            return
        problem, count = state.get("problem"), state.get("problems")
        if problem:
            more = f" ({count} problems in all)" if isinstance(count, int) and count > 1 else ""
            hint = state.get("hint") or self._elsewhere()
            if not state.get("opened"):
                hint = f"{state.get('hint') or 'nothing is lost'}; later: aexp sync-offline"
            self._complain(f"{problem}{more}", hint)
        if self._remark and not state.get("opened"):
            self._complain(self._remark)
        if state.get("fallback") and state.get("opened"):
            self._complain(f"used offline: {state['fallback']}", "later: aexp sync-offline")

    def _elsewhere(self) -> str:
        log = self._repo.relative(tracker_file(self._repo, self._job_id, LOG))
        return (
            f"the run's numbers are complete without it; details: {log}; "
            "what is kept for later: aexp sync-offline --dry-run"
        )

    def _complain(self, text: str, hint: object = None) -> None:
        from aexp.environment.scrub import scrub_value

        more = f"; {printable(hint)}" if hint else ""
        self._say(f"tracker {printable(self._backend)}: {printable(scrub_value(text))}{more}")


def _words(error: Exception) -> str:
    return error.message if isinstance(error, AexpError) else f"{type(error).__name__}: {error}"
