"""What `aexp install` writes: the record, the files of coding agents, the marker."""

import hashlib
import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

import aexp
from aexp.kb.artifacts import KINDS

BEGIN, END = "<!-- agentic-experiments:begin -->", "<!-- agentic-experiments:end -->"
SETTINGS = ".claude/settings.json"
HOOKS = {
    "SessionStart": "aexp hook session-start",
    "PreToolUse": "aexp hook chain",
    "PostToolUse": "aexp hook write-guard",
    "Stop": "aexp hook stop",
}
PEER_HOOK = '"/home/someone/venv/bin/python" -m aexp.hooks.stop_validate'


def read(research: Any, name: str) -> Any:
    return json.loads((research.root / name).read_text())


def commands(research: Any) -> dict[str, list[str]]:
    events = read(research, SETTINGS)["hooks"]
    return {
        event: [hook["command"] for group in groups for hook in group["hooks"]]
        for event, groups in events.items()
    }


def kinds(research: Any, *arguments: str) -> dict[str, str]:
    return {action["path"]: action["kind"] for action in research.json("install", *arguments)}


def test_the_record_is_there_and_valid(bare: Any) -> None:
    bare.aexp("install")
    for name in ("ACTIVE.md", "DASHBOARD.md", "mission/CHALLENGE.md", "lessons/README.md"):
        assert (bare.root / "kb" / name).is_file(), name
    for folder in ("hypotheses", "experiments", "findings", "threads", "literature", "data"):
        assert (bare.root / "kb" / "research" / folder / ".gitkeep").is_file(), folder
    assert (bare.root / "kb" / "reports" / ".gitkeep").is_file()
    result = bare.json("validate")
    assert (result["errors"], result["warnings"]) == (0, 0)


def test_the_reference_templates_are_the_ones_that_files_are_made_from(bare: Any) -> None:
    bare.aexp("install")
    for kind in KINDS.values():
        text = (bare.root / "templates" / f"{kind.name}.md").read_text()
        assert text == kind.template


def test_a_folder_that_is_used_needs_no_gitkeep(bare: Any) -> None:
    bare.experiment("echo {seed}")
    bare.aexp("install")
    assert not (bare.root / "kb" / "research" / "experiments" / ".gitkeep").exists()


def test_files_of_agents(bare: Any) -> None:
    bare.aexp("install")
    assert read(bare, ".mcp.json") == {"mcpServers": {"aexp": {"command": "aexp", "args": ["mcp"]}}}
    assert commands(bare) == {event: [command] for event, command in HOOKS.items()}
    agents = (bare.root / "AGENTS.md").read_text()
    assert agents.startswith(BEGIN + "\n")
    assert agents.endswith(END + "\n")
    assert "aexp queue add" in agents
    assert "@AGENTS.md" in (bare.root / "CLAUDE.md").read_text()
    assert len(list((bare.root / ".claude" / "commands").glob("aexp-*.md"))) >= 19


def test_without_agents_and_it_is_remembered(bare: Any) -> None:
    bare.aexp("install", "--no-agents")
    bare.aexp("install")
    for name in ("AGENTS.md", "CLAUDE.md", ".mcp.json", ".claude"):
        assert not (bare.root / name).exists(), name
    bare.aexp("install", "--agents")
    bare.aexp("install")
    assert (bare.root / "AGENTS.md").is_file()


def test_the_text_around_our_blocks_is_the_users(bare: Any) -> None:
    (bare.root / "AGENTS.md").write_text("# Ours\n\nNo final newline")
    (bare.root / "CLAUDE.md").write_bytes(b"one\r\ntwo\r\n")
    bare.aexp("install")
    agents = bare.root / "AGENTS.md"
    assert agents.read_text().startswith("# Ours\n\nNo final newline\n\n" + BEGIN)
    agents.write_text(agents.read_text() + "below\n")
    claude = (bare.root / "CLAUDE.md").read_bytes()
    assert claude.startswith(b"one\r\ntwo\r\n")
    assert claude.count(b"\n") == claude.count(b"\r\n")
    assert set(kinds(bare).values()) <= {"skipped_identical", "unchanged"}
    agents.write_text(agents.read_text().replace("aexp queue add", "changed"))
    assert kinds(bare)["AGENTS.md"] == "merged_block"
    assert agents.read_text().endswith("below\n")
    assert "changed" not in agents.read_text()


