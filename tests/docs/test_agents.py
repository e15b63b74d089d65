"""docs/agents.md: its sessions are executed; its lists are those of the code."""

import re
from collections.abc import Callable
from pathlib import Path

from aexp.agents.hooks import HOOKS
from aexp.install.install import HOOKS as REGISTERED
from aexp.install.scaffold import slash_commands

PAGE = Path(__file__).parents[2] / "docs" / "agents.md"
TEXT = PAGE.read_text()


def test_every_command_prints_what_it_says(replay: Callable[[Path], int]) -> None:
    assert replay(PAGE) >= 8


def test_it_lists_every_slash_command() -> None:
    named = set(re.findall(r"`/(aexp-[\w-]+)`", TEXT))
    assert named == {name.removesuffix(".md") for name, _ in slash_commands()}


def test_it_lists_every_hook_with_its_event() -> None:
    rows = dict(re.findall(r"^\| `aexp hook ([\w-]+)` \| `(\w+)`", TEXT, re.MULTILINE))
    assert set(rows) == set(HOOKS)
    registered = {
        hook["command"].removeprefix("aexp hook "): event
        for event, groups in REGISTERED.items()
        for group in groups
        for hook in group["hooks"]
    }
    assert rows == registered


def test_it_lists_every_check_of_the_doctor() -> None:
    rows = re.findall(r"^\| `([\w ]+)` \|.*\|.*\|$", TEXT.partition("## Doctor")[2], re.MULTILINE)
    source = Path(__file__).parents[2] / "aexp" / "doctor"
    checks = set()
    for path in source.glob("*_checks.py"):
        checks |= set(re.findall(r"\b(?:error|warn|ok|level)\(\s*\"([\w ]+)\"", path.read_text()))
    assert set(rows) == checks
