"""What has been recorded stays, whatever Snakemake deletes and whoever is killed."""

import json
import os
from typing import Any

import pytest


@pytest.mark.slow
def test_a_killed_re_run_keeps_the_earlier_entry(
    research: Any, witness: Any, processes: Any, wait_until: Any, finish: Any
) -> None:
    again, forced = research.add("seed=0..1,sleep=0,code=0")
    research.snakemake()
    path = research.root / ".aexp" / "ledger" / f"{again}.json"
    first = path.read_bytes()
    research.aexp("queue", "retry", again)
    assert path.read_bytes() == first  # still there while it waits
    witness.hold(again)
    # Its wrapper is killed: Snakemake removes the outputs of what it takes for a failed job.
    session = research.start_snakemake("--cores", "1")
    wait_until(lambda: witness.count("start")[again] == 2)
    wait_until(lambda: research.doc(again)["queue"].get("proc"))
    assert path.read_bytes() == first
    assert not (research.workspace(again) / "terminal.json").exists()
    processes.kill(processes.wrappers())
    code, said = finish(session)
    assert code == 1
    assert "Removing output files of failed job" in said
    assert path.read_bytes() == first
    assert research.status(again) == "queued"
    # Both are killed; even a lost file comes back.
    session = research.start_snakemake("--cores", "1")
    wait_until(lambda: witness.count("start")[again] == 3)
    wait_until(lambda: research.doc(again)["queue"].get("proc"))
    processes.kill([session.pid, *processes.wrappers()])
    session.wait(60)
    assert path.read_bytes() == first
    path.unlink()
    research.aexp("reconcile")
    assert path.read_bytes() == first
    # A forced run by hand, killed.
    witness.hold(forced)
    other = research.root / ".aexp" / "ledger" / f"{forced}.json"
    kept = other.read_bytes()
    by_hand = research.start_aexp("run-queued", "--force", forced)
    wait_until(lambda: witness.count("start")[forced] == 2)
    processes.kill([by_hand.pid])
    by_hand.wait(60)
    assert other.read_bytes() == kept
    # In the end the new record supersedes the old one.
    witness.let_go(again)
    witness.let_go(forced)
    research.snakemake()
    statuses = [attempt["status"] for attempt in research.entry(again)["attempts"]]
    assert statuses == ["complete", "failed", "failed", "complete"]
    statuses = [attempt["status"] for attempt in research.entry(forced)["attempts"]]
    assert statuses == ["complete", "failed", "complete"]
    witness.assert_no_overlap()
    assert "superseded" not in json.dumps(research.doc(again))


@pytest.mark.slow
def test_forcing_snakemake_loses_nothing(
    research: Any, witness: Any, evidence: Any, snapshot: Any
) -> None:
    good, bad = research.add("seed=0,sleep=0,code=0|3")
    (child,) = research.add("seed=1,sleep=0,code=0", "--after", good)
    (waiting,) = research.add("seed=2,sleep=0,code=0", "--after", good)
    research.snakemake("--config", "limit=3", rc=1)
    assert research.status(waiting) == "queued"
    before = evidence(research)
    assert len(before) == 6
    folder = ".runs/workspace"
    named = [f"{folder}/{job_id}/terminal.json" for job_id in (good, bad, child)]
    done = research.snakemake("-F", *named)
    assert done.stderr.count("skipping, already") == 3
    assert evidence(research) == before
    research.snakemake("--forceall", f".aexp/ledger/{bad}.json", f"{folder}/{good}/complete")
    assert evidence(research) == before
    assert (research.workspace(good) / "complete").exists()
    # Forced or not, the gate of a failed run does not open; and nothing is deleted by that.
    refused = research.snakemake("-F", f"{folder}/{bad}/complete", rc=1)
    assert "is failed, not complete" in refused.stderr
    assert "nothing to run" not in refused.stderr
    assert not (research.workspace(bad) / "complete").exists()
    assert evidence(research) == before
    # An entry that only git has: an error while the DAG is built, the file stays.
    lost = "0123456789abcdef0123456789abcdef"
    path = research.root / ".aexp" / "ledger" / f"{lost}.json"
    entry = {**research.entry(good), "job_id": lost}
    path.write_text(json.dumps(entry))
    for arguments in ([], ["-F"], ["-n", "-F"]):
        whole = snapshot(research.root / ".aexp" / "ledger")
        refused = research.snakemake(*arguments, f".aexp/ledger/{lost}.json", rc=None)
        if arguments:
            assert refused.returncode == 1
            assert "is not in this store" in refused.stdout + refused.stderr
        assert snapshot(research.root / ".aexp" / "ledger") == whole
    path.unlink()
    # The whole queue forced: only what is due is executed.
    research.snakemake("-F")
    assert research.status(waiting) == "complete"
    after = evidence(research)
    assert {name: after[name] for name in before} == before
    assert witness.count("start") == {good: 1, bad: 1, child: 1, waiting: 1}