@pytest.mark.parametrize("text", [f"mine\n{BEGIN}\nmore\n", f"{END}\nmine\n"])
def test_half_a_block_is_left_alone(bare: Any, text: str) -> None:
    (bare.root / "AGENTS.md").write_text(text)
    assert kinds(bare)["AGENTS.md"] == "skipped_conflict"
    assert (bare.root / "AGENTS.md").read_text() == text


def test_one_file_under_two_names_has_one_block(bare: Any) -> None:
    (bare.root / "CLAUDE.md").symlink_to("AGENTS.md")
    bare.aexp("install")
    assert (bare.root / "CLAUDE.md").is_symlink()
    assert (bare.root / "AGENTS.md").read_text().count(BEGIN) == 1
    assert set(kinds(bare).values()) <= {"skipped_identical", "unchanged"}


def test_json_of_the_users_is_added_to(bare: Any) -> None:
    (bare.root / ".mcp.json").write_text('{"mcpServers": {"other": {"command": "x"}}, "a": [1]}')
    own = {"matcher": "Bash", "hooks": [{"type": "command", "command": "mine"}]}
    (bare.root / ".claude").mkdir()
    settings = {"model": "é", "hooks": {"PreToolUse": [own], "Notification": [own]}}
    (bare.root / SETTINGS).write_text(json.dumps(settings))
    bare.aexp("install")
    servers = read(bare, ".mcp.json")
    assert servers["a"] == [1]
    assert list(servers["mcpServers"]) == ["other", "aexp"]
    merged = read(bare, SETTINGS)
    assert merged["model"] == "é"
    assert merged["hooks"]["Notification"] == [own]
    assert merged["hooks"]["PreToolUse"][0] == own
    assert commands(bare)["PreToolUse"] == ["mine", HOOKS["PreToolUse"]]
    before = bare.tree()
    bare.aexp("install", "--force")
    assert bare.tree() == before


@pytest.mark.parametrize("name", [".mcp.json", SETTINGS])
@pytest.mark.parametrize(
    "text",
    [
        "{",
        "[]",
        "",
        "// comment\n{}",
        '{"a": 1, "a": 2}',
        '{"mcpServers": [], "hooks": 1}',
        '{"mcpServers": 3, "hooks": {"Stop": {"x": 1}}}',
        "\ufffe",
    ],
)
def test_json_that_cannot_be_added_to_is_left_alone(bare: Any, name: str, text: str) -> None:
    path = bare.root / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    done = bare.aexp("install")
    assert "skipped_conflict" in done.stdout
    assert "left alone" in done.stdout
    assert path.read_text() == text
    assert (bare.root / "kb" / "ACTIVE.md").is_file()


def test_a_server_of_the_users_own_stays_unless_forced(bare: Any) -> None:
    mine = {"mcpServers": {"aexp": {"command": "uvx", "args": ["mine"]}}}
    (bare.root / ".mcp.json").write_text(json.dumps(mine))
    assert kinds(bare)[".mcp.json"] == "preserved_user_modified"
    assert read(bare, ".mcp.json") == mine
    assert kinds(bare, "--force")[".mcp.json"] == "updated"
    assert read(bare, ".mcp.json")["mcpServers"]["aexp"]["command"] == "aexp"
    assert read(bare, ".mcp.json.orig") == mine


def test_a_hook_with_the_users_timeout_stays_unless_forced(bare: Any) -> None:
    bare.aexp("install")
    path = bare.root / SETTINGS
    original = path.read_text()
    path.write_text(original.replace('"timeout": 60', '"timeout": 5'))
    assert kinds(bare)[SETTINGS] == "skipped_identical"
    bare.aexp("install", "--force")
    assert path.read_text() == original


