"""``aexp runs-export-index``."""

import click

from aexp.cli.options import dry_run_option, json_option
from aexp.cli.output import note, print_json
from aexp.paths import Repo


@click.command("runs-export-index")
@click.option(
    "--as",
    "--machine-label",
    "machine_label",
    metavar="LABEL",
    help="Speak for this machine; default: this machine's label.",
)
@click.option(
    "--out",
    metavar="PATH",
    help="Another file than .aexp/runs-index/LABEL.json: in the repository, or an absolute path.",
)
@dry_run_option
@json_option
def runs_export_index(
    machine_label: str | None, out: str | None, dry_run: bool, as_json: bool
) -> None:
    """List this store's ended runs in .aexp/runs-index/ (deprecated: use the ledger).

    \b
    Example:
      aexp runs-export-index --as cluster
    """
    from aexp.runs.export_index import export_index

    note("deprecated: the ledger holds more and needs no export; see: aexp ledger backfill")
    repo = Repo.installed()
    done = export_index(repo, machine_label=machine_label, out=out, dry_run=dry_run)
    if as_json:
        print_json({**done._asdict(), "dry_run": dry_run})
        return
    verb = ("would write" if dry_run else "wrote") if done.changed else "unchanged"
    click.echo(f"{verb} {repo.relative(done.path)}: {done.entries} ended run(s)")
