"""Shares of runs with their confidence bounds: what an alarm is raised on, and what not yet.

A share of few runs says little: 1 of 1 is 100 %, and may be 20 %. So a rate alarms only when
it has been seen on enough runs and its lower bound (Wilson's, 95 %) is above what is tolerated.
"""

import math
from collections.abc import Iterable
from typing import Any, NamedTuple

MIN_RUNS = 5
TOLERATED = 0.10
_Z = 1.959963984540054  # of the normal distribution, 97.5 %

ALARM = "alarm"
FEW_RUNS = "few runs"
OK = "ok"
NO_RUNS = "no runs"


def wilson(having: int, of: int) -> tuple[float, float]:
    """Return Wilson's 95 % bounds of a share; of nothing, all shares are possible."""
    if of <= 0:
        return 0.0, 1.0
    share, squared = having / of, _Z * _Z
    below = 1 + squared / of
    middle = (share + squared / (2 * of)) / below
    half = _Z / below * math.sqrt(share * (1 - share) / of + squared / (4 * of * of))
    low = 0.0 if having == 0 else max(0.0, middle - half)
    high = 1.0 if having == of else min(1.0, middle + half)
    return low, high


class Rate(NamedTuple):
    """How many of some runs have a property.

    Attributes
    ----------
    name : str
        The property: ``failed``, ``dirty``, ...
    having : int
        How many have it.
    of : int
        How many of the runs could have it; runs of which that is not known are not counted.
    tolerated : float
        The share that nobody need hear of.
    """

    name: str
    having: int
    of: int
    tolerated: float = TOLERATED

    @property
    def share(self) -> float | None:
        """The share itself, None of nothing."""
        return self.having / self.of if self.of else None

    @property
    def low(self) -> float:
        """Lower bound of the share, 95 %."""
        return wilson(self.having, self.of)[0]

    @property
    def high(self) -> float:
        """Upper bound of the share, 95 %."""
        return wilson(self.having, self.of)[1]

    @property
    def verdict(self) -> str:
        """``alarm``, ``few runs`` (it may be by chance), ``ok``, or ``no runs`` of nothing."""
        if self.share is None:
            return NO_RUNS
        if self.share <= self.tolerated:
            return OK
        return ALARM if self.of >= MIN_RUNS and self.low > self.tolerated else FEW_RUNS

    @property
    def is_alarm(self) -> bool:
        """Whether enough runs have it to say that too many do."""
        return self.verdict == ALARM

    def to_dict(self) -> dict[str, Any]:
        """Return the rate for ``--json``."""
        return {
            "count": self.having,
            "of": self.of,
            "share": self.share,
            "low": self.low,
            "high": self.high,
            "tolerated": self.tolerated,
            "verdict": self.verdict,
        }


def rate(name: str, has: Iterable[bool | None], tolerated: float = TOLERATED) -> Rate:
    """Count a property: True, False, or None where it is not known of a run."""
    known = [value for value in has if value is not None]
    return Rate(name, sum(known), len(known), tolerated)
