"""Whether the process has been asked to end, and how long it has."""

import os
import signal
import threading
import time
from types import FrameType
from typing import Any

from aexp import slurm
from aexp.handle.place import Place
from aexp.paths import STOP
from aexp.runs.notice import read_notice

SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)
_LOOK_EVERY_S = 0.2
_ASK_EVERY_S = 300.0
_PATIENCE_S = 5.0


def ignore_stop_signals(*unused: object) -> None:
    """Have this process leave signals to others: for helpers, which end with training.

    Slurm and aexp signal all processes of a run. A data loader's workers that end at once take
    the training process with them: ``DataLoader(…, worker_init_fn=aexp.ignore_stop_signals)``.
    """
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)


class StopWatch:
    """Signals, the wrapper's word, and time limits of one attempt, in this process.

    Parameters
    ----------
    place : Place
        The attempt.
    """

    def __init__(self, place: Place) -> None:
        self.place = place
        self.process = os.getpid()
        self._asked = False
        self._interrupts = 0
        self._old: dict[int, Any] = {}
        self._path = place.repo.run_file(place.job_id, STOP)
        self._look_at = 0.0
        self._limit = _number(os.environ.get("AEXP_ENDS_AT"))
        self._slurm_end = _number(os.environ.get("SLURM_JOB_END_TIME"))
        self._ask_at = 0.0
        self._takes_signals = False

    def was_asked(self) -> bool:
        """Return whether the process has been asked to end."""
        if not self._takes_signals:
            self._take_signals()
        if self._asked:
            return True
        now = time.monotonic()
        if now >= self._look_at:
            self._look_at = now + _LOOK_EVERY_S
            place = self.place
            if os.path.exists(self._path):
                self._asked = read_notice(place.repo, place.job_id, place.attempt) is not None
        return self._asked

    def seconds_left(self) -> float | None:
        """Return the seconds until the attempt is ended, None when nobody has said."""
        self._ask_slurm()
        ends = [end for end in (self._limit, self._slurm_end) if end is not None]
        if self.was_asked():
            notice = read_notice(self.place.repo, self.place.job_id, self.place.attempt)
            if notice is not None and notice.until is not None:
                ends = [notice.until]  # the wrapper knows better than any limit
        return max(0.0, min(ends) - time.time()) if ends else None

    def close(self) -> None:
        """Give the signals back to whom they belonged."""
        for number, handler in self._old.items():
            if signal.getsignal(number) == self._note:
                signal.signal(number, handler)
        self._old.clear()

    def _take_signals(self) -> None:
        if threading.current_thread() is not threading.main_thread():
            return  # Python allows it there only; the wrapper's word is heard everywhere
        self._takes_signals = True
        for number in SIGNALS:
            old = signal.getsignal(number)
            if old is signal.SIG_IGN and number == signal.SIGHUP:
                continue  # nohup
            self._old[number] = signal.signal(number, self._note)

    def _note(self, number: int, frame: FrameType | None) -> None:
        old = self._old.get(number)
        if os.getpid() != self.process:  # a forked child: signals mean to it what they did
            signal.signal(number, old if old is not None else signal.SIG_DFL)
            os.kill(os.getpid(), number)
            return
        self._asked = True
        if number == signal.SIGINT:
            self._interrupts += 1
            if old is signal.default_int_handler and self._interrupts < 2:
                return
        if callable(old):
            old(number, frame)

    def _ask_slurm(self) -> None:
        """Ask Slurm now and then for the job's end, which may be changed; wait for it once."""
        now, allocation = time.monotonic(), slurm.allocation()
        if allocation is None or now < self._ask_at:
            return
        is_first, self._ask_at = self._ask_at == 0.0, now + _ASK_EVERY_S
        if is_first and self._slurm_end is None:
            self._ask(allocation)
        else:
            threading.Thread(
                target=self._ask, args=(allocation,), name="aexp-time-left", daemon=True
            ).start()

    def _ask(self, allocation: str) -> None:
        end = slurm.running_until(allocation, _PATIENCE_S)
        if end is not None:
            self._slurm_end = end


def _number(text: str | None) -> float | None:
    try:
        return float(text) if text else None
    except ValueError:
        return None
