"""``aexp catalog``: the derived tables that `aexp sql` and the like read."""

import sys
from typing import TYPE_CHECKING

import click

from aexp.cli.group import LazyGroup
from aexp.cli.options import dry_run_option, json_option
from aexp.cli.output import note, print_json, print_table
from aexp.cli.query_options import asked_catalogue
from aexp.cli.rendering import Output, output_options, render
from aexp.model import printable
from aexp.paths import Repo

if TYPE_CHECKING:
    from aexp.catalogue.verify import Difference

VERBS = {
    "status": ("aexp.cli.catalog:status", "Show what it knows, and from how many files."),
    "rebuild": ("aexp.cli.catalog:rebuild", "Read every source file again and write it anew."),
    "verify": ("aexp.cli.catalog:verify", "Compare it with its source files."),
    "schema": ("aexp.cli.catalog:schema", "List tables and columns."),
}


@click.group("catalog", cls=LazyGroup, verbs=VERBS)
def catalog() -> None:
    """Look after the catalogue, the tables derived from ledger, record and store.

    It brings itself up to date with every question, and can be thrown away at any time.

    \b
    Example:
      aexp catalog status
    """


@click.command("status")
@json_option
def status(as_json: bool) -> None:
    """Show how many rows each table has, and what was read just now.

    Exit code 1 when a source file cannot be read.

    \b
    Example:
      aexp catalog status
    """
    from aexp.catalogue.base import size
    from aexp.catalogue.schema import TABLES

    with asked_catalogue() as catalogue:
        opened = catalogue.opened
        counts = {
            table.name: catalogue.rows(f"SELECT count(*) FROM {table.name}").rows[0][0]
            for table in TABLES
        }
        faults = len(catalogue.warnings)
        name = opened.written or (opened.base.name if opened.base else "")
        facts = {
            "file": name or None,
            "bytes": size(catalogue.repo, name) if name else 0,
            "written": bool(opened.written),
            "reason": opened.reason or None,
            "sources": opened.sources,
            "read_now": opened.read,
            "faults": faults,
            "rows": counts,
        }
    if as_json:
        print_json(facts)
    else:
        if name:
            when = "just now" if opened.written or opened.base is None else opened.base.built_at
            click.echo(f"file       {printable(name)}, {facts['bytes']:,} bytes, written {when}")
        else:
            click.echo("file       none: everything is in memory")
        if opened.reason:
            click.echo(f"because    {printable(opened.reason)}")
        click.echo(f"sources    {opened.sources:,} files, {opened.read:,} read just now")
        print_table(["table", "rows"], [(name, f"{n:,}") for name, n in counts.items()])
    sys.exit(1 if faults else 0)


@click.command("rebuild")
@click.option("--verify", is_flag=True, help="First compare what it says; exit code 1 if wrong.")
@dry_run_option
@json_option
def rebuild(verify: bool, dry_run: bool, as_json: bool) -> None:
    """Read every source file and write the catalogue anew.

    Never needed for right answers: they do not depend on the file.

    \b
    Examples:
      aexp catalog rebuild
      aexp catalog rebuild --verify
    """
    from aexp.catalogue import open_catalogue
    from aexp.catalogue.verify import differences

    repo = Repo.find()
    # To compare is to bring the catalogue's file up to date, which is a write.
    found = differences(repo) if verify and not dry_run else []
    with open_catalogue(repo, in_memory=dry_run, rebuild=not dry_run) as made:
        opened, warnings = made.opened, made.warnings
    facts = {
        "sources": opened.sources,
        "faults": len(warnings),
        "written": bool(opened.written),
        "reason": opened.reason or None,
        "dry_run": dry_run,
    }
    if as_json:
        print_json({**facts, "differences": [item._asdict() for item in found]})
    else:
        for line in warnings:
            note(f"warning: {printable(line)}")
        did = "would read" if dry_run else "read"
        click.echo(f"{did} {opened.sources:,} files, {len(warnings)} with a fault")
        if not dry_run and not opened.written:
            note(f"not written: {opened.reason}")
        _print_differences(found)
    sys.exit(1 if found else 0)


@click.command("verify")
@json_option
def verify(as_json: bool) -> None:
    """Read every source file and compare the catalogue with them; writes nothing.

    Exit code 1 when they differ, or a source file cannot be read.

    \b
    Example:
      aexp catalog verify
    """
    from aexp.catalogue.verify import differences

    found = differences(Repo.find())
    with asked_catalogue() as catalogue:
        faults, count = len(catalogue.warnings), catalogue.opened.sources
    if as_json:
        print_json(
            {
                "sources": count,
                "faults": faults,
                "differences": [item._asdict() for item in found],
            }
        )
    else:
        _print_differences(found)
        if not found:
            click.echo(f"the catalogue says what its {count:,} source files say")
    sys.exit(1 if found or faults else 0)


def _print_differences(found: "list[Difference]") -> None:
    for item in found:
        shown = printable(item.keys[0])
        click.echo(f"{item.table}: {item.number} differ, for instance {shown}")
    if found:
        note("hint: aexp catalog rebuild writes it anew; please report what you did before")


@click.command("schema")
@output_options
def schema(out: Output) -> None:
    """List every table and view with its columns, their types, and what they mean.

    \b
    Examples:
      aexp catalog schema
      aexp catalog schema --md
    """
    from aexp.catalogue.schema import TABLES, VIEWS

    rows: list[tuple[str, str, str, str]] = []
    for table in TABLES:
        rows.append((table.name, "", "", table.about))
        rows += [(table.name, column.name, column.type, column.about) for column in table.shown]
    rows += [(view.name, "", "view", view.about) for view in VIEWS]
    render(out, ["table", "column", "type", "meaning"], rows)
