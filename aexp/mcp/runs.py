"""Tools that show runs, and create one without queueing it."""

from typing import Annotated, Any

from pydantic import Field

from aexp.kb.conditions import Resolver
from aexp.kb.experiments import load_experiment
from aexp.mcp.arguments import (
    Assignments,
    DryRun,
    ExperimentId,
    HypothesisId,
    Limit,
    RunId,
    Status,
    Tag,
    assignments,
    chosen_runs,
)
from aexp.mcp.results import Number, Object, Objects, Result, Text, Texts, Value
from aexp.mcp.tool import Effect, Needs, Toolbox
from aexp.model import short
from aexp.paths import Repo
from aexp.runs.create import create_plain_run
from aexp.runs.facts import count_statuses, known_details, known_facts, read_tail
from aexp.runs.known import find_known, read_known
from aexp.runs.logs import find_log

tools = Toolbox()


class RunRow(Value):
    """One run."""

    job_id: str
    short_id: str
    experiment_id: Text
    hypothesis_id: Text
    status: str
    batch_slug: str
    tag: Text
    tracker_url: Text
    sp: Object
    started_at: Text
    ended_at: Text
    wallclock_s: Number
    metrics: Object
    cause: Text
    progress: Object | None
    workspace: Text
    machine: Text


class RunList(Result):
    """Runs."""

    total: int
    runs: list[RunRow]


class RunDetails(Result, RunRow):
    """Everything about one run."""

    queued_at: Text
    heartbeat_at: Text
    last_error: Object | None
    attempts: Objects
    after: Texts
    resources: Object
    retries: Number
    timeout_s: Number
    log: Text


class NewRun(Result):
    """A run that was created."""

    job_id: str
    short_id: str
    created: bool
    dry_run: bool
    sp: Object


class Counts(Result):
    """Runs per experiment and status."""

    experiments: dict[str, dict[str, int]]


class Log(Result):
    """The end of a log."""

    job_id: str
    attempt: int
    path: str
    text: str
    size: int
    left_out: int


@tools.add(Effect.READS, needs=Needs.STORE)
def list_runs(
    repo: Repo,
    experiment_id: ExperimentId | None = None,
    hypothesis_id: HypothesisId | None = None,
    status: Status | None = None,
    tag: Tag | None = None,
    sp: Assignments | None = None,
    limit: Limit = 100,
) -> RunList:
    """List runs with their configuration and final metrics, the newest first.

    Every filter that is given must match. `total` counts all that match, also past `limit`.
    Runs of other machines are known from the ledger.
    """
    found = find_known(
        repo,
        chosen_runs(
            experiment_id=experiment_id,
            hypothesis_id=hypothesis_id,
            tag=tag,
            status=status,
            sp=sp,
        ),
    )
    rows = [RunRow.model_validate(known_facts(repo, known)) for known in found[:limit]]
    return RunList(total=len(found), runs=rows)


@tools.add(Effect.READS, needs=Needs.STORE)
def show_run(repo: Repo, job_id: RunId) -> RunDetails:
    """Show one run: configuration, metrics, every attempt, the last error, where its log lies."""
    return RunDetails.model_validate(known_details(repo, read_known(repo, job_id)))


@tools.add(Effect.READS, needs=Needs.STORE)
def status(repo: Repo, experiment_id: ExperimentId | None = None, tag: Tag | None = None) -> Counts:
    """Count runs per experiment and status."""
    return Counts(
        experiments=count_statuses(repo, chosen_runs(experiment_id=experiment_id, tag=tag))
    )


@tools.add(Effect.READS, needs=Needs.STORE)
def logs(
    repo: Repo,
    job_id: RunId,
    attempt: Annotated[
        int | None, Field(description="Which attempt; default: the last one.", ge=1, le=100_000)
    ] = None,
    max_bytes: Annotated[
        int, Field(description="How much of the end to return.", ge=1, le=200_000)
    ] = 20_000,
) -> Log:
    """Return the end of a run's output, whole lines of it.

    `left_out` says how many bytes come before. The text is what the run's command printed.
    """
    found = find_log(repo, job_id, attempt)
    tail = read_tail(found.path, max_bytes)
    return Log(
        job_id=found.job_id,
        attempt=found.attempt,
        path=repo.relative(found.path),
        text=tail.text,
        size=tail.size,
        left_out=tail.left_out,
    )


@tools.add(Effect.ADDS, idempotent=True, needs=Needs.STORE)
def new_run(
    repo: Repo,
    experiment_id: ExperimentId,
    statepoint: Assignments | None = None,
    hypothesis_id: HypothesisId | None = None,
    sub_hypothesis_id: HypothesisId | None = None,
    include_commit: Annotated[
        bool, Field(description="Make the code version part of the run's identity.")
    ] = True,
    resolve_conditions: Annotated[
        bool, Field(description="Let condition=NAME pull in the experiment's block of that name.")
    ] = True,
    dry_run: DryRun = False,
) -> NewRun:
    """Create a run without queueing it, for code that drives it by itself.

    To have a configuration executed, use queue_add instead.
    """
    experiment = load_experiment(repo, experiment_id)
    resolver = Resolver(experiment, resolve_conditions=resolve_conditions)
    sp: dict[str, Any] = resolver.state_point(assignments(statepoint))
    job_id, created = create_plain_run(
        repo,
        experiment_id,
        sp,
        hypothesis_id=hypothesis_id or experiment.hypothesis_id,
        sub_hypothesis_id=sub_hypothesis_id,
        include_commit=include_commit,
        dry_run=dry_run,
    )
    return NewRun(job_id=job_id, short_id=short(job_id), created=created, dry_run=dry_run, sp=sp)
