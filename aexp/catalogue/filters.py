"""Which runs: the conditions of ``find``, ``table`` and ``best``, as one question."""

import difflib
import json
import os
from collections.abc import Sequence
from datetime import datetime
from hashlib import file_digest
from typing import TYPE_CHECKING, Any, NamedTuple

from aexp.catalogue.comparison import Comparison, metric_sql, parameter_sql
from aexp.catalogue.schema import newest_first
from aexp.model import printable
from aexp.paths import Repo
from aexp.runs.known import RunRecord

if TYPE_CHECKING:
    from aexp.catalogue import Catalogue

_FACTS = (
    "r.job_id, r.experiment_id, r.hypothesis_id, r.status, r.statepoint, r.metrics, r.tag, "
    "r.started_at, r.ended_at, "
    "CASE WHEN NOT r.in_store THEN coalesce(nullif(r.machine, ''), 'another machine') END, "
    "r.queued_at, r.wallclock_s, r.cause, r.outcome"
)
_LAST = "greatest(r.queued_at, r.started_at, r.ended_at)"
# A task of an array is also called by the array's id and its number: 4711_3.
_SLURM_IDS = (
    "slurm_job_id",
    "slurm_array_job_id",
    "slurm_array_job_id || '_' || slurm_array_task_id",
)
_NAMES = {"params": "parameter", "metrics": "metric"}


class RunQuery(NamedTuple):
    """What runs must have; what is empty asks for nothing.

    Attributes
    ----------
    statuses, experiments, tags, campaigns, outcomes : tuple of str
        One of them.
    hypothesis_id : str or None
        The hypothesis that they are linked to.
    since : str or None
        They were queued, started or ended at that moment or later.
    params, metrics : tuple of Comparison
        Every one of them.
    slurm_job : str or None
        An attempt was executed in this job, array, or task of an array.
    output_file : str or None
        They made a file whose path matches, or that has this file's content.
    """

    statuses: tuple[str, ...] = ()
    experiments: tuple[str, ...] = ()
    hypothesis_id: str | None = None
    tags: tuple[str, ...] = ()
    campaigns: tuple[str, ...] = ()
    outcomes: tuple[str, ...] = ()
    since: str | None = None
    params: tuple[Comparison, ...] = ()
    metrics: tuple[Comparison, ...] = ()
    slurm_job: str | None = None
    output_file: str | None = None

    def __str__(self) -> str:
        """Say the conditions in words, as messages do."""
        parts = [
            f"{name} {' or '.join(values)}"
            for name, values in (
                ("status", self.statuses),
                ("experiment", self.experiments),
                ("tag", self.tags),
                ("campaign", self.campaigns),
                ("outcome", self.outcomes),
            )
            if values
        ]
        parts += [
            f"{name} {value}"
            for name, value in (
                ("hypothesis", self.hypothesis_id),
                ("Slurm job", self.slurm_job),
                ("output file", self.output_file),
                ("since", self.since),
            )
            if value is not None
        ]
        parts += [f"parameter {one}" for one in self.params]
        parts += [f"metric {one}" for one in self.metrics]
        return printable(", ".join(parts))

    def none(self) -> str:
        """Say that nothing was found: ``no run matches tag paper``, or ``there is no run``."""
        return f"no run matches {self}" if self != RunQuery() else "there is no run"


def find_runs(catalogue: "Catalogue", query: RunQuery, limit: int | None = None) -> list[RunRecord]:
    """Return the runs that match, the one that something happened to last first.

    Raises
    ------
    UsageError
        If a metric is compared with what is no number.
    """
    conditions, values = _conditions(catalogue.repo, query)
    where = " AND ".join(conditions) or "true"
    sql = f"SELECT {_FACTS} FROM runs r WHERE {where} ORDER BY {newest_first('r')}"
    if limit is not None:
        sql, values = sql + " LIMIT ?", [*values, limit]
    _, rows = catalogue.rows(sql, values)
    return [_record(row) for row in rows]


