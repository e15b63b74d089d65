"""What a parameter or a metric must be: ``lr<0.1``, ``accuracy>=0.9``, ``model~res*``."""

import json
import math
import re
from typing import Any, NamedTuple

from aexp.errors import UsageError

_OPERATOR = re.compile(r"<=|>=|!=|==|=|<|>|~")
_SQL = {"<": "<", "<=": "<=", ">": ">", ">=": ">="}
_INTEGER = re.compile(r"[+-]?[0-9]{1,1000}")
_NOT_FINITE = {"nan": math.nan, "inf": math.inf, "infinity": math.inf}
_HINT = "write it like lr<0.1, lr>=1e-4, model=base, model!=base, model~res*, or lr for any value"


class Comparison(NamedTuple):
    """One condition on a parameter or metric.

    Attributes
    ----------
    name : str
        The parameter or metric; nested ones have names with dots.
    operator : str
        ``=``, ``!=``, ``<``, ``<=``, ``>``, ``>=``, ``~`` (a pattern), or empty: it is there.
    value : str
        What it is compared with, as it was typed.
    """

    name: str
    operator: str = ""
    value: str = ""

    def __str__(self) -> str:
        return f"{self.name}{self.operator}{self.value}"


def parse_comparison(text: str) -> Comparison:
    """Read a condition; a name that has an operator in it is written as a JSON string.

    Raises
    ------
    UsageError
        If there is no name, or nothing to compare with.
    """
    given = text.strip()
    name, rest = given, ""
    if given.startswith('"'):
        try:
            name, end = json.JSONDecoder().raw_decode(given)
        except ValueError:
            raise UsageError(f"{text!r} has no closing quote", _HINT) from None
        rest = given[end:].strip()
        found = _OPERATOR.match(rest)
        if rest and found is None:
            raise UsageError(f"{text!r} has no comparison after the name", _HINT)
    else:
        found = _OPERATOR.search(given)
        if found is not None:
            name, rest = given[: found.start()].strip(), given[found.start() :]
    if not name:
        raise UsageError(f"{text!r} names nothing to compare", _HINT)
    if found is None:
        return Comparison(name)
    value = rest[len(found[0]) :].strip()
    if not value:
        raise UsageError(f"{text!r} has nothing to compare {name} with", _HINT)
    if _OPERATOR.match(value) and not value.startswith("~"):
        raise UsageError(f"{text!r} has two operators", _HINT)
    return Comparison(name, "=" if found[0] == "==" else found[0], value)


def parameter_sql(one: Comparison) -> tuple[str, list[Any]]:
    """Return the condition on rows of `params`, with the values that it binds.

    A number is compared by its size however it is written, a text by its characters; a
    value also equals the text that spells it. A run without the parameter never matches.
    """
    number = as_number(one.value)
    if one.operator == "":
        return "key = ?", [one.name]
    if one.operator == "~":
        return "key = ? AND str GLOB ?", [one.name, one.value]
    if one.operator in ("=", "!="):
        is_it, values = _equal(one.value, number)
        word = "" if one.operator == "=" else "NOT "
        return f"key = ? AND {word}({is_it})", [one.name, *values]
    operator = _SQL[one.operator]
    if number is not None:
        # A number that is none has no place among the others.
        condition = f"type IN ('int', 'float') AND NOT isnan(num) AND num {operator} ?"
        return f"key = ? AND {condition}", [one.name, number]
    return f"key = ? AND type = 'str' AND str {operator} ?", [one.name, one.value]


def _equal(value: str, number: float | None) -> tuple[str, list[Any]]:
    if _INTEGER.fullmatch(value):
        # Integers are compared digit by digit: they may be longer than a number can tell.
        return (
            "str = ? OR (type = 'int' AND str = ?) OR (type = 'float' AND num = ?)",
            [value, str(int(value)), number],
        )
    if number is not None:
        return "str = ? OR (type IN ('int', 'float') AND num = ?)", [value, number]
    return "str = ?", [value]


def metric_sql(one: Comparison) -> tuple[str, list[Any]]:
    """Return the condition on rows of `metrics`, with the values that it binds.

    Raises
    ------
    UsageError
        If it is compared with what is no number.
    """
    if one.operator == "":
        return "key = ?", [one.name]
    number = as_number(one.value, names=True)
    if number is None or one.operator == "~":
        raise UsageError(
            f"{str(one)!r} does not compare with a number",
            "metrics are numbers: accuracy>=0.9, or loss=nan for those that are none",
        )
    if math.isnan(number):
        if one.operator not in ("=", "!="):
            raise UsageError(f"{str(one)!r}: nothing is more or less than NaN", "write loss=nan")
        return f"key = ? AND {'' if one.operator == '=' else 'NOT '}isnan(value)", [one.name]
    if one.operator in ("=", "!="):
        operator = "=" if one.operator == "=" else "<>"
        return f"key = ? AND value {operator} ?", [one.name, number]
    return f"key = ? AND NOT isnan(value) AND value {_SQL[one.operator]} ?", [one.name, number]


def as_number(text: str, *, names: bool = False) -> float | None:
    """Return the number that a text writes; true, false and ``nan`` are names of numbers."""
    if names:
        word = text.lower().removeprefix("+")
        named = {
            **_NOT_FINITE,
            "-inf": -math.inf,
            "-infinity": -math.inf,
            "true": 1.0,
            "false": 0.0,
        }
        if word in named:
            return named[word]
    try:
        value = float(text)
    except ValueError:
        return None
    # Python also reads 1_000 and names; here they are text.
    return value if math.isfinite(value) and "_" not in text else None
