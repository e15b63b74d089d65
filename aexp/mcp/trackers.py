"""Tools over the trackers of runs."""

from collections import Counter
from typing import Annotated

from pydantic import Field

from aexp.mcp.arguments import DryRun, RunId, RunIds
from aexp.mcp.results import Number, Object, Result, Text, Value
from aexp.mcp.tool import Effect, Needs, Toolbox
from aexp.model import section
from aexp.paths import Repo
from aexp.runs.store import read_run, resolve_id
from aexp.trackers.binding import bind_by_hand, binding_for, check_settings
from aexp.trackers.sync.sync import sync_offline_runs

tools = Toolbox()

_SHOWN = 500
_MAX_TEXT = 2000


class Bound(Result):
    """What a run is bound to now."""

    job_id: str
    tracker: Object | None
    dry_run: bool


class SyncRow(Value):
    """What was done with one offline run."""

    path: str
    backend: str
    run_id: str
    job_id: Text
    state: str
    ok: bool
    returncode: Number
    stdout: str
    stderr: str
    hint: str
    url: Text
    seconds: Number


class Synced(Result):
    """What was done with the offline runs of the store."""

    run_store: str
    dry_run: bool
    ok: bool
    counts: dict[str, int]
    results: list[SyncRow]


@tools.add(Effect.CHANGES, idempotent=True, needs=Needs.STORE)
def bind_tracker(
    repo: Repo,
    job_id: RunId,
    backend: Annotated[
        str, Field(description="wandb, mlflow, noop; none unbinds.", max_length=63)
    ] = "noop",
    project: Annotated[
        str | None, Field(description="The tracker's project.", max_length=500)
    ] = None,
    offline: Annotated[
        bool | None, Field(description="Track without a network, sync later.")
    ] = None,
    dry_run: DryRun = False,
) -> Bound:
    """Bind a run that has not begun to a tracker; its id there is fixed from now on.

    No tracker is contacted: the tracker's run is opened when the run executes.
    """
    full_id = resolve_id(repo, job_id)
    settings = check_settings({"backend": backend, "project": project, "offline": offline})
    if dry_run:
        binding = None if settings is None else dict(binding_for(read_run(repo, full_id), settings))
    else:
        binding = section(bind_by_hand(repo, full_id, settings).doc, "tracker") or None
    return Bound(job_id=full_id, tracker=binding, dry_run=dry_run)


@tools.add(Effect.CHANGES, idempotent=True, needs=Needs.STORE, uses_network=True)
def sync_offline(
    repo: Repo,
    job_ids: RunIds | None = None,
    backend: Annotated[
        str | None, Field(description="Only this tracker's: wandb, mlflow, ...", max_length=100)
    ] = None,
    jobs: Annotated[int, Field(description="How many runs at a time.", ge=1, le=16)] = 4,
    again: Annotated[bool, Field(description="Send also what has been synced.")] = False,
    timeout_s: Annotated[
        float, Field(description="How long one offline run may take.", ge=1, le=3600)
    ] = 120.0,
    dry_run: DryRun = False,
) -> Synced:
    """Bring offline runs of W&B and other trackers to their service, each once.

    Uses the network, and may take minutes. What has succeeded is not sent again; `counts` tells
    how many are in which state, `results` names all that were not synced before.
    """
    results = sync_offline_runs(
        repo,
        dry_run,
        job_ids={resolve_id(repo, text) for text in job_ids} if job_ids else None,
        backend=backend,
        jobs=jobs,
        again=again,
        timeout_s=timeout_s,
    )
    rows = [
        SyncRow(
            path=str(one.path),
            backend=one.backend,
            run_id=one.run_id,
            job_id=one.job_id,
            state=one.state,
            ok=one.ok,
            returncode=one.returncode,
            stdout=one.stdout[:_MAX_TEXT],
            stderr=one.stderr[:_MAX_TEXT],
            hint=one.hint,
            url=one.url,
            seconds=one.seconds,
        )
        for one in results
        if one.state != "already synced"
    ]
    return Synced(
        run_store=repo.store_dir,
        dry_run=dry_run,
        ok=all(one.ok for one in results),
        counts=dict(Counter(one.state for one in results)),
        results=rows[:_SHOWN],
    )
