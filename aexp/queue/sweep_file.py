"""Read the configurations of a sweep from a YAML, JSON or CSV file."""

import functools
import io
import json
import math
import os
import re
import sys
from collections.abc import Iterable
from typing import Any, TextIO

from aexp.errors import SweepSyntaxError, UsageError
from aexp.kb.values import MAX_DEPTH, Text, key_problem, parse_json, value_problem
from aexp.model import printable
from aexp.queue.sweep import MAX_RUNS, product

_MAX_BYTES = 64 * 2**20
_FORMATS = {".yaml": "yaml", ".yml": "yaml", ".json": "json", ".csv": "csv", "": "yaml"}
_STRING_TAG = "tag:yaml.org,2002:str"
_TIMESTAMP_TAG = "tag:yaml.org,2002:timestamp"
_FLOAT_TAG = "tag:yaml.org,2002:float"
_EXPONENT = re.compile(r"[-+]?([0-9]+\.?[0-9]*|\.[0-9]+)[eE][-+]?[0-9]+")
_SHAPE_HINT = "write a list of mappings (one per run), or a mapping of keys to lists (a grid)"


def read_rows(
    path: str, *, format: str | None = None, stdin: TextIO | None = None
) -> list[dict[str, Any]]:
    """Read the rows of a sweep file.

    Parameters
    ----------
    path : str
        The file, or ``-`` for standard input.
    format : str, optional
        ``yaml``, ``json`` or ``csv``. Default: by the file's ending; YAML, which includes
        JSON, where there is none.
    stdin : TextIO, optional
        What ``-`` reads. Default: the process's standard input.

    Returns
    -------
    list of dict
        A YAML or JSON list of mappings as it is; a mapping of keys to lists as the grid of
        all combinations; CSV with its cells as `Text`, where an empty cell leaves the key out.

    Raises
    ------
    UsageError
        If the file cannot be read or its format is not known.
    SweepSyntaxError
        If its content is not such a table. The message names the file and the place.
    """
    where = "standard input" if path == "-" else path
    ending = "" if path == "-" else os.path.splitext(path)[1].lower()
    kind = _FORMATS.get(ending, "") if format is None else format
    if kind not in _FORMATS.values():
        raise UsageError(
            f"{where}: its format is not known", "use a .yaml, .json or .csv file, or name one"
        )
    text = _decode(_read(path, stdin, where), where)
    rows = _csv_rows(text, where) if kind == "csv" else _rows(_parse(text, kind, where), where)
    if not rows:
        raise SweepSyntaxError(f"{where} has no rows", _SHAPE_HINT)
    return rows


def _read(path: str, stdin: TextIO | None, where: str) -> bytes:
    try:
        if path == "-":
            stream = stdin or sys.stdin
            binary = getattr(stream, "buffer", None)
            data: bytes = (
                binary.read(_MAX_BYTES + 1)
                if binary is not None
                else stream.read(_MAX_BYTES + 1).encode("utf-8", "surrogateescape")
            )
        else:
            with open(path, "rb") as file:
                data = file.read(_MAX_BYTES + 1)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise UsageError(f"cannot read {where}: {reason}", "check the path") from error
    if len(data) > _MAX_BYTES:
        raise SweepSyntaxError(f"{where} is larger than 64 MiB", "split the sweep into parts")
    return data


def _decode(data: bytes, where: str) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise SweepSyntaxError(
            f"{where} is not UTF-8: {error.reason} at byte {error.start}", "save it as UTF-8"
        ) from error


def _parse(text: str, kind: str, where: str) -> Any:
    # JSON is tried first: to YAML, 1e-4 would be text and a tab an error.
    try:
        value, end = parse_json(text)
        if end < len(text):
            raise json.JSONDecodeError("more than one value", text, end)
        return value
    except ValueError as error:
        is_json = kind == "json" or not isinstance(error, json.JSONDecodeError)
        if is_json and text.strip():
            raise SweepSyntaxError(f"{where} is not JSON: {printable(error)}", None) from error
    return _parse_yaml(text, where)


def _rows(value: Any, where: str) -> list[dict[str, Any]]:
    if value is None:
        return []
    if isinstance(value, dict):
        return _grid_rows(value, where)
    if not isinstance(value, list):
        hint = (
            f"{_SHAPE_HINT}; is it CSV? then say --sweep-format csv"
            if "," in str(value)
            else _SHAPE_HINT
        )
        raise SweepSyntaxError(f"{where} is not a table of runs", hint)
    if len(value) > MAX_RUNS:
        raise _too_many(len(value), where)
    for number, row in enumerate(value, start=1):
        if not isinstance(row, dict):
            raise SweepSyntaxError(f"{where}: row {number} is not a mapping", _SHAPE_HINT)
        _check_keys(row, f"{where}: row {number}")
        _check_values(row.items(), f"{where}: row {number}")
    return value


def _grid_rows(grid: dict[str, Any], where: str) -> list[dict[str, Any]]:
    _check_keys(grid, where)
    for key, values in grid.items():
        if not isinstance(values, list) or not values:
            raise SweepSyntaxError(
                f"{where}: {key} is not a list of values",
                f"in a grid every key has a list, also a fixed one: {key}: [value]",
            )
        _check_values(((key, value) for value in values), where)
    size = math.prod(map(len, grid.values()))
    if size > MAX_RUNS:
        raise _too_many(size, where)
    return list(product(grid)) if grid else []


