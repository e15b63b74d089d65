"""``aexp lint``."""

import sys

import click

from aexp.cli.options import json_option
from aexp.cli.output import print_json
from aexp.errors import RepoNotFound, UsageError
from aexp.model import printable
from aexp.paths import Repo

_COLORS = {"error": "red", "warning": "yellow"}


@click.command("lint")
@click.option(
    "--project-root", metavar="PATH", help="The repository (default: the one around here)."
)
@json_option
def lint(project_root: str | None, as_json: bool) -> None:
    """Check scripts, sidecars, experiments and the ledger, file by file.

    One line per problem: file, line, how bad, what. The exit code is 0 without an error
    (warnings may be there), 1 with one, 2 for a call that is not understood. All codes are
    listed in docs/preregistration.md, docs/validate.md and docs/machines.md.

    \b
    Examples:
      aexp lint
      aexp lint --project-root ~/research/ripple
      aexp lint --json
    """
    from aexp.lint.lint import has_errors
    from aexp.lint.lint import lint as find_problems

    try:
        repo = Repo.find(project_root)
    except RepoNotFound as error:
        raise UsageError(error.message, error.hint) from None
    problems = find_problems(repo)
    errors = sum(problem.severity == "error" for problem in problems)
    warnings = len(problems) - errors
    if as_json:
        print_json(
            {
                "ok": errors == 0,
                "errors": errors,
                "warnings": warnings,
                "root": repo.root,
                "problems": [problem._asdict() for problem in problems],
            }
        )
        sys.exit(1 if has_errors(problems) else 0)
    colored = sys.stdout.isatty()
    for problem in problems:
        where = printable(problem.path) + (f":{problem.line}" if problem.line else "")
        word = problem.severity
        shown = click.style(word, fg=_COLORS[word]) if colored else word
        click.echo(f"{where}: {shown} {problem.code}: {printable(problem.message)}")
    click.echo(f"{errors} error(s), {warnings} warning(s)")
    sys.exit(1 if has_errors(problems) else 0)
