"""Tools that ask the catalogue of all runs, and judge runs."""

from typing import Annotated, Any, Literal

from pydantic import Field

from aexp.catalogue import open_catalogue
from aexp.catalogue.apart import query_apart
from aexp.catalogue.best import best_runs
from aexp.catalogue.compare import compare_runs
from aexp.catalogue.comparison import parse_comparison
from aexp.catalogue.filters import RunQuery, find_runs, unknown_names
from aexp.catalogue.lineage import trace
from aexp.catalogue.table import build_table
from aexp.freshness.check import check as judge
from aexp.mcp.arguments import ExperimentId, HypothesisId, Limit, RunId, RunIds, Status, Tag
from aexp.mcp.results import Number, Object, Objects, Result, Text, Texts, Value, plain
from aexp.mcp.tool import Effect, Toolbox
from aexp.model import check_tag, short
from aexp.paths import Repo
from aexp.runs.known import RunRecord, read_known
from aexp.runs.since import since_stamp

tools = Toolbox()

Name = Annotated[str, Field(min_length=1, max_length=200)]
Condition = Annotated[str, Field(min_length=1, max_length=400)]
Statuses = Annotated[list[Status], Field(description="One of these statuses.", max_length=7)]
Experiments = Annotated[
    list[ExperimentId], Field(description="One of these experiments.", max_length=100)
]
Tags = Annotated[list[Tag], Field(description="One of these tags.", max_length=100)]
CampaignIds = Annotated[
    list[Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,62}$")]],
    Field(description="One of these campaigns.", max_length=100),
]
Since = Annotated[
    str, Field(description="Not older: 7d, 24h, or a date like 2026-11-21.", max_length=40)
]
Conditions = Annotated[
    list[Condition],
    Field(description="All of these hold: 'lr<0.1', 'model=base', or only 'lr'.", max_length=50),
]
Glob = Annotated[
    str, Field(description="They made a file whose path matches.", min_length=1, max_length=1000)
]
SlurmJob = Annotated[
    str, Field(description="Executed in this Slurm job.", min_length=1, max_length=100)
]
Names = Annotated[list[Name], Field(max_length=100)]


class FoundRun(Value):
    """One run."""

    job_id: str
    short_id: str
    experiment_id: Text
    hypothesis_id: Text
    status: str
    sp: Object
    metrics: Object
    tag: Text
    started_at: Text
    ended_at: Text
    machine: Text
    queued_at: Text
    wallclock_s: Number
    cause: Text
    outcome: Text


class FoundRuns(Result):
    """Runs that match."""

    total: int
    runs: list[FoundRun]


class Table(Result):
    """Runs compared."""

    keys: list[str]
    metrics: list[str]
    rows: Objects
    total: int


class Ranked(Value):
    """One of the best runs."""

    per: Object
    rank: int
    value: Number
    run: FoundRun


class Best(Result):
    """The best runs by a metric."""

    metric: str
    mode: str
    best: list[Ranked]
    compared: int
    not_finite: int
    not_complete: int


class Differences(Result):
    """What differs between two runs."""

    compared: list[str]
    same: bool
    differences: Objects
    unknown: Texts


class Rows(Result):
    """What a query has found."""

    rows: Objects


class Lineage(Result):
    """What a run stands on, and what stands on it."""

    job_id: str
    runs: Objects
    edges: Objects


class Judged(Result):
    """Which runs are fresh, and why others are not."""

    checked: int
    counts: dict[str, int]
    not_judged: dict[str, int]
    problems: Texts
    runs: Objects


def _query(
    statuses: list[Status] | None,
    experiment_ids: list[str] | None,
    hypothesis_id: str | None,
    tags: list[str] | None,
    campaigns: list[str] | None,
    since: str | None,
    params: list[str] | None,
    metrics: list[str] | None,
    output_file: str | None = None,
    slurm_job: str | None = None,
) -> RunQuery:
    return RunQuery(
        statuses=tuple(statuses or ()),
        experiments=tuple(experiment_ids or ()),
        hypothesis_id=hypothesis_id,
        tags=tuple(map(check_tag, tags or ())),
        campaigns=tuple(campaigns or ()),
        since=since_stamp(since) if since is not None else None,
        params=tuple(map(parse_comparison, params or ())),
        metrics=tuple(map(parse_comparison, metrics or ())),
        output_file=output_file,
        slurm_job=slurm_job,
    )


