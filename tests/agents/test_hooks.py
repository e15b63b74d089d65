"""The hooks, called as a coding agent calls them: a process, JSON on its standard input."""

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

HYPOTHESIS = """---
id: "H001"
aliases: ["H001"]
type: hypothesis
status: PROPOSED
created: 2026-11-21
---
# H001 — Wider is better

## Statement

## Mechanism

## Why This Might Generalize

## Shortcut Risks

## Test Plan

## Evidence

## Conclusion

## Links

- [[ACTIVE]]
- [[E001]]
"""
EXPERIMENT = """---
id: "{id}"
aliases: ["{id}"]
type: experiment
status: DESIGNED
{link}
created: 2026-11-21
---
# {id}

## Objective

## Setup

## Procedure

## Caveats

## Intent

## Progress

## Results

## Outcome Summary

## Decision

## Links

- [[H001]]
- [[ACTIVE]]
"""
NOTES = {
    "E": ("experiments", "hypothesis", "H001", "aexp new-hypothesis"),
    "F": ("findings", "experiment", "E001", "aexp new-experiment"),
    "H": ("hypotheses", "thread", "T001", "aexp new-thread"),
}


@pytest.fixture
def kb(research: Any) -> Any:
    """A repository whose record has H001 and E001 and no error."""
    folder = research.root / "kb" / "research"
    shutil.rmtree(folder / "experiments")
    (folder / "experiments").mkdir()
    (folder / "hypotheses" / "H001-wider.md").write_text(HYPOTHESIS)
    (folder / "experiments" / "E001-wide.md").write_text(experiment('hypothesis: "H001"'))
    assert research.json("validate", "--kb-only")["errors"] == 0
    return research


def experiment(link: str, artifact_id: str = "E001") -> str:
    return EXPERIMENT.format(id=artifact_id, link=link)


def call(
    research: Any, name: str, payload: Any, *, cwd: Path | None = None, **env: str
) -> subprocess.CompletedProcess[str]:
    text = payload if isinstance(payload, str) else json.dumps(payload)
    return research.aexp("hook", name, rc=None, input=text, cwd=cwd, env=env)


def event(research: Any, name: str, **more: Any) -> dict[str, Any]:
    """Return what every event holds."""
    return {
        "session_id": "abc123",
        "transcript_path": "/home/you/.claude/projects/x/abc123.jsonl",
        "cwd": str(research.root),
        "permission_mode": "default",
        "hook_event_name": name,
        **more,
    }


def write(research: Any, path: str, content: str) -> dict[str, Any]:
    given = {"file_path": str(research.root / path), "content": content}
    return event(research, "PreToolUse", tool_name="Write", tool_input=given)


def edit(research: Any, path: str, old: str, new: str, **more: Any) -> dict[str, Any]:
    given = {"file_path": str(research.root / path), "old_string": old, "new_string": new, **more}
    return event(research, "PreToolUse", tool_name="Edit", tool_input=given)


def note(letter: str, parent: str) -> tuple[str, str]:
    folder, key, _, _ = NOTES[letter]
    link = f'{key}: "{parent}"\n' if parent else ""
    return f"kb/research/{folder}/{letter}009-new.md", f"---\nid: {letter}009\n{link}---\n# x\n"


@pytest.mark.parametrize("letter", sorted(NOTES))
def test_what_stands_on_nothing_is_blocked(kb: Any, letter: str) -> None:
    path, content = note(letter, NOTES[letter][2].replace("001", "777"))
    done = call(kb, "chain", write(kb, path, content))
    assert done.returncode == 2
    assert "does not exist" in done.stderr
    assert NOTES[letter][3] in done.stderr
    assert path in done.stderr
    assert done.stdout == ""


@pytest.mark.parametrize("letter", ["E", "F"])
def test_what_stands_on_something_is_let_through(kb: Any, letter: str) -> None:
    path, content = note(letter, NOTES[letter][2])
    assert call(kb, "chain", write(kb, path, content)).returncode == 0