def test_hooks_of_an_older_tool_are_replaced_and_kept_aside(bare: Any) -> None:
    (bare.root / ".claude").mkdir()
    old = {"hooks": {"Stop": [{"hooks": [{"type": "command", "command": PEER_HOOK}]}]}}
    (bare.root / SETTINGS).write_text(json.dumps(old))
    assert kinds(bare)[SETTINGS] == "updated"
    assert commands(bare)["Stop"] == [HOOKS["Stop"]]
    assert read(bare, SETTINGS + ".orig") == old


def test_changed_tooling_stays_unless_forced(bare: Any) -> None:
    bare.aexp("install")
    command = bare.root / ".claude" / "commands" / "aexp-queue-add.md"
    template = bare.root / "templates" / "finding.md"
    active = bare.root / "kb" / "ACTIVE.md"
    original = command.read_text()
    for path in (command, template, active):
        path.write_text("mine\n")
    bare.aexp("install")
    assert command.read_text() == "mine\n"
    bare.aexp("install", "--force")
    assert command.read_text() == original
    assert Path(str(command) + ".orig").read_text() == "mine\n"
    assert template.read_text() == active.read_text() == "mine\n"


def test_other_line_ends_are_no_change_of_the_users(bare: Any) -> None:
    bare.aexp("install")
    for name in ("kb/ACTIVE.md", "workflow/Snakefile", ".claude/commands/aexp-status.md"):
        path = bare.root / name
        path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
        assert kinds(bare)[name] == "skipped_identical"


@pytest.mark.parametrize(
    "name", ["kb", ".claude", "AGENTS.md", "workflow", ".gitignore", "templates"]
)
def test_a_link_out_of_the_repository_is_never_written_through(bare: Any, name: str) -> None:
    outside = bare.root.parent / "outside"
    outside.mkdir()
    (outside / "keep").write_text("theirs")
    target = outside if "." not in name[1:] else outside / "keep"
    (bare.root / name).symlink_to(target)
    done = bare.aexp("install")
    assert "skipped_symlink" in done.stdout
    assert "leads out of the repository" in done.stdout
    assert os.listdir(outside) == ["keep"]
    assert (outside / "keep").read_text() == "theirs"
    assert (bare.root / name).is_symlink()


def test_a_link_into_the_git_folder_is_never_written_through(bare: Any) -> None:
    hooks = bare.root / ".git" / "hooks"
    before = sorted(os.listdir(hooks))
    (bare.root / "workflow").symlink_to(".git/hooks")
    assert "skipped_symlink" in bare.aexp("install").stdout
    assert sorted(os.listdir(hooks)) == before


@pytest.mark.parametrize("name", [".aexp", ".runs"])
def test_a_store_or_marker_elsewhere_is_refused_before_anything_is_written(
    bare: Any, name: str
) -> None:
    outside = bare.root.parent / "outside"
    outside.mkdir()
    (bare.root / name).symlink_to(outside)
    before = bare.tree()
    done = bare.aexp("install", rc=2)
    assert "leads out of the repository" in done.stderr
    assert bare.tree() == before
    assert os.listdir(outside) == []


def test_a_store_that_a_user_has_put_elsewhere_is_used(bare: Any) -> None:
    scratch = bare.root.parent / "scratch"
    (scratch / ".signac").mkdir(parents=True)
    (scratch / ".signac" / "config").write_text("schema_version = 2\n")
    (bare.root / ".runs").symlink_to(scratch)
    bare.aexp("install")
    bare.experiment("echo {seed}")
    job_id = bare.one("seed=0")
    assert (scratch / "workspace" / job_id).is_dir()


def test_the_source_of_aexp_itself_is_refused(bare: Any) -> None:
    place = bare.root / "aexp" / "install"
    place.mkdir(parents=True)
    (place / "install.py").write_text("")
    before = bare.tree()
    done = bare.aexp("install", rc=2)
    assert "source of aexp" in done.stderr
    assert bare.tree() == before
    with pytest.raises(aexp.InstallRefused):
        aexp.install_scaffold(bare.root)


