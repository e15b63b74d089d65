"""How far a run's rows have been handed to its tracker; survives a kill at any moment."""

import json
import os
from collections.abc import Mapping
from typing import Any

from aexp.paths import Repo
from aexp.runs.series import Row
from aexp.trackers.files import CURSOR, read_quietly, tracker_file
from aexp.trackers.once import Once

_WIDTH = 1024
_KEYS = ("series", "series_sent", "file", "file_sent", "assets", "of")


class Cursor:
    """Positions in the files that a tracker's process follows.

    A row is noted before it is sent, in one write: a kill in between costs the tracker that
    row (the series has it) and never makes it appear twice.

    Parameters
    ----------
    repo : Repo
        The repository.
    job_id : str
        The run.
    run_id : str
        Tracker and id: the rows of another one begin anew.
    attempt : int
        The attempt that is followed.
    """

    def __init__(self, repo: Repo, job_id: str, run_id: str, attempt: int) -> None:
        self._path = tracker_file(repo, job_id, CURSOR)
        self._descriptor = -1
        self.run_id = run_id
        known = read_quietly(repo, job_id, CURSOR)
        value = {key: _number(known.get(key)) for key in _KEYS}
        self._once = Once(
            _number(known.get("attempt")), _steps(known), _number(known.get("floor", -1))
        )
        self._width = _WIDTH
        if known:
            self._width = max(_WIDTH, os.path.getsize(self._path))
        if known.get("run_id") != run_id:
            value, self._once = dict.fromkeys(_KEYS, 0), Once()
        if value["of"] != attempt:  # each attempt has a metrics file of its own
            value |= {"of": attempt, "file": 0, "file_sent": 0}
        self.value = value

    def new_of(self, row: Row, metrics: Mapping[str, Any]) -> dict[str, Any]:
        """Return those of a row's metrics that earlier attempts have not sent."""
        return self._once.new_of(row, metrics)

    def raise_to(self, step: int) -> None:
        """Note that the tracker itself has everything before this step."""
        self._once.floor = max(self._once.floor, step - 1)

    def save(self) -> None:
        """Write the positions, in one write."""
        once = self._once
        rows = {"attempt": once.attempt, "floor": once.floor, "names": once.names}
        text = json.dumps({"run_id": self.run_id, **self.value, **rows}).encode()
        while len(text) >= self._width:  # blanks cover what a longer text has left
            self._width *= 2
        if self._descriptor < 0:
            os.makedirs(os.path.dirname(self._path), exist_ok=True)
            self._descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        os.pwrite(self._descriptor, text.ljust(self._width - 1) + b"\n", 0)


def _number(value: Any) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) else 0


def _steps(known: dict[str, Any]) -> dict[str, list[int]]:
    found = known.get("names")
    if not isinstance(found, dict):
        return {}
    pairs = ((name, steps) for name, steps in found.items() if isinstance(steps, list))
    return {name: [_number(one) for one in steps] for name, steps in pairs if len(steps) == 2}
