"""How far a run's rows have been handed to its tracker; survives a kill at any moment."""

import json
import os
from typing import Any

from aexp.paths import Repo
from aexp.runs.series import Row
from aexp.trackers.files import CURSOR, read_quietly, tracker_file

_WIDTH = 1024
_KEYS = ("attempt", "high", "last", "series", "series_sent", "file", "file_sent", "assets", "of")


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
        if known.get("run_id") != run_id:
            value = dict.fromkeys(_KEYS, 0) | {"high": -1, "last": -1}
        if value["of"] != attempt:  # each attempt has a metrics file of its own
            value |= {"of": attempt, "file": 0, "file_sent": 0}
        self.value = value

    def is_new(self, row: Row) -> bool:
        """Return whether a row's step is one that earlier attempts have not sent."""
        if row.attempt > self.value["attempt"]:
            self.value["high"] = max(self.value["high"], self.value["last"])
            self.value["attempt"] = row.attempt
        if row.step is None:
            return True
        if row.step <= self.value["high"]:
            return False
        self.value["last"] = max(self.value["last"], row.step)
        return True

    def raise_to(self, step: int) -> None:
        """Note that the tracker itself has everything before this step."""
        self.value["high"] = max(self.value["high"], step - 1)

    def save(self) -> None:
        """Write the positions, in one write."""
        text = json.dumps({"run_id": self.run_id, **self.value})
        if self._descriptor < 0:
            os.makedirs(os.path.dirname(self._path), exist_ok=True)
            self._descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        os.pwrite(self._descriptor, text.encode().ljust(_WIDTH - 1) + b"\n", 0)


def _number(value: Any) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) else 0
