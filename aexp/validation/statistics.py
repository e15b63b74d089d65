"""The numbers that claims are checked against.

Point statistics are those of `aexp.ledger.points`; intervals come from `scipy.stats` (the extra
``stats``), imported when the first interval is asked for. Formulas and sources:
``docs/findings.md``.
"""

import sys
import warnings
from collections.abc import Sequence

from aexp.ledger.points import Undefined, finite, point
from aexp.numbers import as_number

__all__ = [
    "INSTALL",
    "Interval",
    "StatsMissing",
    "Undefined",
    "as_number",
    "difference",
    "interval",
    "point",
]

INSTALL = "pip install 'aexp[stats]'"

_PICKED = frozenset({"median", "min", "max", "count"})

Interval = tuple[float, float]


class StatsMissing(Exception):
    """SciPy, which computes intervals, is not installed."""


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
        return finite(point("mean", first) / below)
    kind = stat.removesuffix("_diff")
    if is_paired:
        return point(kind, [a - b for a, b in zip(first, second, strict=True)])
    return finite(point(kind, first) - point(kind, second))


def scale(stat: str, samples: Sequence[Sequence[float]], found: float) -> float:
    """Return the size of the numbers whose binary rounding is in a statistic.

    Where values are added or subtracted, the rounding of the largest of them stays in a
    result that is much smaller; those that pick a value have that of their result alone.
    """
    largest = [max((abs(value) for value in sample), default=0.0) for sample in samples]
    if stat == "ratio":
        below = abs(point("mean", samples[1]))
        return min((largest[0] + abs(found) * largest[1]) / below, sys.float_info.max)
    if stat in _PICKED:
        return abs(found)
    return max(largest)


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
    return finite(float(found.low)), finite(float(found.high))
