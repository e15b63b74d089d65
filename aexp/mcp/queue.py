"""Tools that show and change the queue. None of them executes a run."""

from typing import Annotated, Literal

from pydantic import Field

from aexp.errors import AexpError, UsageError
from aexp.mcp.arguments import (
    Assignments,
    DryRun,
    ExperimentId,
    Limit,
    RunIds,
    Runner,
    Tag,
    chosen_runs,
    script_path,
)
from aexp.mcp.results import Number, Object, Result, Text, Texts, Value
from aexp.mcp.tool import Effect, Needs, Toolbox
from aexp.model import QUEUED, STATUSES, short
from aexp.paths import Repo
from aexp.queue import change as changes
from aexp.queue.materialize import materialize_queue
from aexp.queue.pending import list_entries
from aexp.queue.stop import DEFAULT_GRACE_S, stop_run
from aexp.runs.select import RunFilter

tools = Toolbox()

_SHOWN = 200


class Entry(Value):
    """One row of the queue."""

    job_id: str
    short_id: str
    experiment_id: Text
    hypothesis_id: Text
    status: str
    state: str
    why: str
    tag: Text
    queued_at: Text
    sp: Object
    last_error: Object | None
    priority: Number
    after: Texts
    resources: Object
    attempts: int
    progress: Object | None


class Entries(Result):
    """The queue."""

    total: int
    jobs: list[Entry]


class Change(Value):
    """What was done to one run, or why nothing was."""

    job_id: str
    short_id: str
    status: str
    done: bool
    note: str


class Changes(Result):
    """What was done to runs."""

    dry_run: bool
    num_done: int
    changes: list[Change]


class Script(Result):
    """A script that was written."""

    path: str
    runner: str
    num_jobs: int
    job_ids: list[str]
    left_out: int
    next_command: str
    dry_run: bool


@tools.add(Effect.READS, needs=Needs.STORE)
def queue_list(
    repo: Repo,
    experiment_id: ExperimentId | None = None,
    tag: Tag | None = None,
    sp: Assignments | None = None,
    include_terminal: Annotated[bool, Field(description="Also runs that have ended.")] = False,
    limit: Limit = 100,
) -> Entries:
    """List what is queued or running, in the order in which it runs.

    `state` and `why` say why a run has not run yet; `last_error` what went wrong the last time.
    """
    chosen = chosen_runs(experiment_id=experiment_id, tag=tag, sp=sp)
    found = list_entries(repo, chosen, include_terminal=include_terminal)
    rows = [
        Entry.model_validate({"short_id": short(entry.job_id), **entry._asdict()})
        for entry in found[:limit]
    ]
    return Entries(total=len(found), jobs=rows)


@tools.add(Effect.CHANGES, idempotent=True, needs=Needs.STORE)
def queue_remove(repo: Repo, job_ids: RunIds, dry_run: DryRun = False) -> Changes:
    """Take queued runs out of the queue: they become abandoned, with cause removed."""
    runs = changes.select_for(repo, job_ids, RunFilter(), frozenset())
    return _changes(changes.remove_runs(repo, runs, dry_run=dry_run), dry_run)


@tools.add(Effect.CHANGES, idempotent=True, needs=Needs.STORE)
def queue_clear(
    repo: Repo,
    experiment_id: ExperimentId | None = None,
    tag: Tag | None = None,
    sp: Assignments | None = None,
    everything: Annotated[
        bool, Field(description="Must be true to clear the queue without a filter.")
    ] = False,
    dry_run: DryRun = False,
) -> Changes:
    """Take every queued run under a filter out of the queue. Running runs are left alone."""
    chosen = chosen_runs(experiment_id=experiment_id, tag=tag, sp=sp)
    if chosen == RunFilter() and not everything:
        raise UsageError(
            "no filter was given", "give experiment_id, tag or sp, or everything: true"
        )
    runs = changes.select_for(repo, (), chosen, frozenset({QUEUED}))
    return _changes(changes.remove_runs(repo, runs, dry_run=dry_run), dry_run)