@pytest.mark.parametrize(("letter", "rc"), [("E", 2), ("F", 2), ("H", 0)])
def test_a_parent_that_is_not_named(kb: Any, letter: str, rc: int) -> None:
    path, content = note(letter, "")
    assert call(kb, "chain", write(kb, path, content)).returncode == rc


@pytest.mark.parametrize("value", ["E001", "H1", "h001", "../H001", "[H001]", "12", "H001.*"])
def test_a_parent_that_is_no_id(kb: Any, value: str) -> None:
    content = f"---\nid: E009\nhypothesis: {value}\n---\n"
    done = call(kb, "chain", write(kb, "kb/research/experiments/E009-x.md", content))
    assert done.returncode == 2
    assert "not the id of a hypothesis" in done.stderr


def test_a_finding_s_experiment_that_is_no_id(kb: Any) -> None:
    path, content = note("F", "E1")
    assert "not the id of an experiment" in call(kb, "chain", write(kb, path, content)).stderr


@pytest.mark.parametrize("folder", ["experiments/E009", "hypotheses/H009", "threads/T009"])
@pytest.mark.parametrize(
    ("frontmatter", "reason"),
    [
        ("hypothesis: H001\nhypothesis: H001", "line 3: the key 'hypothesis' is already on line 2"),
        ("hypothesis: [H001", "the frontmatter is not valid YAML"),
        ("hypothesis: H001\n\x07: 1", "the frontmatter"),
    ],
)
def test_frontmatter_that_cannot_be_read(
    kb: Any, folder: str, frontmatter: str, reason: str
) -> None:
    path = f"kb/research/{folder}-x.md"
    content = f"---\n{frontmatter}\n---\n# x\n"
    done = call(kb, "chain", write(kb, path, content))
    assert done.returncode == 2
    assert f"{path} was not written: " in done.stderr
    assert reason in done.stderr
    assert str(kb.root) not in done.stderr
    assert done.stderr.replace("\n", "").isprintable()
    # What was broken before can be mended in several steps.
    (kb.root / path).write_text(content)
    assert call(kb, "chain", edit(kb, path, "# x", "# y")).returncode == 0


def test_a_parent_below_the_title(kb: Any) -> None:
    path = "kb/research/experiments/E009-x.md"
    for value, rc in (("[[H001]]", 0), ("[[H777]]", 2)):
        content = f"# E009\n\n> **Hypothesis**: {value}\n"
        assert call(kb, "chain", write(kb, path, content)).returncode == rc


def test_edits_are_judged_by_what_they_leave(kb: Any) -> None:
    path = "kb/research/experiments/E001-wide.md"
    assert call(kb, "chain", edit(kb, path, '"H001"', '"H777"')).returncode == 2
    assert call(kb, "chain", edit(kb, path, "## Setup", "## Setup\n\nx")).returncode == 0
    twice = [
        {"old_string": '"H001"', "new_string": '"H777"'},
        {"old_string": "H777", "new_string": "H001", "replace_all": True},
    ]
    payload = edit(kb, path, "", "")
    payload["tool_input"] = {"file_path": str(kb.root / path), "edits": twice}
    assert call(kb, "chain", payload).returncode == 0
    payload["tool_input"]["edits"] = twice[:1]
    assert call(kb, "chain", payload).returncode == 2


def test_a_file_that_was_wrong_already_can_be_worked_on(kb: Any) -> None:
    path = kb.root / "kb" / "research" / "experiments" / "E002-old.md"
    path.write_text(experiment("", "E002"))
    name = "kb/research/experiments/E002-old.md"
    assert call(kb, "chain", edit(kb, name, "## Setup", "## Setup\n\nmore")).returncode == 0
    assert call(kb, "chain", edit(kb, name, "status:", 'hypothesis: "H9"\nstatus:')).returncode == 2


