"""The conditions of outcomes: their tree, and what it says of a run's values.

A condition is data. It is parsed by `aexp.preregistration.grammar` and walked here; no part of
it, and no value of a run, is ever executed or put into another language.

A comparison with a value that is not there, is null, or is not a number, is neither true nor
false (Kleene's third value): ``not (loss < 1)`` of a run without a loss does not hold either.
"""

import math
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

Scalar = bool | int | float | str

_BARE = re.compile(r"[^\W\d]\w*(?:[./]\w+)*")
KEYWORDS = frozenset({"and", "or", "not", "true", "false", "missing", "nan"})
_NUMBERS_BY_NAME = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}
_COMPARE: Mapping[str, Callable[[Any, Any], bool]] = {
    "==": lambda a, b: bool(a == b),
    "!=": lambda a, b: bool(a != b),
    "<": lambda a, b: bool(a < b),
    "<=": lambda a, b: bool(a <= b),
    ">": lambda a, b: bool(a > b),
    ">=": lambda a, b: bool(a >= b),
}
OPERATORS = tuple(sorted(_COMPARE, key=len, reverse=True))


class Name(NamedTuple):
    """A metric."""

    name: str

    def __str__(self) -> str:
        if _BARE.fullmatch(self.name) and self.name not in KEYWORDS:
            return self.name
        return "`" + self.name.replace("`", "``") + "`"


class Literal(NamedTuple):
    """A number, a text, true or false."""

    value: Scalar

    def __str__(self) -> str:
        if isinstance(self.value, str):
            return "'" + self.value.replace("'", "''") + "'"
        return str(self.value).lower() if isinstance(self.value, bool) else repr(self.value)


class Compare(NamedTuple):
    """Operands with comparisons between them: ``0.4 <= score < 0.6``."""

    operands: tuple["Node", ...]
    operators: tuple[str, ...]

    def __str__(self) -> str:
        words = [str(self.operands[0])]
        for operator, operand in zip(self.operators, self.operands[1:], strict=True):
            words += [operator, str(operand)]
        return " ".join(words)


class Probe(NamedTuple):
    """``missing(x)``: there is no such value, or it is null. ``nan(x)``: it is not a number."""

    what: str
    name: Name

    def __str__(self) -> str:
        return f"{self.what}({self.name})"


class Not(NamedTuple):
    """The opposite."""

    operand: "Node"

    def __str__(self) -> str:
        return f"not {_inside(self.operand, Not, Compare, Probe, Name, Literal)}"


class Both(NamedTuple):
    """All of them: ``and``."""

    operands: tuple["Node", ...]

    def __str__(self) -> str:
        return " and ".join(
            _inside(each, Not, Compare, Probe, Name, Literal) for each in self.operands
        )


class Either(NamedTuple):
    """At least one of them: ``or``."""

    operands: tuple["Node", ...]

    def __str__(self) -> str:
        return " or ".join(
            _inside(each, Both, Not, Compare, Probe, Name, Literal) for each in self.operands
        )


Node = Name | Literal | Compare | Probe | Not | Both | Either


def _inside(node: Node, *plain: type) -> str:
    return str(node) if isinstance(node, plain) else f"({node})"


def names_of(node: Node) -> Iterator[str]:
    """Return the metrics that a condition speaks of, in its order."""
    if isinstance(node, Name):
        yield node.name
    elif isinstance(node, Probe):
        yield node.name.name
    elif isinstance(node, Not):
        yield from names_of(node.operand)
    elif isinstance(node, Compare | Both | Either):
        for operand in node.operands:
            yield from names_of(operand)


def holds(node: Node, values: Mapping[str, Any]) -> bool | None:
    """Return whether a condition is true or false of a run's values; None for neither.

    Parameters
    ----------
    node : Node
        The condition.
    values : mapping
        Flat names to values of any kind; what is no number, text, true or false counts as
        there, but compares with nothing.
    """
    if isinstance(node, Probe):
        value = _value(node.name, values)
        if node.what == "missing":
            return value is None
        return None if value is None else isinstance(value, float) and math.isnan(value)
    if isinstance(node, Not):
        inner = holds(node.operand, values)
        return None if inner is None else not inner
    if isinstance(node, Both):
        return _all(holds(each, values) for each in node.operands)
    if isinstance(node, Either):
        opposite = _all(_opposite(holds(each, values)) for each in node.operands)
        return _opposite(opposite)
    if isinstance(node, Compare):
        found = [_value(each, values) for each in node.operands]
        return _all(
            _compared(left, operator, right)
            for left, operator, right in zip(found, node.operators, found[1:], strict=False)
        )
    value = _value(node, values)
    return value if isinstance(value, bool) else None


def _value(node: Node, values: Mapping[str, Any]) -> Any:
    if isinstance(node, Literal):
        return node.value
    value = values.get(node.name) if isinstance(node, Name) else None
    return _NUMBERS_BY_NAME.get(value, value) if isinstance(value, str) else value


def _compared(left: Any, operator: str, right: Any) -> bool | None:
    if isinstance(left, str) and isinstance(right, str):
        return _COMPARE[operator](left, right)
    for value in (left, right):
        if not isinstance(value, bool | int | float):
            return None
        if isinstance(value, float) and math.isnan(value):
            return None
    return _COMPARE[operator](left, right)


def _opposite(value: bool | None) -> bool | None:
    return None if value is None else not value


def _all(values: Iterator[bool | None]) -> bool | None:
    result: bool | None = True
    for value in values:
        if value is False:
            return False
        if value is None:
            result = None
    return result