def test_a_wrong_label_leaves_nothing_behind(bare: Any) -> None:
    before = bare.tree()
    bare.aexp("install", "--machine-label", "../x", rc=2)
    assert bare.tree() == before


def test_force_begins_a_new_marker_and_keeps_the_damaged_one(research: Any) -> None:
    path = research.root / ".aexp" / "installed.json"
    path.write_text("{")
    done = research.aexp("install", rc=1)
    assert "aexp install --force" in done.stderr
    research.aexp("install", "--force", "--machine-label", "again")
    assert json.loads(path.read_text())["machine_label"] == "again"
    assert path.with_name("installed.json.orig").read_text() == "{"


def test_the_scaffold_sha_is_that_of_names_and_contents(bare: Any) -> None:
    bare.aexp("install")
    sha = aexp.compute_scaffold_sha()
    assert read(bare, ".aexp/installed.json")["scaffold_sha"] == sha
    from aexp.install.scaffold import agent_block, scaffold_files

    files = {file.name: file.content for file in scaffold_files()}
    files |= {name: agent_block(name).encode() for name in ("AGENTS.md", "CLAUDE.md")}
    digest = hashlib.sha256()
    for name in sorted(files):
        digest.update(name.encode() + b"\0" + files[name] + b"\0")
    assert digest.hexdigest() == sha


def test_many_files_of_a_folder_are_one_line(bare: Any) -> None:
    lines = bare.aexp("install").stdout.splitlines()
    assert len(lines) < 20
    assert [line for line in lines if line.startswith("copied") and "kb/" in line] == [
        "copied                      kb/    (12 files)"
    ]
    shutil.rmtree(bare.root / "kb")
    assert "kb/ACTIVE.md" in bare.aexp("install", "--dry-run").stdout


def test_installed_or_not(bare: Any) -> None:
    assert not aexp.is_scaffold_installed(bare.root)
    aexp.install_scaffold(bare.root, agents=False)
    assert aexp.is_scaffold_installed(bare.root)
    assert not (bare.root / ".claude").exists()


def test_slash_commands_alone(bare: Any, tmp_path: Path) -> None:
    everywhere = tmp_path / "home" / "commands"
    bare.aexp("install-slash-commands", "--target", str(everywhere), "--dry-run")
    assert not everywhere.exists()
    bare.aexp("install-slash-commands", "--target", str(everywhere))
    bare.aexp("install-slash-commands", cwd=bare.root)
    here = bare.root / ".claude" / "commands"
    assert sorted(os.listdir(everywhere)) == sorted(os.listdir(here))
    (here / "aexp-status.md").write_text("mine")
    bare.aexp("install-slash-commands")
    assert (here / "aexp-status.md").read_text() == "mine"
    bare.aexp("install-slash-commands", "--force")
    assert (here / "aexp-status.md.orig").read_text() == "mine"
    done = bare.aexp("install-slash-commands")
    assert "nothing to do" in done.stdout


def test_asks_on_a_terminal_only(bare: Any) -> None:
    """A question nobody answers would hang a script for ever."""
    import pty

    def answered(words: bytes) -> int:
        pid, descriptor = pty.fork()
        if pid == 0:
            os.chdir(bare.root)
            os.execve(sys.executable, [*AEXP, "install"], bare.env)
        os.write(descriptor, words)
        output = b""
        try:
            while chunk := os.read(descriptor, 4096):
                output += chunk
        except OSError:
            pass  # the terminal is gone with its last process
        os.close(descriptor)
        assert b"set up aexp in" in output
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

    import sys

    AEXP = [sys.executable, "-P", "-m", "aexp"]
    before = bare.tree()
    assert answered(b"n\n") != 0
    assert bare.tree() == before
    assert answered(b"y\n") == 0
    assert (bare.root / "kb" / "ACTIVE.md").is_file()