def _found(repo: Repo, query: RunQuery) -> tuple[list[RunRecord], list[str]]:
    """Return the runs, and what is to be remarked."""
    with open_catalogue(repo) as catalogue:
        runs = find_runs(catalogue, query)
        remarks = [] if runs else unknown_names(catalogue, query)
        return runs, [*catalogue.warnings, *remarks]


def _row(run: RunRecord) -> FoundRun:
    return FoundRun.model_validate({**run._asdict(), "short_id": short(run.job_id)})


@tools.add(Effect.READS)
def find(
    repo: Repo,
    statuses: Statuses | None = None,
    experiment_ids: Experiments | None = None,
    hypothesis_id: HypothesisId | None = None,
    tags: Tags | None = None,
    campaigns: CampaignIds | None = None,
    since: Since | None = None,
    params: Conditions | None = None,
    metrics: Conditions | None = None,
    output_file: Glob | None = None,
    slurm_job: SlurmJob | None = None,
    limit: Limit = 100,
) -> FoundRuns:
    """Find runs of every machine by what they are, got and made, the newest first.

    Every condition that is given must hold. `total` counts all that match, also past `limit`.
    """
    query = _query(
        statuses,
        experiment_ids,
        hypothesis_id,
        tags,
        campaigns,
        since,
        params,
        metrics,
        output_file,
        slurm_job,
    )
    runs, remarks = _found(repo, query)
    return FoundRuns(total=len(runs), runs=[_row(run) for run in runs[:limit]], notices=remarks)


@tools.add(Effect.READS)
def table(
    repo: Repo,
    experiment_ids: Experiments | None = None,
    tags: Tags | None = None,
    campaigns: CampaignIds | None = None,
    since: Since | None = None,
    params: Conditions | None = None,
    metrics: Annotated[Names | None, Field(description="Only these metrics; default all.")] = None,
    by: Annotated[
        Names | None, Field(description="Parameters that make a row; default: all that vary.")
    ] = None,
    over: Annotated[
        Names | None, Field(description="Parameters to average over; default seed.")
    ] = None,
    sort: Annotated[
        str | None,
        Field(description="A metric or parameter; with - before it largest first.", max_length=200),
    ] = None,
    limit: Limit = 100,
) -> Table:
    """Compare runs: the parameters that vary, and each metric's n, mean and sd over seeds.

    The averages are over complete runs; `others` counts the rest of each row.
    """
    query = _query(None, experiment_ids, None, tags, campaigns, since, params, None)
    runs, remarks = _found(repo, query)
    made = build_table(
        runs,
        by=by,
        over=("seed",) if over is None else over,
        metrics=metrics or (),
        sort=sort,
    )
    rows = [
        {**row._asdict(), "metrics": {key: one._asdict() for key, one in row.metrics.items()}}
        for row in made.rows[:limit]
    ]
    return Table(
        keys=made.keys, metrics=made.metrics, rows=rows, total=len(made.rows), notices=remarks
    )


@tools.add(Effect.READS)
def best(
    repo: Repo,
    metric: Annotated[Name, Field(description="The metric to compare by.")],
    mode: Annotated[Literal["max", "min"], Field(description="Which value is the best.")] = "max",
    per: Annotated[
        Names | None, Field(description="The best of each value of these parameters.")
    ] = None,
    top: Annotated[int, Field(description="The best so many.", ge=1, le=1000)] = 1,
    experiment_ids: Experiments | None = None,
    tags: Tags | None = None,
    campaigns: CampaignIds | None = None,
    since: Since | None = None,
    params: Conditions | None = None,
    metrics: Conditions | None = None,
) -> Best:
    """Show the complete run with the highest, or lowest, final value of a metric.

    NaN and infinity never win. One run is no average: table compares over seeds.
    """
    query = _query(None, experiment_ids, None, tags, campaigns, since, params, metrics)
    runs, remarks = _found(repo, query)
    ranking = best_runs(runs, metric, mode=mode, per=per or (), top=top)
    return Best(
        metric=metric,
        mode=mode,
        best=[
            Ranked(per=one.group, rank=one.rank, value=one.value, run=_row(one.run))
            for one in ranking.best
        ],
        compared=ranking.compared,
        not_finite=ranking.not_finite,
        not_complete=ranking.not_complete,
        notices=remarks,
    )


