"""Values of JSON as values of typed columns: what is of another type is nothing."""

import json
import math
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from aexp.numbers import json_number

_LEAST, _MOST = -(1 << 63), (1 << 63) - 1
_DEEPEST = 200
_TYPES = {
    type(None): "null",
    bool: "bool",
    list: "list",
    dict: "dict",
}


def text(value: Any) -> str | None:
    """Return a text."""
    return value if type(value) is str else None


def flag(value: Any) -> bool | None:
    """Return true or false."""
    return value if type(value) is bool else None


def whole(value: Any) -> int | None:
    """Return an integer of 64 bits."""
    return value if type(value) is int and _LEAST <= value <= _MOST else None


def real(value: Any) -> float | None:
    """Return a number."""
    if type(value) is float:
        return value
    if type(value) is not int:
        return None
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf


def moment(value: Any) -> datetime | None:
    """Return a time of the record, which is UTC."""
    if type(value) is not str or len(value) < 19:
        return None
    try:
        return datetime.fromisoformat(value[:19])
    except ValueError:
        return None


def texts(value: Any) -> list[str] | None:
    """Return the texts of a list; None when it is no list, or empty."""
    if type(value) is not list:
        return None
    return [item for item in value if type(item) is str] or None


_encode = json.JSONEncoder(ensure_ascii=False, allow_nan=False, check_circular=False).encode


def as_json(value: Any) -> str | None:
    """Return JSON that is nothing but JSON: NaN and the like are their names."""
    if value is None:
        return None
    try:
        return _encode(value)
    except ValueError:
        return _encode(_named(value))


def _named(value: Any) -> Any:
    if type(value) is dict:
        return {key: _named(item) for key, item in value.items()}
    if type(value) is list:
        return [_named(item) for item in value]
    return json_number(value) if type(value) is float else value


class TooDeep(Exception):
    """Objects in objects, beyond any sense."""


def flat(value: Mapping[str, Any], prefix: str = "", depth: int = 0) -> Iterator[tuple[str, Any]]:
    """Return the values of nested objects under names with dots; an empty object is a value."""
    if depth > _DEEPEST:
        raise TooDeep
    for key, item in value.items():
        if type(item) is dict and item:
            yield from flat(item, f"{prefix}{key}.", depth + 1)
        else:
            yield prefix + key, item


def add_parameters(
    rows: list[Any], job_id: str, sp: Mapping[str, Any], prefix: str = "", depth: int = 0
) -> None:
    """Add a row per value of nested objects: id, name with dots, type, number, text.

    Raises
    ------
    TooDeep
        If they are nested beyond any sense.
    """
    if depth > _DEEPEST:
        raise TooDeep
    for key, value in sp.items():
        kind = type(value)
        name = prefix + key
        if kind is str:
            rows.append((job_id, name, "str", None, value))
        elif kind is float:
            rows.append((job_id, name, "float", value, _written(value)))
        elif kind is int:
            rows.append((job_id, name, "int", real(value), repr(value)))
        elif kind is dict and value:
            add_parameters(rows, job_id, value, name + ".", depth + 1)
        else:
            rows.append((job_id, name, _TYPES[kind], None, as_json(value) or "null"))


def _written(value: float) -> str:
    return repr(value) if math.isfinite(value) else str(json_number(value))


def clean(value: Any) -> Any:
    """Return a value whose texts are Unicode: half a surrogate pair is replaced."""
    if type(value) is str:
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return [clean(item) for item in value] if type(value) is list else value
