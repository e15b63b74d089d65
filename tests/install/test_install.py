"""`aexp install`: sets a repository up, never clobbers, can be called at any time."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

import aexp


def marker(research: Any) -> dict[str, Any]:
    return json.loads((research.root / ".aexp" / "installed.json").read_text())


def kinds(actions: list[dict[str, str]]) -> dict[str, str]:
    return {action["path"]: action["kind"] for action in actions}


def test_a_fresh_repository(bare: Any) -> None:
    done = bare.aexp("install", "--machine-label", "boxA")
    assert "copied" in done.stdout
    assert "next:" in done.stderr
    for name in (
        "workflow/Snakefile",
        "workflow/profiles/default/config.yaml",
        "profiles/slurm/config.yaml",
        ".runs/.signac/config",
        "kb/README.md",
        ".gitignore",
    ):
        assert (bare.root / name).is_file(), name
    found = marker(bare)
    assert found["machine_label"] == "boxA"
    assert found["run_store_path"] == ".runs"
    assert found["version"] == aexp.__version__
    assert found["installed_at"].endswith("+00:00")
    bare.experiment("echo {seed}")
    bare.aexp("queue", "add", "--experiment", "E001", "--sp", "seed=0")
    assert len(bare.json("queue", "list")) == 1


def test_again_changes_nothing(bare: Any) -> None:
    bare.aexp("install")
    before = bare.tree()
    times = {name: os.stat(bare.root / name).st_mtime_ns for name in before}
    done = bare.aexp("install")
    assert "already installed; nothing to do" in done.stdout
    assert bare.tree() == before
    assert {name: os.stat(bare.root / name).st_mtime_ns for name in before} == times


def test_what_the_user_changed_is_preserved(bare: Any) -> None:
    bare.aexp("install")
    snakefile = bare.root / "workflow" / "Snakefile"
    readme = bare.root / "kb" / "README.md"
    snakefile.write_text("# mine\n")
    readme.write_text("mine\n")
    (bare.root / ".gitignore").write_text("mine/\n" + (bare.root / ".gitignore").read_text())
    actions = kinds(bare.json("install"))
    assert actions["workflow/Snakefile"] == "preserved_user_modified"
    assert actions["kb/README.md"] == "preserved_user_modified"
    assert snakefile.read_text() == "# mine\n"
    assert (bare.root / ".gitignore").read_text().startswith("mine/\n")


def test_force_renews_the_tooling_keeps_a_copy_and_never_touches_kb(bare: Any) -> None:
    bare.aexp("install")
    snakefile, readme = bare.root / "workflow" / "Snakefile", bare.root / "kb" / "README.md"
    original = snakefile.read_text()
    snakefile.write_text("# mine\n")
    readme.write_text("mine\n")
    bare.aexp("install", "--force")
    assert snakefile.read_text() == original
    assert (bare.root / "workflow" / "Snakefile.orig").read_text() == "# mine\n"
    assert readme.read_text() == "mine\n"


def test_into_a_repository_with_files_of_these_names(bare: Any) -> None:
    (bare.root / "workflow").mkdir()
    (bare.root / "workflow" / "Snakefile").write_text("rule all: pass\n")
    (bare.root / ".gitignore").write_text("*.pyc")
    bare.aexp("install")
    assert (bare.root / "workflow" / "Snakefile").read_text() == "rule all: pass\n"
    assert (bare.root / ".gitignore").read_text().startswith("*.pyc\n")


def test_dry_run_writes_nothing(bare: Any) -> None:
    before = bare.tree()
    done = bare.aexp("install", "--dry-run")
    assert "workflow/Snakefile" in done.stdout
    assert "nothing was written" in done.stderr
    assert bare.tree() == before


def test_a_second_install_honours_its_flags(bare: Any) -> None:
    bare.aexp("install", "--machine-label", "one")
    first = marker(bare)
    bare.aexp("install", "--machine-label", "two", "--run-store", "data/runs")
    second = marker(bare)
    assert (second["machine_label"], second["run_store_path"]) == ("two", "data/runs")
    assert (bare.root / "data" / "runs" / ".signac" / "config").is_file()
    assert second["store_id"] == first["store_id"]
    assert "/data/runs/workspace/*/logs/" in (bare.root / ".gitignore").read_text()
    assert (bare.root / ".gitignore").read_text().count("agentic-experiments:begin") == 1


def test_an_unused_store_is_removed_when_another_takes_its_place(bare: Any) -> None:
    bare.aexp("install")
    shown = bare.json("install", "--run-store", "rr", "--dry-run")
    assert (bare.root / ".runs" / "workspace").is_dir()
    done = bare.json("install", "--run-store", "rr")
    assert kinds(done) == kinds(shown)
    assert kinds(done)[".runs"] == "removed_runs"
    assert not (bare.root / ".runs").exists()
    assert (bare.root / "rr" / ".signac" / "config").is_file()
    assert "already installed" in bare.aexp("install").stdout


@pytest.mark.parametrize("name", ["mine", ".signac/mine", ".signac/config"])
def test_an_old_store_with_something_in_it_stays(bare: Any, name: str) -> None:
    bare.aexp("install")
    (bare.root / ".runs" / name).write_text("schema_version = 2\nmine = 1\n")
    bare.aexp("install", "--run-store", "rr")
    assert (bare.root / ".runs" / name).read_text().endswith("mine = 1\n")
    assert (bare.root / ".runs" / "workspace").is_dir()


def test_a_new_store_inside_the_old_one(bare: Any) -> None:
    bare.aexp("install")
    bare.aexp("install", "--run-store", ".runs/new")
    assert (bare.root / ".runs" / "new" / "workspace").is_dir()
    bare.aexp("queue", "list")


def test_unknown_marker_fields_of_other_tools_are_kept(bare: Any) -> None:
    bare.aexp("install")
    path = bare.root / ".aexp" / "installed.json"
    path.write_text(json.dumps({**marker(bare), "jupyter_enabled": True}))
    bare.aexp("install", "--machine-label", "new")
    assert marker(bare)["jupyter_enabled"] is True


@pytest.mark.parametrize("store", ["data/runs", "a/b/c/runs", "my runs"])
def test_a_deeper_store(bare: Any, store: str) -> None:
    bare.aexp("install", "--run-store", store, "--machine-label", "boxZ")
    bare.experiment("echo {seed}")
    job_id = bare.one("seed=0")
    sub = bare.root / "kb" / "research"
    bare.aexp("run-queued", job_id, cwd=sub)
    assert (bare.root / store / "workspace" / job_id / "terminal.json").is_file()
    assert bare.entry(job_id)["registered_machine"] == "boxZ"
    assert not (bare.root / ".runs").exists()
    ignored = bare.git("status", "--porcelain", "--untracked-files=all", "--ignored", store)
    assert f"{job_id}/terminal.json" in ignored
    assert "?? " not in "".join(
        line for line in ignored.splitlines(True) if "terminal.json" in line or "/logs" in line
    )


def test_a_store_with_runs_does_not_move_by_itself(research: Any) -> None:
    research.one("seed=0")
    before = research.tree()
    done = research.aexp("install", "--run-store", "elsewhere", rc=2)
    assert "holds runs" in done.stderr
    assert "git mv" in done.stderr
    assert research.tree() == before


@pytest.mark.parametrize(
    "store",
    [
        *("../out", "/abs", ".", ".git/x", "a/.git", "", " ", " runs", "runs "),
        *("a\nb", "a\x1b[2J", "a\u2028b", "run*", "r?", "r[1]", "!runs", "#runs", "a\\b"),
        *("kb/runs", ".aexp", ".claude", ".snakemake", ".github", "workflow", "workflow/runs"),
        *("profiles", "templates", "KB/runs"),
    ],
)
def test_stores_that_cannot_be(bare: Any, store: str) -> None:
    before = bare.tree()
    done = bare.aexp("install", "--run-store", store, rc=2)
    assert "the run store cannot be" in done.stderr
    assert "hint:" in done.stderr
    assert done.stderr.replace("\n", "").isprintable()
    assert bare.tree() == before


@pytest.mark.parametrize("label", ["", "../../../PWN", "a b", "a/b", "\n", "x" * 70])
def test_labels_that_cannot_be(bare: Any, label: str) -> None:
    done = bare.aexp("install", "--machine-label", label, rc=2)
    assert "machine label" in done.stderr
    assert not (bare.root / ".aexp").exists()


def test_the_legacy_ignore_rule_is_warned_about(bare: Any) -> None:
    (bare.root / ".gitignore").write_text(".aexp/\n")
    done = bare.aexp("install")
    assert "gitignore_migration_warning" in done.stdout
    assert "remove it" in done.stdout
    assert (bare.root / ".gitignore").read_text().startswith(".aexp/\n")


BLOCK = "# agentic-experiments:begin\n.aexp/*\n# agentic-experiments:end\n"


@pytest.mark.parametrize(
    "text",
    [
        *(f"{line}\n" for line in (".aexp/", "/.aexp", "**/.aexp/", ".aexp/**", "/.aexp/**")),
        *(f"{BLOCK}{line}\n" for line in (".aexp/*", "/.aexp/*", ".aexp/**", ".aexp/")),
        f"{BLOCK}!.aexp/ledger/\n.aexp/*\n",
        f"{BLOCK}.aexp/*\r\n",
        *(f"{line}\n" for line in (".aexp/*", "/.aexp/*", ".aexp/cache/", "# .aexp/", "x.aexp/")),
        f"{BLOCK}.aexp/*\n!.aexp/ledger/\n",
        f".aexp/*\n{BLOCK}!.aexp/\n",
        BLOCK,
        "",
    ],
)
def test_a_rule_that_hides_the_ledger_is_warned_about(bare: Any, text: str) -> None:
    """Git itself says whether it does."""
    (bare.root / ".gitignore").write_bytes(text.encode())
    warned = [
        action["detail"]
        for action in bare.json("install")
        if action["kind"] == "gitignore_migration_warning"
    ]
    entry = bare.root / ".aexp" / "ledger" / "x.json"
    entry.parent.mkdir()
    entry.write_text("{}")
    seen = bare.git("ls-files", "--others", "--exclude-standard", ".aexp")
    assert bool(warned) == ("ledger" not in seen), warned


def test_the_ignore_block_of_another_tool_is_renewed_in_place(bare: Any) -> None:
    (bare.root / ".gitignore").write_text(
        "before\n# agentic-experiments:begin\n.aexp/*\n!.aexp/ledger/\n"
        "# agentic-experiments:end\nafter\n"
    )
    bare.aexp("install")
    text = (bare.root / ".gitignore").read_text()
    assert text.startswith("before\n# agentic-experiments:begin\n")
    assert text.endswith("# agentic-experiments:end\nafter\n")
    assert text.count("agentic-experiments:begin") == 1


def test_git_ignores_working_files_and_keeps_the_record(bare: Any) -> None:
    bare.aexp("install")
    bare.experiment("echo {seed}")
    job_id = bare.one("seed=0")
    bare.aexp("run-queued", job_id)
    bare.aexp("queue", "run", "--index", "0", "--array-id", "x", rc=None)
    names = bare.git("ls-files", "--others", "--exclude-standard").split()
    store = f".runs/workspace/{job_id}"
    assert f".aexp/ledger/{job_id}.json" in names
    assert f"{store}/signac_statepoint.json" in names
    assert ".runs/.signac/config" in names
    assert [n for n in names if n.startswith(store)] == [
        f"{store}/signac_job_document.json",
        f"{store}/signac_statepoint.json",
    ]
    assert not [n for n in names if n.startswith(".aexp") and "ledger" not in n]


def test_no_path_of_this_machine_is_in_a_committed_file(bare: Any) -> None:
    bare.aexp("install")
    bare.experiment("echo {seed}")
    bare.aexp("run-queued", bare.one("seed=0"))
    bare.git("add", "-A")
    import sys

    for name in bare.git("ls-files").split():
        text = (bare.root / name).read_text()
        for private in (str(bare.root), sys.prefix, str(Path.home()) + "/"):
            assert private not in text, name


def test_outside_of_git(tmp_path: Path, research: Any) -> None:
    place = tmp_path / "nowhere"
    place.mkdir()
    done = research.aexp("install", cwd=place, rc=1)
    assert "not a git repository" in done.stderr
    assert "git init" in done.stderr
    assert list(place.iterdir()) == []


def test_from_a_sub_folder_it_sets_up_the_repository(bare: Any) -> None:
    sub = bare.root / "src" / "deep"
    sub.mkdir(parents=True)
    bare.aexp("install", cwd=sub)
    assert (bare.root / ".aexp" / "installed.json").is_file()
    assert list(sub.iterdir()) == []


def test_in_a_git_worktree(research: Any) -> None:
    research.git("worktree", "add", "-q", "../tree")
    tree = research.root.parent / "tree"
    research.aexp("install", "--machine-label", "wt", cwd=tree)
    research.root = tree
    research.aexp("run-queued", research.one("condition=full,seed=0"))
    assert len(list((tree / ".aexp" / "ledger").iterdir())) == 1


@pytest.mark.parametrize("install", [True, False])
def test_in_a_fresh_clone(research: Any, install: bool) -> None:
    """Git keeps no empty folder and the marker is ignored: what is left must do."""
    research.git("clone", "-q", ".", "../clone")
    research.root = research.root.parent / "clone"
    assert not (research.root / ".runs" / "workspace").exists()
    if install:
        research.aexp("install", "--machine-label", "other")
    for verb in (("status",), ("list-runs",), ("queue", "list"), ("reconcile",)):
        research.aexp(*verb)
    job_id = research.one("condition=full,seed=0")
    research.aexp("run-queued", job_id)
    assert research.entry(job_id)["status"] == "complete"


def test_through_the_api(bare: Any) -> None:
    actions = aexp.install_scaffold(bare.root, machine_label="api")
    assert {action.kind for action in actions} >= {"copied", "wrote_marker", "initialized_runs"}
    again = aexp.install_scaffold(bare.root)
    assert {action.kind for action in again} <= {"skipped_identical", "unchanged"}
    assert marker(bare)["machine_label"] == "api"


@pytest.mark.parametrize(
    "text", ["{", "[]", "", '{"run_store_path": 5}', '{"machine_label": "../x"}']
)
def test_a_corrupt_marker_is_named(research: Any, text: str) -> None:
    path = research.root / ".aexp" / "installed.json"
    path.write_text(text)
    research.one("seed=0") if text.startswith('{"machine') else None
    done = research.aexp("queue", "list", rc=None)
    if "machine_label" in text:
        (entry,) = research.json("queue", "list")
        done = research.aexp("run-queued", entry["job_id"], rc=None)
    assert done.returncode in (1, 2)
    assert "installed.json" in done.stderr or "machine label" in done.stderr
    assert "hint:" in done.stderr
    assert "Traceback" not in done.stderr


def test_force_mends_a_corrupt_marker(research: Any) -> None:
    path = research.root / ".aexp" / "installed.json"
    path.write_text("{")
    done = research.aexp("install", rc=None)
    assert "Traceback" not in done.stderr
    if done.returncode:
        assert "hint:" in done.stderr
        path.unlink()
        research.aexp("install")
    assert marker(research)["run_store_path"] == ".runs"


def test_a_store_whose_workspace_is_a_file_is_refused(bare: Any) -> None:
    (bare.root / ".runs").mkdir()
    (bare.root / ".runs" / "workspace").write_text("mine")
    before = bare.tree()
    done = bare.aexp("install", rc=2)
    assert ".runs/workspace is a file, not a folder of runs" in done.stderr
    assert bare.tree() == before
