"""The numbers that claims are checked against.

Point statistics come from the standard library, intervals from `scipy.stats` (the extra
``stats``), imported when the first interval is asked for. Formulas and sources:
``docs/findings.md``.
"""

import math
import statistics
import warnings
from collections.abc import Callable, Sequence

INSTALL = "pip install 'aexp[stats]'"

Interval = tuple[float, float]


class Undefined(Exception):
    """There is no such number for these values; the text says why."""


class StatsMissing(Exception):
    """SciPy, which computes intervals, is not installed."""


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
        return _finite(_POINT[stat](values))
    except OverflowError:
        raise Undefined("the numbers are too large to add") from None


def difference(
    stat: str, first: Sequence[float], second: Sequence[float], *, is_paired: bool
) -> float:
    """Return one of `aexp.kb.claim.COMPARISONS` of finite values: first against second.

    Raises
    ------
    Undefined
        If there is none, for instance a ratio to zero.
    """
    if stat == "ratio":
        below = point("mean", second)
        if below == 0:
            raise Undefined("the second mean is 0")
        return _finite(point("mean", first) / below)
    kind = stat.removesuffix("_diff")
    if is_paired:
        return point(kind, [a - b for a, b in zip(first, second, strict=True)])
    return _finite(point(kind, first) - point(kind, second))


def interval(
    first: Sequence[float],
    second: Sequence[float] | None = None,
    *,
    level: float,
    is_paired: bool = False,
) -> Interval:
    """Return the confidence interval of a mean, or of the difference of two.

    One sample: Student's t. Two: Welch's t, or with `is_paired` Student's t of the
    differences.

    Raises
    ------
    StatsMissing
        Without SciPy.
    Undefined
        With fewer than two runs on a side.
    """
    if min(len(first), len(first if second is None else second)) < 2:
        raise Undefined("an interval needs two runs" + (" on each side" if second else ""))
    try:
        from scipy import stats
    except ImportError:
        raise StatsMissing(f"intervals need SciPy: {INSTALL}") from None
    with warnings.catch_warnings():
        # Equal values: the test statistic is a division by zero, the interval is a point.
        warnings.simplefilter("ignore", RuntimeWarning)
        if second is None:
            test = stats.ttest_1samp(first, 0.0)
        elif is_paired:
            test = stats.ttest_rel(first, second)
        else:
            test = stats.ttest_ind(first, second, equal_var=False)
        found = test.confidence_interval(confidence_level=level)
    return _finite(float(found.low)), _finite(float(found.high))


def as_number(value: object) -> float | None:
    """Return a metric of a ledger entry as a number, None when it is none.

    The names that JSON has no number for (``NaN``, ``Infinity``) are numbers here, and true
    and false are 1 and 0.
    """
    if isinstance(value, (int, float)):
        try:
            return float(value)
        except OverflowError:
            return math.inf if value > 0 else -math.inf
    return float(value) if value in ("NaN", "Infinity", "-Infinity") else None


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values)


def _finite(value: float) -> float:
    if not math.isfinite(value):
        raise Undefined("the numbers are too large to add")
    return value


_POINT: dict[str, Callable[[Sequence[float]], float]] = {
    "mean": _mean,
    "median": statistics.median,
    "min": min,
    "max": max,
    "sd": statistics.stdev,
}
