"""One claim of a finding: the values that the grammar of ``docs/findings.md`` is read into."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from aexp.kb.values import spelling
from aexp.model import printable

STATISTICS = ("mean", "median", "min", "max", "sd", "count")
COMPARISONS = ("mean_diff", "median_diff", "ratio")
WITH_INTERVAL = frozenset({"mean", "mean_diff"})
KEYS: Mapping[str, str] = {
    "metric": "name of the metric, as the ledger entries have it",
    "stat": "what is computed of it",
    "over": "state-point values that choose among the cited runs",
    "compare": "two values of one state-point key: the first against the second",
    "by": "the state-point key that `compare` is about",
    "paired": "the state-point key by which the runs of the two sides are paired",
    "value": "the number claimed",
    "tolerance": "how far the recomputed number may be away",
    "greater": "the recomputed number is greater than this",
    "less": "the recomputed number is less than this",
    "n": "how many runs",
    "ci": "level of the interval",
    "low": "lower end of the interval",
    "high": "upper end of the interval",
}


class Number(NamedTuple):
    """A number as somebody wrote it.

    Attributes
    ----------
    value : float
        Its value.
    text : str
        Its digits.
    half_step : float
        Half a unit of its last digit: 0.005 for 0.93, 0.0005 for 0.930 and for 1e-3. Zero
        where that digit stands for whole units (12, 1.234e3), which are taken as exact.
    """

    value: float
    text: str
    half_step: float


class Tolerance(NamedTuple):
    """How far a recomputed number may be away, in units or as a part of the number claimed."""

    amount: float
    is_relative: bool


class Claim(NamedTuple):
    """One claim of a finding; what it leaves open is None.

    Attributes
    ----------
    number : int
        Its place in the list, from 1.
    line : int or None
        Of the file.
    metric : str or None
        None only where `stat` is ``count``.
    stat : str
        One of `STATISTICS`, or with `compare` of `COMPARISONS`.
    over : dict
        State-point values that choose among the cited runs.
    compare : tuple or None
        The two values of the key `by`.
    by : str
        The key that `compare` is about.
    paired : str or None
        The key by which runs are paired.
    value, greater, less, low, high : Number or None
        What the recomputed number, or its interval, should be.
    tolerance : Tolerance or None
        None for that of the digits.
    n : tuple of int or None
        How many runs, one number per side.
    ci : float or None
        Level of the interval.
    """

    number: int
    line: int | None
    metric: str | None
    stat: str
    over: dict[str, Any]
    compare: tuple[Any, Any] | None
    by: str
    paired: str | None
    value: Number | None
    tolerance: Tolerance | None
    greater: Number | None
    less: Number | None
    n: tuple[int, ...] | None
    ci: float | None
    low: Number | None
    high: Number | None

    def allowed(self, number: Number) -> float:
        """Return how far a recomputed number may be away from `number`."""
        if self.tolerance is None:
            return number.half_step
        scale = abs(number.value) if self.tolerance.is_relative else 1.0
        return self.tolerance.amount * scale

    @property
    def subject(self) -> str:
        """What is claimed about, on one line: ``mean accuracy (condition=full)``."""
        words = [self.stat, self.metric or "runs"]
        if self.compare is not None:
            words.append(f"{shown(self.compare[0])} vs {shown(self.compare[1])}")
            if self.by != "condition":
                words.append(f"by {self.by}")
            if self.paired:
                words.append(f"paired by {self.paired}")
        if self.over:
            words.append("(" + ", ".join(f"{k}={shown(v)}" for k, v in self.over.items()) + ")")
        return printable(" ".join(words))

    @property
    def stated(self) -> str:
        """What is claimed of it, on one line: ``0.93 ± 0.005, n=4``."""
        words = []
        if self.value is not None:
            allowed = self.allowed(self.value)
            words.append(self.value.text + (f" ± {allowed:.6g}" if allowed else ""))
        if self.greater is not None:
            words.append(f"> {self.greater.text}")
        if self.less is not None:
            words.append(f"< {self.less.text}")
        if self.ci is not None:
            ends = [end.text if end is not None else "…" for end in (self.low, self.high)]
            bounds = f" [{', '.join(ends)}]" if self.low or self.high else ""
            words.append(f"{percent(self.ci)}{bounds}")
        if self.n is not None:
            words.append("n=" + "/".join(map(str, self.n)))
        return ", ".join(words)


class MalformedClaim(NamedTuple):
    """An item of ``claims:`` that is no claim, and why."""

    number: int
    line: int | None
    reason: str


def percent(level: float) -> str:
    """Return a level as people say it: 0.95 is ``95%``."""
    return f"{level * 100:.10g}%"


def shown(value: Any) -> str:
    """Return a value for a message: on one line, and not endless."""
    text = printable(spelling(value))
    return text if len(text) <= 80 else text[:77] + "..."
