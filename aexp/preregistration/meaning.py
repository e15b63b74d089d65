"""The keys of a pre-registration, checked one by one: questions, metrics, outcomes."""

import re
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from itertools import pairwise
from typing import Any, NamedTuple

from aexp.preregistration.condition import (
    Both,
    Compare,
    Either,
    Literal,
    Name,
    Node,
    Not,
    Probe,
    names_of,
)
from aexp.preregistration.grammar import ConditionError, parse_condition

NONE, UNKNOWN = "none", "unknown"
AGENT_MODES = ("collaborative", "autonomous")
TYPES = ("float", "int", "bool", "text")
_TABLES = ("preregistration", "metrics", "outcomes")
_ABOUT = ("question", "hypothesis", "agent_mode")
_OUTCOME = ("condition", "decision", "reasoning", "residual")
_MAX_TEXT = 10_000
_MAX_OUTCOMES = 200
_FORBIDDEN = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")

Fault = tuple[tuple[str, ...], str]


class Problem(NamedTuple):
    """One thing that is wrong with a pre-registration.

    Attributes
    ----------
    key : tuple of str
        Where: ``("outcomes", "better", "condition")``.
    line : int
        The line of the file, from 1.
    message : str
        What is wrong.
    """

    key: tuple[str, ...]
    line: int
    message: str

    def __str__(self) -> str:
        return f"{'.'.join(self.key)}: {self.message}" if self.key else self.message


class Declared(NamedTuple):
    """One outcome that is possible.

    Attributes
    ----------
    label : str
        Its name.
    condition : str or None
        When it is the one; None for the residual.
    decision, reasoning : str
        What follows from it, and why.
    residual : bool
        Whether it stands for whatever the others do not cover.
    """

    label: str
    condition: str | None
    decision: str
    reasoning: str
    residual: bool


class Preregistration(NamedTuple):
    """What is to be learnt, which metrics tell it, and what each result will mean.

    Attributes
    ----------
    question : str
        In a sentence.
    hypothesis : str or None
        What is expected, or the id of a hypothesis of the record.
    agent_mode : str or None
        Who works: ``collaborative`` or ``autonomous``.
    metrics : dict
        Name to ``float``, ``int``, ``bool`` or ``text``.
    outcomes : list of Declared
        In the order in which they are tried.
    """

    question: str
    hypothesis: str | None
    agent_mode: str | None
    metrics: dict[str, str]
    outcomes: list[Declared]


def read_meaning(content: Mapping[str, Any]) -> tuple[Preregistration, list[Fault]]:
    """Return what a parsed pre-registration says, and what is wrong with it, key by key."""
    faults: list[Fault] = list(_unknown(content, _TABLES, ()))
    about = _table(content, "preregistration", faults)
    faults += _unknown(about, _ABOUT, ("preregistration",))
    question = _text(about, "question", ("preregistration",), faults) or ""
    hypothesis = about.get("hypothesis")
    if hypothesis is not None:
        hypothesis = _text(about, "hypothesis", ("preregistration",), faults)
    mode = about.get("agent_mode")
    if mode is not None and mode not in AGENT_MODES:
        faults.append(
            (("preregistration", "agent_mode"), f"{mode!r} is none of {', '.join(AGENT_MODES)}")
        )
    metrics = dict(_metrics(_table(content, "metrics", faults), (), faults))
    if not metrics and not faults:
        faults.append((("metrics",), "no metric is declared"))
    outcomes = _outcomes(_table(content, "outcomes", faults), metrics, faults)
    return Preregistration(question, hypothesis, mode, metrics, outcomes), faults


def _table(content: Mapping[str, Any], name: str, faults: list[Fault]) -> Mapping[str, Any]:
    value = content.get(name)
    if isinstance(value, Mapping) and all(isinstance(key, str) for key in value):
        return value
    if value is None:
        faults.append(((name,), "it is missing"))
    else:
        faults.append(((name,), "it is not a table of names"))
    return {}


def _unknown(
    table: Mapping[str, Any], known: tuple[str, ...], path: tuple[str, ...]
) -> Iterator[Fault]:
    for key in table:
        if key not in known:
            near = get_close_matches(str(key), known, n=1)
            guess = f"; did you mean {near[0]}?" if near else f"; one of {', '.join(known)}"
            yield (*path, str(key)), f"there is no such key{guess}"


def _text(
    table: Mapping[str, Any], key: str, path: tuple[str, ...], faults: list[Fault]
) -> str | None:
    value = table.get(key)
    if value is None:
        faults.append(((*path, key), "it is missing"))
    elif not isinstance(value, str):
        faults.append(((*path, key), f"it is {type(value).__name__}, not text"))
    elif not value.strip():
        faults.append(((*path, key), "it is empty"))
    elif len(value) > _MAX_TEXT:
        faults.append(((*path, key), f"it is over {_MAX_TEXT} characters long"))
    else:
        return value
    return None