@tools.add(Effect.READS)
def diff(repo: Repo, job_id: RunId, other_job_id: RunId) -> Differences:
    """Show what differs between two runs: state point, metrics, code, files, environment.

    `unknown` says what could not be compared.
    """
    a, b = read_known(repo, job_id), read_known(repo, other_job_id)
    found = compare_runs(repo, a, b)
    return Differences(
        compared=[a.run.job_id, b.run.job_id],
        same=not found.differences,
        differences=[one._asdict() for one in found.differences],
        unknown=found.unknown,
    )


@tools.add(Effect.READS)
def sql(
    repo: Repo,
    query: Annotated[
        str, Field(description="One SELECT, in DuckDB's dialect.", min_length=1, max_length=20_000)
    ],
    limit: Limit = 1000,
    timeout_s: Annotated[float, Field(description="End it after so long.", ge=0.1, le=300)] = 60.0,
) -> Rows:
    """Ask the catalogue of all runs, notes and campaigns a question in SQL; it only reads.

    It reaches no file, no network and no setting. Tables: runs, attempts, params, metrics,
    artifacts, edges, hypotheses, experiments, findings, threads, citations, campaigns,
    campaign_runs; v_runs has the newest first. More rows than `limit` are an error: add LIMIT.
    """
    found: list[dict[str, Any]] = query_apart(repo, query, timeout_s=timeout_s, max_rows=limit)
    return Rows(rows=found)


@tools.add(Effect.READS)
def lineage(
    repo: Repo,
    job_id: RunId,
    direction: Annotated[
        Literal["both", "up", "down"],
        Field(description="What it stands on (up), what stands on it (down)."),
    ] = "both",
    depth: Annotated[
        int | None, Field(description="So many steps; default all.", ge=1, le=1000)
    ] = None,
) -> Lineage:
    """Show what a run builds on, and what builds on it, with the reason for each link.

    A parent is a run that it was derived from, that it waited for, whose checkpoint it began
    with or went on from, or that has made one of its inputs, to the byte.
    """
    full_id = read_known(repo, job_id).run.job_id
    with open_catalogue(repo) as catalogue:
        found = trace(
            catalogue, full_id, up=direction != "down", down=direction != "up", depth=depth
        )
        return Lineage.model_validate({**found.to_dict(), "notices": catalogue.warnings})


@tools.add(Effect.READS)
def check(
    repo: Repo,
    job_ids: RunIds | None = None,
    statuses: Statuses | None = None,
    experiment_ids: Experiments | None = None,
    check_outputs: Annotated[
        bool, Field(description="Compare their outputs, too, where they are here.")
    ] = False,
    only_problems: Annotated[bool, Field(description="Leave out runs that are fresh.")] = True,
    limit: Limit = 200,
) -> Judged:
    """Judge ended runs by content: whether what they depend on is still what it was.

    States: fresh, stale, output (missing or changed), unverifiable; each with its reasons.
    """
    wanted = {read_known(repo, job_id).run.job_id for job_id in job_ids} if job_ids else None
    report = judge(
        repo,
        job_ids=wanted,
        statuses=statuses or None,
        experiments=experiment_ids or None,
        check_outputs=check_outputs,
    )
    said = report.to_dict()
    runs = [run for run in said["runs"] if run["reasons"] or not only_problems]
    return Judged.model_validate({**said, "runs": plain(runs[:limit])})
