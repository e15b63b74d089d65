"""Tools over what runs have produced: checkpoints, snapshots, assets."""

from typing import Annotated

from pydantic import Field

from aexp.checkpoints.find import JOB, VARIATION, runs_in_scope
from aexp.checkpoints.lineage import inputs
from aexp.checkpoints.outputs import outputs_of
from aexp.mcp.arguments import Limit, RunId
from aexp.mcp.results import Number, Object, Objects, Result, Text, Value
from aexp.mcp.tool import Effect, Needs, Toolbox
from aexp.paths import Repo
from aexp.runs.store import read_run, resolve_id

tools = Toolbox()


class OutputRow(Value):
    """One thing that a run has produced; what is listed is complete."""

    id: str
    asset_type: Text
    name: Text
    state: str
    job: str
    attempt: Number
    created_at: Text
    size: Number
    path: str
    step: Number = None
    metrics: Object | None = None
    metadata: Object
    config: Object | None = None
    components: Objects


class OutputList(Result):
    """What runs have produced."""

    total: int
    outputs: list[OutputRow]


class InputList(Result):
    """Where a run's training came from."""

    job_id: str
    inputs: Objects


@tools.add(Effect.READS, needs=Needs.STORE)
def list_outputs(
    repo: Repo,
    job_id: RunId,
    asset_type: Annotated[
        str | None,
        Field(description="checkpoint, snapshot, or the type of an asset.", max_length=200),
    ] = None,
    across_runs: Annotated[
        bool, Field(description="Of all runs that differ in nothing but seed and code.")
    ] = False,
    limit: Limit = 100,
) -> OutputList:
    """List what a run has produced, the newest first: checkpoints, snapshots, assets.

    `total` counts all, also past `limit`. Files lie below `path`.
    """
    full_id = resolve_id(repo, job_id)
    jobs = runs_in_scope(repo, full_id, VARIATION if across_runs else JOB)
    found = outputs_of(repo, jobs, asset_type)
    rows = [OutputRow.model_validate(row) for row in found[:limit]]
    return OutputList(total=len(found), outputs=rows)


@tools.add(Effect.READS, needs=Needs.STORE)
def list_inputs(repo: Repo, job_id: RunId) -> InputList:
    """List the checkpoints that a run's training came from: branched from, resumed from."""
    full_id = resolve_id(repo, job_id)
    return InputList(job_id=full_id, inputs=inputs(repo, read_run(repo, full_id)))
