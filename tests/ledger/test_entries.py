"""The ledger: what of an ended run git keeps, and that it stays quiet and complete."""

import json
import os
import re
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

import aexp


def path_of(research: Any, job_id: str) -> Path:
    return Path(research.root / ".aexp" / "ledger" / f"{job_id}.json")


def ended(research: Any, status: str = "complete", **env: str) -> str:
    """Queue and execute one run that ends this way."""
    command = {"complete": "echo done", "failed": "echo $SECRET_TOKEN; exit 3"}[status]
    job_id = research.one("condition=full,seed=0", "--tag", "paper", "--command", command)
    research.aexp("run-queued", job_id, rc=None, env=env)
    assert research.status(job_id) == status
    return str(job_id)


def test_the_entry_of_a_complete_run(research: Any) -> None:
    (research.root.parent / "m").write_text('{"acc": 0.5}')
    job_id = research.one(
        "condition=full,seed=0", "--tag", "paper", "--resources", "mem_mb=100*2",
        "--command", "cat ../m > $AEXP_METRICS_PATH",
    )  # fmt: skip
    research.aexp("run-queued", job_id)
    entry = research.entry(job_id)
    doc = research.doc(job_id)
    assert entry["schema_version"] == 1
    assert entry["job_id"] == job_id
    assert entry["status"] == "complete"
    assert entry["statepoint"]["model"] == "base"
    assert entry["registered_machine"] == "here"
    assert entry["code_commit"] == entry["statepoint"]["code_commit"]
    assert entry["code_dirty"] is False
    assert entry["run_link"]["experiment_id"] == "E001"
    assert entry["run_link"]["hypothesis_id"] == "H001"
    assert entry["tag"] == "paper"
    assert entry["metrics"] == {"acc": 0.5}
    assert entry["resources"] == {"mem_mb": {"start": 100, "scale": 2.0}}
    assert entry["returncode"] == 0
    assert entry["aexp_version"] == aexp.__version__
    for key in ("queued_at", "started_at", "ended_at", "promoted_at"):
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", entry[key])
    assert entry["ended_at"] == doc["ended_at"]
    assert entry["wallclock_s"] == doc["wallclock_s"]
    assert [a["attempt"] for a in entry["attempts"]] == [1]


def test_the_file_is_sorted_indented_and_ends_with_one_newline(research: Any) -> None:
    data = path_of(research, ended(research)).read_text()
    assert data == json.dumps(json.loads(data), indent=2, sort_keys=True) + "\n"


def test_nothing_private_is_in_an_entry(research: Any) -> None:
    """No absolute path, environment value, diff, command, output or process number."""
    (research.root / "train.py").write_text("SECRET_IN_A_DIFF = 1\n")
    research.git("add", "-A")
    research.git("commit", "-qm", "code")
    (research.root / "train.py").write_text("SECRET_IN_A_DIFF = 2\n")
    job_id = ended(research, "failed", SECRET_TOKEN="hunter2-in-the-environment")
    assert "hunter2" in research.doc(job_id)["queue"]["last_error"]["stderr_tail"]
    text = path_of(research, job_id).read_text()
    for private in ("hunter2", "SECRET", "exit 3", str(research.root), "/tmp", "diff", "claim"):
        assert private not in text
    strings: list[str] = []

    def walk(value: Any) -> None:
        if isinstance(value, dict):
            for key, item in value.items():
                strings.append(key)
                walk(item)
        elif isinstance(value, list):
            for item in value:
                walk(item)
        elif isinstance(value, str):
            strings.append(value)

    walk(json.loads(text))
    assert not [text for text in strings if text.startswith("/") or "\n" in text]


def test_unknown_document_keys_stay_at_home(research: Any) -> None:
    job_id = research.one("seed=0", "--command", "true")
    job = aexp.open_run(job_id, research.root)
    job.doc["my_notes"] = {"path": "/home/me/secret"}
    research.aexp("run-queued", job_id)
    assert "secret" not in path_of(research, job_id).read_text()
    assert research.doc(job_id)["my_notes"] == {"path": "/home/me/secret"}


