"""The ``checkpoints:`` of an experiment: which checkpoints of its runs are kept."""

import re
from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any, NamedTuple

from aexp.errors import ParameterError

KEYS = ("keep_last", "keep_every", "keep_best", "keep_final")
MODES = ("min", "max")
_BEST = re.compile(r"(?P<metric>.+?)(?::(?P<mode>min|max))?(?::(?P<count>[0-9]{1,6}))?")
_EXAMPLE = "write checkpoints: {keep_last: 3, keep_every: 10000, keep_best: loss}"
_BEST_EXAMPLE = "write keep_best: {metric: loss, mode: min, count: 2}, or loss:min:2"


class Best(NamedTuple):
    """Keep the `number` checkpoints with the lowest (``min``) or highest value of a metric."""

    metric: str
    mode: str = "min"
    number: int = 1


class Retention(NamedTuple):
    """Which checkpoints of a run are kept; the others may be dropped.

    Attributes
    ----------
    keep_last : int
        So many of the newest that are whole; never fewer than one.
    keep_every : int or None
        The first of each so many steps.
    keep_best : tuple of Best
        The best by metrics.
    keep_final : bool
        Those that were saved with the reason ``final``.
    """

    keep_last: int = 1
    keep_every: int | None = None
    keep_best: tuple[Best, ...] = ()
    keep_final: bool = True


def read_retention(value: object, where: str = "checkpoints") -> Retention | None:
    """Return the policy that a note or a caller gives, None when nothing is to be dropped.

    Raises
    ------
    ParameterError
        If it is malformed.
    """
    if value is None:
        return None
    if not isinstance(value, Mapping):
        raise ParameterError(f"{where} is no mapping", _EXAMPLE)
    for key in value:
        if key not in KEYS:
            near = get_close_matches(str(key), KEYS, n=1)
            hint = f"did you mean {near[0]}?" if near else "its keys: " + ", ".join(KEYS)
            raise ParameterError(f"{where} has no key {str(key)!r}", hint)
    given = {key: item for key, item in value.items() if item is not None}
    if not given:
        return None
    final = given.get("keep_final", True)
    if not isinstance(final, bool):
        raise ParameterError(f"{where}: keep_final is {final!r}", "write true or false")
    if given.keys() == {"keep_final"}:
        raise ParameterError(
            f"{where} says nothing of what is kept besides final ones", "add keep_last: 3"
        )
    every = given.get("keep_every")
    return Retention(
        keep_last=_count(given.get("keep_last", 1), f"{where}: keep_last"),
        keep_every=None if every is None else _count(every, f"{where}: keep_every"),
        keep_best=_bests(given.get("keep_best"), f"{where}: keep_best"),
        keep_final=final,
    )


def parse_best(text: str, where: str = "keep_best") -> Best:
    """Read ``METRIC``, ``METRIC:max`` or ``METRIC:max:3``."""
    match = _BEST.fullmatch(text)
    if match is None or not match["metric"].isprintable():
        raise ParameterError(f"{where} is {text!r}", _BEST_EXAMPLE)
    count = _count(int(match["count"] or 1), where)
    return Best(match["metric"], match["mode"] or "min", count)


def _bests(value: Any, where: str) -> tuple[Best, ...]:
    if value is None:
        return ()
    items = value if isinstance(value, (list, tuple)) else [value]
    return tuple(dict.fromkeys(_best(item, where) for item in items))


def _best(value: Any, where: str) -> Best:
    if isinstance(value, Best):
        value = {"metric": value.metric, "mode": value.mode, "count": value.number}
    if isinstance(value, str):
        return parse_best(value, where)
    known = {"metric", "mode", "count"}
    if not isinstance(value, Mapping) or not {"metric"} <= set(value) <= known:
        raise ParameterError(f"{where} is {value!r:.80}", _BEST_EXAMPLE)
    metric, mode = value["metric"], value.get("mode", "min")
    if not isinstance(metric, str) or not metric or mode not in MODES:
        raise ParameterError(f"{where} is {value!r:.80}", _BEST_EXAMPLE)
    return Best(metric, mode, _count(value.get("count", 1), f"{where}: count"))


def _count(value: object, where: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= 10**15:
        raise ParameterError(f"{where} is {value!r}", "write a number, 1 or more")
    return value
