"""The run with the highest, or lowest, value of a metric; of all, or per group."""

import math
from collections.abc import Hashable, Sequence
from typing import Any, NamedTuple

from aexp.catalogue.table import check_names, metric_names, parameters_of
from aexp.kb.values import canonical
from aexp.model import COMPLETE
from aexp.numbers import as_number
from aexp.runs.batches import value_order
from aexp.runs.known import RunRecord

MAX, MIN = "max", "min"


class BestRun(NamedTuple):
    """One of the best runs.

    Attributes
    ----------
    group : dict
        The parameters that its rivals share with it.
    rank : int
        1 for the best; runs with the same value have the same rank.
    value : float
        Its value of the metric.
    run : RunRecord
        The run.
    """

    group: dict[str, Any]
    rank: int
    value: float
    run: RunRecord


class Ranking(NamedTuple):
    """The best runs, and what was left out.

    Attributes
    ----------
    best : list of BestRun
        By group, then by rank.
    compared : int
        How many runs have a value that can be the best.
    not_finite : int
        How many have one that cannot: NaN, infinite.
    not_complete : int
        How many runs with the metric did not complete, and were left out.
    """

    best: list[BestRun]
    compared: int
    not_finite: int
    not_complete: int


def best_runs(
    runs: Sequence[RunRecord],
    metric: str,
    *,
    mode: str = MAX,
    per: Sequence[str] = (),
    top: int = 1,
    any_status: bool = False,
) -> Ranking:
    """Return the best runs by a metric.

    Parameters
    ----------
    runs : sequence of RunRecord
        The runs, newest first: of equal ones the newer is named first.
    metric : str
        The metric's name.
    mode : str, default "max"
        ``max`` or ``min``.
    per : sequence of str, optional
        Parameters; the best of each combination that occurs.
    top : int, default 1
        How many of each group; all that are equal to the last of them, too.
    any_status : bool, default False
        Whether runs that have not completed take part.

    Raises
    ------
    UsageError
        If no run has the metric, or one of the parameters.
    """
    params = [parameters_of(run) for run in runs]
    if runs:
        check_names("metric", [metric], metric_names(runs))
        check_names("parameter", per, {key for found in params for key in found})
    groups: dict[tuple[Hashable, ...], list[tuple[float, RunRecord, dict[str, Any]]]] = {}
    not_finite = not_complete = compared = 0
    for run, found in zip(runs, params, strict=True):
        value = as_number(run.metrics.get(metric))
        if value is None:
            continue
        if run.status != COMPLETE and not any_status:
            not_complete += 1
        elif not math.isfinite(value):
            not_finite += 1
        else:
            compared += 1
            key = tuple(canonical(found[name]) if name in found else () for name in per)
            groups.setdefault(key, []).append((value, run, found))
    ranked = [_ranked(members, per, mode, top) for members in groups.values()]
    ranked.sort(
        key=lambda best: [
            (0, value_order(best[0].group[key])) if key in best[0].group else (1, (0, 0.0, ""))
            for key in per
        ]
    )
    best = [one for group in ranked for one in group]
    return Ranking(best, compared, not_finite, not_complete)


def _ranked(
    members: list[tuple[float, RunRecord, dict[str, Any]]],
    per: Sequence[str],
    mode: str,
    top: int,
) -> list[BestRun]:
    sign = -1.0 if mode == MAX else 1.0
    members = sorted(members, key=lambda member: sign * member[0])  # equal ones stay newest first
    best: list[BestRun] = []
    for index, (value, run, found) in enumerate(members):
        rank = best[-1].rank if best and best[-1].value == value else index + 1
        if rank > top:
            break
        best.append(BestRun({key: found[key] for key in per if key in found}, rank, value, run))
    return best
