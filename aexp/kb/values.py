"""State-point values and keys: what may go in, and how plain text gets a type.

A value typed on a command line or read from CSV has no type of its own. It travels as
:class:`Text` until either the experiment's ``parameters:`` schema or :func:`typed`
decides what it is.
"""

import json
import math
import re
from collections.abc import Hashable
from typing import Any

from aexp.numbers import MAX_BITS

MAX_DEPTH = 32
_DECIMAL = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]{1,3})?")
_MOST_DIGITS = 1000
_INTEGER = re.compile(r"[+-]?[0-9]+")
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f]")
_NOT_UTF8 = re.compile("[\ud800-\udfff]")
_BLANK = re.compile(r"\s*")


class Text(str):
    """A value exactly as the user wrote it, not yet given a type."""

    __slots__ = ()


def typed(value: Any) -> Any:
    """Give a :class:`Text` its type: an int if it reads as one, else a plain string.

    Parameters
    ----------
    value : Any
        Anything; what is not a `Text` is returned unchanged.

    Returns
    -------
    Any
        The value to store in a state point.
    """
    if not isinstance(value, Text):
        return value
    if _INTEGER.fullmatch(value):
        try:
            return int(value)
        except ValueError:  # Python refuses to convert thousands of digits
            pass
    return str(value)


def same_value(have: object, wanted: object) -> bool:
    """Return whether a state-point value is the one that a selector asks for.

    Values are compared as JSON: 1 is 1.0, and ``true`` is no number. A wanted text also
    finds what it spells, in JSON's way or Python's (``true``, ``True``, ``null``), and the
    same number however it is written (``0.50``).
    """
    if isinstance(have, str) and isinstance(wanted, str):
        return have == wanted
    return not found_by(have).isdisjoint(asks_for(wanted))


def found_by(have: object) -> set[Hashable]:
    """Return the keys under which an index finds a value: one that `asks_for` it fits.

    A value that is nested beyond any sense has none.
    """
    try:
        keys: set[Hashable] = {canonical(have)}
        if not isinstance(have, str):
            keys |= {("spelt", str(have)), ("spelt", spelling(have))}
    except (RecursionError, ValueError):
        return set()
    return keys


def asks_for(wanted: object) -> set[Hashable]:
    """Return the keys of an index that a wanted value may be found by."""
    try:
        keys: set[Hashable] = {canonical(wanted)}
    except RecursionError:
        return set()
    if isinstance(wanted, str):
        keys.add(("spelt", str(wanted)))
        if len(wanted) <= _MOST_DIGITS and _DECIMAL.fullmatch(wanted):
            number = int(wanted) if _INTEGER.fullmatch(wanted) else float(wanted)
            keys.add(("number", number))
    return keys


def spelling(value: object) -> str:
    """Return a value as JSON spells it, for labels; a text is its own."""
    return str(value) if isinstance(value, str) else json.dumps(value, default=str)


def canonical(value: object) -> Hashable:
    """Return something hashable that is equal where the JSON values are."""
    if isinstance(value, dict):
        return ("object", frozenset((key, canonical(item)) for key, item in value.items()))
    if isinstance(value, list | tuple):
        return ("list", *map(canonical, value))
    if isinstance(value, int | float) and not isinstance(value, bool):
        return ("number", value if value == value else "NaN")
    return (type(value).__name__ if not isinstance(value, str) else "text", str(value))


def key_problem(key: object) -> str | None:
    """Say why `key` cannot name a parameter, or return None when it can.

    A key is one word of letters, digits and underscores in any script. That is what
    ``{key}`` in a runner command can name, and signac forbids dots.
    """
    if not isinstance(key, str):
        return f"{key!r} is not text"
    if not key:
        return "the name is empty"
    if "." in key:
        return f"{key!r} has a dot"
    if not key.isidentifier():
        return f"{key!r} is not one word of letters, digits and underscores"
    return None


def value_problem(value: object, depth: int = 0) -> str | None:
    """Say why `value` cannot be stored in a state point, or return None when it can."""
    if isinstance(value, str):
        if isinstance(value, Text) and _CONTROL.search(value):
            return f"{value!r} has a control character"
        if "\0" in value:
            return "text cannot contain a NUL character"
        return "text is not valid UTF-8" if _NOT_UTF8.search(value) else None
    if value is None or isinstance(value, bool):
        return None
    if isinstance(value, int):
        return "the number has too many digits" if value.bit_length() > MAX_BITS else None
    if isinstance(value, float):
        return None if math.isfinite(value) else f"{value} is not a finite number"
    if depth >= MAX_DEPTH:
        return f"it is nested more than {MAX_DEPTH} levels deep"
    if isinstance(value, list):
        return _first_problem(value, depth)
    if isinstance(value, dict):
        for key in value:
            if not isinstance(key, str):
                return f"the key {key!r} is not text"
            if "." in key:
                return f"the key {key!r} has a dot"
        return _first_problem([*value, *value.values()], depth)
    return f"a value of type {type(value).__name__} cannot be written as JSON"


def _first_problem(values: list[Any], depth: int) -> str | None:
    problems = (value_problem(value, depth + 1) for value in values)
    return next((problem for problem in problems if problem), None)


def parse_json(text: str, start: int = 0) -> tuple[Any, int]:
    """Read one JSON value out of `text`.

    Parameters
    ----------
    text : str
        The text that holds the value.
    start : int, optional
        Where the value begins; blanks before it are skipped.

    Returns
    -------
    tuple of (Any, int)
        The value, and the position after it and the blanks that follow.

    Raises
    ------
    ValueError
        If it is not JSON that can be stored: malformed, a repeated key, NaN or infinity,
        nested too deeply. A ``json.JSONDecodeError`` also tells the position.
    """
    try:
        value, end = _DECODER.raw_decode(text, skip_blanks(text, start))
    except RecursionError:
        raise ValueError(f"it is nested more than {MAX_DEPTH} levels deep") from None
    problem = value_problem(value)
    if problem:
        raise ValueError(problem)
    return value, skip_blanks(text, end)


def skip_blanks(text: str, start: int) -> int:
    """Return the position of the first character at or after `start` that is not blank."""
    match = _BLANK.match(text, start)
    return match.end() if match else start


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for key, value in pairs:
        if key in result:
            raise ValueError(f"the key {key!r} is given twice")
        result[key] = value
    return result


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is not a finite number")


_DECODER = json.JSONDecoder(object_pairs_hook=_unique_keys, parse_constant=_refuse_constant)
