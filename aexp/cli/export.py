"""``aexp export``."""

import os
import sys

import click

from aexp.cli.install import show_actions
from aexp.cli.options import dry_run_option, json_option
from aexp.errors import EXIT_FAILED
from aexp.install.export import LEVELS, TOOLS, USER
from aexp.install.export import export as carry_out
from aexp.paths import find_root

_FAILED = frozenset({"skipped_conflict", "skipped_symlink"})


@click.command("export")
@click.option(
    "--tool",
    "tools",
    type=click.Choice(TOOLS),
    multiple=True,
    default=("claude",),
    show_default=True,
    help="Which coding agent (repeatable).",
)
@click.option(
    "--level",
    type=click.Choice(LEVELS),
    default="workspace",
    show_default=True,
    help="For this repository, or for all that you work in.",
)
@click.option("--force", is_flag=True, help="Renew what was changed; yours is kept as *.orig.")
@dry_run_option
@json_option
def export(tools: tuple[str, ...], level: str, force: bool, dry_run: bool, as_json: bool) -> None:
    """Give coding agents a skill for aexp, and register its MCP server.

    Other entries of a configuration are kept; one that cannot be read is left alone, and the
    exit code is 1. Tables are exported by the verbs that print them: --csv, --md, --parquet.

    \b
    Examples:
      aexp export --dry-run
      aexp export --tool claude --tool gemini --level user
    """
    root = os.path.expanduser("~") if level == USER else find_root()
    actions = carry_out(root, tools, level, force=force, dry_run=dry_run)
    show_actions(actions, as_json, dry_run)
    if any(action.kind in _FAILED for action in actions):
        sys.exit(EXIT_FAILED)