def _conditions(repo: Repo, query: RunQuery) -> tuple[list[str], list[Any]]:
    conditions: list[str] = []
    values: list[Any] = []

    def add(condition: str, *bound: Any) -> None:
        conditions.append(condition)
        values.extend(bound)

    for column, wanted in (
        ("r.status", query.statuses),
        ("r.experiment_id", query.experiments),
        ("r.outcome", query.outcomes),
    ):
        if wanted:
            add(f"list_contains(?::VARCHAR[], {column})", list(wanted))
    if query.hypothesis_id is not None:
        add("r.hypothesis_id = ?", query.hypothesis_id)
    if query.tags:
        add("list_has_any(r.tags, ?::VARCHAR[])", list(query.tags))
    if query.campaigns:
        members = "SELECT job_id FROM campaign_runs WHERE list_contains(?::VARCHAR[], campaign_id)"
        add(f"r.job_id IN ({members})", list(query.campaigns))
    if query.since is not None:
        add(f"{_LAST} >= ?", datetime.fromisoformat(query.since.removesuffix("Z")))
    for comparisons, table, sql_of in (
        (query.params, "params", parameter_sql),
        (query.metrics, "metrics", metric_sql),
    ):
        for one in comparisons:
            sql, bound = sql_of(one)
            add(f"r.job_id IN (SELECT job_id FROM {table} WHERE {sql})", *bound)
    if query.slurm_job is not None:
        is_it = " OR ".join(f"{name} = ?" for name in _SLURM_IDS)
        sql = f"r.job_id IN (SELECT job_id FROM attempts WHERE {is_it})"
        add(sql, *[query.slurm_job] * len(_SLURM_IDS))
    if query.output_file is not None:
        patterns, digest = _wanted_file(repo, query.output_file)
        is_it = " OR ".join(["path GLOB ?"] * len(patterns) + ["sha256 = ?"] * bool(digest))
        made = f"SELECT job_id FROM artifacts WHERE role = 'output' AND ({is_it})"
        add(f"r.job_id IN ({made})", *patterns, *([digest] if digest else []))
    return conditions, values


def _wanted_file(repo: Repo, text: str) -> tuple[list[str], str | None]:
    """Return the patterns that a path must match, and the digest of the file if there is one.

    A path counts from the current folder, or as the ledger has it: from the repository's
    top. A plain name is looked for in every folder.
    """
    relative = repo.relative(os.path.abspath(text))
    patterns = [text, relative if not relative.startswith("..") else text]
    if "/" not in text:
        patterns.append("*/" + text)
    return list(dict.fromkeys(patterns)), _digest(text)


def _digest(path: str) -> str | None:
    try:
        if not os.path.isfile(path):
            return None
        with open(path, "rb") as file:
            return file_digest(file, "sha256").hexdigest()
    except (OSError, ValueError):
        return None


def _record(row: Sequence[Any]) -> RunRecord:
    job_id, experiment, hypothesis, status, sp, metrics, tag, *rest = row
    started, ended, machine, queued, seconds, cause, outcome = rest
    return RunRecord(
        job_id,
        experiment,
        hypothesis,
        status,
        json.loads(sp) if sp else {},
        json.loads(metrics) if metrics else {},
        tag,
        _stamp(started),
        _stamp(ended),
        machine,
        _stamp(queued),
        seconds,
        cause,
        outcome,
    )


def _stamp(moment: datetime | None) -> str | None:
    return None if moment is None else moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def unknown_names(catalogue: "Catalogue", query: RunQuery) -> list[str]:
    """Say of each thing that is looked for and is nowhere at all which one may be meant."""
    told = [
        unknown_name(catalogue, table, one.name)
        for table, comparisons in (("params", query.params), ("metrics", query.metrics))
        for one in comparisons
    ]
    known = {row[0] for row in catalogue.rows("SELECT campaign_id FROM campaigns").rows}
    told += [f"there is no campaign {name}" for name in query.campaigns if name not in known]
    if query.output_file is not None:
        made = "SELECT 1 FROM artifacts WHERE role = 'output' LIMIT 1"
        if not catalogue.rows(made).rows:
            told.append("no run records outputs; an experiment declares them: outputs: [GLOB]")
    return [printable(text) for text in told if text]


def unknown_name(catalogue: "Catalogue", table: str, name: str) -> str | None:
    """Say that no run has a parameter or metric of this name; None when one has."""
    _, rows = catalogue.rows(f"SELECT DISTINCT key FROM {table} ORDER BY key")
    known = [row[0] for row in rows]
    if name in known:
        return None
    near = difflib.get_close_matches(name, known, n=3) or known[:8]
    meant = f"; there are: {', '.join(near)}" if near else ""
    return f"no run has a {_NAMES[table]} {name}{meant}"
