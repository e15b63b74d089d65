"""``aexp hook``: what the coding agent's settings call."""

import sys

import click


# A word that a later version knows must not be a usage error here: that is exit code 2, too.
@click.command("hook", context_settings={"ignore_unknown_options": True})
@click.argument("words", nargs=-1, type=click.UNPROCESSED, metavar="NAME")
def hook(words: tuple[str, ...]) -> int:
    """Answer a coding agent's hook: session-start, chain, write-guard or stop.

    Reads the agent's JSON from standard input. Exit code 2 blocks the agent, with the reason
    on standard error; whatever else goes wrong is exit code 0.

    \b
    Example:
      echo '{"cwd": "."}' | aexp hook session-start
    """
    from aexp.agents.hooks import run_hook

    data = b"" if sys.stdin is None or sys.stdin.isatty() else sys.stdin.buffer.read()
    return run_hook(" ".join(words), data)
