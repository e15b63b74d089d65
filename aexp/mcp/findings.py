"""Tools that cite runs in findings, and check what findings claim."""

from typing import Annotated

from pydantic import Field

from aexp.errors import UsageError
from aexp.kb.citing import as_item
from aexp.mcp.arguments import Assignments, DryRun, ExperimentId, FindingId, RunIds, assignments
from aexp.mcp.checks import Issue
from aexp.mcp.results import Objects, Result
from aexp.mcp.tool import Effect, Toolbox
from aexp.paths import Repo
from aexp.validation.cite import Batch, cite_runs, uncite_runs
from aexp.validation.finding import as_data, check_finding, write_numbers

tools = Toolbox()


class Cited(Result):
    """What was done to a finding's citations."""

    path: str
    changed: bool
    dry_run: bool
    citations: Objects
    runs: list[int]


class Checked(Result):
    """What a finding claims beside what its runs give."""

    finding_id: str
    path: str
    ok: bool
    claims: Objects
    issues: list[Issue]


class Written(Result):
    """Whether the finding's table of numbers changed."""

    finding_id: str
    path: str
    changed: bool
    dry_run: bool


@tools.add(Effect.CHANGES, idempotent=True)
def finding_cite(
    repo: Repo,
    finding_id: FindingId,
    job_ids: RunIds | None = None,
    batch: Annotated[
        ExperimentId | None, Field(description="Cite the runs of this experiment as a batch.")
    ] = None,
    selector: Annotated[
        Assignments | None, Field(description="Of the batch: only runs with these values.")
    ] = None,
    pin: Annotated[
        bool,
        Field(
            description="Record the digests of the ledger entries as they are now. Without runs "
            "and batch: of everything that the finding cites."
        ),
    ] = False,
    remove: Annotated[bool, Field(description="Remove these citations instead.")] = False,
    dry_run: DryRun = False,
) -> Cited:
    """Write citations of runs into a finding's supporting_runs; what is cited already stays.

    Cite whole batches rather than chosen runs: validate reports seeds that were left out.
    """
    if selector and batch is None:
        raise UsageError("selector goes with batch", "give the batch's experiment id")
    if remove and pin:
        raise UsageError("give pin or remove, not both")
    values = {
        key: str(value) if isinstance(value, str) else value
        for key, value in assignments(selector).items()
    }
    batches = [] if batch is None else [Batch(batch, values)]
    jobs = job_ids or []
    if remove:
        done = uncite_runs(repo, finding_id, jobs=jobs, batches=batches, dry_run=dry_run)
    else:
        done = cite_runs(repo, finding_id, jobs=jobs, batches=batches, pin=pin, dry_run=dry_run)
    return Cited(
        path=done.path,
        changed=done.changed,
        dry_run=dry_run,
        citations=[as_item(citation) for citation in done.citations],
        runs=done.runs,
        notices=done.notes,
    )


@tools.add(Effect.READS)
def finding_check(repo: Repo, finding_id: FindingId) -> Checked:
    """Recompute what a finding claims from the runs that it cites.

    `ok` is false where something contradicts the finding; `issues` say what.
    """
    found = check_finding(repo, finding_id)
    return Checked(
        finding_id=finding_id,
        path=repo.relative(found.finding.path),
        ok=found.ok,
        claims=[as_data(verdict) for verdict in found.verdicts],
        issues=[Issue.model_validate(issue._asdict()) for issue in found.issues],
    )


@tools.add(Effect.CHANGES, idempotent=True)
def finding_write(repo: Repo, finding_id: FindingId, dry_run: DryRun = False) -> Written:
    """Put the table of claimed and recomputed numbers into a finding, between its markers."""
    found = check_finding(repo, finding_id)
    changed = write_numbers(repo, found, dry_run=dry_run)
    path = repo.relative(found.finding.path)
    return Written(finding_id=finding_id, path=path, changed=changed, dry_run=dry_run)
