"""``aexp reconcile``."""

import sys

import click

from aexp.cli.options import dry_run_option, json_option
from aexp.cli.output import note, print_json
from aexp.paths import Repo
from aexp.runs.reconcile import reconcile


@click.command("reconcile")
@dry_run_option
@json_option
def reconcile_store(dry_run: bool, as_json: bool) -> None:
    """Repair what a crash left: dead owners, missing sentinels and ledger entries.

    Snakemake sessions do this by themselves at their start and end.

    \b
    Example:
      aexp reconcile
    """
    repairs = reconcile(Repo.installed(), dry_run=dry_run)
    if as_json:
        print_json(repairs._asdict())
    else:
        for line in repairs.settled:
            click.echo(f"settled    {line}")
        for job_id in repairs.restored:
            click.echo(f"restored   {job_id[:8]}")
        for job_id in repairs.abandoned:
            click.echo(f"abandoned  {job_id[:8]}: a parent did not complete")
        if not any((repairs.settled, repairs.restored, repairs.abandoned, repairs.problems)):
            click.echo("nothing to repair")
        elif dry_run:
            note("nothing was written (--dry-run)")
    for line in repairs.problems:
        note(f"problem: {line}")
    sys.exit(1 if repairs.problems else 0)
