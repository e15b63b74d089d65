"""Runs as a table: the parameters that vary, and each metric's mean and deviation over seeds."""

from collections import Counter
from collections.abc import Hashable, Sequence
from typing import Any, NamedTuple

from aexp.catalogue.values import flat
from aexp.errors import UsageError
from aexp.kb.values import canonical
from aexp.model import COMPLETE, PROVENANCE_KEYS, STATUSES
from aexp.numbers import as_number
from aexp.runs.batches import MetricSummary, summarize_values, value_order
from aexp.runs.known import RunRecord

OVER = ("seed",)
_NEVER_VARIED = PROVENANCE_KEYS | {"experiment_path", "nonce"}
_MISSING = object()


class TableRow(NamedTuple):
    """The runs that agree in the parameters of the table.

    Attributes
    ----------
    params : dict
        Name to value; a parameter that they do not have is not in it.
    runs : int
        How many the metrics are over.
    others : dict
        Status word to number of the runs that have not completed.
    metrics : dict
        Name to `MetricSummary`.
    job_ids : list of str
        The runs that the metrics are over, sorted.
    """

    params: dict[str, Any]
    runs: int
    others: dict[str, int]
    metrics: dict[str, MetricSummary]
    job_ids: list[str]


class RunTable(NamedTuple):
    """Runs as a table.

    Attributes
    ----------
    keys : list of str
        The parameters that make its rows.
    metrics : list of str
        The metrics that it has.
    rows : list of TableRow
        One per combination of the parameters that occurs.
    mixed : int
        How many rows take runs of different code versions together.
    """

    keys: list[str]
    metrics: list[str]
    rows: list[TableRow]
    mixed: int


def build_table(
    runs: Sequence[RunRecord],
    *,
    by: Sequence[str] | None = None,
    over: Sequence[str] = OVER,
    metrics: Sequence[str] = (),
    sort: str | None = None,
    any_status: bool = False,
    each: bool = False,
) -> RunTable:
    """Group runs by their parameters and describe each metric over each group.

    Parameters
    ----------
    runs : sequence of RunRecord
        The runs.
    by : sequence of str, optional
        The parameters that make a row; default: all that vary, but for `over`.
    over : sequence of str, default ("seed",)
        The parameters that the runs of one row may differ in.
    metrics : sequence of str, optional
        The metrics to show; default all.
    sort : str, optional
        A parameter or metric to sort by, with ``-`` before it the largest first; default the
        parameters.
    any_status : bool, default False
        Whether runs that have not completed count like the others.
    each : bool, default False
        Whether each run makes a row of its own.

    Raises
    ------
    UsageError
        If no run has a parameter or metric that is asked for.
    """
    params = [parameters_of(run) for run in runs]
    known = {key for found in params for key in found}
    names = metric_names(runs)
    if runs:
        check_names("parameter", by or (), known)
        check_names("metric", metrics, names)
        if sort is not None and sort.removeprefix("-") not in (known | set(names)):
            check_names("parameter or metric", [sort.removeprefix("-")], known | set(names))
    keys = list(by) if by is not None else [key for key in varied(params) if key not in over]
    shown = list(metrics) or names
    groups: dict[tuple[Hashable, ...], list[tuple[RunRecord, dict[str, Any]]]] = {}
    for run, found in zip(runs, params, strict=True):
        key = (*(_same(found, name) for name in keys), run.job_id if each else None)
        groups.setdefault(key, []).append((run, found))
    rows = [_row(members, keys, shown, any_status) for members in groups.values()]
    rows.sort(key=lambda row: [_place(row.params, key) for key in keys])
    if sort is not None:
        rows = _sorted(rows, sort.removeprefix("-"), sort.startswith("-"))
    mixed = 0
    if not PROVENANCE_KEYS & set(keys):
        mixed = sum(len(_versions(members, any_status)) > 1 for members in groups.values())
    return RunTable(keys, shown, rows, mixed)


def parameters_of(run: RunRecord) -> dict[str, Any]:
    """Return a run's own parameters; nested ones have names with dots."""
    found = dict(flat(run.sp))
    for key in ("hypothesis_id", "sub_hypothesis_id", "experiment_id"):
        found.pop(key, None)
    return {"experiment": run.experiment_id, **found} if run.experiment_id else found


def varied(params: Sequence[dict[str, Any]]) -> list[str]:
    """Return the parameters that are not the same in all runs, in the order of the first."""
    names = dict.fromkeys(name for found in params for name in found)
    return [
        name
        for name in names
        if name not in _NEVER_VARIED and len({_same(found, name) for found in params}) > 1
    ]


def metric_names(runs: Sequence[RunRecord]) -> list[str]:
    """Return the names of all metrics, in the order in which runs have them."""
    return list(dict.fromkeys(name for run in runs for name in run.metrics))


def check_names(what: str, names: Sequence[str], known: Sequence[str] | set[str]) -> None:
    """Refuse names that no run has, and say which may be meant."""
    for name in names:
        if name not in known:
            import difflib

            near = difflib.get_close_matches(name, list(known), n=3) or sorted(known)[:8]
            raise UsageError(
                f"none of these runs has a {what} {name!r}",
                f"there are: {', '.join(near)}" if near else "they have none at all",
            )


def _same(found: dict[str, Any], name: str) -> Hashable:
    return canonical(found[name]) if name in found else _MISSING


def _row(
    members: list[tuple[RunRecord, dict[str, Any]]],
    keys: Sequence[str],
    names: Sequence[str],
    any_status: bool,
) -> TableRow:
    counted = [run for run, _ in members if any_status or run.status == COMPLETE]
    rest = Counter(run.status for run, _ in members) if not any_status else Counter()
    rest.pop(COMPLETE, None)
    values: dict[str, list[float]] = {}
    for run in counted:
        for name in names:
            number = as_number(run.metrics.get(name))
            if number is not None:
                values.setdefault(name, []).append(number)
    first = members[0][1]
    return TableRow(
        {key: first[key] for key in keys if key in first},
        len(counted),
        {word: rest[word] for word in STATUSES if rest[word]},
        {name: summarize_values(found) for name, found in values.items()},
        sorted(run.job_id for run in counted),
    )


def _versions(members: list[tuple[RunRecord, dict[str, Any]]], any_status: bool) -> set[Hashable]:
    return {
        tuple(_same(found, key) for key in sorted(PROVENANCE_KEYS))
        for run, found in members
        if any_status or run.status == COMPLETE
    }


def _place(params: dict[str, Any], key: str) -> tuple[int, tuple[int, float, str]]:
    return (0, value_order(params[key])) if key in params else (1, (0, 0.0, ""))


def _sorted(rows: list[TableRow], name: str, largest_first: bool) -> list[TableRow]:
    """Sort by a metric's mean or a parameter; what has none comes last either way."""

    def value(row: TableRow) -> tuple[int, float, str] | None:
        if name in row.metrics:
            mean = row.metrics[name].mean
            return None if mean is None else (0, mean, "")
        return value_order(row.params[name]) if name in row.params else None

    having = [row for row in rows if value(row) is not None]
    having.sort(key=lambda row: value(row) or (0, 0.0, ""), reverse=largest_first)
    return having + [row for row in rows if value(row) is None]