def test_marking_a_status_promotes(research: Any) -> None:
    for seed, status in enumerate(("complete", "failed", "abandoned", "stopped")):
        job_id = research.one(f"seed={seed}")
        job = aexp.open_run(job_id, research.root)
        assert aexp.mark_status(job, status) == status
        assert research.entry(job_id)["status"] == status
        assert research.entry(job_id)["ended_at"]


@pytest.mark.parametrize("again", ["promote", "backfill", "overwrite", "reconcile", "run-queued"])
def test_promoting_again_does_not_touch_the_file(research: Any, again: str) -> None:
    job_id = ended(research)
    path = path_of(research, job_id)
    os.utime(path, (1, 1))
    before, inode = path.read_bytes(), path.stat().st_ino
    research.aexp(
        *{
            "promote": ("ledger", "promote", job_id),
            "backfill": ("ledger", "backfill"),
            "overwrite": ("ledger", "backfill", "--overwrite"),
            "reconcile": ("reconcile",),
            "run-queued": ("run-queued", job_id),
        }[again]
    )
    assert path.read_bytes() == before
    assert (path.stat().st_ino, path.stat().st_mtime) == (inode, 1)


@pytest.mark.parametrize(
    "how",
    [("reconcile",), ("ledger", "backfill"), ("ledger", "promote"), ("run-queued",)],
    ids=["reconcile", "backfill", "promote", "run-queued"],
)
def test_a_deleted_entry_comes_back_byte_for_byte(research: Any, how: tuple[str, ...]) -> None:
    job_id = ended(research, "failed")
    path = path_of(research, job_id)
    before = path.read_bytes()
    path.unlink()
    if how[-1] in ("promote", "run-queued"):
        how = (*how, job_id)
    research.aexp(*how)
    assert path.read_bytes() == before


def test_also_when_the_whole_folder_is_gone(research: Any) -> None:
    job_id = ended(research)
    before = path_of(research, job_id).read_bytes()
    shutil.rmtree(research.root / ".aexp" / "ledger")
    research.aexp("reconcile")
    assert path_of(research, job_id).read_bytes() == before


def test_also_after_the_machine_got_another_label(research: Any) -> None:
    job_id = ended(research)
    before = path_of(research, job_id).read_bytes()
    research.aexp("install", "--yes", "--machine-label", "renamed")
    path_of(research, job_id).unlink()
    research.aexp("ledger", "backfill")
    assert path_of(research, job_id).read_bytes() == before


def test_a_label_given_by_hand_is_kept(research: Any) -> None:
    job_id = ended(research)
    research.aexp("ledger", "promote", job_id, "--machine-label", "cluster-7")
    assert research.entry(job_id)["registered_machine"] == "cluster-7"
    before = path_of(research, job_id).read_bytes()
    path_of(research, job_id).unlink()
    research.aexp("reconcile")
    assert path_of(research, job_id).read_bytes() == before


@pytest.mark.parametrize("label", ["../x", "a b", "", "a/b", "-x", "x" * 64, "ü"])
def test_labels_are_checked(research: Any, label: str) -> None:
    job_id = ended(research)
    before = research.tree()
    done = research.aexp("ledger", "promote", job_id, f"--machine-label={label}", rc=2)
    assert "machine label" in done.stderr
    assert research.tree() == before


