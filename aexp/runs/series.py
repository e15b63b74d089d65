"""A run's series: one row per line, only ever appended, read from where one has got to."""

import json
import os
import re
import time as clock
from collections.abc import Mapping
from itertools import islice
from typing import Any, NamedTuple

from aexp.errors import MetricError, StoreReadOnly
from aexp.numbers import NOT_FINITE, finite_or_none, json_number

_CHUNK = 1 << 20
_MAX_LINE = 1 << 23  # no row is that long; what is, is not ours and is passed over
_ROW_BEGINS = rb'\{"attempt":\d+,"step":(?:null|-?\d+),"time":'
_MAX_TRIES = 100  # a line that only looks like rows must not cost its square
_decode = json.JSONDecoder(parse_constant=str).decode  # names for what JSON does not know
_HINT = "log numbers, text, or nested mappings of them, for instance float(value)"


class Row(NamedTuple):
    """One row of a series.

    Attributes
    ----------
    attempt : int
        The attempt that logged it; 0 where the file does not say.
    step : int or None
        The step that was given.
    time : float or None
        Seconds since 1970.
    metrics : dict
        Names and values as they are in the file: numbers that JSON does not know are
        the words ``NaN``, ``Infinity`` and ``-Infinity``.
    """

    attempt: int
    step: int | None
    time: float | None
    metrics: dict[str, Any]