def test_other_files_are_nobodys_business(kb: Any, tmp_path: Path) -> None:
    _, content = note("E", "H777")
    for path in ("train.py", "kb/ACTIVE.md", "kb/research/experiments/README.md", "E009-x.md"):
        assert call(kb, "chain", write(kb, path, content)).returncode == 0, path
    elsewhere = str(tmp_path / "elsewhere" / "kb" / "research" / "experiments" / "E009-x.md")
    assert call(kb, "chain", write(kb, elsewhere, content)).returncode == 0
    assert call(kb, "write-guard", write(kb, elsewhere, content)).returncode == 0


@pytest.mark.parametrize("place", ["kb/research", "src/deep", "../outside"])
@pytest.mark.parametrize("relative", [True, False])
def test_the_repository_is_found_from_any_folder(kb: Any, place: str, relative: bool) -> None:
    """By the file, by the agent's folder, by the project, by the process's own folder."""
    folder = kb.root / place
    folder.mkdir(parents=True, exist_ok=True)
    path, content = note("E", "H777")
    payload = write(kb, path, content)
    payload["cwd"] = str(folder)
    if relative:
        payload["tool_input"]["file_path"] = os.path.relpath(kb.root / path, folder)
    assert call(kb, "chain", payload, cwd=folder).returncode == 2
    del payload["cwd"]
    payload["tool_input"]["file_path"] = str(kb.root / path)
    assert call(kb, "chain", payload, cwd=folder).returncode == 2

    (kb.root / "kb" / "research" / "experiments" / "E001-wide.md").unlink()
    stop = event(kb, "Stop", stop_hook_active=False)
    assert call(kb, "stop", stop, cwd=kb.root.parent).returncode == 2
    del stop["cwd"]
    root = str(kb.root)
    assert call(kb, "stop", stop, cwd=kb.root.parent, CLAUDE_PROJECT_DIR=root).returncode == 2
    inside = 2 if place != "../outside" else 0
    assert call(kb, "stop", stop, cwd=folder).returncode == inside


def test_a_record_reached_by_a_link(kb: Any) -> None:
    (kb.root / "notes").symlink_to("kb/research")
    _, content = note("E", "H777")
    assert call(kb, "chain", write(kb, "notes/experiments/E009-x.md", content)).returncode == 2


def test_the_record_in_a_submodule_belongs_to_the_repository_around_it(kb: Any) -> None:
    kb.git("init", "-q", "kb")
    path, content = note("E", "H777")
    assert call(kb, "chain", write(kb, path, content)).returncode == 2


def test_the_guard_tells_what_is_wrong_with_the_note(kb: Any) -> None:
    path = kb.root / "kb" / "research" / "experiments" / "E001-wide.md"
    payload = write(kb, str(path), "")
    payload["hook_event_name"] = "PostToolUse"
    payload["tool_response"] = {"filePath": str(path), "success": True}
    assert call(kb, "write-guard", payload).returncode == 0
    path.write_text(path.read_text().replace("## Setup\n", ""))
    done = call(kb, "write-guard", payload)
    assert done.returncode == 2
    assert "kb.missing_heading" in done.stderr
    assert "## Setup" in done.stderr
    assert done.stdout == ""


def test_the_guard_speaks_of_that_note_alone(kb: Any) -> None:
    (kb.root / "kb" / "research" / "experiments" / "E002-bad.md").write_text("---\n{\n---\n")
    path = "kb/research/hypotheses/H001-wider.md"
    assert call(kb, "write-guard", write(kb, path, "")).returncode == 0
    for name in ("kb/research/data/x.md", "kb/lessons/x.md", "kb/.trash/x.md", "kb/x.txt"):
        place = kb.root / name
        place.parent.mkdir(exist_ok=True)
        place.write_text("---\n{\n---\n")
        assert call(kb, "write-guard", write(kb, name, "")).returncode == 0, name


