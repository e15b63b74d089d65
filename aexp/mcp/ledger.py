"""Tools over the ledger: the git-committed record of ended runs, of every machine."""

from typing import Annotated, Literal

from pydantic import Field

from aexp.ledger.entries import load_ledger_entry, resolve_entry_id, scan_ledger
from aexp.mcp.arguments import DryRun, ExperimentId, Limit, MachineLabel, RunId, Tag
from aexp.mcp.results import Number, Object, Result, Text, Value
from aexp.mcp.tool import Effect, Needs, Toolbox
from aexp.model import short
from aexp.paths import Repo
from aexp.runs.promotion import backfill, promote
from aexp.runs.store import resolve_id
from aexp.sharing.verify import verify

tools = Toolbox()

_SHOWN = 500


class EntryRow(Value):
    """One ledger entry, in short."""

    job_id: str
    short_id: str
    experiment_id: Text
    hypothesis_id: Text
    status: str
    cause: Text
    tag: Text
    registered_machine: Text
    ended_at: Text
    wallclock_s: Number
    metrics: Object
    statepoint: Object


class EntryList(Result):
    """Ledger entries."""

    total: int
    entries: list[EntryRow]


class Entry(Result):
    """One ledger entry."""

    job_id: str
    path: str
    entry: Object


class Promoted(Result):
    """What was done to one entry."""

    job_id: str
    short_id: str
    changed: bool
    path: str
    dry_run: bool


class Backfilled(Result):
    """What was done to the ledger."""

    promoted: list[str]
    skipped: int
    problems: list[str]
    dry_run: bool


class Problem(Value):
    """One thing that is wrong with the ledger."""

    code: str
    severity: str
    path: str
    message: str
    mend: str


class Verified(Result):
    """The state of the ledger."""

    ok: bool
    entries: int
    num_problems: int
    problems: list[Problem]


@tools.add(Effect.READS)
def ledger_list(
    repo: Repo,
    experiment_id: ExperimentId | None = None,
    status: Literal["complete", "failed", "abandoned", "stopped"] | None = None,
    tag: Tag | None = None,
    limit: Limit = 100,
) -> EntryList:
    """List ledger entries: ended runs of every machine, with their final metrics.

    Needs no run store. `total` counts all that match, also past `limit`.
    """
    rows, faults, total = [], [], 0
    for file in scan_ledger(repo):
        entry = file.entry
        if entry is None:
            faults.append(f"{file.name} {file.fault}")
            continue
        sp = entry["statepoint"]
        experiment = entry.get("experiment_id") or sp.get("experiment_id")
        wanted = (experiment_id, status, tag)
        have = (experiment, entry.get("status"), entry.get("tag"))
        if any(w is not None and w != h for w, h in zip(wanted, have, strict=True)):
            continue
        total += 1
        if total <= limit:
            known = {"experiment_id": experiment, "short_id": short(entry["job_id"])}
            rows.append(EntryRow.model_validate({**_NONE, **entry, **known}))
    return EntryList(total=total, entries=rows, notices=faults[:50])


_NONE = dict.fromkeys(EntryRow.model_fields)


@tools.add(Effect.READS)
def ledger_show(repo: Repo, job_id: RunId) -> Entry:
    """Show one ledger entry whole: state point, metrics, attempts, outputs, environment."""
    full_id = resolve_entry_id(repo, job_id)
    return Entry(
        job_id=full_id,
        path=repo.relative(repo.ledger_path(full_id)),
        entry=load_ledger_entry(repo, full_id) or {},
    )


@tools.add(Effect.CHANGES, idempotent=True, needs=Needs.STORE)
def ledger_promote(
    repo: Repo, job_id: RunId, machine_label: MachineLabel | None = None, dry_run: DryRun = False
) -> Promoted:
    """Write one ended run's ledger entry; a file that says the same is not touched."""
    full_id = resolve_id(repo, job_id)
    return Promoted(
        job_id=full_id,
        short_id=short(full_id),
        changed=promote(repo, full_id, machine_label=machine_label, dry_run=dry_run),
        path=repo.relative(repo.ledger_path(full_id)),
        dry_run=dry_run,
    )


@tools.add(Effect.CHANGES, idempotent=True, needs=Needs.STORE)
def ledger_backfill(
    repo: Repo,
    machine_label: MachineLabel | None = None,
    overwrite: Annotated[
        bool, Field(description="Also write entries that exist and say otherwise.")
    ] = False,
    dry_run: DryRun = False,
) -> Backfilled:
    """Write the ledger entry of every ended run of this store that has none."""
    promoted, skipped, problems = backfill(
        repo, machine_label=machine_label, overwrite=overwrite, dry_run=dry_run
    )
    return Backfilled(promoted=promoted, skipped=skipped, problems=problems, dry_run=dry_run)


@tools.add(Effect.READS)
def ledger_verify(repo: Repo) -> Verified:
    """Check schema, names and ids of every entry, and that every ended run has one."""
    result = verify(repo)
    problems = [Problem.model_validate(problem._asdict()) for problem in result.problems]
    return Verified(
        ok=result.ok,
        entries=result.entries,
        num_problems=len(problems),
        problems=problems[:_SHOWN],
    )
