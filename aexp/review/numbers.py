"""What describes the numbers of an arm, and which of them do not fit in.

Means, medians and deviations are those of `aexp.ledger.points`; the interval is Student's t
by `scipy.stats` (the extra ``stats``). Formulas: ``docs/campaigns.md``.
"""

import functools
import math
import statistics
from collections.abc import Sequence
from typing import NamedTuple

from aexp.ledger.points import Undefined, point
from aexp.ledger.rates import MIN_RUNS

LEVEL = 0.95
CUTOFF = 3.5
_MAD_TO_SD = 1.4826
_MEAN_AD_TO_SD = 1.2533
# Two numbers closer than this are the same one, computed in another order.
_ROUNDING = 1e-9


class Summary(NamedTuple):
    """A number over the complete runs of an arm.

    Attributes
    ----------
    n : int
        How many runs have it.
    mean, median, sd : float or None
        None where there is none: the `sd` of one run, a sum beyond all numbers.
    low, high : float or None
        The 95 % confidence interval of the mean; None with one run, or without SciPy.
    not_finite : int
        How many of the values are NaN or infinite; then none of the others is given.
    """

    n: int
    mean: float | None
    median: float | None
    sd: float | None
    low: float | None
    high: float | None
    not_finite: int = 0


class Outlier(NamedTuple):
    """A run whose number is far from those of its arm.

    Attributes
    ----------
    job_id : str
        The run.
    value, median : float
        Its number, and that in the middle.
    score : float
        How many robust standard deviations lie between.
    """

    job_id: str
    value: float
    median: float
    score: float


def has_scipy() -> bool:
    """Return whether intervals can be computed."""
    try:
        from scipy import special  # noqa: F401
    except ImportError:
        return False
    return True


def summarize(values: Sequence[float]) -> Summary:
    """Return what describes some values."""
    not_finite = sum(not math.isfinite(value) for value in values)
    if not_finite:
        # No number describes them all, and one over the rest would hide the others.
        return Summary(len(values), None, None, None, None, None, not_finite)
    mean, median, sd = (_point(stat, values) for stat in ("mean", "median", "sd"))
    low = high = None
    if mean is not None and sd is not None:
        quantile = _quantile(len(values) - 1)
        if quantile is not None:
            half = quantile * sd / math.sqrt(len(values))
            low, high = mean - half, mean + half
    return Summary(len(values), mean, median, sd, low, high)


def outliers(values: Sequence[tuple[str, float]]) -> list[Outlier]:
    """Return the runs whose value is more than 3.5 robust deviations from the median.

    The deviation is 1.4826 MAD; where more than half of the values are equal, so that the
    MAD is 0, it is 1.2533 times the mean absolute deviation. Of fewer than five values none
    is an outlier, and NaN or infinite ones are counted elsewhere.
    """
    found = [(job_id, value) for job_id, value in values if math.isfinite(value)]
    if len(found) < MIN_RUNS:
        return []
    middle = statistics.median(value for _, value in found)
    away = [abs(value - middle) for _, value in found]
    spread = _MAD_TO_SD * statistics.median(away)
    if spread <= _ROUNDING * abs(middle):
        spread = _MEAN_AD_TO_SD * math.fsum(away) / len(away)
    if spread <= _ROUNDING * abs(middle) or not math.isfinite(spread):
        return []
    return [
        Outlier(job_id, value, middle, far / spread)
        for (job_id, value), far in zip(found, away, strict=True)
        if far / spread > CUTOFF
    ]


@functools.cache
def _quantile(freedom: int) -> float | None:
    """Return Student's t of 97.5 %, None without SciPy."""
    try:
        from scipy import special
    except ImportError:
        return None
    return float(special.stdtrit(freedom, (1 + LEVEL) / 2))


def _point(stat: str, values: Sequence[float]) -> float | None:
    try:
        return point(stat, values)
    except Undefined:
        return None
