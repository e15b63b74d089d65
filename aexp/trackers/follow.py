"""The program beside a run that hands its rows, files and end to the tracker.

``python -m aexp.trackers.follow <job id> <attempt>``, started by the wrapper
(`aexp.trackers.sidecar`), which holds the other end of its standard input. A tracker that
is slow, hangs or crashes does so here.
"""

import os
import signal
import sys
import threading
from typing import Any, NoReturn

from aexp.environment.scrub import scrub_value
from aexp.errors import AexpError, TrackerInitError
from aexp.ledger.projection import final_metrics
from aexp.model import COMPLETE, RUNNING, Run, printable
from aexp.paths import ASSET_INDEX, METRICS, SERIES, Repo
from aexp.runs.logged import read_asset
from aexp.runs.series import Row, SeriesReader, numbers, parse_lines
from aexp.runs.store import read_run
from aexp.trackers.binding import binding_for, record_handle, wanted
from aexp.trackers.contract import RunHandle, TrackerAdapter, call_supported
from aexp.trackers.cursor import Cursor
from aexp.trackers.files import init_bound_s, read_owner
from aexp.trackers.frame import frame_of
from aexp.trackers.pipe import DEAD_S, Ending, Pipe
from aexp.trackers.registry import adapter_for
from aexp.trackers.report import report
from aexp.trackers.sync.unsent import RESEND
from aexp.trackers.turn import take_turn

POLL_S = 0.5
_BATCH = 500
_MAX_FAILURES = 20  # in a row; then the tracker is left alone
_TAIL = 1 << 20


