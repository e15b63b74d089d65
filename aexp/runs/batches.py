"""Batches: the runs of an experiment that share some state-point values.

All runs that this clone knows count: those of its store, and those of which only the
ledger tells.
"""

import json
import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from aexp.kb.artifacts import find_artifact
from aexp.kb.values import spelling
from aexp.ledger.entries import scan_ledger
from aexp.ledger.points import Undefined, point
from aexp.ledger.projection import final_metrics
from aexp.model import STATUSES, Run, check_experiment_id, section
from aexp.numbers import as_number
from aexp.paths import Repo
from aexp.runs.earlier import ended_elsewhere
from aexp.runs.select import has_values
from aexp.runs.store import scan_runs

DEFAULT_KEYS = ("condition",)
Root = str | Path | Repo | None


class RunRecord(NamedTuple):
    """One run, as this clone knows it.

    Attributes
    ----------
    job_id : str
        The run.
    experiment_id, hypothesis_id : str or None
        What it is linked to.
    status : str
        Its status word.
    sp : dict
        Its state point.
    metrics : dict
        Its final numbers.
    tag : str or None
        Its label.
    started_at, ended_at : str or None
        When.
    machine : str or None
        Of a run that only the ledger tells of: the machine that registered it.
    """

    job_id: str
    experiment_id: str | None
    hypothesis_id: str | None
    status: str
    sp: dict[str, Any]
    metrics: dict[str, Any]
    tag: str | None
    started_at: str | None
    ended_at: str | None
    machine: str | None = None


class BatchSummary(NamedTuple):
    """The runs of an experiment that agree in some state-point values.

    Attributes
    ----------
    experiment_id, hypothesis_id : str or None
        What they are linked to; no hypothesis when they differ.
    selector : dict
        The values that they share; a key that they do not have is not in it.
    batch_slug : str
        The name that a tracker shows for them.
    runs : int
        How many.
    statuses : dict
        Status word to number of runs, in the order of a run's life.
    job_ids : list of str
        Their ids, sorted.
    """

    experiment_id: str | None
    hypothesis_id: str | None
    selector: dict[str, Any]
    batch_slug: str
    runs: int
    statuses: dict[str, int]
    job_ids: list[str]


class MetricSummary(NamedTuple):
    """A number over the complete runs of a batch that have it.

    Attributes
    ----------
    n : int
        How many runs.
    mean, sd, min, max : float or None
        None where there is none: the `sd`, the sample's, of one run, a sum that is too large,
        and all of them when a value is not finite.
    not_finite : int
        How many of the values are NaN, infinite, or too large for a number.
    """

    n: int
    mean: float | None
    sd: float | None
    min: float | None
    max: float | None
    not_finite: int


class BatchDetails(NamedTuple):
    """A batch with its runs.

    Attributes
    ----------
    summary : BatchSummary
        The batch.
    runs : list of RunRecord
        Its runs, sorted by state point.
    metrics : dict
        Name to `MetricSummary`, over the complete runs that have the number.
    """

    summary: BatchSummary
    runs: list[RunRecord]
    metrics: dict[str, MetricSummary]


def known_runs(repo: Repo) -> Iterator[RunRecord]:
    """Return every run that store or ledger knows, each once, in the order of their ids.

    The store's own document counts, but for a run queued here that has ended elsewhere.
    Files that cannot be read are left out; those of the store cost a warning.
    """
    found = {
        file.job_id: file.entry
        for file in scan_ledger(repo)
        if file.job_id is not None and file.entry is not None
    }
    records = {job_id: _of_entry(job_id, entry) for job_id, entry in found.items()}
    for run in scan_runs(repo):
        entry = found.get(run.job_id)
        if entry is None or run.is_terminal or not ended_elsewhere(run, entry):
            records[run.job_id] = _of_run(run)
    for job_id in sorted(records):
        yield records[job_id]


def _of_run(run: Run) -> RunRecord:
    return RunRecord(
        run.job_id,
        run.experiment_id,
        _text(run.link.get("hypothesis_id")),
        run.status,
        run.sp,
        final_metrics(run),
        run.tag,
        _text(run.doc.get("started_at")),
        _text(run.doc.get("ended_at")),
    )


def _of_entry(job_id: str, entry: dict[str, Any]) -> RunRecord:
    link, sp = section(entry, "run_link"), section(entry, "statepoint")
    return RunRecord(
        job_id,
        _text(link.get("experiment_id")) or _text(sp.get("experiment_id")),
        _text(link.get("hypothesis_id")),
        str(entry.get("status")),
        sp,
        section(entry, "metrics"),
        _text(entry.get("tag")),
        _text(entry.get("started_at")),
        _text(entry.get("ended_at")),
        _text(entry.get("registered_machine")) or "another machine",
    )


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None


def _repo(root: Root) -> Repo:
    return root if isinstance(root, Repo) else Repo.find(root)


