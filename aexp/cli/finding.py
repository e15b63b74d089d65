"""``aexp finding``: what a finding cites, and whether its numbers hold."""

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from aexp.cli.options import dry_run_option, json_option, selector_of
from aexp.cli.output import note, print_json, print_table
from aexp.model import printable
from aexp.paths import Repo

if TYPE_CHECKING:
    from aexp.validation.cite import Batch, CiteResult


@click.group("finding")
def finding() -> None:
    """Cite runs in a finding, and check what it claims against them.

    \b
    Example:
      aexp finding cite F001 --batch E001 --select condition=full --pin
    """


@finding.command("cite")
@click.argument("finding_id", metavar="F###")
@click.option("--job", "jobs", multiple=True, metavar="ID", help="A run; may be repeated.")
@click.option("--batch", metavar="E###", help="All runs of an experiment.")
@click.option("--select", metavar="K=V,...", help="Only those with these state-point values.")
@click.option("--pin", is_flag=True, help="Record the digest of the ledger entries as they are.")
@click.option("--remove", is_flag=True, help="Remove the citations instead.")
@dry_run_option
@json_option
def cite(
    finding_id: str,
    jobs: tuple[str, ...],
    batch: str | None,
    select: str | None,
    pin: bool,
    remove: bool,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Write citations into a finding's supporting_runs; what is cited already stays.

    With --pin alone, everything that the finding cites is pinned to the ledger as it is now.

    \b
    Examples:
      aexp finding cite F001 --job 9f3a1b2c
      aexp finding cite F001 --batch E001 --select condition=full --pin
      aexp finding cite F001 --job 9f3a1b2c --remove
    """
    from aexp.validation.cite import cite_runs, uncite_runs

    if select and not batch:
        raise click.UsageError("--select goes with --batch E###")
    if remove and pin:
        raise click.UsageError("give --pin or --remove, not both")
    repo = Repo.find()
    batches = _batches(batch, select)
    if remove:
        result = uncite_runs(repo, finding_id, jobs=jobs, batches=batches, dry_run=dry_run)
    else:
        result = cite_runs(repo, finding_id, jobs=jobs, batches=batches, pin=pin, dry_run=dry_run)
    _report(result, as_json=as_json, dry_run=dry_run, remove=remove)


def _batches(batch: str | None, select: str | None) -> "Sequence[Batch]":
    from aexp.validation.cite import Batch

    if batch is None:
        return []
    return [Batch(batch, selector_of(select) if select else {})]


def _report(result: "CiteResult", *, as_json: bool, dry_run: bool, remove: bool) -> None:
    from aexp.kb.citing import as_item, rendered

    if as_json:
        print_json(
            {
                "path": result.path,
                "changed": result.changed,
                "dry_run": dry_run,
                "citations": [as_item(one) for one in result.citations],
                "runs": result.runs,
                "notes": result.notes,
            }
        )
        return
    for text in result.notes:
        note(f"note: {text}")
    word = "removed" if remove else "cited"
    if not result.changed:
        click.echo(f"unchanged {result.path}")
        return
    click.echo(f"{'would write' if dry_run else 'wrote'} {result.path}")
    counts: Sequence[int | None] = result.runs or [None] * len(result.citations)
    for citation, count in zip(result.citations, counts, strict=True):
        runs = "" if count is None else f"  ({count} run{'' if count == 1 else 's'})"
        click.echo(f"  {word} {printable(rendered(citation))}{runs}")


@finding.command("check")
@click.argument("finding_id", metavar="F###")
@click.option("--write", is_flag=True, help="Put the table into the finding, between markers.")
@dry_run_option
@json_option
def check(finding_id: str, write: bool, dry_run: bool, as_json: bool) -> None:
    """Show what a finding claims beside what its cited runs give now.

    What is wrong with its citations is shown too. The exit code is 1 where anything is an error.
    The grammar of claims is in docs/findings.md.

    \b
    Examples:
      aexp finding check F001
      aexp finding check F001 --write
    """
    from aexp.validation.finding import COLUMNS, as_data, check_finding, write_numbers

    if dry_run and not write:
        raise click.UsageError("--dry-run goes with --write")
    repo = Repo.find()
    found = check_finding(repo, finding_id)
    changed = write_numbers(repo, found, dry_run=dry_run) if write else False
    path = repo.relative(found.finding.path)
    if as_json:
        print_json(
            {
                "finding": found.finding.artifact_id,
                "path": path,
                "ok": found.ok,
                "claims": [as_data(verdict) for verdict in found.verdicts],
                "issues": [issue._asdict() for issue in found.issues],
                "changed": changed,
                "dry_run": dry_run,
            }
        )
        sys.exit(0 if found.ok else 1)
    if found.rows:
        print_table(COLUMNS, found.rows)
    else:
        note(f"{finding_id} claims nothing; write claims: into its frontmatter")
    for issue in found.issues:
        place = f" [{printable(issue.where)}]" if issue.path else ""
        click.echo(f"{issue.severity.upper()} {issue.code}{place}: {printable(issue.message)}")
    if write:
        word = "unchanged" if not changed else "would write" if dry_run else "wrote"
        note(f"{word} {path}")
    sys.exit(0 if found.ok else 1)