class Follower:
    """Follows one attempt of a run.

    Parameters
    ----------
    repo : Repo
        The repository.
    job_id : str
        The run.
    attempt : int
        The attempt.
    pipe : Pipe
        From the wrapper.
    fallback : str, optional
        Why the tracker is used offline although the run's settings say otherwise.
    turn : int, optional
        The descriptor of the lock that `take_turn` gives; an offline beginning keeps it.
    resends : bool, default False
        Bring a run that has ended to the tracker itself: what fails stays unsent.
    """

    def __init__(
        self,
        repo: Repo,
        job_id: str,
        attempt: int,
        pipe: Pipe,
        fallback: str | None = None,
        turn: int | None = None,
        *,
        resends: bool = False,
    ) -> None:
        self.turn, self.resends = turn, resends
        self.repo, self.job_id, self.attempt, self.pipe = repo, job_id, attempt, pipe
        self.fallback = fallback
        run = read_run(repo, job_id)
        settings = wanted(run)
        if settings is None:
            raise TrackerInitError("the run has no tracker")
        self.settings = settings
        self.backend = str(settings["backend"])
        self.offline = fallback is not None or (bool(settings.get("offline")) and not resends)
        self.binding = binding_for(run, settings)
        self.frame = frame_of(repo, run)
        self.first_attempt = int(run.record.get("attempts_before") or 0) + 1
        self.cursor = Cursor(repo, job_id, f"{self.backend}:{self.binding['run_id']}", attempt)
        at = self.cursor.value
        self.series = SeriesReader(repo.run_file(job_id, SERIES), at["series"])
        self.file = SeriesReader(repo.run_file(job_id, METRICS), at["file"], flat=True)
        self.adapter = adapter_for(settings)
        self.gathers = type(self.adapter).flush is not TrackerAdapter.flush
        self.handle: RunHandle | None = None
        self.failures = 0
        self.rows = 0
        self.is_passed: set[str] = set()  # files that have rows of a later attempt
        self.problems: list[str] = []

    @property
    def fallback_words(self) -> str | None:
        """Why the tracker is used offline: since the beginning, or since its adapter said so."""
        later = self.handle.extra.get("went_offline") if self.handle is not None else None
        return self.fallback or (str(later) if later else None)

    def follow(self) -> Ending | None:
        """Hand on what comes until the wrapper says that the attempt has ended, or is gone."""
        while True:
            ended, ending = self.pipe.wait(POLL_S)
            self.send_rows()
            self.send_assets()
            if ended:
                return ending

    def send_rows(self, *, last: bool = False) -> None:
        """Hand on the rows that have come since the last look."""
        for reader, key in ((self.series, "series"), (self.file, "file")):
            while key not in self.is_passed and (rows := reader.read(_BATCH)):
                self._send(rows, key, reader.offset)
            if last:  # nobody writes any more: the last line needs no newline
                rest = _rest(reader.path, reader.offset)
                if reader.offset and rest.strip() and key not in self.is_passed:
                    self._send(parse_lines([rest], reader.flat), key, reader.offset + len(rest))

    def _send(self, rows: list[Row], key: str, end: int) -> None:
        at = self.cursor.value
        for row in rows[at[key + "_sent"] :]:
            if row.attempt > self.attempt:  # this follower's wrapper is dead, the run goes on
                self.is_passed.add(key)
                break
            at[key + "_sent"] += 1
            if key == "file":
                row = row._replace(attempt=self.attempt)
            metrics = numbers(row.metrics)
            if row.attempt < self.first_attempt or not metrics or not self._is_open():
                continue
            metrics = self.cursor.new_of(row, metrics)
            if not metrics:
                continue
            if not self.gathers:
                self.cursor.save()
            if self._call(self.adapter.log, metrics, step=row.step, timestamp=row.time):
                self.rows += 1
        if self.gathers:
            self._call(self.adapter.flush)
        if key not in self.is_passed:
            at[key], at[key + "_sent"] = end, 0
        self.cursor.save()

    def send_assets(self) -> None:
        """Hand on the files that the run has kept since the last look."""
        path = self.repo.run_file(self.job_id, ASSET_INDEX)
        while True:
            data = _rest(path, self.cursor.value["assets"])
            lines = data[: data.rfind(b"\n") + 1].splitlines(keepends=True)
            if not lines:
                return
            for line in lines:
                self.cursor.value["assets"] += len(line)
                self.cursor.save()
                asset = read_asset(line, self.repo.run_dir(self.job_id))
                if asset and asset.attempt >= self.first_attempt and self._is_open():
                    self._call(self.adapter.log_artifact, asset.name, asset.path)

    def end(self, ending: Ending | None) -> None:
        """Bring the tracker's run to its end: final numbers, then how it ended."""
        run = read_run(self.repo, self.job_id)
        if ending is None:
            ending = _recorded_ending(run, self.attempt)
        if ending is not None:
            self.send_rows(last=True)
            # An attempt that is to be repeated and has logged nothing leaves no trace.
            if self.handle is not None or run.is_terminal:
                self._is_open(ending.seconds)
        if self.handle is None:
            return
        if ending is not None:
            final = numbers(_final(run, self.attempt))
            if final:
                self._call(self.adapter.summarize, final)
        succeeded = ending is not None and ending.status == COMPLETE
        code = 0 if succeeded else (ending.exit_code if ending else None) or 1
        self.failures = 0
        self._call(self.adapter.finish, exit_code=code)

    def _is_open(self, seconds: float | None = None) -> bool:
        """Open the tracker's run, unless it is or the training process has done so."""
        if self.handle is not None:
            return self.failures < _MAX_FAILURES
        owner = read_owner(self.repo, self.job_id, self.attempt)
        if owner is not None and owner.backend == self.backend:
            return False
        bound = init_bound_s()
        has_way_out = not self.offline and not self.resends
        if has_way_out and seconds is not None and seconds < bound:
            self._go_offline("there was no time left to reach it")
        self.handle = self._init(bound)
        # An adapter may choose the id itself; the next attempt knows the run by that one.
        self.cursor.run_id = f"{self.backend}:{self.handle.id}"
        next_step = self.handle.extra.get("next_step")
        if isinstance(next_step, int):
            self.cursor.raise_to(next_step)
        try:
            record_handle(self.repo, self.job_id, self.handle, self.attempt)
        except AexpError as error:
            self._note(error)
        report(self.repo, self.job_id, self.attempt, self, ended=False)
        return True

    def _init(self, bound: float) -> RunHandle:
        guard = _Guard(bound, lambda: self._go_offline(f"no answer within {bound:g} s"))
        try:
            with guard:
                handle: RunHandle = call_supported(
                    self.adapter.init_run,
                    project=self.binding["project"],
                    group=self.binding["group"] or self.frame.group,
                    tags=self.frame.tags,
                    config=self.frame.config,
                    notes=self.frame.notes,
                    offline=self.offline,
                    workspace=self.repo.run_dir(self.job_id),
                    run_id=self.binding["run_id"],
                    name=self.frame.name,
                    attempt=self.attempt,
                )
        except Exception as error:
            if self.offline or self.resends:
                raise
            self._go_offline(_words(error))
        if not isinstance(handle, RunHandle):
            raise TrackerInitError(f"{type(self.adapter).__name__}.init_run gave no RunHandle")
        return handle

    def _go_offline(self, why: str) -> NoReturn:
        """Begin again as a program that uses the tracker offline: nothing of an SDK is left."""
        if self.offline or self.resends:  # there is no second way
            print(f"aexp: {why}", flush=True)
            report(self.repo, self.job_id, self.attempt, self, problem=why)
            os._exit(1)
        print(f"aexp: offline from here on: {why}", flush=True)
        self.pipe.hand_on()
        turn = "-"
        if self.turn is not None:
            os.set_inheritable(self.turn, True)
            turn = str(self.turn)
        arguments = [self.job_id, str(self.attempt), "--offline", why, turn]
        arguments += self.pipe.ending_words()
        os.execv(sys.executable, [sys.executable, "-P", "-m", "aexp.trackers.follow", *arguments])

    def _call(self, method: Any, *arguments: Any, **keywords: Any) -> bool:
        if self.handle is None or self.failures >= _MAX_FAILURES:
            return False
        try:
            call_supported(method, self.handle, *arguments, **keywords)
        except Exception as error:  # whatever an SDK raises: the next row may go through
            self.failures += 1
            self._note(error)
            return False
        self.failures = 0
        return True

    def _note(self, error: Exception) -> None:
        text = _words(error)
        print(f"aexp: {text}", flush=True)
        if len(self.problems) < _MAX_FAILURES:
            self.problems.append(text)


