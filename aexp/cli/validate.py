"""``aexp validate``."""

import sys
from typing import Any

import click

from aexp.cli.options import json_option
from aexp.cli.output import print_json
from aexp.model import printable

_COLORS = {"error": "red", "warning": "yellow"}


@click.command("validate")
@click.argument("files", nargs=-1, metavar="[FILE]...")
@click.option("--kb-only", is_flag=True, help="Only the notes; not runs and what findings cite.")
@click.option("--runs-only", is_flag=True, help="Only runs, the ledger, and what findings cite.")
@click.option(
    "--strict-runs",
    type=click.Choice(["error", "warn", "off"]),
    default="error",
    show_default=True,
    help="How bad the citation of a run is that no layer knows.",
)
@json_option
def validate(
    files: tuple[str, ...], kb_only: bool, runs_only: bool, strict_runs: Any, as_json: bool
) -> None:
    """Check the research record: notes, runs, the ledger, and what findings cite.

    Needs git and the ledger only. With FILEs, only those notes are reported on. The exit
    code is 0 without an error, 1 with one, 2 for a call that is not understood. All codes
    are listed in docs/validate.md.

    \b
    Examples:
      aexp validate
      aexp validate --strict-runs=warn
      aexp validate kb/research/findings/F001-wider-is-better.md
    """
    from aexp.validation.validate import validate_files, validate_repo

    if kb_only and runs_only:
        raise click.UsageError("give --kb-only or --runs-only, not both")
    if files and (kb_only or runs_only):
        raise click.UsageError("give files, or --kb-only or --runs-only, not both")
    if files:
        result = validate_files(files, strict_runs=strict_runs)
    else:
        mode: Any = "kb-only" if kb_only else "runs-only" if runs_only else "full"
        result = validate_repo(mode=mode, strict_runs=strict_runs)
    errors, warnings = len(result.errors), len(result.warnings)
    if as_json:
        print_json(
            {
                "ok": result.ok,
                "errors": errors,
                "warnings": warnings,
                "checked": result.checked,
                "issues": [issue._asdict() for issue in result.issues],
            }
        )
        sys.exit(0 if result.ok else 1)
    colored = sys.stdout.isatty()
    for issue in result.issues:
        word = issue.severity.upper()
        place = f" [{printable(issue.where)}]" if issue.path else ""
        shown = click.style(word, fg=_COLORS[issue.severity]) if colored else word
        click.echo(f"{shown} {issue.code}{place}: {printable(issue.message)}")
    counted = ", ".join(
        f"{count} {name.replace('_', ' ')}" for name, count in result.checked.items()
    )
    click.echo(f"checked: {counted}")
    if result.ok:
        click.echo(f"OK no validation errors ({warnings} warnings)")
    else:
        click.echo(f"FAILED {errors} error(s), {warnings} warning(s)")
    sys.exit(0 if result.ok else 1)
