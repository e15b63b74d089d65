"""``aexp ledger``: the group, and its verbs of one clone."""

import sys

import click

from aexp.cli.group import LazyGroup
from aexp.cli.options import dry_run_option, json_option
from aexp.cli.output import note, print_json
from aexp.model import check_machine_label, short
from aexp.paths import Repo

label_option = click.option(
    "--machine-label", metavar="LABEL", help="Default: this machine's label."
)


VERBS = {
    "promote": ("aexp.cli.ledger:promote", "Write one ended run's entry."),
    "backfill": ("aexp.cli.ledger:backfill", "Write every entry that is missing."),
    "sync": ("aexp.cli.ledger_share:sync", "Exchange entries with the other clones, by git."),
    "verify": ("aexp.cli.ledger_share:verify", "Check every entry."),
    "bundle": ("aexp.cli.ledger_share:bundle", "Write entries into one file."),
    "unbundle": ("aexp.cli.ledger_share:unbundle", "Take entries out of such a file."),
    "merge-driver": ("aexp.cli.ledger_share:merge_driver", ""),
}


@click.group("ledger", cls=LazyGroup, verbs=VERBS, hidden_verbs=frozenset({"merge-driver"}))
def ledger() -> None:
    """Keep the ledger, the record of ended runs that is committed to git.

    \b
    Example:
      aexp ledger sync
    """


@click.command("promote")
@click.argument("job_id", metavar="ID")
@label_option
@dry_run_option
@json_option
def promote(job_id: str, machine_label: str | None, dry_run: bool, as_json: bool) -> None:
    """Write one ended run's ledger entry; a file that says the same is not touched.

    \b
    Example:
      aexp ledger promote 9f3a1b2c
    """
    from aexp.runs.promotion import promote as promote_run
    from aexp.runs.store import resolve_id

    repo = Repo.installed()
    full_id = resolve_id(repo, job_id)
    label = None if machine_label is None else check_machine_label(machine_label)
    changed = promote_run(repo, full_id, machine_label=label, dry_run=dry_run)
    path = repo.relative(repo.ledger_path(full_id))
    if as_json:
        print_json({"job_id": full_id, "changed": changed, "path": path})
    else:
        verb = "would write" if dry_run else "wrote"
        click.echo(f"{verb if changed else 'unchanged'} {path}")


@click.command("backfill")
@label_option
@click.option("--overwrite", is_flag=True, help="Also write entries that exist.")
@dry_run_option
@json_option
def backfill(machine_label: str | None, overwrite: bool, dry_run: bool, as_json: bool) -> None:
    """Promote every ended run of this store that has no ledger entry.

    \b
    Example:
      aexp ledger backfill
    """
    from aexp.runs.promotion import backfill as backfill_store

    label = None if machine_label is None else check_machine_label(machine_label)
    promoted, skipped, problems = backfill_store(
        Repo.installed(), machine_label=label, overwrite=overwrite, dry_run=dry_run
    )
    if as_json:
        print_json(
            {"promoted": promoted, "skipped": skipped, "problems": problems, "dry_run": dry_run}
        )
    else:
        verb = "would promote" if dry_run else "promoted"
        click.echo(f"{verb} {len(promoted)} run(s), {skipped} already there")
        for job_id in promoted[:20]:
            click.echo(f"  {short(job_id)}")
    for problem in problems:
        note(f"problem: {problem}")
    sys.exit(1 if problems else 0)
