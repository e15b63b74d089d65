"""The Python API of ``queue add``."""

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aexp.errors import DuplicatePendingJobWarning, UsageError
from aexp.kb.experiments import parse_duration
from aexp.model import short
from aexp.paths import Repo
from aexp.queue.plan import DUPLICATE, Adder, Planned
from aexp.queue.settings import QueueOptions
from aexp.queue.sweep import expand, product
from aexp.runs.jobs import open_runs

if TYPE_CHECKING:
    from signac.job import Job


def _options(keywords: dict[str, Any]) -> QueueOptions:
    if "runner_command_override" in keywords:
        keywords["command"] = keywords.pop("runner_command_override")
    if keywords.get("timeout") is not None:
        keywords["timeout_s"] = parse_duration(keywords["timeout"])
    keywords.pop("timeout", None)
    keywords["after"] = tuple(keywords.get("after") or ())
    unknown = set(keywords) - set(QueueOptions._fields)
    if unknown:
        raise TypeError(f"unexpected keyword arguments: {', '.join(sorted(unknown))}")
    return QueueOptions(**keywords)


def _warn_duplicates(done: Sequence[Planned]) -> None:
    for planned in done:
        if planned.action == DUPLICATE:
            warnings.warn(
                f"run {short(planned.job_id)}: {planned.note}; it was not queued twice",
                DuplicatePendingJobWarning,
                stacklevel=3,
            )


def add_many_to_queue(
    *,
    experiment_id: str,
    base_sp: Mapping[str, Any] | None = None,
    sweep: str | Mapping[str, Sequence[Any]] | None = None,
    zipped: Sequence[str] = (),
    rows: list[dict[str, Any]] | None = None,
    exclude: Sequence[str] = (),
    repo_root: str | Path | None = None,
    **options: Any,
) -> "list[Job]":
    """Queue every combination of a sweep and return the signac jobs, in sweep order.

    Parameters
    ----------
    experiment_id : str
        The experiment the runs belong to.
    base_sp : mapping, optional
        Keys fixed for every run.
    sweep : str or mapping, optional
        ``"seed=0..3,condition=full|cls"``, or a mapping of keys to lists of values.
    zipped, rows, exclude
        As ``--zip``, ``--sweep-file`` and ``--exclude``.
    repo_root : str or Path, optional
        Default: the repository around the current folder.
    **options
        Fields of `QueueOptions`.

    Raises
    ------
    AexpError
        If any configuration cannot be queued; then none is.
    """
    repo = Repo.installed(repo_root)
    adder = Adder(repo, experiment_id, _options(dict(options)))
    base = dict(base_sp or {})
    if isinstance(sweep, Mapping):
        if rows is not None:
            raise UsageError("a sweep mapping and rows are both given", "put one into the other")
        rows, sweep_text = list(product(sweep)), None
    else:
        sweep_text = sweep
    grid = expand(base, sweep_text, zipped, rows, exclude)
    plan = adder.plan(grid)
    for note in plan.warnings:
        warnings.warn(note, UserWarning, stacklevel=2)
    done = adder.carry_out(plan)
    _warn_duplicates(done)
    return open_runs(repo, [planned.job_id for planned in done])


def add_to_queue(
    *,
    experiment_id: str,
    statepoint: Mapping[str, Any] | None = None,
    repo_root: str | Path | None = None,
    **options: Any,
) -> "Job":
    """Queue one run and return its signac job (see `add_many_to_queue`)."""
    return add_many_to_queue(
        experiment_id=experiment_id, base_sp=statepoint, repo_root=repo_root, **options
    )[0]