@tools.add(Effect.CHANGES, needs=Needs.STORE)
def queue_retry(
    repo: Repo,
    job_ids: RunIds | None = None,
    experiment_id: ExperimentId | None = None,
    tag: Tag | None = None,
    sp: Assignments | None = None,
    status: Annotated[
        Literal["complete", "failed", "abandoned", "stopped"] | None,
        Field(description="With a filter: only runs of this status; default: all but complete."),
    ] = None,
    dry_run: DryRun = False,
) -> Changes:
    """Queue ended runs again, named by id or by a filter; every earlier attempt is kept.

    Runs that were abandoned because a parent failed come back with their parent.
    """
    chosen = chosen_runs(experiment_id=experiment_id, tag=tag, sp=sp)
    if job_ids and (status or chosen != RunFilter()):
        raise UsageError("give job_ids or a filter, not both")
    if job_ids:
        runs = changes.select_for(repo, job_ids, RunFilter(), frozenset(STATUSES))
    elif status or chosen != RunFilter():
        statuses = frozenset({status}) if status else changes.RETRIED_BY_DEFAULT
        runs = changes.retriable(repo, chosen, statuses)
    else:
        raise UsageError("nothing was chosen", "give job_ids, experiment_id, tag, sp or status")
    return _changes(changes.retry_runs(repo, runs, dry_run=dry_run), dry_run)


@tools.add(Effect.CHANGES, idempotent=True, needs=Needs.STORE)
def queue_stop(
    repo: Repo,
    job_ids: RunIds,
    grace_s: Annotated[
        float, Field(description="Seconds between SIGTERM and SIGKILL.", ge=0, le=120)
    ] = DEFAULT_GRACE_S,
    force: Annotated[bool, Field(description="SIGKILL at once.")] = False,
    dry_run: DryRun = False,
) -> Changes:
    """Stop runs that are executing, on this machine or in a Slurm job; they become stopped."""
    done: list[changes.Change] = []
    for run in changes.select_for(repo, job_ids, RunFilter(), frozenset()):
        try:
            done.append(stop_run(repo, run, grace_s=grace_s, force=force, dry_run=dry_run))
        except AexpError as error:
            if len(job_ids) == 1:
                raise
            done.append(changes.Change(run.job_id, run.status, False, error.message))
    return _changes(done, dry_run)


@tools.add(Effect.CHANGES, idempotent=True, needs=Needs.STORE)
def queue_materialize(
    repo: Repo,
    output_path: Annotated[
        str,
        Field(
            description="The script, relative to the repository, like scripts/paper.sh; it ends "
            "in .sh, .sbatch or .txt. Not in a hidden folder; a file that aexp has not generated "
            "is not written over.",
            min_length=1,
            max_length=500,
        ),
    ],
    runner: Annotated[
        Runner | None, Field(description="Default: the runs' hint, or shell.")
    ] = None,
    experiment_id: ExperimentId | None = None,
    tag: Tag | None = None,
    sp: Assignments | None = None,
    slurm_kwargs: Annotated[
        dict[
            Literal["time", "mem", "gpus", "partition", "account"],
            Annotated[str, Field(pattern=r"^[A-Za-z0-9_.,:/+-]{1,100}$")],
        ]
        | None,
        Field(description='#SBATCH options of the runner slurm, like {"time": "04:00:00"}.'),
    ] = None,
    array_size: Annotated[
        int, Field(description="At most so many tasks per Slurm array.", ge=1, le=100_000)
    ] = 1000,
    dry_run: DryRun = False,
) -> Script:
    """Write a script with which a person executes the queue: for a shell, sbatch, or a list.

    Nothing is executed or submitted; `next_command` says what the person types.
    """
    path = script_path(repo, output_path)
    chosen = chosen_runs(experiment_id=experiment_id, tag=tag, sp=sp)
    written = materialize_queue(
        runner=runner,
        output_path=path,
        experiment_id=chosen.experiment_id,
        tag=chosen.tag,
        sp=chosen.sp,
        slurm_kwargs={str(key): value for key, value in (slurm_kwargs or {}).items()},
        array_size=array_size,
        dry_run=dry_run,
        repo_root=repo.root,
    )
    none = [] if written.num_jobs else [f"{chosen.none('queued run')}: the script does nothing"]
    return Script(
        path=output_path,
        runner=written.runner,
        num_jobs=written.num_jobs,
        job_ids=written.job_ids[:_SHOWN],
        left_out=max(0, written.num_jobs - _SHOWN),
        next_command=written.next_command,
        dry_run=dry_run,
        notices=none,
    )


def _changes(done: list[changes.Change], dry_run: bool) -> Changes:
    rows = [Change(short_id=short(change.job_id), **change._asdict()) for change in done]
    return Changes(dry_run=dry_run, num_done=sum(row.done for row in rows), changes=rows)
