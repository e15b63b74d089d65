"""``aexp doctor``."""

import sys
import warnings

import click

from aexp.cli.options import json_option
from aexp.cli.output import print_json
from aexp.model import printable

_COLORS = {"ok": "green", "warn": "yellow", "error": "red"}


@click.command("doctor")
@json_option
def doctor(as_json: bool) -> None:
    """Find out what is wrong here, and print the command that mends it.

    Looks at git, the install, the run store and its file system, the ledger, the notes,
    Snakemake, Slurm and the trackers. Changes nothing and needs no network. The exit code is
    1 if there is an error.

    \b
    Example:
      aexp doctor
    """
    from aexp.doctor.examine import examine

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what they would say is reported by a check
        found = examine()
    errors = sum(item.level == "error" for item in found)
    if as_json:
        print_json([item._asdict() for item in found])
        sys.exit(1 if errors else 0)
    colored = sys.stdout.isatty()
    for item in found:
        level = click.style(f"{item.level:<6}", fg=_COLORS[item.level]) if colored else ""
        click.echo(f"{level or item.level.ljust(6)}{item.check:<13}{printable(item.what)}")
        if item.mend:
            click.echo(f"{'':<19}mend: {printable(item.mend)}")
    warned = sum(item.level == "warn" for item in found)
    click.echo(f"{errors} error(s), {warned} warning(s)")
    sys.exit(1 if errors else 0)
