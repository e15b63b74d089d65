"""The tool that queues runs."""

import math
from typing import Annotated, Any

from pydantic import Field

from aexp.errors import AexpError, UsageError
from aexp.kb.experiments import parse_duration
from aexp.mcp.arguments import (
    MAX_TEXT,
    Assignments,
    DryRun,
    ExperimentId,
    HypothesisId,
    RunIds,
    Runner,
    Tag,
    assignments,
)
from aexp.mcp.results import Object, Result, Text, Value
from aexp.mcp.tool import Effect, Needs, Toolbox
from aexp.model import QUEUED, RUNNING, short
from aexp.paths import Repo
from aexp.queue.plan import AGAIN, DUPLICATE, IS_RUNNING, NEW, Adder, Planned, QueueOptions
from aexp.queue.resources import check_resources, parse_resources
from aexp.queue.sweep import expand, product
from aexp.runs.store import read_run

tools = Toolbox()

_SHOWN = 200
_STATUS = {NEW: QUEUED, AGAIN: QUEUED, IS_RUNNING: RUNNING}

Sweep = Annotated[
    dict[str, Annotated[list[Any], Field(min_length=1)]]
    | Annotated[str, Field(max_length=MAX_TEXT)],
    Field(
        description="Keys to combine, all combinations are queued: "
        '{"lr": [0.1, 0.01], "seed": [0, 1]} or "condition=full|cls,seed=0..3".'
    ),
]
Clauses = Annotated[list[Annotated[str, Field(max_length=MAX_TEXT)]], Field(max_length=100)]


class Job(Value):
    """One configuration of a queue_add."""

    job_id: str
    short_id: str
    sp: Object
    status: Text
    tag: Text
    workspace: str
    action: str
    note: str


class Added(Result):
    """What queue_add did."""

    num_queued: int
    tag: Text
    dry_run: bool
    first_command: Text
    jobs: list[Job]
    left_out: int


@tools.add(Effect.CHANGES, idempotent=True, needs=Needs.STORE)
def queue_add(
    repo: Repo,
    experiment_id: ExperimentId,
    statepoint: Assignments | None = None,
    sweep: Sweep | None = None,
    zip_sweeps: Annotated[
        Clauses | None,
        Field(description='Keys that advance together, each like "lr=0.1|0.01,wd=0|1".'),
    ] = None,
    exclude: Annotated[
        Clauses | None, Field(description='Combinations to leave out, each like "lr=0.1,seed=3".')
    ] = None,
    hypothesis_id: HypothesisId | None = None,
    sub_hypothesis_id: HypothesisId | None = None,
    tag: Tag | None = None,
    after: Annotated[
        RunIds | None, Field(description="Wait until these runs are complete.")
    ] = None,
    retries: Annotated[
        int | None, Field(description="More attempts if the command fails.", ge=0, le=1000)
    ] = None,
    max_faults: Annotated[
        int | None, Field(description="Faults after which a run has failed.", ge=1, le=1000)
    ] = None,
    timeout: Annotated[
        str | None, Field(description="Limit of one attempt: 90s, 15m, 2h, 1d.", max_length=40)
    ] = None,
    resources: Annotated[
        dict[str, Any] | Annotated[str, Field(max_length=MAX_TEXT)] | None,
        Field(description='{"mem_mb": 8000, "runtime": 120, "gpus": 1} or "mem_mb=8000*2".'),
    ] = None,
    priority: Annotated[
        int, Field(description="Higher runs first.", ge=-1_000_000, le=1_000_000)
    ] = 0,
    runner_hint: Annotated[
        Runner | None, Field(description="Default runner for queue_materialize.")
    ] = None,
    include_commit: Annotated[
        bool, Field(description="Make the code version part of the runs' identity.")
    ] = True,
    resolve_conditions: Annotated[
        bool, Field(description="Let condition=NAME pull in the experiment's block of that name.")
    ] = True,
    allow_dup_on_recommit: Annotated[
        bool, Field(description="Queue again what waits from another commit.")
    ] = False,
    skip_finished: Annotated[
        bool, Field(description="Leave ended runs alone instead of running them again.")
    ] = False,
    tracker: Annotated[
        str | None,
        Field(description="wandb, mlflow, noop, none; default the experiment's.", max_length=63),
    ] = None,
    tracker_project: Annotated[
        str | None, Field(description="The tracker's project.", max_length=500)
    ] = None,
    offline: Annotated[
        bool | None, Field(description="Track without a network, sync later.")
    ] = None,
    max_runs: Annotated[int, Field(description="Refuse a larger sweep.", ge=1, le=100_000)] = 1000,
    dry_run: DryRun = False,
) -> Added:
    """Queue runs of an experiment: one configuration, or a sweep of them. Executes nothing.

    The command is the experiment's `runner_command`; no other can be given here. What is
    queued already is not queued twice; what has ended is queued again and keeps its attempts,
    unless skip_finished. If one configuration cannot be queued, none is. Try dry_run first.
    """
    options = QueueOptions(
        tag=tag,
        hypothesis_id=hypothesis_id,
        sub_hypothesis_id=sub_hypothesis_id,
        runner_hint=runner_hint,
        after=tuple(after or ()),
        retries=retries,
        max_faults=max_faults,
        timeout_s=None if timeout is None else parse_duration(_seconds(timeout)),
        resources=_resources(resources),
        priority=priority,
        include_commit=include_commit,
        resolve_conditions=resolve_conditions,
        allow_dup_on_recommit=allow_dup_on_recommit,
        skip_finished=skip_finished,
        tracker=tracker,
        tracker_project=tracker_project,
        offline=offline,
    )
    rows = None
    if isinstance(sweep, dict):
        size = math.prod(len(values) for values in sweep.values())
        if size > max_runs:
            raise UsageError(f"this makes {size} runs; max_runs is {max_runs}", "split the sweep")
        rows, sweep = list(product(sweep)), None
    grid = expand(
        assignments(statepoint), sweep, zip_sweeps or (), rows, exclude or (), limit=max_runs
    )
    adder = Adder(repo, experiment_id, options)
    plan = adder.plan(grid)
    done = plan.runs if dry_run else adder.carry_out(plan)
    notes = [f"run {short(run.job_id)}: {run.note}" for run in done if run.action == DUPLICATE]
    return Added(
        num_queued=sum(planned.action in (NEW, AGAIN) for planned in done),
        tag=tag,
        dry_run=dry_run,
        first_command=plan.command,
        jobs=[_job(repo, planned, tag) for planned in done[:_SHOWN]],
        left_out=max(0, len(done) - _SHOWN),
        notices=[*plan.warnings, *notes[:20]],
    )


def _seconds(text: str) -> object:
    try:
        return float(text)
    except ValueError:
        return text


def _resources(given: dict[str, Any] | str | None) -> dict[str, Any]:
    if given is None:
        return {}
    checked = parse_resources(given) if isinstance(given, str) else check_resources(given)
    if "slurm_extra" in checked:
        raise UsageError(
            "slurm_extra cannot be given here: it is handed to sbatch as it is",
            "a person can write it into the experiment's resources:",
        )
    return checked


def _job(repo: Repo, planned: Planned, tag: str | None) -> Job:
    status = _STATUS.get(planned.action)
    if status is None:
        try:
            status = read_run(repo, planned.job_id).status
        except AexpError:
            status = None
    return Job(
        job_id=planned.job_id,
        short_id=short(planned.job_id),
        sp=planned.sp,
        status=status,
        tag=tag,
        workspace=repo.run_dir(planned.job_id),
        action=planned.action,
        note=planned.note,
    )
