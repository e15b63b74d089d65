"""Recompute what a finding claims from the metrics of the runs it cites."""

from collections.abc import Hashable, Iterable, Sequence
from difflib import get_close_matches
from typing import Any, NamedTuple

from aexp.kb.claim import Claim, Number, percent, shown
from aexp.kb.values import canonical
from aexp.model import COMPLETE, printable, short
from aexp.validation import statistics
from aexp.validation.cited import Cited
from aexp.validation.evidence import Record
from aexp.validation.statistics import Interval, StatsMissing, Undefined

OK = "ok"
MISMATCH = "mismatch"
UNCHECKED = "unchecked"
# Of the largest number that comes in: what binary arithmetic may be off by.
_ROUNDING = 1e-12


class Verdict(NamedTuple):
    """What came of one claim.

    Attributes
    ----------
    claim : Claim
        The claim.
    outcome : str
        ``ok``, ``mismatch`` or ``unchecked``.
    recomputed : float or None
        The number, None when there is none.
    counts : tuple of int
        From how many runs, one number per side.
    interval : tuple of float or None
        The interval, where the claim asks for one.
    reasons : list of str
        What contradicts the claim.
    doubts : list of str
        What keeps it from being checked in full.
    """

    claim: Claim
    outcome: str
    recomputed: float | None
    counts: tuple[int, ...]
    interval: Interval | None
    reasons: list[str]
    doubts: list[str]


def recompute(claim: Claim, cited: Cited) -> Verdict:
    """Compare one claim with the runs that its finding cites."""
    reasons: list[str] = []
    doubts = list(cited.doubts)
    recomputed: float | None = None
    counts: tuple[int, ...] = ()
    interval: Interval | None = None
    try:
        samples = _samples(claim, cited)
        counts = tuple(len(sample) for sample in samples[: 1 if claim.paired else 2])
        if claim.n is not None and claim.n != counts:
            reasons.append(f"claimed n={_slashed(claim.n)}, found {_slashed(counts)}")
        recomputed = _number(claim, samples)
        scale = statistics.scale(claim.stat, samples, recomputed)
        reasons += _against_number(claim, recomputed, counts, scale)
        if claim.ci is not None:
            interval = statistics.interval(
                *samples, level=claim.ci, is_paired=claim.paired is not None
            )
            reasons += _against_interval(claim, interval, scale)
    except Undefined as undefined:
        reasons.append(str(undefined))
    except StatsMissing as missing:
        doubts.append(str(missing))
    # With runs unknown here the numbers are those of a part: neither right nor wrong.
    outcome = UNCHECKED if cited.doubts else MISMATCH if reasons else UNCHECKED if doubts else OK
    return Verdict(claim, outcome, recomputed, counts, interval, reasons, doubts)


def _samples(claim: Claim, cited: Cited) -> list[list[float]]:
    """Return the values of each side, paired ones in the same order."""
    if not cited.runs:
        raise Undefined("the finding cites no run that is known here")
    if claim.compare is None:
        return [_values(claim, cited, _runs_over(cited, claim.over))]
    sides = [_runs_over(cited, {**claim.over, claim.by: side}) for side in claim.compare]
    if claim.paired is not None:
        sides = _paired(claim, claim.paired, sides)
    return [_values(claim, cited, side) for side in sides]


def _runs_over(cited: Cited, over: dict[str, Any]) -> list[Record]:
    """Return the complete runs that a claim is about."""
    chosen = cited.select(over)
    if not chosen:
        raise Undefined(_nothing_chosen(cited, over))
    complete = [record for record in chosen if record.status == COMPLETE]
    if not complete:
        words = sorted({record.status for record in chosen})
        raise Undefined(f"no run{_where(over)} is complete: {', '.join(words)}")
    return complete


def _nothing_chosen(cited: Cited, over: dict[str, Any]) -> str:
    for key, wanted in over.items():
        if not cited.select({key: wanted}):
            present = {shown(record.sp[key]) for record in cited.runs.values() if key in record.sp}
            theirs = f"; there is {_some(present)}" if present else f": none has {printable(key)}"
            return f"no cited run has {printable(key)}={shown(wanted)}{theirs}"
    return f"no cited run has all of{_where(over)}"


def _values(claim: Claim, cited: Cited, side: Sequence[Record]) -> list[float]:
    if claim.metric is None:
        return [1.0] * len(side)
    found, without = [], []
    for record in side:
        value = statistics.as_number(cited.metrics[record.job_id].get(claim.metric))
        if value is None:
            without.append(record)
        else:
            found.append((record, value))
    if without:
        raise Undefined(_no_metric(claim.metric, cited, without, len(side)))
    unreal = [(record, value) for record, value in found if value - value != 0]
    if unreal and claim.stat != "count":
        record, value = unreal[0]
        more = f" (and {len(unreal) - 1} more)" if len(unreal) > 1 else ""
        raise Undefined(f"{printable(claim.metric)} of run {short(record.job_id)} is {value}{more}")
    return [value for _, value in found]