def runs_for_experiment(experiment_id: str, *, repo_root: Root = None) -> list[RunRecord]:
    """Return all runs of an experiment, sorted by state point."""
    wanted = check_experiment_id(experiment_id)
    found = [one for one in known_runs(_repo(repo_root)) if one.experiment_id == wanted]
    return sorted(found, key=_by_state_point)


def list_batches(
    *,
    experiment_id: str | None = None,
    selector_keys: Sequence[str] = DEFAULT_KEYS,
    repo_root: Root = None,
) -> list[BatchSummary]:
    """Group the runs of experiments by some state-point keys.

    Parameters
    ----------
    experiment_id : str, optional
        Only this experiment.
    selector_keys : sequence of str, default ("condition",)
        The keys; runs without one form a batch of their own.
    repo_root : str or Path, optional
        Default: the repository around the current folder.
    """
    wanted = None if experiment_id is None else check_experiment_id(experiment_id)
    groups: dict[tuple[Any, ...], list[RunRecord]] = {}
    for one in known_runs(_repo(repo_root)):
        if wanted is not None and one.experiment_id != wanted:
            continue
        values = tuple(_order(one.sp[key]) if key in one.sp else () for key in selector_keys)
        groups.setdefault((one.experiment_id or "", values), []).append(one)
    return [_summary(groups[key], selector_keys) for key in sorted(groups)]


def show_batch(
    *,
    experiment_id: str,
    selector: Mapping[str, Any] | None = None,
    repo_root: Root = None,
) -> BatchDetails:
    """Return the runs of an experiment that have some state-point values.

    Parameters
    ----------
    experiment_id : str
        The experiment.
    selector : mapping, optional
        Any state-point keys with values; default all runs of the experiment. A value given
        as text also matches what it spells: a number, true, null.
    repo_root : str or Path, optional
        Default: the repository around the current folder.

    Raises
    ------
    ArtifactNotFound
        If neither a note nor a run knows the experiment.
    """
    chosen = dict(selector or {})
    repo = _repo(repo_root)
    every = runs_for_experiment(experiment_id, repo_root=repo)
    if not every:
        find_artifact(repo, experiment_id)
    found = [one for one in every if has_values(one.sp, chosen)]
    summary = _summary(found, tuple(chosen))
    if not found:
        summary = summary._replace(experiment_id=experiment_id, selector=chosen)
    return BatchDetails(summary, found, _metrics(found))


def _summary(runs: Sequence[RunRecord], keys: Sequence[str]) -> BatchSummary:
    counts = Counter(one.status for one in runs)
    words = [*STATUSES, *sorted(set(counts) - set(STATUSES))]
    first = runs[0] if runs else None
    hypotheses = {one.hypothesis_id for one in runs}
    hypothesis = hypotheses.pop() if len(hypotheses) == 1 else None
    selector = {key: first.sp[key] for key in keys if key in first.sp} if first else {}
    experiment = first.experiment_id if first else None
    shown = ",".join(
        spelling(value) if key == "condition" else f"{key}={spelling(value)}"
        for key, value in selector.items()
    )
    return BatchSummary(
        experiment,
        hypothesis,
        selector,
        f"{hypothesis or '_'}/{experiment or 'E???'}/{shown or '_'}",
        len(runs),
        {word: counts[word] for word in words if counts[word]},
        sorted(one.job_id for one in runs),
    )


def _metrics(runs: Sequence[RunRecord]) -> dict[str, MetricSummary]:
    values: dict[str, list[float]] = {}
    for one in runs:
        for name, value in one.metrics.items() if one.status == "complete" else ():
            number = as_number(value)
            if number is not None:
                values.setdefault(name, []).append(number)
    return {name: _over(found) for name, found in values.items()}


def _over(values: list[float]) -> MetricSummary:
    not_finite = sum(not math.isfinite(value) for value in values)
    if not_finite:
        # No number describes them all, and one over the rest would hide the others.
        return MetricSummary(len(values), None, None, None, None, not_finite)
    mean, sd, least, most = (_point(stat, values) for stat in ("mean", "sd", "min", "max"))
    return MetricSummary(len(values), mean, sd, least, most, 0)


def _point(stat: str, values: list[float]) -> float | None:
    try:
        return point(stat, values)
    except Undefined:
        return None


def _order(value: Any) -> tuple[int, float, str]:
    """Return a key that sorts any JSON values: numbers by size, then the rest as text."""
    text = json.dumps(value, sort_keys=True, default=str)
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        try:
            return (0, float(value), text)
        except OverflowError:
            return (0, math.inf if value > 0 else -math.inf, text)
    return (1, 0.0, value if isinstance(value, str) else text)


def _by_state_point(one: RunRecord) -> tuple[Any, ...]:
    keys = sorted(key for key in one.sp if not key.startswith("code_"))
    return (*((key, _order(one.sp[key])) for key in keys), ("", ()), (one.job_id,))