def _metrics(
    table: Mapping[str, Any], path: tuple[str, ...], faults: list[Fault]
) -> Iterator[tuple[str, str]]:
    for key, value in table.items():
        inner = (*path, str(key))
        if isinstance(value, Mapping):
            yield from _metrics(value, inner, faults)
        elif value in TYPES:
            yield ".".join(inner), str(value)
        else:
            message = f"its type is {value!r}, none of {', '.join(TYPES)}"
            faults.append((("metrics", *inner), message))
            yield ".".join(inner), ""  # of no type: what is said about it elsewhere may be right


def _outcomes(
    table: Mapping[str, Any], metrics: Mapping[str, str], faults: list[Fault]
) -> list[Declared]:
    found = []
    if len(table) > _MAX_OUTCOMES:
        faults.append((("outcomes",), f"there are over {_MAX_OUTCOMES}"))
        return []
    for label, given in table.items():
        path = ("outcomes", label)
        wrong = _label_fault(label)
        if wrong:
            faults.append((path, wrong))
        if not isinstance(given, Mapping):
            faults.append((path, "it is not a table with condition, decision and reasoning"))
            continue
        faults += _unknown(given, _OUTCOME, path)
        residual = given.get("residual", False)
        if not isinstance(residual, bool):
            faults.append(((*path, "residual"), "it is neither true nor false"))
        condition = _condition(given, residual is True, path, metrics, faults)
        decision = _text(given, "decision", path, faults) or ""
        reasoning = _text(given, "reasoning", path, faults) or ""
        found.append(Declared(label, condition, decision, reasoning, residual is True))
    residuals = [outcome.label for outcome in found if outcome.residual]
    if table and not residuals:
        message = "none is the residual one, for what the others do not cover: residual = true"
        faults.append((("outcomes",), message))
    faults += [
        (("outcomes", label, "residual"), f"{residuals[0]} is the residual one already")
        for label in residuals[1:]
    ]
    if not table and not any(path[:1] == ("outcomes",) for path, _ in faults):
        faults.append((("outcomes",), "there is none"))
    return found


def _label_fault(label: str) -> str | None:
    if not label.strip() or len(label) > 100 or _FORBIDDEN.search(label):
        return "a label is one line of 1 to 100 printable characters"
    if label.strip().lower() in (NONE, UNKNOWN):
        return f"{label!r} has a meaning of its own; take another label"
    return None


def _condition(
    given: Mapping[str, Any],
    residual: bool,
    path: tuple[str, ...],
    metrics: Mapping[str, str],
    faults: list[Fault],
) -> str | None:
    where = (*path, "condition")
    if residual:
        if "condition" in given:
            faults.append((where, "the residual outcome has none: it is what the others leave"))
        return None
    text = _text(given, "condition", path, faults)
    if text is None:
        return None
    try:
        node = parse_condition(text)
    except ConditionError as error:
        faults.append((where, str(error)))
        return text
    names = list(dict.fromkeys(names_of(node)))
    if not names:
        faults.append((where, "it speaks of no metric, so it says nothing about a run"))
    for name in names:
        if name not in metrics:
            near = get_close_matches(name, metrics, n=1)
            guess = f"; did you mean {near[0]}?" if near else ""
            faults.append((where, f"{name!r} is not declared in [metrics]{guess}"))
    faults += [(where, message) for message in _type_faults(node, metrics)]
    return text


def _type_faults(node: Node, metrics: Mapping[str, str]) -> Iterator[str]:
    """Return what no value of the declared types can ever make true."""
    if isinstance(node, Compare):
        kinds = [(operand, _kind(operand, metrics)) for operand in node.operands]
        for (left, one), (right, other) in pairwise(kinds):
            if one and other and (one == "text") != (other == "text"):
                yield f"{left} is {one}, {right} is {other}: they never compare"
    elif isinstance(node, Both | Either):
        for operand in node.operands:
            yield from _type_faults(operand, metrics)
            yield from _alone(operand, metrics)
    elif isinstance(node, Not):
        yield from _type_faults(node.operand, metrics)
        yield from _alone(node.operand, metrics)
    else:
        yield from _alone(node, metrics)


def _alone(node: Node, metrics: Mapping[str, str]) -> Iterator[str]:
    if isinstance(node, Name | Literal) and _kind(node, metrics) not in (None, "", "bool"):
        yield f"{node} by itself is neither true nor false: compare it"


def _kind(node: Node, metrics: Mapping[str, str]) -> str | None:
    if isinstance(node, Name):
        return metrics.get(node.name)
    if isinstance(node, Probe) or not isinstance(node, Literal):
        return None
    if isinstance(node.value, str):
        return "text"
    return "bool" if isinstance(node.value, bool) else "float"