class _Guard:
    """Calls something when the block takes too long; the block may be stuck in C."""

    def __init__(self, seconds: float, late: Any) -> None:
        self._lock = threading.Lock()
        self._done = False
        self._late = late
        self._timer = threading.Timer(seconds, self._ring)
        self._timer.daemon = True

    def _ring(self) -> None:
        with self._lock:
            if not self._done:
                self._late()

    def __enter__(self) -> None:
        self._timer.start()

    def __exit__(self, *unused: object) -> None:
        with self._lock:
            self._done = True
        self._timer.cancel()


def _recorded_ending(run: Run, attempt: int) -> Ending | None:
    """Return how an attempt ended whose wrapper was killed after it had written that down."""
    last = run.attempts[-1] if run.attempts else {}
    if last.get("attempt") != attempt or last.get("status") == RUNNING:
        return None
    code = last.get("returncode")
    return Ending(run.status, code if isinstance(code, int) else None, DEAD_S)


def _final(run: Run, attempt: int) -> dict[str, Any]:
    """Return the numbers of an attempt, which are the run's when it is the last."""
    last = run.attempts[-1] if run.attempts else {}
    if last.get("attempt") == attempt:
        return final_metrics(run)
    for one in run.attempts:
        if one.get("attempt") == attempt and isinstance(one.get("metrics"), dict):
            return dict(one["metrics"])
    return {}


def _rest(path: str, offset: int) -> bytes:
    try:
        with open(path, "rb") as file:
            file.seek(offset)
            return file.read(_TAIL)
    except OSError:
        return b""


def _words(error: Exception) -> str:
    message = error.message if isinstance(error, AexpError) else f"{type(error).__name__}: {error}"
    return printable(scrub_value(message))[:500]  # an SDK may quote an address with its key


def main(arguments: list[str]) -> int:
    """Follow one attempt to its end."""
    job_id, attempt = arguments[0], int(arguments[1])
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        # A scheduler ends all processes of a job at once; the wrapper tells when it is over.
        signal.signal(number, lambda *_: None)
    pipe = Pipe(arguments[5:])
    repo = Repo.find()
    follower = None
    try:
        fallback = arguments[3] if arguments[2:3] == ["--offline"] else None
        resends = arguments[2:3] == [RESEND]  # whoever asks for it has the turn
        turn = None
        if resends:
            pass
        elif arguments[4:5] and arguments[4].isdigit():
            turn = int(arguments[4])
            os.set_inheritable(turn, False)
        else:
            turn = take_turn(repo.run_dir(job_id), pipe)
        follower = Follower(repo, job_id, attempt, pipe, fallback, turn, resends=resends)
        report(repo, job_id, attempt, follower, ended=False)
        follower.end(follower.follow())
    except Exception as error:
        print(f"aexp: {_words(error)}", flush=True)
        hint = error.hint if isinstance(error, AexpError) else None
        report(repo, job_id, attempt, follower, problem=_words(error), hint=hint)
        return 1
    report(repo, job_id, attempt, follower)
    return 0


if __name__ == "__main__":
    # Not sys.exit: an SDK's threads and exit handlers have had their time in finish().
    code = main(sys.argv[1:])
    sys.stdout.flush()
    os._exit(code)
