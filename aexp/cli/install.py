"""``aexp install``."""

import os
import sys

import click

from aexp.cli.output import note, print_json
from aexp.errors import RepoNotFound
from aexp.install.install import install_scaffold
from aexp.paths import Repo


@click.command("install")
@click.option("--run-store", metavar="PATH", help="Where the run store lies (default .runs).")
@click.option(
    "--machine-label",
    metavar="LABEL",
    help="This machine's name in the ledger (default host name).",
)
@click.option(
    "--force", is_flag=True, help="Renew workflow and profiles; yours are kept as *.orig."
)
@click.option("--yes", "-y", is_flag=True, help="Do not ask.")
@click.option("--dry-run", "-n", is_flag=True, help="Say what would be done; write nothing.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON for programs.")
def install(
    run_store: str | None,
    machine_label: str | None,
    force: bool,
    yes: bool,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Set this repository up: run store, marker, .gitignore block, workflow, profiles, kb.

    Can be called again at any time: nothing that you wrote is overwritten.

    \b
    Examples:
      aexp install
      aexp install --machine-label cluster --run-store data/runs
    """
    try:
        root = Repo.find().root
    except RepoNotFound:
        root = os.getcwd()
    if not (yes or dry_run) and sys.stdin.isatty():
        click.confirm(f"set up aexp in {root}?", default=True, abort=True)
    actions = install_scaffold(
        root, run_store=run_store, force=force, dry_run=dry_run, machine_label=machine_label
    )
    if as_json:
        print_json([action._asdict() for action in actions])
        return
    for action in actions:
        if action.kind in ("skipped_identical", "unchanged"):
            continue
        detail = f"    ({action.detail})" if action.detail else ""
        click.echo(f"{action.kind:<28}{action.path}{detail}")
    if all(
        action.kind in ("skipped_identical", "unchanged", "preserved_user_modified")
        for action in actions
    ):
        click.echo("already installed; nothing to do")
    if dry_run:
        note("nothing was written (--dry-run)")
    else:
        note("next: write kb/research/experiments/E001-<name>.md, then: aexp queue add --help")
