"""Help: every verb explains itself with an example, quickly and without heavy imports."""

import os
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import click
import pytest

from aexp.cli.commands import cli


def verbs(group: click.Group, prefix: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        yield (*prefix, name)
        if isinstance(command, click.Group):
            yield from verbs(command, (*prefix, name))


EVERY = sorted(verbs(cli))


@pytest.mark.parametrize("verb", EVERY, ids=" ".join)
def test_every_verb_has_help_with_an_example(verb: tuple[str, ...]) -> None:
    command: Any = cli
    for name in verb:
        command = command.get_command(click.Context(command), name)
    text = command.get_help(click.Context(command, info_name=" ".join(verb)))
    assert "Example" in text
    assert f"aexp {' '.join(verb)}" in text.split("Example", 1)[1]
    for parameter in command.params:
        if isinstance(parameter, click.Option):
            assert parameter.help, parameter.opts


def test_the_examples_of_the_help_parse() -> None:
    """Each example line is accepted by the parser of its verb, up to what it would do."""
    import shlex

    tried = set()
    for verb in EVERY:
        command: Any = cli
        for name in verb:
            command = command.get_command(click.Context(command), name)
        if isinstance(command, click.Group):
            continue
        for line in (command.help or "").splitlines():
            start = "aexp " + " ".join(verb) + " "
            if not (line.strip() + " ").startswith(start):
                continue
            words = shlex.split(line.split("&&")[0].split(">>")[0])[1 + len(verb) :]
            words = ["0" if word.startswith("$") else word for word in words]
            assert command.make_context(" ".join(verb), list(words)).command is command
            tried.add(verb)
    assert len(tried) > 40


LOADED = """
import sys
sys.argv = ["aexp", *sys.argv[1:]]
import aexp.cli
try:
    aexp.cli.main()
finally:
    heavy = {"signac", "snakemake", "yaml", "pandas", "numpy", "filelock"} & set(sys.modules)
    print("LOADED", sorted(heavy), file=sys.stderr)
"""


@pytest.mark.parametrize(
    "arguments",
    [("--help",), ("queue", "--help"), ("queue", "list", "--help"), ("--version",)],
    ids=" ".join,
)
def test_help_imports_neither_signac_nor_snakemake(arguments: tuple[str, ...]) -> None:
    done = subprocess.run(
        [sys.executable, "-c", LOADED, *arguments], capture_output=True, text=True, check=True
    )
    assert "LOADED []" in done.stderr


def test_neither_do_the_verbs_of_every_day(research: Any) -> None:
    job_id = research.one("condition=full,seed=0")
    for arguments in (("queue", "list"), ("status",), ("list-runs",), ("show-run", job_id)):
        done = subprocess.run(
            [sys.executable, "-c", LOADED, *arguments],
            cwd=research.root,
            env=research.env,
            capture_output=True,
            text=True,
            check=True,
        )
        assert "LOADED []" in done.stderr, arguments


def test_import_aexp_loads_nothing_else() -> None:
    """Training code pays for what it uses: not even typing comes with the name."""
    code = "import sys; before = set(sys.modules); import aexp; print(*set(sys.modules) - before)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert set(done.stdout.split()) == {"aexp", "aexp.version"}


def test_everything_in_all_can_be_imported() -> None:
    import aexp

    for name in aexp.__all__:
        assert getattr(aexp, name) is not None
    assert set(aexp.__all__) <= set(dir(aexp))


@pytest.mark.parametrize(
    ("words", "meant"),
    [(("quue", "list"), "queue"), (("queue", "lst"), "list"), (("show-runs",), "show-run")],
)
def test_a_mistyped_verb_names_the_one_that_was_meant(
    research: Any, words: tuple[str, ...], meant: str
) -> None:
    done = research.aexp(*words, rc=2)
    assert f"Did you mean {meant!r}" in done.stderr


def test_no_verb_shows_the_help(research: Any) -> None:
    done = research.aexp(rc=None)
    assert "queue" in done.stdout + done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_scripts(research: Any, shell: str) -> None:
    assert "_AEXP_COMPLETE" in research.aexp("completion", shell).stdout


def test_completion_answers(research: Any) -> None:
    """What the shell gets when somebody types ``aexp queue re<TAB>``."""
    env = {"_AEXP_COMPLETE": "bash_complete", "COMP_WORDS": "aexp queue re", "COMP_CWORD": "2"}
    command = os.path.join(os.path.dirname(sys.executable), "aexp")
    answer = subprocess.run(
        [command], env={**research.env, **env}, capture_output=True, text=True, check=True
    )
    assert {"plain,release", "plain,remove", "plain,retry"} == set(answer.stdout.split())
