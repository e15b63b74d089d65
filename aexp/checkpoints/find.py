"""Find a checkpoint to go on from: the newest, or the best, that is whole."""

import math
import warnings
from collections.abc import Iterable, Set
from typing import Any

from aexp.checkpoints.manifest import CHECKPOINT
from aexp.checkpoints.past import NOTHING, Past
from aexp.checkpoints.store import Checkpoint, Damage, list_checkpoints
from aexp.checkpoints.verify import SIZE, problems, way_for
from aexp.errors import CheckpointError, CheckpointWarning, UsageError
from aexp.paths import Repo
from aexp.runs.variation import runs_of_variation, variation_of

JOB, VARIATION = "job", "variation"
SCOPES = (JOB, VARIATION)
MODES = ("min", "max")


def runs_in_scope(repo: Repo, job_id: str, scope: str = JOB) -> list[str]:
    """Return the run itself, or the runs of its variation.

    Raises
    ------
    UsageError
        If `scope` is neither ``job`` nor ``variation``.
    """
    if scope == JOB:
        return [job_id]
    if scope != VARIATION:
        raise UsageError(f"{scope!r} is no scope", "one of: " + ", ".join(SCOPES))
    found = runs_of_variation(repo, variation_of(repo, job_id))
    return [job_id, *(other for other in found if other != job_id)]


def checkpoints_of(
    repo: Repo,
    jobs: Iterable[str],
    kind: str | None = None,
    damaged: list[Damage] | None = None,
) -> list[Checkpoint]:
    """Return the checkpoints of several runs, the newest first: by step, then by time."""
    found = [item for job in jobs for item in list_checkpoints(repo, job, kind, damaged)]
    return sorted(found, key=lambda item: item.manifest.order, reverse=True)


def latest(
    repo: Repo,
    jobs: Iterable[str],
    *,
    kind: str = CHECKPOINT,
    verify: str | None = SIZE,
    before_step: int | None = None,
    but: Set[Checkpoint] = frozenset(),
    past: Past = NOTHING,
) -> Checkpoint | None:
    """Return the newest checkpoint that is whole; damaged ones cost a warning each.

    Parameters
    ----------
    repo : Repo
        The repository.
    jobs : iterable of str
        The runs to look at.
    kind : str
        ``checkpoint`` or ``snapshot``.
    verify : str or None
        ``size``, ``hash`` or ``none``; None: as before a restore, which reads what is
        not over 10 GB.
    before_step : int, optional
        Only those of an earlier step.
    but : set of Checkpoint
        Which are known to be damaged.
    past : Past
        Which are passed over, because the run was complete and has started afresh since.

    Returns
    -------
    Checkpoint or None
        None when there is none that is whole.
    """
    damaged: list[Damage] = []
    found = checkpoints_of(repo, jobs, kind, damaged)
    chosen = first_whole(
        (
            item
            for item in found
            if item not in but
            and not past.holds(item)
            and (before_step is None or _step(item) < before_step)
        ),
        verify,
    )
    for item in damaged:
        if item.is_of(kind) and item.step < (math.inf if before_step is None else before_step):
            if chosen is None:
                _warn(f"{item.reason}; no earlier checkpoint is whole")
            elif item.step > _step(chosen):
                _warn(f"{item.reason}; {chosen.path.name} is used")
    return chosen


def first_whole(candidates: Iterable[Checkpoint], verify: str | None = SIZE) -> Checkpoint | None:
    """Return the first of some checkpoints that is whole; each one before it costs a warning."""
    for item in candidates:
        wrong = problems(item, way_for(item) if verify is None else verify)
        if not wrong:
            return item
        more = f" and {len(wrong) - 1} more" if len(wrong) > 1 else ""
        _warn(f"{item.path} is damaged: {wrong[0]}{more}; an earlier checkpoint is used")
    return None


def best(
    repo: Repo,
    jobs: Iterable[str],
    metric: str,
    mode: str = "min",
    *,
    kind: str = CHECKPOINT,
    verify: str | None = SIZE,
    past: Past = NOTHING,
) -> Checkpoint | None:
    """Return the whole checkpoint with the lowest or highest value of a metric.

    Among equal ones it is the newest; one without the metric, or with NaN, is none.

    Raises
    ------
    CheckpointError
        If there are checkpoints and none was saved with this metric.
    """
    found = [item for item in checkpoints_of(repo, jobs, kind) if not past.holds(item)]
    ranked = by_metric(found, metric, mode)
    if found and not ranked:
        known = sorted({name for item in found for name in item.metrics})
        raise CheckpointError(
            f"no checkpoint was saved with the metric {metric!r}",
            "they have: " + ", ".join(known[:10]) if known else "save with metrics={...}",
        )
    return first_whole(ranked, verify)


def by_metric(checkpoints: Iterable[Checkpoint], metric: str, mode: str) -> list[Checkpoint]:
    """Return those with a number for `metric`, the best first, of equal ones the newest."""
    if mode not in MODES:
        raise UsageError(f"{mode!r} is no mode", "one of: min, max")
    rated = [(value, item) for item in checkpoints if (value := number(item, metric)) is not None]
    rated.sort(key=lambda pair: pair[1].manifest.order, reverse=True)
    rated.sort(key=lambda pair: pair[0], reverse=mode == "max")
    return [item for _, item in rated]


def number(checkpoint: Checkpoint, metric: str) -> float | None:
    """Return a checkpoint's value of a metric (nested ones by dots), None when it has none."""
    value: Any = checkpoint.metrics.get(metric)
    if value is None and "." in metric:
        value = checkpoint.metrics
        for part in metric.split("."):
            value = value.get(part) if isinstance(value, dict) else None
    if value in ("Infinity", "-Infinity"):
        return math.inf if value == "Infinity" else -math.inf
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    return None if math.isnan(value) else float(value)


def _step(checkpoint: Checkpoint) -> float:
    return math.inf if checkpoint.step is None else checkpoint.step


def _warn(message: str) -> None:
    warnings.warn(message, CheckpointWarning, stacklevel=4)