def test_a_stop_is_held_once(kb: Any) -> None:
    payload = event(kb, "Stop", stop_hook_active=False)
    assert call(kb, "stop", payload).returncode == 0
    (kb.root / "kb" / "ACTIVE.md").unlink()
    done = call(kb, "stop", payload)
    assert done.returncode == 2
    assert "kb.missing_file [kb/ACTIVE.md]" in done.stderr
    assert "aexp validate --kb-only" in done.stderr
    again = call(kb, "stop", {**payload, "stop_hook_active": True})
    assert again.returncode == 0
    assert "kb.missing_file" in again.stdout


def test_a_hundred_errors_are_not_all_listed(kb: Any) -> None:
    for number in range(2, 102):
        name = f"kb/research/experiments/E{number:03d}-x.md"
        (kb.root / name).write_text("# x\n")
    done = call(kb, "stop", event(kb, "Stop"))
    assert done.returncode == 2
    assert "more" in done.stderr
    assert len(done.stderr.splitlines()) < 30


def test_the_start_tells_where_things_stand(kb: Any) -> None:
    kb.aexp("queue", "add", "--experiment", "E001", "--sp", "seed=1", "--command", "true")
    (kb.root / "kb" / "mission" / "CHALLENGE.md").write_text(
        "---\ntype: mission\n---\n# Why\n<!-- a comment -->\nBecause\x1b[31m of it.\n"
    )
    payload = event(kb, "SessionStart", source="startup")
    done = call(kb, "session-start", payload, cwd=kb.root / "kb" / "research")
    assert done.returncode == 0
    assert "Because" in done.stdout
    assert "\x1b" not in done.stdout
    assert "a comment" not in done.stdout
    assert "type: mission" not in done.stdout
    assert "Current Objective" in done.stdout
    assert "E001: 1 queued" in done.stdout


def test_the_start_is_short_and_survives_what_is_missing(kb: Any) -> None:
    (kb.root / "kb" / "ACTIVE.md").write_text("word " * 100_000)
    (kb.root / "kb" / "mission" / "CHALLENGE.md").unlink()
    shutil.rmtree(kb.root / ".runs")
    done = call(kb, "session-start", event(kb, "SessionStart"))
    assert done.returncode == 0
    assert len(done.stdout) < 10_000
    assert "kb/ACTIVE.md has more" in done.stdout
    assert "CHALLENGE.md is missing" in done.stdout
    assert "aexp install" in done.stdout


@pytest.mark.parametrize("name", ["session-start", "chain", "write-guard", "stop"])
@pytest.mark.parametrize(
    "text",
    [
        "{",
        "[]",
        "null",
        "\x00",
        "[" * 100_000,
        '"x"',
        "\ud800".encode("utf-8", "surrogatepass").hex(),
    ],
)
def test_what_no_agent_sends_breaks_nothing(kb: Any, name: str, text: str) -> None:
    (kb.root / "kb" / "ACTIVE.md").unlink()
    done = call(kb, name, text)
    assert done.returncode == 0
    assert "nothing was checked" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("name", ["session-start", "chain", "write-guard", "stop"])
@pytest.mark.parametrize(
    "payload",
    [
        {},
        {"tool_input": None, "cwd": 5},
        {"tool_input": {"file_path": 7}, "cwd": "/nonexistent/\0"},
        {"tool_input": {"file_path": "kb/\0.md", "content": 3}},
        {"tool_input": {"file_path": "/"}, "stop_hook_active": "yes"},
        {"tool_input": {"file_path": "kb/research/experiments/E2-x.md", "edits": [1, {}]}},
        {"tool_input": {"file_path": "a/" * 5000 + "x.md", "content": "x"}},
    ],
)
def test_fields_of_another_type_break_nothing(kb: Any, name: str, payload: Any) -> None:
    done = call(kb, name, payload)
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    assert "defect" not in done.stderr


