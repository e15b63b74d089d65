"""How far training code says it is, as ``progress.json``."""

import contextlib
import json
import math
import os
import time
from typing import Any

from aexp.errors import MetricError
from aexp.files import remove, temporary_name
from aexp.runs.series import plain

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
        self._waiting: dict[str, Any] | None = None

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
        self._waiting = {
            "fraction": None if done is None else min(1.0, max(0.0, done)),
            "step": at,
            "total": whole,
            "message": None if message is None else str(message)[:_MAX_MESSAGE],
            "at": round(time.time(), 3),
        }
        if time.monotonic() >= self._next or done == 1.0:
            self.flush()

    def flush(self) -> None:
        """Write what was said since the last writing."""
        content, self._waiting = self._waiting, None
        if content is None:
            return
        self._next = time.monotonic() + _EVERY_S
        temporary = temporary_name(self._path)
        # It is a hint for people: neither a full disk nor a crash is worth an error or a sync.
        with contextlib.suppress(OSError):
            try:
                with open(temporary, "w", encoding="utf-8") as file:
                    json.dump(content, file)
                os.replace(temporary, self._path)
            except OSError:
                remove(temporary)


def _number(name: str, value: Any) -> float | None:
    if value is None:
        return None
    taken = plain(value, name)
    if isinstance(taken, bool) or not isinstance(taken, (int, float)) or not math.isfinite(taken):
        raise MetricError(f"{name} {value!r} is not a number", "give a number, or leave it out")
    return taken
