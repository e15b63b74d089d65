"""Tools over batches: runs of an experiment that share state-point values; and links of runs."""

from typing import Annotated

from pydantic import Field

from aexp.mcp.arguments import (
    Assignments,
    DryRun,
    ExperimentId,
    HypothesisId,
    Limit,
    RunId,
    chosen_runs,
)
from aexp.mcp.results import Object, Result, Text, Value
from aexp.mcp.tool import Effect, Needs, Toolbox
from aexp.model import short
from aexp.paths import Repo
from aexp.runs import batches
from aexp.runs.link import link_run as link
from aexp.runs.store import resolve_id

tools = Toolbox()

_SHOWN = 200


class Batch(Value):
    """Runs of an experiment that agree in some values."""

    experiment_id: Text
    hypothesis_id: Text
    selector: Object
    batch_slug: str
    runs: int
    statuses: dict[str, int]
    job_ids: list[str]


class BatchList(Result):
    """Batches."""

    total: int
    batches: list[Batch]


class BatchRun(Value):
    """One run of a batch."""

    job_id: str
    short_id: str
    status: str
    machine: Text
    tag: Text
    sp: Object
    metrics: Object
    started_at: Text
    ended_at: Text


class BatchDetails(Result):
    """A batch with its runs, and its final numbers."""

    experiment_id: Text
    hypothesis_id: Text
    selector: Object
    batch_slug: str
    total: int
    statuses: dict[str, int]
    metrics: dict[str, Object]
    runs: list[BatchRun]


class Linked(Result):
    """A run's link, before and after."""

    job_id: str
    short_id: str
    status: str
    before: Object
    after: Object
    changed: bool
    dry_run: bool


@tools.add(Effect.READS)
def list_batches(
    repo: Repo,
    experiment_id: ExperimentId | None = None,
    selector_keys: Annotated[
        list[Annotated[str, Field(min_length=1, max_length=200)]] | None,
        Field(description="State-point keys that make a batch; default condition.", max_length=20),
    ] = None,
    limit: Limit = 100,
) -> BatchList:
    """Group runs by experiment and state-point values: those here, and those in the ledger.

    At most 200 job_ids are listed per batch; `runs` counts all.
    """
    keys = batches.DEFAULT_KEYS if selector_keys is None else tuple(dict.fromkeys(selector_keys))
    found = batches.list_batches(experiment_id=experiment_id, selector_keys=keys, repo_root=repo)
    rows = [
        Batch.model_validate({**one._asdict(), "job_ids": one.job_ids[:_SHOWN]})
        for one in found[:limit]
    ]
    return BatchList(total=len(found), batches=rows)


@tools.add(Effect.READS)
def show_batch(
    repo: Repo,
    experiment_id: ExperimentId,
    selector: Annotated[
        Assignments | None, Field(description="Only runs with these state-point values.")
    ] = None,
    limit: Limit = 200,
) -> BatchDetails:
    """Show the runs of an experiment that share some values, and their metrics: n, mean, sd.

    Runs of other machines are known from the ledger. The numbers are those of complete runs.
    """
    found = batches.show_batch(
        experiment_id=experiment_id, selector=chosen_runs(sp=selector).sp, repo_root=repo
    )
    summary = found.summary
    return BatchDetails(
        experiment_id=summary.experiment_id,
        hypothesis_id=summary.hypothesis_id,
        selector=summary.selector,
        batch_slug=summary.batch_slug,
        total=summary.runs,
        statuses=summary.statuses,
        metrics={name: one._asdict() for name, one in found.metrics.items()},
        runs=[
            BatchRun.model_validate({**one._asdict(), "short_id": short(one.job_id)})
            for one in found.runs[:limit]
        ],
    )


@tools.add(Effect.CHANGES, idempotent=True, needs=Needs.STORE)
def link_run(
    repo: Repo,
    job_id: RunId,
    experiment_id: ExperimentId,
    hypothesis_id: HypothesisId | None = None,
    sub_hypothesis_id: HypothesisId | None = None,
    dry_run: DryRun = False,
) -> Linked:
    """Link a run to an experiment that exists; an ended run's ledger entry is renewed.

    The state point stays: it is the run's identity.
    """
    done = link(
        repo,
        resolve_id(repo, job_id),
        experiment_id=experiment_id,
        hypothesis_id=hypothesis_id,
        sub_hypothesis_id=sub_hypothesis_id,
        dry_run=dry_run,
    )
    return Linked(short_id=short(done.job_id), dry_run=dry_run, **done._asdict())