def test_an_empty_standard_input_is_a_call_by_hand(kb: Any) -> None:
    assert "Current Objective" in call(kb, "session-start", "").stdout
    (kb.root / "kb" / "ACTIVE.md").unlink()
    assert call(kb, "stop", "").returncode == 2


@pytest.mark.parametrize("words", [(), ("nope",), ("--nope",), ("stop", "x"), ("-x", "--y=1")])
def test_a_hook_of_another_version_blocks_nothing(kb: Any, words: tuple[str, ...]) -> None:
    done = kb.aexp("hook", *words, input="{}", rc=0)
    assert "there is no such hook" in done.stderr


def test_outside_of_a_record_hooks_say_nothing(tmp_path: Path, kb: Any) -> None:
    place = tmp_path / "elsewhere"
    place.mkdir()
    for git in (False, True):
        if git:
            subprocess.run(["git", "init", "-q", str(place)], check=True)
        for name in ("session-start", "chain", "write-guard", "stop"):
            payload = {"cwd": str(place), "tool_input": {"file_path": str(place / "x.md")}}
            done = call(kb, name, payload, cwd=place)
            assert (done.returncode, done.stdout, done.stderr) == (0, "", ""), name


def test_a_repository_that_cannot_be_read_blocks_nothing(kb: Any) -> None:
    (kb.root / ".aexp" / "installed.json").write_text("{")
    for name in ("session-start", "stop"):
        done = call(kb, name, event(kb, "Stop"))
        assert done.returncode == 0
        assert "aexp doctor" in done.stderr


def test_hooks_can_be_switched_off(kb: Any) -> None:
    (kb.root / "kb" / "ACTIVE.md").unlink()
    payload = event(kb, "Stop")
    assert call(kb, "stop", payload, AEXP_HOOKS_OFF="chain").returncode == 2
    assert call(kb, "stop", payload, AEXP_HOOKS_OFF="chain,stop").returncode == 0
    assert call(kb, "stop", payload, AEXP_HOOKS_OFF="all").returncode == 0


def test_what_install_registers_is_what_works(kb: Any) -> None:
    """The very command lines of the settings, run by a shell as an agent does."""
    settings = json.loads((kb.root / ".claude" / "settings.json").read_text())
    (kb.root / "kb" / "ACTIVE.md").unlink()
    folder = kb.root / "bin"
    folder.mkdir()
    import sys

    (folder / "aexp").write_text(f'#!/bin/sh\nexec "{sys.executable}" -P -m aexp "$@"\n')
    (folder / "aexp").chmod(0o755)
    env = {**kb.env, "PATH": f"{folder}:{os.environ['PATH']}"}
    path, content = note("E", "H777")
    codes = {}
    for name, groups in settings["hooks"].items():
        (command,) = [hook["command"] for group in groups for hook in group["hooks"]]
        payload = {**write(kb, path, content), "hook_event_name": name}
        done = subprocess.run(
            command,
            shell=True,
            input=json.dumps(payload),
            text=True,
            env=env,
            cwd=kb.root,
            capture_output=True,
        )
        codes[name] = done.returncode
    assert codes == {"SessionStart": 0, "PreToolUse": 2, "PostToolUse": 0, "Stop": 2}


def test_hooks_load_nothing_heavy(kb: Any) -> None:
    code = (
        "import sys; from aexp.agents.hooks import run_hook; import json\n"
        "run_hook('chain', sys.stdin.buffer.read()); run_hook('session-start', b'{}')\n"
        "print([n for n in ('signac', 'yaml', 'scipy', 'snakemake', 'click') if n in sys.modules])"
    )
    import sys

    done = subprocess.run(
        [sys.executable, "-P", "-c", code],
        input=json.dumps(write(kb, "train.py", "x")),
        text=True,
        capture_output=True,
        cwd=kb.root,
        env=kb.env,
    )
    assert done.stdout.splitlines()[-1] == "[]", done.stderr