def test_an_entry_superseded_by_a_retry_stays_until_the_new_record(
    research: Any, wait_until: Any
) -> None:
    research.experiment("exit 3")
    job_id = research.one("seed=0")
    research.aexp("run-queued", job_id, rc=1)
    path = path_of(research, job_id)
    before = path.read_bytes()
    research.aexp("queue", "retry", job_id)
    assert path.read_bytes() == before
    path.unlink()  # as Snakemake does before it runs the job
    research.aexp("reconcile")
    assert path.read_bytes() == before
    path.unlink()
    research.experiment("until test -e go; do sleep 0.05; done")
    research.start_aexp("run-queued", job_id)
    wait_until(lambda: "proc" in research.doc(job_id)["queue"])
    assert path.read_bytes() == before
    (research.root / "go").touch()
    wait_until(lambda: research.status(job_id) == "complete")
    wait_until(lambda: json.loads(path.read_bytes())["status"] == "complete")
    assert [a["status"] for a in research.entry(job_id)["attempts"]] == ["failed", "complete"]


def test_only_ended_runs_have_an_entry(research: Any) -> None:
    job_id = research.one("seed=0")
    done = research.aexp("ledger", "promote", job_id, rc=1)
    assert "only ended runs" in done.stderr
    assert not path_of(research, job_id).exists()
    with pytest.raises(aexp.StatusError):
        aexp.promote_to_ledger(job_id, research.root)


def test_backfill_counts(research: Any) -> None:
    ids = research.add("condition=full,seed=0..3")
    research.aexp("queue", "run", "--limit", "3")
    path_of(research, ids[0]).unlink()
    path_of(research, ids[2]).unlink()
    before = research.tree()
    dry = research.json("ledger", "backfill", "--dry-run")
    assert research.tree() == before
    assert (sorted(dry["promoted"]), dry["skipped"]) == (sorted([ids[0], ids[2]]), 1)
    wet = research.json("ledger", "backfill")
    assert (sorted(wet["promoted"]), wet["skipped"], wet["problems"]) == (
        sorted([ids[0], ids[2]]),
        1,
        [],
    )
    assert aexp.backfill_ledger(research.root) == (0, 3)
    assert aexp.list_ledger_job_ids(aexp_repo(research)) == set(ids[:3])


def aexp_repo(research: Any) -> Any:
    from aexp.paths import Repo

    return Repo.installed(research.root)


def test_overwrite_renews_what_somebody_edited(research: Any) -> None:
    job_id = ended(research)
    path = path_of(research, job_id)
    entry = json.loads(path.read_text())
    entry["status"] = "failed"
    path.write_text(json.dumps(entry))
    research.aexp("ledger", "backfill")
    research.aexp("ledger", "backfill", "--overwrite")
    assert research.entry(job_id)["status"] == "complete"


# --- a ledger that cannot be written -------------------------------------------------------


def test_a_ledger_that_cannot_be_written_never_fails_the_run(research: Any) -> None:
    ledger = research.root / ".aexp" / "ledger"
    shutil.rmtree(ledger, ignore_errors=True)
    ledger.write_text("in the way")
    job_id = research.one("condition=full,seed=0")
    done = research.aexp("run-queued", job_id)
    assert "warning:" in done.stderr
    assert "ledger entry was not written" in done.stderr
    assert f"aexp ledger promote {job_id[:8]}" in done.stderr
    assert research.status(job_id) == "complete"
    assert (research.workspace(job_id) / "terminal.json").exists()
    failed = research.aexp("ledger", "backfill", rc=1)
    assert "problem:" in failed.stderr
    ledger.unlink()
    assert f"restored   {job_id[:8]}" in research.aexp("reconcile").stdout
    assert research.entry(job_id)["status"] == "complete"
    assert "nothing to repair" in research.aexp("reconcile").stdout


def test_an_old_entry_is_renewed_once_the_ledger_can_be_written_again(research: Any) -> None:
    """The folder was unwritable while a retry ended: the old entry says `failed` still."""
    job_id = research.one("seed=0", "--command", "test -e fixed")
    research.aexp("run-queued", job_id, rc=1)
    ledger, away = research.root / ".aexp" / "ledger", research.root.parent / "away"
    (research.root / "fixed").touch()
    research.aexp("queue", "retry", job_id)
    ledger.rename(away)
    ledger.write_text("in the way")
    research.aexp("run-queued", job_id)
    ledger.unlink()
    away.rename(ledger)
    assert research.entry(job_id)["status"] == "failed"
    research.aexp("reconcile")
    assert research.entry(job_id)["status"] == "complete"


