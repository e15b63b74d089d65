"""Write docs/cli.md from the ``--help`` of every verb: python docs/generate_cli.py [--check]."""

import sys
from collections.abc import Iterator
from pathlib import Path

import click

from aexp.cli.commands import cli

_WIDTH = 96
PAGE = Path(__file__).with_name("cli.md")
HEAD = """# Command line

Made by `python docs/generate_cli.py` from the `--help` of every verb; do not edit.

Ids may be shortened to any unique beginning. Every verb that writes has `--dry-run`, and every verb
that lists, shows or changes runs has `--json`: one JSON document on standard output. Remarks for
people go to standard error. All verbs work in any folder of the repository.

| exit code | meaning |
|---|---|
| 0 | done |
| 1 | an error, said with a hint; or a run that ended otherwise than complete |
| 2 | the call is malformed: nothing was done |
| 3 | `check --strict`: something cannot be verified |
| 70 | a defect of aexp; `AEXP_DEBUG=1` shows where |
| 75 | a run is still queued, or a remote does not answer: the same call can be made again |
| 130 | interrupted with Ctrl-C |
| any | the command's own: `exec`, `env shell -- COMMAND` |

"""


def verbs(command: click.Command, path: tuple[str, ...]) -> Iterator[tuple[str, click.Command]]:
    """Return every verb that is shown, with its full name, groups before their members."""
    yield " ".join(path), command
    if isinstance(command, click.Group):
        context = click.Context(command, info_name=path[-1])
        for name in command.list_commands(context):
            member = command.get_command(context, name)
            assert member is not None
            yield from verbs(member, (*path, name))


def help_text(name: str, command: click.Command) -> str:
    """Return a verb's ``--help``, as wide as this page's code blocks."""
    settings = {
        **command.context_settings,
        "help_option_names": ["-h", "--help"],
        "max_content_width": _WIDTH,
        "terminal_width": _WIDTH,
    }
    context = click.Context(command, info_name=name, **settings)
    lines = command.get_help(context).splitlines()
    return "\n".join(line.rstrip() for line in lines)


def page() -> str:
    """Return the whole page."""
    parts = [HEAD]
    shown = list(verbs(cli, ("aexp",)))
    parts += [f"- [{name}](#{name.replace(' ', '-')})\n" for name, _ in shown[1:]]
    for name, command in shown:
        parts.append(f"\n## {name}\n\n```text\n{help_text(name, command)}\n```\n")
    return "".join(parts)


def main() -> int:
    """Write the page, or with ``--check`` only tell whether it is up to date."""
    text = page()
    if "--check" not in sys.argv[1:]:
        PAGE.write_text(text)
        return 0
    if PAGE.is_file() and PAGE.read_text() == text:
        return 0
    print("docs/cli.md is stale; run: python docs/generate_cli.py", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
