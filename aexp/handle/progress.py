"""How far training code says it is, as ``progress.json``."""

import atexit
import contextlib
import json
import os
import time
from typing import TYPE_CHECKING, Any

from aexp.errors import MetricError
from aexp.files import remove, temporary_name
from aexp.numbers import finite_or_none
from aexp.runs.series import plain

if TYPE_CHECKING:
    from threading import Timer

_EVERY_S = 0.25
_MAX_MESSAGE = 500


class ProgressFile:
    """Writes what was said last, often enough to be watched and never more often.

    Parameters
    ----------
    path : str
        The file.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._next = 0.0
        self._waiting: tuple[int, dict[str, Any]] | None = None  # the process that said it
        self._timer: tuple[int, Timer] | None = None  # the process that has it
        self._is_registered = False

    def say(
        self, fraction: Any = None, step: Any = None, total: Any = None, message: Any = None
    ) -> None:
        """Keep this, and write it unless the last time was a moment ago.

        Raises
        ------
        MetricError
            If `fraction` is not a number from 0 to 1, or `step` or `total` is no number.
        """
        done, at, whole = _number("progress", fraction), _number("step", step), None
        whole = _number("total", total)
        if done is None and at is not None and whole:
            done = min(1.0, max(0.0, at / whole))
        if done is not None and not -1e-6 <= done <= 1 + 1e-6:
            raise MetricError(
                f"progress {fraction!r} is not between 0 and 1",
                "give the fraction that is done, or step= and total=",
            )
        content = {
            "fraction": None if done is None else min(1.0, max(0.0, done)),
            "step": at,
            "total": whole,
            "message": None if message is None else str(message)[:_MAX_MESSAGE],
            "at": round(time.time(), 3),
        }
        self._waiting = os.getpid(), content
        if time.monotonic() >= self._next or done == 1.0:
            self.flush()
        elif self._timer is None or self._timer[0] != os.getpid():
            self._flush_later()

    def _flush_later(self) -> None:
        """Have the last word written although nothing may be said after it."""
        from threading import Timer

        if not self._is_registered:
            self._is_registered = True
            atexit.register(self.flush)
        timer = Timer(max(0.0, self._next - time.monotonic()), self._flush_in_time)
        timer.daemon = True
        self._timer = os.getpid(), timer
        try:
            timer.start()
        except RuntimeError:  # the process is ending, or may have no more threads
            self._timer = None
            self.flush()

    def _flush_in_time(self) -> None:
        self._timer = None  # before the look at what waits: who says something now sees that
        if self._waiting is not None and time.monotonic() < self._next:
            self._flush_later()
        else:
            self.flush()

    def close(self) -> None:
        """Write what was said last, and nothing later."""
        self.flush()
        atexit.unregister(self.flush)

    def flush(self) -> None:
        """Write what was said since the last writing."""
        waiting, self._waiting = self._waiting, None
        if waiting is None or waiting[0] != os.getpid():
            return  # a forked child does not repeat its parent's words
        self._next = time.monotonic() + _EVERY_S
        temporary = temporary_name(self._path)
        # It is a hint for people: neither a full disk nor a crash is worth an error or a sync.
        with contextlib.suppress(OSError):
            try:
                with open(temporary, "w", encoding="utf-8") as file:
                    json.dump(waiting[1], file)
                os.replace(temporary, self._path)
            except OSError:
                remove(temporary)


def _number(name: str, value: Any) -> float | None:
    if value is None:
        return None
    taken = plain(value, name)
    number = finite_or_none(taken)
    if number is None:
        raise MetricError(f"{name} {value!r} is not a number", "give a number, or leave it out")
    return number
