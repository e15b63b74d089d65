"""The numbers of an attempt: what it logged last, what its metrics file and summary say."""

import json
import os
from typing import Any

from aexp.errors import AexpError
from aexp.ledger.projection import flat_numbers, nested
from aexp.model import section
from aexp.paths import METRICS, SERIES, Repo
from aexp.runs.series import Row, SeriesReader, parse_lines
from aexp.runs.store import read_run

_MAX_OBJECT_BYTES = 10_000_000
_MAX_NAMES = 20_000
_ROWS = 20_000
_A_LOOK = 8 << 20  # bytes: what one heartbeat may cost, a fraction of a second
_AT_THE_END = 128 << 20
_LAST = 32 << 20
_NUMBERS = frozenset({bool, int, float})


class AttemptNumbers:
    """Collects the numbers of one attempt while it runs.

    Made before the attempt's command starts; `look` at each heartbeat keeps the end of a
    long run from costing a read of all that it has logged.

    Parameters
    ----------
    repo : Repo
        The repository.
    job_id : str
        The run.
    attempt : int
        The attempt's number.
    """

    def __init__(self, repo: Repo, job_id: str, attempt: int) -> None:
        self._repo = repo
        self._job_id = job_id
        series = repo.run_file(job_id, SERIES)
        # What the series has now is of earlier attempts.
        self._series = _LastValues(SeriesReader(series, _size(series)), attempt)
        self._path = repo.run_file(job_id, METRICS)
        self._file = _LastValues(SeriesReader(self._path, flat=True), 0)

    def look(self) -> None:
        """Take in some of what has come since the last look."""
        self._series.take(_A_LOOK)
        self._file.take(_A_LOOK)

    def finish(self) -> tuple[dict[str, Any] | None, list[str]]:
        """Return the attempt's final metrics and what is wrong with them.

        A name's value is its last one: in the series, above that in the metrics file,
        above that in the run's summary.
        """
        problems: list[str] = []
        found = self._series.finish(problems)
        file = self._file.finish(problems)
        if file is None:
            file = _read_object(self._path, problems)
        summary: dict[str, Any] = {}
        try:
            summary = section(read_run(self._repo, self._job_id).doc, "summary_metrics")
        except AexpError as error:
            problems.append(error.message)
        if found is None and file is None and not summary:
            return None, problems
        return nested({**(found or {}), **(file or {}), **flat_numbers(summary)}), problems


class _LastValues:
    """The last value of each name in a growing file of rows."""

    def __init__(self, reader: SeriesReader, attempt: int) -> None:
        self.reader = reader
        self.attempt = attempt
        self.values: dict[str, Any] = {}
        self.has_rows = False
        self.is_full = False

    def take(self, size: int | None) -> None:
        """Take in at most about `size` bytes more."""
        until = None if size is None else self.reader.offset + size
        while until is None or self.reader.offset < until:
            rows = self.reader.read(limit=_ROWS)
            self._add(rows)
            if not rows:
                return

    def finish(self, problems: list[str]) -> dict[str, Any] | None:
        """Take in the rest; return the values, None when there are no rows at all."""
        size, path = _size(self.reader.path), self.reader.path
        if size - self.reader.offset > _AT_THE_END:
            self.reader.offset = size - _LAST
            problems.append(
                f"{path} grew faster than it could be read: names that its end does not have "
                "may lack their last value; run.summary has no such limit"
            )
        self.take(None)
        # The last line needs no newline once nobody writes any more.
        if self.reader.offset:
            self._add(parse_lines([_tail(path, self.reader.offset)], self.reader.flat))
        if self.is_full:
            problems.append(f"{path} has over {_MAX_NAMES} names; the others are not kept")
        return self.values if self.has_rows else None

    def _add(self, rows: list[Row]) -> None:
        plain: dict[str, Any] = {}  # of rows that hold mere numbers, to be looked at once
        for row in rows:
            if row.attempt != self.attempt:
                continue
            self.has_rows = True
            if all(value.__class__ in _NUMBERS for value in row.metrics.values()):
                plain.update(row.metrics)
            else:
                self.values.update(flat_numbers(plain))
                self.values.update(flat_numbers(row.metrics))
                plain = {}
        self.values.update(flat_numbers(plain))
        if len(self.values) > _MAX_NAMES:
            self.values = dict(list(self.values.items())[:_MAX_NAMES])
            self.is_full = True


def _read_object(path: str, problems: list[str]) -> dict[str, Any] | None:
    """Read a metrics file that is one object."""
    try:
        with open(path, "rb") as file:
            data = file.read(_MAX_OBJECT_BYTES + 1)
    except FileNotFoundError:
        return None
    except OSError as error:
        problems.append(f"{path} cannot be read: {error.strerror or error}")
        return None
    if not data.strip():
        return None
    if len(data) > _MAX_OBJECT_BYTES:
        problems.append(f"{path} is over 10 MB and was not read")
        return None
    try:
        value = json.loads(data)
    except (ValueError, RecursionError) as error:
        problems.append(f"{path} is not valid JSON: {error}")
        return None
    if not isinstance(value, dict):
        problems.append(f"{path} holds no JSON object")
        return None
    return flat_numbers(value)


def _tail(path: str, offset: int) -> bytes:
    try:
        with open(path, "rb") as file:
            file.seek(offset)
            return file.read(_MAX_OBJECT_BYTES)
    except OSError:
        return b""


def _size(path: str) -> int:
    try:
        return os.stat(path).st_size
    except OSError:
        return 0
