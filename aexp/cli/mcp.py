"""``aexp mcp``."""

import sys

import click

from aexp.cli.output import note
from aexp.errors import AexpError

_PACKAGES = frozenset({"anyio", "mcp", "mcp_types", "pydantic"})


@click.command("mcp")
@click.option(
    "--repo",
    "folder",
    metavar="DIR",
    help="A folder in the repository; default: CLAUDE_PROJECT_DIR, else the current folder.",
)
def mcp(folder: str | None) -> None:
    """Serve the verbs to a coding agent, over the Model Context Protocol on stdin and stdout.

    An agent starts this by itself, as .mcp.json says, which aexp install writes. No tool
    executes a run. The tools are listed in docs/mcp.md.

    \b
    Example:
      aexp mcp --repo ~/research
    """
    try:
        from aexp.mcp.server import serve
    except ImportError as error:
        if (error.name or "").partition(".")[0] not in _PACKAGES:
            raise
        raise AexpError(
            f"the MCP server needs the MCP SDK, version 2 ({error})", "pip install 'aexp[mcp]'"
        ) from None
    if sys.stdin is not None and sys.stdin.isatty():
        note("waiting for an agent on stdin; register this command with one: docs/mcp.md")
    serve(folder)
