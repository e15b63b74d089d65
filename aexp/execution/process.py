"""Run one command in a process group of its own and pass its output on, byte for byte."""

import contextlib
import os
import resource
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import BinaryIO, NamedTuple

from aexp.errors import StoreReadOnly
from aexp.execution.signals import SignalBox
from aexp.execution.terminal import Terminal, say
from aexp.processes import group_members, signal_group

TAIL_BYTES = 2048
_CHUNK = 65536
_LEFTOVER_GRACE_S = 2.0
_POLL_S = 0.1


class Finished(NamedTuple):
    """How a command ended.

    Attributes
    ----------
    returncode : int
        Exit code; negative for the signal that ended it.
    interrupted_by : int or None
        The signal that reached the wrapper and was passed on.
    timed_out : bool
        Whether our own time limit ended it.
    tail : str
        The last 2 KB of its output, undecodable bytes replaced.
    usage : dict
        ``wallclock_s``; ``cpu_s`` and ``max_rss_mb`` of the command and the children it
        waited for (``getrusage(2)``).
    in_prelude : bool
        Whether it ended before the experiment's prelude had succeeded.
    told : int or None
        The last signal that was passed on and only concerns the command (SIGUSR1, SIGUSR2).
    """

    returncode: int
    interrupted_by: int | None
    timed_out: bool
    tail: str
    usage: dict[str, float]
    in_prelude: bool = False
    told: int | None = None


class Output:
    """Where a command's output goes: the terminal, the attempt's log, a short tail."""

    def __init__(self, log_path: str) -> None:
        self.tail = b""
        self._terminal = Terminal()
        try:
            os.makedirs(os.path.dirname(log_path), exist_ok=True)
            self._log: BinaryIO | None = open(log_path, "ab", buffering=0)  # noqa: SIM115
        except OSError as error:
            raise StoreReadOnly(
                f"cannot write the log {log_path}: {error.strerror}",
                "check the folder's permissions and the free space",
            ) from error

    def write(self, data: bytes) -> None:
        """Pass a piece of output on."""
        self.tail = (self.tail + data)[-TAIL_BYTES:]
        if self._log is not None:
            try:
                self._log.write(data)
            except OSError as error:
                say(f"the log cannot be written any more: {error.strerror}")
                self._log = None
        self._terminal.write(data)

    def pump(self) -> None:
        """Pass on what the terminal had no room for."""
        self._terminal.pump()

    @property
    def is_behind(self) -> bool:
        """Whether the terminal has not taken everything yet."""
        return self._terminal.is_behind

    @property
    def is_full(self) -> bool:
        """Whether the command should wait for the terminal."""
        return self._terminal.is_full

    def close(self) -> None:
        """Close the log."""
        self._terminal.finish()
        if self._log is not None:
            self._log.close()


