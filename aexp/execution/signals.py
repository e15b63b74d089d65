"""Signals that reach the wrapper while a command runs."""

import contextlib
import os
import signal
import threading
import time
from types import FrameType, TracebackType
from typing import Any

from aexp import slurm

ENDING = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT)
FORWARDED = (signal.SIGUSR1, signal.SIGUSR2)
# systemd ends a session by SIGTERM and SIGHUP at once, others signal a process and its group.
_ONE_WISH_S = 2.0


class SignalBox:
    """Collects signals for the block instead of letting them end the process.

    Attributes
    ----------
    ending : list of int
        Signals that ask the run to end, in the order of their coming.
    to_forward : list of int
        Signals that only concern the command, and have not been passed on yet.
    has_warned : bool
        Whether there has been one of those.
    wakeup : int
        File descriptor that becomes readable when a signal has come.
    """

    def __init__(self) -> None:
        self.ending: list[int] = []
        self.to_forward: list[int] = []
        self.has_warned = False
        self._asked_at = 0.0
        self._asked_again = False
        self.wakeup, self._write = os.pipe()
        os.set_blocking(self.wakeup, False)
        os.set_blocking(self._write, False)
        self._old: dict[int, Any] = {}
        self._old_fd = -1

    def __enter__(self) -> "SignalBox":
        if threading.current_thread() is threading.main_thread():
            self._old_fd = signal.set_wakeup_fd(self._write, warn_on_full_buffer=False)
            for number in (*ENDING, *FORWARDED):
                if signal.getsignal(number) is signal.SIG_IGN and number == signal.SIGHUP:
                    continue  # nohup: a closed terminal is not meant to end us
                self._old[number] = signal.signal(number, self._note)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for number, handler in self._old.items():
            signal.signal(number, handler)
        if self._old:
            signal.set_wakeup_fd(self._old_fd)
        os.close(self.wakeup)
        os.close(self._write)

    def _note(self, number: int, frame: FrameType | None) -> None:
        if number in FORWARDED:
            self.to_forward.append(number)
            self.has_warned = True
            return
        now = time.monotonic()
        if not self.ending:
            self._asked_at = now
        self._asked_again = self._asked_again or now > self._asked_at + _ONE_WISH_S
        self.ending.append(number)

    @property
    def is_impatient(self) -> bool:
        """Whether somebody has asked again and does not want to wait.

        Slurm sends the same signal several times, over several ways, and kills by itself.
        """
        again = self._asked_again and slurm.allocation() is None
        return again or self.ending.count(signal.SIGINT) > 1

    def drain(self) -> None:
        """Empty the wake-up pipe."""
        with contextlib.suppress(BlockingIOError):
            while os.read(self.wakeup, 512):
                pass
