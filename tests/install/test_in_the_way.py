"""Something else lies where a file is to be written: said before anything is written."""

import os
from pathlib import Path
from typing import Any

import pytest

FOLDERS = [
    "AGENTS.md",
    "CLAUDE.md",
    ".gitignore",
    ".mcp.json",
    ".claude/settings.json",
    "workflow/Snakefile",
    "kb/README.md",
    "kb/reports/.gitkeep",
    ".aexp/installed.json",
    ".runs/.signac/config",
]
FILES = ["kb", "kb/research", ".aexp", ".claude", "workflow", "profiles", "templates", ".runs"]


def told(research: Any, done: Any, name: str) -> None:
    assert f"{name} is in the way" in done.stderr
    assert f"move it away: mv {name} {name}.mine" in done.stderr
    for bad in ("Traceback", "defect"):
        assert bad not in done.stderr


@pytest.mark.parametrize("force", [(), ("--force",)], ids=["", "force"])
@pytest.mark.parametrize("name", FOLDERS)
def test_a_folder(bare: Any, name: str, force: tuple[str, ...]) -> None:
    (bare.root / name).mkdir(parents=True)
    before = bare.tree()
    told(bare, bare.aexp("install", *force, rc=2), name)
    assert bare.tree() == before


@pytest.mark.parametrize("name", FILES)
def test_a_file(bare: Any, name: str) -> None:
    (bare.root / name).parent.mkdir(exist_ok=True)
    (bare.root / name).write_text("mine")
    before = bare.tree()
    told(bare, bare.aexp("install", rc=2), name)
    assert bare.tree() == before


def test_a_pipe_is_not_read(bare: Any) -> None:
    os.mkfifo(bare.root / "AGENTS.md")
    told(bare, bare.aexp("install", rc=2), "AGENTS.md")
    bare.aexp("install", "--no-agents")
    assert (bare.root / ".aexp" / "installed.json").is_file()
    assert (bare.root / "AGENTS.md").is_fifo()


def test_where_slash_commands_shall_lie(bare: Any, tmp_path: Path) -> None:
    place = tmp_path / "commands"
    place.write_text("mine")
    told(bare, bare.aexp("install-slash-commands", "--target", str(place), rc=2), str(place))
    assert place.read_text() == "mine"


def test_moved_away_as_it_says(bare: Any) -> None:
    (bare.root / "AGENTS.md").mkdir()
    bare.aexp("install", rc=2)
    (bare.root / "AGENTS.md").rename(bare.root / "AGENTS.md.mine")
    bare.aexp("install")
    assert (bare.root / "AGENTS.md").is_file()