def _csv_rows(text: str, where: str) -> list[dict[str, Any]]:
    import csv

    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    header: list[str] = []
    rows: list[dict[str, Any]] = []
    try:
        for cells in reader:
            place = f"{where}: line {reader.line_num}"
            words = [Text(cell.strip()) for cell in cells]
            if not any(words):
                continue
            if not header:
                header = [str(word) for word in words]
                _check_keys(header, place)
                continue
            if len(words) != len(header):
                raise SweepSyntaxError(
                    f"{place} has {len(words)} cells, the header has {len(header)}",
                    "put a cell that contains a comma in double quotes",
                )
            rows.append({key: word for key, word in zip(header, words, strict=True) if word})
            _check_values(rows[-1].items(), place)
    except csv.Error as error:
        raise SweepSyntaxError(f"{where}: line {reader.line_num}: {error}", None) from error
    if len(rows) > MAX_RUNS:
        raise _too_many(len(rows), where)
    return rows


def _check_keys(keys: Iterable[Any], place: str) -> None:
    seen = set()
    for key in keys:
        problem = f"{key!r} is given twice" if key in seen else _key_problem(key)
        if problem:
            raise SweepSyntaxError(
                f"{place}: {printable(problem)}",
                "a key is one word of letters, digits and underscores, like batch_size",
            )
        seen.add(key)


# Every row has the same few keys.
_key_problem = functools.lru_cache(maxsize=1024)(key_problem)


def _check_values(items: Iterable[tuple[str, Any]], place: str) -> None:
    for key, value in items:
        problem = value_problem(value)
        if problem:
            raise SweepSyntaxError(f"{place}: {key}: {printable(problem)}", None)


def _too_many(count: int, where: str) -> SweepSyntaxError:
    return SweepSyntaxError(
        f"{where} makes {count} runs; the limit is {MAX_RUNS}", "split the sweep into parts"
    )


def _parse_yaml(text: str, where: str) -> Any:
    import yaml

    loader = _loader_class()(text)
    try:
        loader.get_event()  # the start of the stream
        if loader.check_event(yaml.StreamEndEvent):
            return None
        loader.get_event()  # the start of the document
        value = _yaml_value(loader, where, 0)
        loader.get_event()  # the end of the document
        if not loader.check_event(yaml.StreamEndEvent):
            raise SweepSyntaxError(f"{where} has more than one YAML document", "keep one of them")
        return value
    except (yaml.YAMLError, ValueError) as error:
        reason = printable(" ".join(str(error).split()))
        raise SweepSyntaxError(f"{where} is not valid YAML: {reason}", None) from error
    finally:
        loader.dispose()


@functools.cache
def _loader_class() -> Any:
    """Return PyYAML's safe loader, with dates left as text and ``1e-4`` read as a number."""
    import yaml

    base: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    resolvers = {
        first: [pair for pair in pairs if pair[0] != _TIMESTAMP_TAG]
        for first, pairs in base.yaml_implicit_resolvers.items()
    }
    loader: Any = type("_SweepLoader", (base,), {"yaml_implicit_resolvers": resolvers})
    loader.add_implicit_resolver(_FLOAT_TAG, re.compile(_EXPONENT.pattern + "$"), "-+.0123456789")
    return loader


def _yaml_value(loader: Any, where: str, depth: int) -> Any:
    """Build the next value from the parser's events.

    PyYAML's own composer follows aliases, keeps the last of repeated keys, and its C form
    crashes the process on deep nesting.
    """
    import yaml

    event = loader.get_event()
    place = f"{where}: line {event.start_mark.line + 1}"
    if isinstance(event, yaml.AliasEvent) or event.anchor is not None:
        raise SweepSyntaxError(f"{place}: anchors and aliases are not allowed", "write it out")
    if depth > MAX_DEPTH:
        raise SweepSyntaxError(f"{place}: nested more than {MAX_DEPTH} levels deep", None)
    if event.tag not in (None, "!", _STRING_TAG):
        raise SweepSyntaxError(f"{place}: the tag {event.tag} is not allowed", "remove it")
    if isinstance(event, yaml.ScalarEvent):
        tag = event.tag or loader.resolve(yaml.ScalarNode, event.value, event.implicit)
        node = yaml.ScalarNode(tag, event.value)
        return event.value if tag in ("!", _STRING_TAG) else loader.construct_object(node)
    if isinstance(event, yaml.SequenceStartEvent):
        items = []
        while not loader.check_event(yaml.SequenceEndEvent):
            items.append(_yaml_value(loader, where, depth + 1))
        loader.get_event()
        return items
    mapping: dict[str, Any] = {}
    while not loader.check_event(yaml.MappingEndEvent):
        line = loader.peek_event().start_mark.line + 1
        key = _yaml_value(loader, where, depth + 1)
        if not isinstance(key, str):
            raise SweepSyntaxError(f"{where}: line {line}: the key {key!r} is not text", None)
        if key in mapping:
            raise SweepSyntaxError(f"{where}: line {line}: {key!r} is given twice", "keep one")
        mapping[key] = _yaml_value(loader, where, depth + 1)
    loader.get_event()
    return mapping