# --- reading -------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["{", "[]", "", '{"job_id": "x"}', "\udc80"])
def test_a_corrupt_entry_costs_a_warning_and_is_repaired(research: Any, text: str) -> None:
    job_id, child = research.add("condition=full,seed=0..1")
    research.aexp("run-queued", job_id)
    path = path_of(research, job_id)
    before = path.read_bytes()
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    from aexp.paths import Repo

    with pytest.warns(UserWarning, match=job_id):
        assert aexp.load_ledger_entry(Repo(research.root), job_id) is None
    research.aexp("queue", "list")
    research.aexp("reconcile")
    assert path.read_bytes() == before
    assert research.status(child) == "queued"


def test_foreign_files_in_the_ledger_are_left_alone(research: Any) -> None:
    job_id = ended(research)
    folder = research.root / ".aexp" / "ledger"
    (folder / "README.md").write_text("mine")
    (folder / ("f" * 32 + ".json")).write_text("{")
    research.aexp("ledger", "backfill")
    research.aexp("reconcile")
    research.aexp("queue", "list")
    assert (folder / "README.md").read_text() == "mine"
    assert (folder / ("f" * 32 + ".json")).read_text() == "{"
    assert path_of(research, job_id).exists()


def test_git_sees_only_new_entries(research: Any) -> None:
    ids = research.add("condition=full,seed=0..2")
    research.git("add", "-A")
    research.git("commit", "-qm", "queued")
    research.aexp("queue", "run")
    lines = research.git("status", "--porcelain", "--untracked-files=all", ".aexp").split("\n")
    assert sorted(filter(None, lines)) == sorted(f"?? .aexp/ledger/{i}.json" for i in ids)


def test_the_ledger_of_a_run_written_by_another_tool_of_this_layout(research: Any) -> None:
    """A document without our own block: its run is read, promoted and executed again."""
    job_id = research.one("condition=full,seed=0")
    document = {
        "aexp": {"experiment_id": "E001", "experiment_path": "kb/x", "hypothesis_id": None,
                 "sub_hypothesis_id": None},
        "status": "complete", "created_at": "2026-01-01T00:00:00Z",
        "started_at": "2026-01-01T00:00:01Z", "ended_at": "2026-01-01T00:00:09Z",
        "wallclock_s": 8.0, "queue": {"queued_at": "2026-01-01T00:00:00Z"},
        "tracker": {"backend": "noop", "run_id": "r1", "url": None, "group": "g", "project": "p"},
    }  # fmt: skip
    path = research.workspace(job_id) / "signac_job_document.json"
    path.write_text(json.dumps(document))
    research.aexp("ledger", "backfill")
    entry = research.entry(job_id)
    assert (entry["ended_at"], entry["wallclock_s"]) == ("2026-01-01T00:00:09Z", 8.0)
    assert entry["tracker"] == {"backend": "noop", "run_id": "r1", "group": "g", "project": "p"}
    research.aexp("queue", "retry", job_id)
    assert research.aexp("run-queued", job_id).stdout == "echo full 0\n".removeprefix("echo ")


def test_concurrent_promotions_of_one_run(research: Any) -> None:
    import subprocess

    job_id = ended(research)
    path = path_of(research, job_id)
    before = path.read_bytes()
    code = (
        "import sys, os, aexp\n"
        "for _ in range(60):\n"
        "    try: os.unlink(sys.argv[2])\n"
        "    except FileNotFoundError: pass\n"
        "    aexp.promote_to_ledger(sys.argv[1])\n"
    )
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", code, job_id, str(path)], cwd=research.root, env=research.env
        )
        for _ in range(4)
    ]
    assert [process.wait(timeout=120) for process in processes] == [0] * 4
    assert path.read_bytes() == before
    assert [p.name for p in path.parent.iterdir()] == [path.name]
