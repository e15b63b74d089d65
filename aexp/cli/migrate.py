"""``aexp migrate`` and ``aexp import``: what older layouts and other tools have left."""

from collections import Counter

import click

from aexp.cli.options import dry_run_option, json_option
from aexp.cli.output import note, print_json, print_table
from aexp.model import printable, short
from aexp.paths import Repo


@click.command("migrate")
@dry_run_option
@json_option
def migrate(dry_run: bool, as_json: bool) -> None:
    """Bring what older versions and layouts have written to the present one.

    What is changed is kept below .aexp/cache/migrate/ first. Called again, it finds nothing
    to do. Nothing needs it: what older layouts have is read as it is.

    \b
    Examples:
      aexp migrate --dry-run
      aexp migrate
    """
    from aexp.migration.layout import migrate as carry_out

    done = carry_out(Repo.find(), dry_run=dry_run)
    if as_json:
        print_json({**done._asdict(), "changes": [item._asdict() for item in done.changes]})
        return
    for (what, folder), count in Counter((c.what, c.folder) for c in done.changes).items():
        paths = [c.path for c in done.changes if (c.what, c.folder) == (what, folder)]
        where = printable(paths[0]) if count == 1 else f"{count} files below {printable(folder)}"
        click.echo(f"{'would be ' if dry_run else ''}{what}: {where}")
    for remark in done.remarks:
        note(remark)
    if not done.changes:
        click.echo("nothing to migrate")
    elif not dry_run:
        note(f"as they were: {done.backup}")


@click.group("import")
def import_group() -> None:
    """Bring runs of another tool into the ledger.

    \b
    Example:
      aexp import bathos ~/.bth/catalog --dry-run
    """


@import_group.command("bathos")
@click.argument("path", metavar="PATH")
@click.option(
    "--project",
    "projects",
    multiple=True,
    metavar="SLUG",
    help="Of this project (repeatable); default: project_slug of aexp.toml, or the folder's name.",
)
@click.option("--all-projects", is_flag=True, help="Of every project.")
@dry_run_option
@json_option
def import_bathos(
    path: str, projects: tuple[str, ...], all_projects: bool, dry_run: bool, as_json: bool
) -> None:
    """Write the ended runs of a bathos catalogue (its Parquet files) into the ledger.

    Each keeps its id there as a field. Called again, it writes what is new. What is not
    recorded there stays unknown; runs without an end are left out.

    \b
    Examples:
      aexp import bathos ~/.bth/catalog --dry-run
      aexp import bathos ~/.bth/catalog --project tip3p
    """
    if projects and all_projects:
        raise click.UsageError("give --project or --all-projects, not both")
    from aexp.migration.bathos import UNCHANGED
    from aexp.migration.bathos import import_bathos as carry_out

    done = carry_out(
        Repo.find(), path, projects=projects, every_project=all_projects, dry_run=dry_run
    )
    if as_json:
        print_json({**done._asdict(), "runs": [run._asdict() for run in done.runs]})
        return
    rows = [
        (run.id, short(run.job_id), run.status, run.action)
        for run in done.runs
        if run.action != UNCHANGED
    ]
    if rows:
        print_table(("THERE", "HERE", "STATUS", "ENTRY"), rows)
    counts = Counter(run.action for run in done.runs)
    told = ", ".join(f"{count} {action}" for action, count in sorted(counts.items()))
    click.echo(f"{len(done.runs)} run(s){': ' if told else ''}{told}")
    for reason, count in done.skipped.items():
        note(f"left out: {count} ({reason})")
    if dry_run:
        note("nothing was written (--dry-run)")
