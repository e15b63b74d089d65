"""``aexp export``: a skill and a registration; what others have written stays."""

import json
import tomllib
from pathlib import Path
from typing import Any

import pytest

from aexp.install.export import TOOLS, export

ENTRY = {"command": "aexp", "args": ["mcp"]}


@pytest.mark.parametrize("level", ["user", "workspace"])
def test_every_agent_gets_both(tmp_path: Path, level: str) -> None:
    export(str(tmp_path), TOOLS, level, dry_run=True)
    assert list(tmp_path.iterdir()) == []
    export(str(tmp_path), TOOLS, level)
    skills = sorted(tmp_path.glob(".*/skills/aexp/SKILL.md"))
    assert len(skills) == 4
    head = skills[0].read_text().split("---\n")[1]
    assert head.startswith("name: aexp\ndescription: ")
    claude = ".claude.json" if level == "user" else ".mcp.json"
    for name in (claude, ".cursor/mcp.json", ".gemini/settings.json"):
        assert json.loads((tmp_path / name).read_text())["mcpServers"] == {"aexp": ENTRY}
    config = tomllib.loads((tmp_path / ".codex" / "config.toml").read_text())
    assert config == {"mcp_servers": {"aexp": ENTRY}}
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert {a.kind for a in export(str(tmp_path), TOOLS, level)} == {"skipped_identical"}
    assert {path: path.read_bytes() for path in before} == before


def test_what_is_there_is_kept(tmp_path: Path) -> None:
    (tmp_path / ".claude.json").write_text('{"projects": {"x": 1}, "mcpServers": {"o": {"a": 1}}}')
    codex = tmp_path / ".codex" / "config.toml"
    codex.parent.mkdir()
    codex.write_text("# mine\nmodel = 'm'\n[mcp_servers.other]\ncommand = 'x'")
    export(str(tmp_path), ["claude", "codex"], "user")
    assert json.loads((tmp_path / ".claude.json").read_text()) == {
        "projects": {"x": 1},
        "mcpServers": {"o": {"a": 1}, "aexp": ENTRY},
    }
    assert codex.read_text().startswith("# mine\nmodel = 'm'\n[mcp_servers.other]\ncommand = 'x'\n")
    assert tomllib.loads(codex.read_text())["mcp_servers"]["aexp"] == ENTRY
    skill = tmp_path / ".claude" / "skills" / "aexp" / "SKILL.md"
    skill.write_text("mine")
    export(str(tmp_path), ["claude"], "user")
    assert skill.read_text() == "mine"
    export(str(tmp_path), ["claude"], "user", force=True)
    assert (skill.parent / "SKILL.md.orig").read_text() == "mine"


def test_a_configuration_that_cannot_be_read_is_left_alone(research: Any, tmp_path: Path) -> None:
    """The exit code says so, nothing is lost, and what can be done is done."""
    home = tmp_path / "home"
    wrong = {
        ".claude.json": '{"mcpServers": {"other": 1}, broken',
        ".gemini/settings.json": "[]",
        ".cursor/mcp.json": '{"mcpServers": []}',
        ".codex/config.toml": "mcp_servers = {}\n[broken",
    }
    for name, text in wrong.items():
        (home / name).parent.mkdir(parents=True, exist_ok=True)
        (home / name).write_text(text)
    options = [word for tool in TOOLS for word in ("--tool", tool)]
    done = research.aexp("export", *options, "--level", "user", rc=1, env={"HOME": str(home)})
    assert done.stdout.count("left alone") == 4
    assert {name: (home / name).read_text() for name in wrong} == wrong
    assert len(list(home.glob(".*/skills/aexp/SKILL.md"))) == 4
    # An inline table cannot be added to.
    (home / ".codex" / "config.toml").write_text("mcp_servers = {a = {command = 'x'}}\n")
    research.aexp("export", "--tool", "codex", "--level", "user", rc=1, env={"HOME": str(home)})
    research.aexp("export", "--tool", "notepad", rc=2)
    (research.root / ".mcp.json").unlink()
    research.aexp("export")
    assert json.loads((research.root / ".mcp.json").read_text()) == {"mcpServers": {"aexp": ENTRY}}