class Command:
    """One command under our eyes, from its start to the end of its process group."""

    def __init__(
        self,
        arguments: Sequence[str],
        *,
        cwd: str,
        env: Mapping[str, str],
        keep_open: Sequence[int] = (),
        reads_stdin: bool = False,
        forwards_to_group: bool = True,
    ) -> None:
        self.began = time.monotonic()
        self._forwards_to_group = forwards_to_group
        self._process = subprocess.Popen(
            # State points are UTF-8, whatever the locale says.
            [argument.encode("utf-8", "surrogateescape") for argument in arguments],
            cwd=cwd,
            env=env,
            stdin=None if reads_stdin else subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            pass_fds=keep_open,
            bufsize=0,
        )
        self.pid = self._process.pid
        assert self._process.stdout is not None
        self._pipe = self._process.stdout.fileno()
        os.set_blocking(self._pipe, False)
        self._usage: resource.struct_rusage | None = None
        self._returncode: int | None = None

    def follow(
        self,
        output: Output,
        signals: SignalBox,
        *,
        timeout_s: float | None,
        stop_at_once: bool,
        beat: Callable[[], bool],
        beat_every_s: float,
        on_stop: Callable[[str, int | None], float],
    ) -> Finished:
        """Pass on output and signals until the command has ended.

        Parameters
        ----------
        output : Output
            Takes every byte.
        signals : SignalBox
            Signals of the wrapper; the first that asks for an end is passed to the
            command's group, a second one kills it.
        timeout_s : float or None
            Time limit of this attempt in seconds.
        stop_at_once : bool
            Whether a stop was asked for while the command was being started.
        beat : callable
            Called every `beat_every_s` seconds (0: never); False ends the command.
        beat_every_s : float
            Seconds between heartbeats.
        on_stop : callable
            Called when the group has been asked to end, or told something, with the reason
            and the signal, if it was one of the wrapper's; returns the seconds until it is
            to be killed.
        """
        deadline = self.began + timeout_s if timeout_s else None
        next_beat = self.began + beat_every_s if beat_every_s > 0 else None
        kill_at: float | None = None
        told: int | None = None
        interrupted_by: int | None = None
        timed_out = False
        unwanted = stop_at_once
        with _Watch(self.pid, self._pipe, signals.wakeup) as watch:
            while not self._has_ended():
                now = time.monotonic()
                if signals.to_forward:
                    number = signals.to_forward.pop(0)
                    self._forward(number)
                    if self._forwards_to_group:
                        told = number
                        on_stop(signal.Signals(number).name, number)
                if signals.ending and interrupted_by is None:
                    interrupted_by = signals.ending[0]
                    signal_group(self.pid, interrupted_by)
                    kill_at = now + on_stop(signal.Signals(interrupted_by).name, interrupted_by)
                if signals.is_impatient or (kill_at is not None and now >= kill_at):
                    signal_group(self.pid, signal.SIGKILL)
                    kill_at = now + 1.0
                if next_beat is not None and now >= next_beat:
                    unwanted = unwanted or not beat()
                    next_beat = now + beat_every_s
                late = deadline is not None and now >= deadline
                if kill_at is None and (unwanted or late):
                    timed_out = late and not unwanted
                    signal_group(self.pid, signal.SIGTERM)
                    kill_at = now + on_stop("timeout" if timed_out else "stop", None)
                pause = now + _POLL_S if output.is_behind else None
                watch.wait(
                    _soonest(now, deadline if kill_at is None else kill_at, next_beat, pause)
                )
                signals.drain()
                output.pump()
                watch.read_output(not output.is_full)
                if not output.is_full:
                    self._pass_on(output, watch)
            self._end_leftovers(output, watch, signals, kill_at)
        self._process.stdout.close()  # type: ignore[union-attr]
        assert self._returncode is not None
        return Finished(
            self._returncode,
            interrupted_by,
            timed_out,
            output.tail.decode("utf-8", errors="replace"),
            self._measured(),
            told=told,
        )

    def _forward(self, number: int) -> None:
        if self._forwards_to_group:
            signal_group(self.pid, number)
        else:
            os.kill(self.pid, number)  # our child, not waited for yet: no other has its number

    def _has_ended(self) -> bool:
        pid, status, usage = os.wait4(self.pid, os.WNOHANG)
        if pid == 0:
            return False
        self._usage, self._returncode = usage, os.waitstatus_to_exitcode(status)
        self._process.returncode = self._returncode
        self._wallclock = time.monotonic() - self.began
        return True

    def _pass_on(self, output: Output, watch: "_Watch") -> None:
        """Pass on what is there, at most a megabyte: more than the pipe holds."""
        for _ in range(16):
            try:
                data = os.read(self._pipe, _CHUNK)
            except BlockingIOError:
                return
            if not data:
                watch.forget_output()
                return
            output.write(data)

    def _end_leftovers(
        self, output: Output, watch: "_Watch", signals: SignalBox, kill_at: float | None
    ) -> None:
        """End what the command left running in its group: the run is over with its command.

        A shell that was asked to end ends at once; what it has started has been asked, too,
        and may be saving its work. Only SIGTERM reaches everything: a shell's children in
        the background ignore Ctrl-C.
        """
        self._pass_on(output, watch)
        asked = kill_at is not None
        if asked and signals.ending and signals.ending[0] != signal.SIGTERM:
            asked = False
        if not asked and not signal_group(self.pid, signal.SIGTERM):
            return
        end = time.monotonic() + _LEFTOVER_GRACE_S if kill_at is None else kill_at
        while group_members(self.pid) and time.monotonic() < end and not signals.is_impatient:
            time.sleep(0.02)
            self._pass_on(output, watch)
            output.pump()
        signal_group(self.pid, signal.SIGKILL)
        self._pass_on(output, watch)

    def _measured(self) -> dict[str, float]:
        assert self._usage is not None
        unit = 1024.0 if sys.platform != "darwin" else 1024.0 * 1024.0
        return {
            "wallclock_s": self._wallclock,
            "cpu_s": round(self._usage.ru_utime + self._usage.ru_stime, 3),
            "max_rss_mb": round(self._usage.ru_maxrss / unit, 1),
        }


def _soonest(now: float, *moments: float | None) -> float | None:
    waits = [max(0.0, moment - now) for moment in moments if moment is not None]
    return min(waits) if waits else None


class _Watch:
    """Waits for output, a signal, or the end of the command."""

    def __init__(self, pid: int, pipe: int, wakeup: int) -> None:
        self._selector = selectors.DefaultSelector()
        self._selector.register(pipe, selectors.EVENT_READ)
        self._selector.register(wakeup, selectors.EVENT_READ)
        self._pipe: int | None = pipe
        self._reads = True
        self._pidfd: int | None = None
        if hasattr(os, "pidfd_open"):
            with contextlib.suppress(OSError):
                self._pidfd = os.pidfd_open(pid)
                self._selector.register(self._pidfd, selectors.EVENT_READ)

    def __enter__(self) -> "_Watch":
        return self

    def __exit__(self, *unused: object) -> None:
        self._selector.close()
        if self._pidfd is not None:
            os.close(self._pidfd)

    def forget_output(self) -> None:
        """Stop waiting for output: the pipe has been closed."""
        self.read_output(False)
        self._pipe = None

    def read_output(self, wanted: bool) -> None:
        """Wait for output, or leave it in the pipe, so that the command waits."""
        if self._pipe is None or wanted == self._reads:
            return
        if wanted:
            self._selector.register(self._pipe, selectors.EVENT_READ)
        else:
            self._selector.unregister(self._pipe)
        self._reads = wanted

    def wait(self, seconds: float | None) -> None:
        """Sleep until something happens, or for `seconds`."""
        if self._pidfd is None:  # no pidfd: look for the end now and then
            seconds = _POLL_S if seconds is None else min(seconds, _POLL_S)
        self._selector.select(seconds)