class SeriesWriter:
    """Appends rows to a series: each is one write, so that a kill costs no row before it.

    Threads, forked children and other processes may append to the same file at once.

    Parameters
    ----------
    path : str
        The file; it is made at the first row.
    attempt : int
        The attempt that logs.
    """

    def __init__(self, path: str, attempt: int) -> None:
        self.path = path
        self._descriptor = -1
        self._torn = False
        self._has_nan = False
        self._head = f'{{"attempt":{int(attempt)},"step":'

    def append(
        self, metrics: Mapping[str, Any], step: Any = None, time: float | None = None
    ) -> None:
        """Append one row.

        Raises
        ------
        MetricError
            If a value is neither a number, text, a list nor a mapping of them; nothing
            was written.
        StoreReadOnly
            If the file cannot be written.
        """
        number = "null" if step is None else str(step if type(step) is int else _step(step))
        when = clock.time() if time is None else _time(time)
        try:
            text = _encode(_named(metrics) if self._has_nan else metrics)
        except (TypeError, ValueError, RecursionError):
            self._has_nan = True  # one NaN mostly means more of them
            text = _encode_slowly(metrics)
        if text[0] != "{":
            raise MetricError(f"{type(metrics).__name__} is no mapping of names to values", _HINT)
        self._write(f'{self._head}{number},"time":{when:.3f},"metrics":{text}}}\n'.encode())

    def close(self) -> None:
        """Give the file back; a later row opens it again."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)

    def _write(self, line: bytes) -> None:
        try:
            if self._descriptor < 0:
                self._open()
            if self._torn:
                line = b"\n" + line
            done = os.write(self._descriptor, line)
            self._torn = False
            while done < len(line):  # the disk is nearly full, or a limit is near
                self._torn = True
                done += os.write(self._descriptor, line[done:])
                self._torn = done < len(line)
        except OSError as error:
            raise StoreReadOnly(
                f"cannot write {self.path}: {error.strerror or error}",
                "check the folder's permissions and the free space",
            ) from error

    def _open(self) -> None:
        flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
        descriptor = os.open(self.path, flags, 0o644)
        size = os.fstat(descriptor).st_size
        # A writer that was killed may have left half a row.
        self._torn = size > 0 and os.pread(descriptor, 1, size - 1) != b"\n"
        self._descriptor = descriptor


class SeriesReader:
    """Reads the rows that have come since the last look.

    Parameters
    ----------
    path : str
        The file, which need not exist yet.
    offset : int, default 0
        Where to begin: an earlier reader's `offset`.
    flat : bool, default False
        Read lines of the plain-file contract, each a flat object with an optional
        ``step`` and ``time``. A file that holds one object only has no rows.

    Attributes
    ----------
    offset : int
        Position behind the last line that was read.
    """

    def __init__(self, path: str, offset: int = 0, flat: bool = False) -> None:
        self.path = path
        self.offset = offset
        self.flat = flat

    def read(self, limit: int | None = None) -> list[Row]:
        """Return the complete rows since the last call, at most `limit`.

        A line that is no row is passed over once it has ended.
        """
        rows: list[Row] = []
        try:
            with open(self.path, "rb", buffering=0) as file:
                if os.fstat(file.fileno()).st_size < self.offset:
                    self.offset = 0  # another file than we have read
                file.seek(self.offset)
                self._read_into(rows, file.fileno(), limit)
        except OSError:  # none yet, or a moment's trouble of a file system: at the next look
            pass
        return rows

    def _read_into(self, rows: list[Row], descriptor: int, limit: int | None) -> None:
        rest = b""
        holds_back = self.flat and self.offset == 0
        while limit is None or len(rows) < limit:
            chunk = os.read(descriptor, _CHUNK)
            if not chunk:
                return
            data = rest + chunk
            if holds_back:
                first, _, others = data.partition(b"\n")
                if not others.strip():
                    if len(data) > _MAX_LINE:
                        return
                    rest = data
                    continue
                if _object(first) is None:
                    return  # one object written over several lines
                holds_back = False
            *lines, rest = data.split(b"\n")
            while lines and (limit is None or len(rows) < limit):
                taken = lines if limit is None else lines[: limit - len(rows)]
                lines = lines[len(taken) :]
                rows += parse_lines(taken, self.flat)
                self.offset += sum(map(len, taken)) + len(taken)
            if len(rest) > _MAX_LINE:
                self.offset += len(rest)
                rest = b""


def parse_lines(lines: list[bytes], flat: bool) -> list[Row]:
    """Return the rows that lines of a file hold; what is no row is left out."""
    parse = _flat_row if flat else _row
    try:
        # All at once costs a fraction of one by one.
        values = _decode((b"[" + b",".join(lines) + b"]").decode())
    except (ValueError, RecursionError):
        values = []
    if len(values) != len(lines):
        values = [_object(line) if flat else _object_of_series(line) for line in lines]
    rows = [parse(value) for value in values if isinstance(value, dict)]
    return [row for row in rows if row is not None]


def _row(value: dict[str, Any]) -> Row | None:
    metrics = value.get("metrics")
    if not isinstance(metrics, dict):
        return None
    attempt = _whole(value.get("attempt"))
    return Row(attempt or 0, _whole(value.get("step")), _seconds(value.get("time")), metrics)


def _flat_row(value: dict[str, Any]) -> Row:
    step, when = _whole(value.get("step")), _seconds(value.get("time"))
    if step is not None:
        del value["step"]
    if when is not None:
        del value["time"]
    return Row(0, step, when, value)


def _object_of_series(line: bytes) -> dict[str, Any] | None:
    value = _object(line)
    if value is None:
        # Two rows on one line: a process was killed within the first, another one went on.
        # The first beginning from which all of the rest is an object: metrics may hold others.
        for found in islice(re.finditer(_ROW_BEGINS, line), _MAX_TRIES):
            value = _object(line[found.start() :])
            if value is not None:
                break
    return value


def numbers(metrics: Mapping[str, Any], prefix: str = "") -> dict[str, float]:
    """Return the numbers among a row's values as trackers take them.

    Nested names are joined by dots; ``NaN`` and its like are numbers again; text and
    lists are left out.
    """
    found: dict[str, float] = {}
    for key, value in metrics.items():
        name = f"{prefix}{key}"
        if isinstance(value, (int, float)):
            found[name] = value
        elif isinstance(value, str):
            if value in NOT_FINITE:
                found[name] = NOT_FINITE[value]
        elif isinstance(value, Mapping):
            found |= numbers(value, name + ".")
    return found


def plain(value: Any, name: str = "", depth: int = 0) -> Any:
    """Return `value` in the types of JSON, with names for numbers that JSON does not know.

    Scalars of numpy, torch and their like are taken by their ``item()``.

    Raises
    ------
    MetricError
        If that is impossible; the message names the value.
    """
    if isinstance(value, str):
        return str(value)
    if value is None or isinstance(value, (bool, int)):
        return value
    if isinstance(value, float):
        return json_number(float(value))
    if depth > 50:
        raise MetricError(f"{name or 'the value'} is nested too deeply, or holds itself", _HINT)
    if isinstance(value, Mapping):
        return {
            _key(key, name): plain(item, f"{name}.{key}" if name else str(key), depth + 1)
            for key, item in value.items()
        }
    if isinstance(value, (list, tuple)):
        return [plain(item, f"{name}[{at}]", depth + 1) for at, item in enumerate(value)]
    return plain(_item(value, name), name, depth + 1)


def _named(value: Any) -> Any:
    """Return `value` with names for numbers that JSON does not know; other types as they are."""
    kind = type(value)
    if kind is float:
        return value if value - value == 0 else json_number(value)
    if kind is dict:
        return {key: _named(item) for key, item in value.items()}
    return [_named(item) for item in value] if kind is list else value


def _default(value: Any) -> Any:
    return dict(value) if isinstance(value, Mapping) else _item(value, "")


_encode = json.JSONEncoder(
    separators=(",", ":"), allow_nan=False, default=_default, check_circular=True
).encode


def _encode_slowly(metrics: Any) -> str:
    """Encode what the fast way refuses: NaN and infinities, or raise the error that says why."""
    try:
        return _encode(_named(metrics))
    except (TypeError, ValueError, RecursionError):
        pass  # scalars of other libraries that are NaN, or something that is refused
    try:
        return _encode(plain(metrics))
    except ValueError as error:  # an integer of thousands of digits
        raise MetricError(f"the values cannot be written: {error}", _HINT) from error


def _item(value: Any, name: str) -> Any:
    what = f"{name} is " if name else ""
    take = getattr(value, "item", None)
    if not callable(take):
        raise MetricError(f"{what}{type(value).__name__}, not a number", _HINT)
    try:
        taken = take()
    except Exception as error:  # an array of several elements; each library has its own
        raise MetricError(
            f"{what}{type(value).__name__} of more than one number: {error}",
            "log one number, for instance its mean",
        ) from error
    if not isinstance(taken, (bool, int, float, str)):
        raise MetricError(f"{what}{type(value).__name__}, not a number", _HINT)
    return taken


def _key(key: Any, name: str) -> str:
    if isinstance(key, (str, int, float)) or key is None:
        return str(key)
    raise MetricError(f"{name or 'the mapping'} has a name of type {type(key).__name__}", _HINT)


def _step(step: Any) -> int:
    value = step if isinstance(step, (int, float)) else _item(step, "step")
    if isinstance(value, bool) or not isinstance(value, (int, float)) or value != value // 1:
        raise MetricError(f"the step {step!r} is not a whole number", "give a whole number")
    return int(value)


def _time(time: Any) -> float:
    value = time if isinstance(time, (int, float)) else _item(time, "time")
    when = None if isinstance(value, bool) else _seconds(value)
    if when is None:
        raise MetricError(
            f"the time {time!r} is no number of seconds", "give seconds since 1970: time.time()"
        )
    return when


def _object(line: bytes) -> dict[str, Any] | None:
    try:
        value = _decode(line.decode())
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _whole(value: Any) -> int | None:
    if type(value) is int:
        return value
    return int(value) if isinstance(value, float) and value.is_integer() else None


def _seconds(value: Any) -> float | None:
    when = finite_or_none(value)
    return None if when is None else float(when)
