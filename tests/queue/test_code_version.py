"""Which code a run was queued with: commit, dirtiness, summary and patch."""

import subprocess
from typing import Any


def code(research: Any, job_id: str) -> tuple[str, bool]:
    sp = {run["job_id"]: run["sp"] for run in research.json("list-runs")}[job_id]
    return sp["code_commit"], sp["code_dirty"]


def commit_all(research: Any, message: str) -> str:
    research.git("add", "-A")
    research.git("commit", "-qm", message, "--allow-empty")
    return str(research.git("rev-parse", "HEAD")).strip()


def test_the_commit_is_the_last_one_that_changed_code(research: Any) -> None:
    (research.root / "train.py").write_text("print(1)\n")
    commit = commit_all(research, "code")
    assert code(research, research.one("seed=0")) == (commit, False)


def test_queueing_and_executing_do_not_make_the_tree_dirty(research: Any) -> None:
    ids = research.add("condition=full,seed=0..2")
    research.aexp("queue", "run")
    later = research.one("condition=full,seed=7")
    assert [code(research, job_id)[1] for job_id in [*ids, later]] == [False] * 4
    assert "code_diff_summary" not in research.doc(later)["queue"]


def test_committing_results_and_notes_does_not_rename_runs(research: Any) -> None:
    ids = research.add("condition=full,seed=0..2")
    research.aexp("queue", "run")
    commit_all(research, "the ledger, the store and all")
    notes = research.root / "kb" / "research" / "findings"
    notes.mkdir(parents=True, exist_ok=True)
    (notes / "F001-note.md").write_text("# F001\n")
    commit_all(research, "a note")
    answer = research.json(
        "queue", "add", "--experiment", "E001", "--sweep", "condition=full,seed=0..2",
        "--skip-finished",
    )  # fmt: skip
    assert [(run["job_id"], run["action"]) for run in answer["runs"]] == [
        (job_id, "kept") for job_id in ids
    ]


def test_a_deeper_store_is_left_out_of_the_code_too(research: Any) -> None:
    research.aexp("install", "--run-store", "data/runs", "--yes")
    commit_all(research, "moved")
    first = research.one("seed=0")
    commit_all(research, "the store")
    second = research.one("seed=1")
    assert code(research, first) == code(research, second)
    assert (research.root / "data/runs/workspace" / first).is_dir()


def test_a_dirty_tree_is_summarized_and_its_patch_kept(research: Any) -> None:
    source = research.root / "train.py"
    source.write_text("print('old')\n")
    commit_all(research, "code")
    source.write_text("print('näw \N{SNOWMAN}')\n")
    (research.root / "new.py").write_text("x = 1\n")
    ids = research.add("seed=0..1")
    assert code(research, ids[0])[1] is True
    summary = research.doc(ids[0])["queue"]["code_diff_summary"]
    assert (summary["modified_count"], summary["untracked_count"]) == (1, 1)
    assert "train.py" in summary["diff_stat"]
    for job_id in ids:
        patch = research.workspace(job_id) / "code.patch"
        research.git("stash", "-q")
        research.git("apply", str(patch))
        assert "näw" in source.read_text()
        research.git("checkout", "-q", "train.py")
        research.git("stash", "pop", "-q")


def test_a_clean_tree_has_neither(research: Any) -> None:
    job_id = research.one("seed=0")
    assert "code_diff_summary" not in research.doc(job_id)["queue"]
    assert not (research.workspace(job_id) / "code.patch").exists()


def test_before_the_first_commit(research: Any) -> None:
    subprocess.run(["rm", "-rf", str(research.root / ".git")], check=True)
    research.git("init", "-q")
    assert code(research, research.one("seed=0"))[0] == ""


def test_no_commit_leaves_the_version_out_of_the_identity(research: Any) -> None:
    job_id = research.one("seed=0", "--no-commit")
    (research.root / "train.py").write_text("print(1)\n")
    (again,) = research.json(
        "queue", "add", "--experiment", "E001", "--sp", "seed=0", "--no-commit"
    )["runs"]
    assert again["job_id"] == job_id
    assert "code_commit" not in again["sp"]


def test_no_absolute_path_is_in_a_state_point_or_document(research: Any) -> None:
    job_id = research.one("condition=full,seed=0")
    research.aexp("run-queued", job_id)
    folder = research.workspace(job_id)
    for name in ("signac_statepoint.json", "signac_job_document.json"):
        assert str(research.root) not in (folder / name).read_text()
