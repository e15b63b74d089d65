"""Which runs a session takes, in which order, and what it says about the others."""

import json
import shutil
import time
from pathlib import Path
from typing import Any


def stamp(offset_s: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + offset_s))


def pulled_entry(research: Any, job_id: str, ended_at: str, status: str = "complete") -> Path:
    """Write a ledger entry as another machine would have, and git would bring it."""
    sp = json.loads((research.workspace(job_id) / "signac_statepoint.json").read_text())
    entry = {
        "schema_version": 1,
        "job_id": job_id,
        "statepoint": sp,
        "status": status,
        "promoted_at": ended_at,
        "registered_machine": "otherbox",
        "ended_at": ended_at,
    }
    path = research.root / ".aexp" / "ledger" / f"{job_id}.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(entry, indent=2, sort_keys=True) + "\n")
    return path


def states(research: Any) -> dict[str, str]:
    return {row["job_id"]: row["state"] for row in research.json("queue", "list")}


def edit_doc(research: Any, job_id: str, change: Any) -> None:
    path = research.workspace(job_id) / "signac_job_document.json"
    doc = json.loads(path.read_text())
    change(doc)
    path.write_text(json.dumps(doc))


def test_an_entry_pulled_for_a_queued_run(research: Any, witness: Any) -> None:
    done, older, plain = research.add("seed=0..2,sleep=0,code=0")
    path = pulled_entry(research, done, stamp(60))
    pulled_entry(research, older, stamp(-3600), status="failed")
    before = path.read_bytes()
    assert states(research) == {done: "done elsewhere", older: "ready", plain: "ready"}
    finished = research.snakemake()
    assert f"not due: {done[:8]}: done on otherbox" in finished.stderr
    assert "2 of 2 run(s) complete" in finished.stderr
    assert witness.count("start") == {older: 1, plain: 1}
    assert research.status(done) == "queued"
    assert path.read_bytes() == before
    # An entry from before the queueing is history: superseded by the new record.
    assert research.entry(older)["status"] == "complete"
    assert research.entry(older)["registered_machine"] == "here"


def test_documents_of_another_store_that_say_running(research: Any, witness: Any) -> None:
    foreign, silent, plain = research.add("seed=0..2,sleep=0,code=0")

    def runs_elsewhere(doc: dict[str, Any]) -> None:
        doc["status"] = "running"
        doc["aexp_run"]["store"] = {"id": "another-store", "machine": "otherbox"}
        doc["aexp_run"]["attempts"] = [
            {"attempt": 1, "status": "running", "started_at": stamp(-60), "host": "otherbox"}
        ]

    def runs_somewhere(doc: dict[str, Any]) -> None:  # as a store of another tool may say it
        doc["status"] = "running"
        doc["queue"]["proc"] = {"pid": 4, "pgid": 4, "host": "otherbox"}

    edit_doc(research, foreign, runs_elsewhere)
    edit_doc(research, silent, runs_somewhere)
    assert states(research) == {foreign: "unknown", silent: "unknown", plain: "ready"}
    done = research.snakemake()
    assert f"not due: {foreign[:8]}: it runs in another store (otherbox)" in done.stderr
    assert f"aexp queue release {silent[:8]}" in done.stderr
    assert research.status(foreign) == research.status(silent) == "running"
    for job_id in (foreign, silent):
        refused = research.aexp("run-queued", job_id, rc=1)
        assert "--adopt" in refused.stderr
        assert research.status(job_id) == "running"
        research.aexp("queue", "run", "--sp", f"seed={0 if job_id == foreign else 1}")
    assert witness.count("start") == {plain: 1}
    assert not list(research.workspace(foreign).glob("claim"))
    research.snakemake("--config", "adopt=true")
    assert research.status(foreign) == research.status(silent) == "complete"
    attempts = research.doc(foreign)["aexp_run"]["attempts"]
    assert [attempt["status"] for attempt in attempts] == ["failed", "complete"]
    assert witness.count("start") == {plain: 1, foreign: 1, silent: 1}


def test_parents(research: Any, witness: Any) -> None:
    (parent,) = research.add("seed=0,sleep=0,code=0", "--tag", "parents")
    (child,) = research.add("seed=1,sleep=0,code=0", "--tag", "children", "--after", parent)
    (grandchild,) = research.add("seed=2,sleep=0,code=0", "--tag", "grand", "--after", child)
    assert states(research) == {parent: "ready", child: "waiting", grandchild: "waiting"}
    # Parents outside the filter come with it, also with a limit, and come first.
    done = research.snakemake("--config", "tag=grand", "limit=1", "--cores", "4")
    assert "3 of 3 run(s) complete" in done.stderr
    assert witness.order() == [parent, child, grandchild]
    # Known from the ledger alone, a complete parent counts.
    (late,) = research.add("seed=3,sleep=0,code=0", "--tag", "late", "--after", grandchild)
    shutil.rmtree(research.workspace(grandchild))
    assert states(research) == {late: "ready"}
    research.snakemake("--config", "tag=late")
    assert research.status(late) == "complete"
    assert research.entry(grandchild)["status"] == "complete"


