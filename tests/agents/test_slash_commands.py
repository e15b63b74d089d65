"""The slash commands: every line that they tell an agent to type is one that aexp knows."""

import re
import shlex
from pathlib import Path

import click
import pytest

from aexp.cli.commands import cli
from aexp.install.scaffold import AGENT_FILES, slash_commands

WANTED = (
    "queue-add queue-list queue-materialize queue-stop "
    "close-thread finding-from-batch finding-from-run finding-placeholder list-runs list-threads "
    "new-experiment new-hypothesis new-run new-thread show-batch show-run show-thread status "
    "validate"
)
COMMANDS = {name: content.decode() for name, content in slash_commands()}
AGENTS = (Path(AGENT_FILES) / "AGENTS.md").read_text()
# What executes runs is a person's.
EXECUTING = ("aexp run", "aexp run-queued", "aexp queue run", "snakemake")


def lines(text: str) -> list[str]:
    """Return every command line of aexp in a text, without the remark behind it."""
    found = re.findall(r"^ *(aexp .*)$", text, re.MULTILINE)
    found += re.findall(r"`(aexp [^`\n]*)`", text)
    return [line.partition("   #")[0].strip() for line in found]


EVERY = sorted({(name, line) for name, text in COMMANDS.items() for line in lines(text)})
EVERY += sorted({("AGENTS.md", line) for line in lines(AGENTS)})


def test_all_are_there() -> None:
    assert {f"aexp-{name}.md" for name in WANTED.split()} <= set(COMMANDS)


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_each_says_what_it_is_and_what_to_call(name: str) -> None:
    text = COMMANDS[name]
    assert re.match(r"---\ndescription: \S.{10,90}\n(argument-hint: .+\n)?---\n\n", text)
    assert lines(text)
    if "argument-hint" in text:
        assert "$ARGUMENTS" in text
    assert not re.search(r"^!|!`", text, re.MULTILINE), "nothing is executed while it is read"
    assert text.endswith("\n")
    assert max(map(len, text.splitlines())) <= 100


@pytest.mark.parametrize(("name", "line"), EVERY)
def test_every_command_line_is_one_that_aexp_understands(name: str, line: str) -> None:
    """Parsed by the command line's own parser, not executed."""
    words = shlex.split(line)[1:]
    command: click.Command = cli
    context = click.Context(cli, info_name="aexp")
    while isinstance(command, click.Group):
        assert words, f"{line}: a group without a verb"
        found = command.get_command(context, words[0])
        assert found is not None, f"{line}: there is no verb {words[0]}"
        command, words = found, words[1:]
        context = click.Context(command, parent=context, info_name=command.name)
    try:
        command.parse_args(context, words)
    except click.MissingParameter:
        assert "..." in line or len(words) == 0, line


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_none_executes_runs(name: str) -> None:
    for line in lines(COMMANDS[name]):
        assert not line.startswith(EXECUTING) or line.startswith("aexp runs"), line
