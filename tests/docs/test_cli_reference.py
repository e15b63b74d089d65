"""docs/cli.md: made from the help as it is now, and the help of every verb has an example."""

import ast
import importlib.util
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import click
import pytest

from aexp.cli.commands import HIDDEN, VERBS, cli

ROOT = Path(__file__).parents[2]


def load_generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("generate_cli", ROOT / "docs" / "generate_cli.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


generator = load_generator()
EVERY = list(generator.verbs(cli, ("aexp",)))


def test_the_page_is_fresh() -> None:
    page = (ROOT / "docs" / "cli.md").read_text()
    # In a process of its own: click keeps the help option that a command had when first asked.
    made = "import runpy; print(runpy.run_path('docs/generate_cli.py')['page'](), end='')"
    fresh = subprocess.run(
        [sys.executable, "-c", made], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert page == fresh.stdout, "run: python docs/generate_cli.py"


def test_every_verb_has_a_section() -> None:
    sections = re.findall(r"^## (.+)$", (ROOT / "docs" / "cli.md").read_text(), re.MULTILINE)
    assert sections == [name for name, _ in EVERY]
    assert {f"aexp {name}" for name in VERBS if name not in HIDDEN} <= set(sections)


@pytest.mark.parametrize(("name", "command"), EVERY[1:], ids=[name for name, _ in EVERY[1:]])
def test_every_verb_explains_itself(name: str, command: click.Command) -> None:
    text = generator.help_text(name, command)
    assert re.search(rf"Examples?:\n(    .*\n)*?    {re.escape(name)}\b", text), text
    assert command.help
    for parameter in command.params:
        if isinstance(parameter, click.Option):
            assert parameter.help, (name, parameter.opts)


def test_every_verb_of_the_pages_exists() -> None:
    """What a page tells the reader to type is a verb, and its options are the verb's."""
    known = dict(EVERY)
    hook = cli.get_command(click.Context(cli), "hook")  # not in the list: it is for programs
    assert hook is not None
    known["aexp hook"] = hook
    for path in [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]:
        if path.name == "cli.md":
            continue
        for words in mentions(path.read_text()):
            name = max(
                (n for n in known if words[: len(n.split())] == n.split()),
                key=len,
            )
            command = known[name]
            rest = words[len(name.split()) :]
            if isinstance(command, click.Group):
                assert not rest or rest[0].startswith(("-", "ID")), (path.name, words)
            options = {opt for p in command.params for opt in (*p.opts, *p.secondary_opts)}
            used = {word.split("=")[0] for word in rest if re.match(r"--?[a-z]", word)}
            if "--" in rest:
                used = {w for w in used if rest.index(w) < rest.index("--")} if used else used
            extra = used - options - {"--help", "-h", "--version"}
            assert not extra, (path.name, words, extra)


def test_every_option_of_the_messages_exists() -> None:
    """What an error, a hint or a docstring tells the reader to type has these options."""
    known = dict(EVERY)
    found = 0
    for path in sorted((ROOT / "aexp").rglob("*.py")):
        for text in texts(ast.parse(path.read_text())):
            for match in re.finditer(r"\baexp (?:[\w=./-]+(?: |(?=[,;:.)`\n\"'])|$))+", text):
                words = re.split(r" -- ", match[0])[0].split()
                name = max((n for n in known if words[: len(n.split())] == n.split()), key=len)
                used = {w.split("=")[0].strip(".") for w in words if re.match(r"--?[a-z]", w)}
                options = {o for p in known[name].params for o in (*p.opts, *p.secondary_opts)}
                assert used <= {*options, "--help", "--version"}, (path.name, match[0])
                found += name != "aexp"
    assert found > 300


def texts(tree: ast.Module) -> Iterator[str]:
    """Return the texts of a module; what an f-string inserts is a word, at its edge a space."""
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            parts = (v.value if isinstance(v, ast.Constant) else " X " for v in node.values)
            yield "".join(map(str, parts))
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


def mentions(text: str) -> list[list[str]]:
    """Return the aexp commands in code spans and blocks, as words."""
    found = []
    for span in re.findall(r"`(aexp [a-z][^`\n]*)`", text):
        found.append(span)
    for block in re.findall(r"^(?:\$ |    )(aexp [a-z].*)$", text, re.MULTILINE):
        found.append(block)
    cut = [re.split(r" [#|;&>(]|\s{4}|[()]|…", line)[0] for line in found]
    return [re.sub(r'"[^"]*"|\'[^\']*\'', "TEXT", line).split() for line in cut]