def test_children_of_a_failed_parent_come_back_with_it(research: Any, witness: Any) -> None:
    flag = research.root.parent / "mended"
    (parent,) = research.json(
        "queue", "add", "--experiment", "E001", "--sp", "seed=0", "--command", f"test -e {flag}"
    )["runs"]
    parent = parent["job_id"]
    (child,) = research.add("seed=1,sleep=0,code=0", "--after", parent)
    (grandchild,) = research.add("seed=2,sleep=0,code=0", "--after", child)
    done = research.snakemake(rc=1)
    assert "0 of 3 run(s) complete" in done.stderr
    assert research.status(parent) == "failed"
    for job_id in (child, grandchild):
        assert research.status(job_id) == "abandoned"
        assert research.entry(job_id)["cause"] == "parent_failed"
        assert f"not complete: {job_id[:8]} abandoned, cause parent_failed" in done.stderr
    again = research.snakemake()
    assert "nothing to run" in again.stderr
    flag.touch()
    changes = research.json("queue", "retry", parent)
    assert [change["job_id"] for change in changes] == [parent, child, grandchild]
    done = research.snakemake()
    assert "3 of 3 run(s) complete" in done.stderr
    assert witness.order() == [child, grandchild]
    assert [research.entry(job_id)["status"] for job_id in (parent, child)] == ["complete"] * 2


def test_order_filters_verdict_and_exit_codes(research: Any, witness: Any) -> None:
    added = research.add("seed=0..5,sleep=0,code=0", "--tag", "2024")
    (bad,) = research.add("seed=6,sleep=0,code=7", "--tag", "2024")
    (urgent,) = research.add("seed=7,sleep=0,code=0", "--tag", "2024", "--priority", "5")
    (dotted,) = research.add("seed=8,sleep=0,code=0", "--tag", "1.10")
    done = research.snakemake("--cores", "1", "--config", "tag=2024", "experiment=E001", "limit=2")
    assert witness.order() == [urgent, added[0]]
    assert "2 of 2 run(s) complete" in done.stderr
    # A failing run is a result: the others go on, the verdict names it once, rc 1, and 0 after.
    done = research.snakemake("--cores", "1", "--config", "tag=2024", rc=1)
    assert witness.order() == [urgent, *added, bad]
    assert done.stderr.count("not complete:") == 1
    assert f"not complete: {bad[:8]} failed, exit code 7" in done.stderr
    assert "5 of 6 run(s) complete" in done.stderr
    assert research.entry(bad)["status"] == "failed"
    assert (research.workspace(bad) / "terminal.json").exists()
    done = research.snakemake("--config", "tag=2024", "experiment=E001")
    assert "nothing to run: no queued run matches experiment E001, tag 2024" in done.stderr
    assert witness.count("start")[bad] == 1
    # A tag that looks like a number is compared as it was typed; an empty one is no filter.
    research.snakemake("--config", "tag=1.10")
    assert research.status(dotted) == "complete"
    for wrong in ("tag=", "limit=0", "experiment=paper"):
        refused = research.snakemake("--config", wrong, rc=1)
        assert wrong.partition("=")[0] in refused.stderr


def test_called_where_it_cannot_work(research: Any, tmp_path: Path) -> None:
    (job_id,) = research.add("seed=0,condition=full")
    below = research.root / "kb"
    import subprocess
    import sys

    def snakemake(folder: Path, *arguments: str) -> Any:
        return subprocess.run(
            [sys.executable, "-P", "-m", "snakemake", "--cores", "1", *arguments],
            cwd=folder,
            env=research.env,
            capture_output=True,
            text=True,
        )

    done = snakemake(below, "-s", "../workflow/Snakefile")
    assert done.returncode == 1
    assert f"Snakemake works in {below}, the repository is {research.root}" in done.stderr
    assert f"cd {research.root}" in done.stderr
    assert "Traceback" not in done.stderr
    assert research.status(job_id) == "queued"
    # aexp run works from anywhere in the repository.
    research.aexp("run", "--cores", "1", cwd=below)
    assert research.status(job_id) == "complete"
    bare = tmp_path / "bare"
    shutil.copytree(research.root / "workflow", bare / "workflow")
    done = snakemake(bare)
    assert done.returncode == 1
    assert "git init && aexp install" in done.stderr
    (bare / ".git").mkdir()
    done = snakemake(bare)
    assert done.returncode == 1
    assert "run: aexp install" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_claim_that_cannot_be_read(research: Any, witness: Any) -> None:
    odd, plain = research.add("seed=0..1,sleep=0,code=0")
    (research.workspace(odd) / "claim").write_text("{}")
    assert states(research) == {odd: "unknown", plain: "ready"}
    done = research.snakemake()
    assert f"not due: {odd[:8]}:" in done.stderr
    assert witness.count("start") == {plain: 1}
    refused = research.aexp("run-queued", odd, rc=1)
    assert f"aexp queue release {odd[:8]}" in refused.stderr
    research.aexp("queue", "release", odd)
    research.snakemake()
    assert witness.count("start") == {plain: 1, odd: 1}


def test_a_filter_that_is_misspelt_is_refused(research: Any, witness: Any) -> None:
    """Ignored, it would execute the whole queue."""
    research.add("seed=0,sleep=0,code=0")
    for key, hint in [("experimnt", "did you mean experiment=?"), ("status", "known: tag, ")]:
        done = research.snakemake("--config", f"{key}=E001", rc=1)
        assert f"--config {key}= is not known" in done.stderr
        assert hint in done.stderr
    assert not witness.count("start")
    research.snakemake("--config", "mine=3")
    assert len(witness.count("start")) == 1
