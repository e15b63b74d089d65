"""``aexp install``, ``aexp install-slash-commands``."""

import os
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import click

from aexp.cli.options import dry_run_option, json_option
from aexp.cli.output import note, print_json
from aexp.errors import RepoNotFound
from aexp.install.install import install_scaffold
from aexp.install.install import install_slash_commands as write_slash_commands
from aexp.install.scaffold import COMMANDS_FOLDER
from aexp.install.target import LEFT_ALONE, NOTHING_DONE, InstallAction
from aexp.model import printable
from aexp.paths import find_root

F = TypeVar("F", bound=Callable[..., Any])

# So many files of one folder, with nothing to say about any of them, are one line.
_MANY = 3


def setup_options(function: F) -> F:
    """Add the options that ``install`` and ``init`` share."""
    for option in (
        json_option,
        dry_run_option,
        click.option("--yes", "-y", is_flag=True, help="Do not ask."),
        click.option(
            "--force",
            is_flag=True,
            help="Renew the tooling (workflow, profiles, agent files); yours is kept as *.orig.",
        ),
        click.option(
            "--agents/--no-agents",
            default=None,
            help="Write the files of coding agents (default; remembered): AGENTS.md, CLAUDE.md, "
            ".mcp.json, .claude/.",
        ),
        click.option(
            "--machine-label",
            metavar="LABEL",
            help="This machine's name in the ledger (default host name).",
        ),
        click.option(
            "--run-store", metavar="PATH", help="Where the run store lies (default .runs)."
        ),
    ):
        function = option(function)
    return function


@click.command("install")
@setup_options
def install(yes: bool, as_json: bool, **options: Any) -> None:
    """Set this repository up: research record, run store, workflow, profiles, agent files.

    Can be called again at any time: nothing that you wrote is overwritten.

    \b
    Examples:
      aexp install
      aexp install --machine-label cluster --run-store data/runs
      aexp install --no-agents --dry-run
    """
    dry_run = options["dry_run"]
    show_actions(install_scaffold(_root(yes or dry_run), **options), as_json, dry_run)
    if not (as_json or dry_run):
        note("next: write kb/research/experiments/E001-<name>.md, then: aexp queue add --help")


@click.command("init")
@click.option(
    "--slug", metavar="NAME", help="The project's name, for aexp.toml (default the folder's)."
)
@setup_options
def init(yes: bool, as_json: bool, **options: Any) -> None:
    """Set this repository up as install does, with folders for nine kinds of scripts.

    Which of them git keeps, and how scripts are named, says scripts/README.md; aexp lint
    checks it. Can be called again at any time: nothing that you wrote is overwritten.

    \b
    Examples:
      aexp init
      aexp init --slug ripple --no-agents
      aexp init --dry-run
    """
    from aexp.install.project import init_project

    dry_run = options["dry_run"]
    show_actions(init_project(_root(yes or dry_run), **options), as_json, dry_run)
    if not (as_json or dry_run):
        note("next: aexp new-experiment --script train_model")


def _root(unasked: bool) -> str:
    """Return the folder to set up; ask for it where a person can answer."""
    try:
        root = find_root()
    except RepoNotFound:
        root = os.getcwd()
    if not unasked and sys.stdin is not None and sys.stdin.isatty():
        click.confirm(f"set up aexp in {root}?", default=True, abort=True)
    return root


@click.command("install-slash-commands")
@click.option(
    "--target",
    metavar="FOLDER",
    help=f"Where to (default {COMMANDS_FOLDER} of this repository).",
)
@click.option("--force", is_flag=True, help="Renew changed ones, too; yours are kept as *.orig.")
@dry_run_option
@json_option
def install_slash_commands(target: str | None, force: bool, dry_run: bool, as_json: bool) -> None:
    """Write the coding agent's slash commands alone, here or for all your repositories.

    \b
    Example:
      aexp install-slash-commands --target ~/.claude/commands
    """
    folder = os.path.expanduser(target) if target else os.path.join(find_root(), COMMANDS_FOLDER)
    show_actions(write_slash_commands(folder, force=force, dry_run=dry_run), as_json, dry_run)


def show_actions(actions: Sequence[InstallAction], as_json: bool, dry_run: bool) -> None:
    """Print what was done to each file, many alike as one line."""
    if as_json:
        print_json([action._asdict() for action in actions])
        return
    count = Counter(_group(action) for action in actions)
    shown: set[tuple[str, str]] = set()
    for action in actions:
        group = _group(action)
        if action.kind in NOTHING_DONE or group in shown:
            continue
        path, detail = printable(action.path), action.detail
        if not detail and not dry_run and count[group] > _MANY and group[1]:
            path, detail = f"{group[1]}/", f"{count[group]} files"
            shown.add(group)
        click.echo(f"{action.kind:<28}{path}" + (f"    ({printable(detail)})" if detail else ""))
    if all(action.kind in NOTHING_DONE | LEFT_ALONE for action in actions):
        click.echo("already installed; nothing to do")
    if dry_run:
        note("nothing was written (--dry-run)")


def _group(action: InstallAction) -> tuple[str, str]:
    """Return what tells a line of the summary: what was done, in which top folder."""
    folder, slash, _ = action.path.partition("/")
    return (action.kind if not action.detail else action.detail, folder if slash else "")
