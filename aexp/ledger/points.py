"""The numbers that describe the metrics of several runs: mean, standard deviation, and such."""

import math
import statistics
from collections.abc import Callable, Sequence


class Undefined(Exception):
    """There is no such number for these values; the text says why."""


def point(stat: str, values: Sequence[float]) -> float:
    """Return one of `aexp.kb.claim.STATISTICS` of finite values.

    Raises
    ------
    Undefined
        If there is none: no values, one value for ``sd``, a sum beyond all numbers.
    """
    if stat == "count":
        return float(len(values))
    if not values:
        raise Undefined("there are no values")
    if stat == "sd" and len(values) < 2:
        raise Undefined("a standard deviation needs two runs")
    try:
        return finite(_POINT[stat](values))
    except OverflowError:
        raise Undefined("the numbers are too large to add") from None


def finite(value: float) -> float:
    """Return `value`, or raise `Undefined` where it is beyond all numbers."""
    if not math.isfinite(value):
        raise Undefined("the numbers are too large to add")
    return value


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values)


_POINT: dict[str, Callable[[Sequence[float]], float]] = {
    "mean": _mean,
    "median": statistics.median,
    "min": min,
    "max": max,
    "sd": statistics.stdev,
}