def _no_metric(metric: str, cited: Cited, without: Sequence[Record], total: int) -> str:
    known = {name for record in cited.complete() for name in cited.metrics[record.job_id]}
    near = get_close_matches(metric, sorted(known), n=1) if len(known) <= 1000 else []
    hint = ""
    if metric not in known:
        hint = f"; did you mean {printable(near[0])}?" if near else f"; there is {_some(known)}"
    who = _some(short(record.job_id) for record in without)
    return f"{len(without)} of {total} runs have no metric {printable(metric)} ({who}){hint}"


def _paired(claim: Claim, key: str, sides: Sequence[Sequence[Record]]) -> list[list[Record]]:
    by_value: list[dict[Hashable, Record]] = []
    names: dict[Hashable, str] = {}
    for side in sides:
        members: dict[Hashable, Record] = {}
        for record in side:
            if key not in record.sp:
                raise Undefined(f"run {short(record.job_id)} has no {printable(key)} to pair by")
            value = canonical(record.sp[key])
            names[value] = shown(record.sp[key])
            if value in members:
                raise Undefined(
                    f"runs {short(members[value].job_id)} and {short(record.job_id)} are on the "
                    f"same side with the same {printable(key)} {names[value]}; choose with over:"
                )
            members[value] = record
        by_value.append(members)
    first, second = by_value
    alone = sorted(names[value] for value in first.keys() ^ second.keys())
    if alone:
        raise Undefined(f"{printable(key)} {_some(alone)}: complete on one side only")
    return [[members[value] for value in first] for members in by_value]


def _number(claim: Claim, samples: Sequence[Sequence[float]]) -> float:
    if claim.compare is None:
        return statistics.point(claim.stat, samples[0])
    return statistics.difference(
        claim.stat, samples[0], samples[1], is_paired=claim.paired is not None
    )


def _against_number(
    claim: Claim, recomputed: float, counts: tuple[int, ...], scale: float
) -> list[str]:
    origin = f"recomputed {exact(recomputed)} from {_counted(counts)}"
    reasons = []
    if claim.value is not None and not _near(claim, claim.value, recomputed, scale):
        reasons.append(f"claimed {_with_tolerance(claim, claim.value)}, {origin}")
    if claim.greater is not None and not _above(recomputed, claim.greater.value, scale):
        reasons.append(f"claimed > {claim.greater.text}, {origin}")
    if claim.less is not None and not _above(claim.less.value, recomputed, scale):
        reasons.append(f"claimed < {claim.less.text}, {origin}")
    return reasons


def _against_interval(claim: Claim, interval: Interval, scale: float) -> list[str]:
    assert claim.ci is not None
    name = f"{percent(claim.ci)} interval [{exact(interval[0])}, {exact(interval[1])}]"
    reasons = []
    for end, claimed, found in (("low", claim.low, interval[0]), ("high", claim.high, interval[1])):
        if claimed is not None and not _near(claim, claimed, found, scale):
            reasons.append(f"claimed {end} {_with_tolerance(claim, claimed)}, recomputed {name}")
    if claim.greater is not None and not _above(interval[0], claim.greater.value, scale):
        reasons.append(f"claimed > {claim.greater.text}, but the {name} is not above it")
    if claim.less is not None and not _above(claim.less.value, interval[1], scale):
        reasons.append(f"claimed < {claim.less.text}, but the {name} is not below it")
    return reasons


def _near(claim: Claim, claimed: Number, recomputed: float, scale: float) -> bool:
    slack = _slack(claimed.value, recomputed, scale)
    return abs(recomputed - claimed.value) <= claim.allowed(claimed) + slack


def _above(upper: float, lower: float, scale: float) -> bool:
    return upper - lower > _slack(upper, lower, scale)


def _slack(one: float, other: float, scale: float) -> float:
    return _ROUNDING * max(abs(one), abs(other), scale)


def _with_tolerance(claim: Claim, number: Number) -> str:
    allowed = claim.allowed(number)
    return f"{number.text} ± {allowed:.6g}" if allowed else number.text


def exact(value: float) -> str:
    """Return a number with all digits that two sides of a comparison may differ in."""
    return f"{value:.10g}"


def _counted(counts: tuple[int, ...]) -> str:
    if len(counts) == 2:
        return f"{counts[0]} and {counts[1]} runs"
    return "1 run" if counts == (1,) else f"{_slashed(counts)} runs"


def _slashed(counts: tuple[int, ...]) -> str:
    return "/".join(map(str, counts))


def _where(over: dict[str, Any]) -> str:
    return "".join(f" {printable(key)}={shown(value)}" for key, value in over.items())


def _some(names: Iterable[str], limit: int = 8) -> str:
    every = sorted(names)
    more = f" and {len(every) - limit} more" if len(every) > limit else ""
    return (", ".join(map(printable, every[:limit])) or "none") + more