def test_an_entry_of_another_machine_survives_a_forced_target(
    research: Any, witness: Any, processes: Any, wait_until: Any
) -> None:
    """Queued here, pulled from there, forced by name, killed: the pulled entry is put back."""
    (job_id,) = research.add("seed=0,sleep=0,code=0")
    path = research.root / ".aexp" / "ledger" / f"{job_id}.json"
    sp = json.loads((research.workspace(job_id) / "signac_statepoint.json").read_text())
    entry = {"job_id": job_id, "schema_version": 1, "statepoint": sp, "status": "complete"}
    entry |= {"ended_at": "2090-01-01T00:00:00Z", "registered_machine": "otherbox", "note": "kept"}
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(entry, indent=2, sort_keys=True) + "\n")
    before = path.read_bytes()
    witness.hold(job_id)
    session = research.start_snakemake("--cores", "1", "-F", f".aexp/ledger/{job_id}.json")
    wait_until(lambda: witness.count("start")[job_id])
    processes.kill([session.pid, *processes.wrappers()])
    session.wait(60)
    assert path.read_bytes() == before
    # The same for a configuration that is queued anew although its entry is here.
    (other,) = research.add("seed=1,sleep=0,code=0")
    done = research.snakemake()
    assert f"{job_id[:8]}: process" in done.stderr  # settled: it waits, and is done elsewhere
    assert f"not due: {job_id[:8]}: done on otherbox" in done.stderr
    assert research.status(job_id) == "queued"
    assert witness.count("start") == {job_id: 1, other: 1}
    assert path.read_bytes() == before
    kept = (research.root / ".aexp" / "ledger" / f"{other}.json").read_bytes()
    os.rename(research.workspace(other), research.root.parent / "moved")
    assert research.add("seed=1,sleep=0,code=0") == [other]
    assert research.doc(other)["aexp_run"]["superseded"] == json.loads(kept)


@pytest.mark.slow
def test_a_ledger_that_cannot_be_written(
    research: Any, witness: Any, wait_until: Any, finish: Any
) -> None:
    """Also root cannot write there: a folder of the kernel's stands in its place."""
    done, again = research.add("seed=0..1,sleep=0,code=0")
    research.snakemake("--config", "limit=1")
    research.aexp("queue", "retry", done)
    ledger, away = research.root / ".aexp" / "ledger", research.root / ".aexp" / "away"
    witness.hold(again)
    session = research.start_snakemake("--cores", "2", "--latency-wait", "1")
    wait_until(lambda: witness.count("start")[again])
    wait_until(lambda: witness.count("end")[done] == 2)
    wait_until(lambda: research.status(done) == "complete")
    ledger.rename(away)
    ledger.symlink_to("/proc/sys/kernel")
    witness.let_go(again)
    code, said = finish(session)
    assert code == 1, said  # Snakemake misses a file that was declared
    assert research.status(again) == "complete"
    assert "its ledger entry was not written" in said
    assert "2 of 2 run(s) complete" in said
    # A run that is queued again executes all the same.
    research.aexp("queue", "retry", done)
    assert research.aexp("run-queued", done).returncode == 0
    ledger.unlink()
    away.rename(ledger)
    # A sentinel deleted by hand is made again too; nothing is executed.
    (research.workspace(again) / "terminal.json").unlink()
    (ledger / f"{done}.json").unlink()
    ended = research.snakemake()
    assert "made outputs again for 2 ended run(s)" in ended.stderr
    assert (research.workspace(again) / "terminal.json").exists()
    assert research.entry(again)["status"] == "complete"
    assert len(research.entry(done)["attempts"]) == 3
    assert witness.count("start") == {done: 3, again: 1}
