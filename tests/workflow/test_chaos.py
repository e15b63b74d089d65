"""Kill the wrapper, Snakemake, or both, at random moments; then the same command again."""

import os
import random
import time
from typing import Any

import pytest

ROUNDS = int(os.environ.get("AEXP_CHAOS_ROUNDS", "100"))
SEED = int(os.environ.get("AEXP_CHAOS_SEED", "20240229"))
BATCH = 6


def check(research: Any, witness: Any, ids: list[str]) -> None:
    """Every run has ended once, as the record says, and was never executed beside itself."""
    witness.assert_no_overlap()
    said = witness.lines()
    for job_id in ids:
        doc, entry = research.doc(job_id), research.entry(job_id)
        record = doc["aexp_run"]
        attempts = record["attempts"]
        assert (entry["status"], len(entry["attempts"])) == (doc["status"], len(attempts))
        assert (research.workspace(job_id) / "terminal.json").exists()
        assert not (research.workspace(job_id) / "claim").exists()
        assert "proc" not in doc["queue"]
        mine = [word for word, name in said if name == job_id]
        # An attempt killed before its command was up has left no line.
        assert mine.count("start") <= len(attempts)
        assert [attempt["attempt"] for attempt in attempts] == list(range(1, len(attempts) + 1))
        if doc["status"] == "complete":
            assert mine[-1] == "end"
            assert attempts[-1]["status"] == "complete"
            assert all(attempt["status"] != "complete" for attempt in attempts[:-1])
        else:
            assert (doc["status"], record["cause"], record["faults"]) == ("failed", "lost", 3)
            lost = [attempt for attempt in attempts if attempt["cause"] == "lost"]
            assert len(lost) == 3


@pytest.mark.slow
def test_a_hundred_kills(research: Any, witness: Any, processes: Any) -> None:
    witness.experiment(seconds="0.2", code="0")
    chance = random.Random(SEED)
    ids: list[str] = []
    session: Any = None
    seed = 0
    longest, so_far = 3.0, 0
    for _ in range(ROUNDS):
        # A slow machine gets longer, so that it comes as far as a fast one.
        now = len(witness.lines())
        longest = 3.0 if now > so_far else min(20.0, longest * 1.3)
        so_far = now
        if session is None or session.poll() is not None:
            if all(research.status(job_id) in ("complete", "failed") for job_id in ids[-BATCH:]):
                ids += research.add(f"seed={seed}..{seed + BATCH - 1}")
                seed += BATCH
            session = research.start("/bin/sh", "-c", COMMAND)
        time.sleep(chance.uniform(0.2, longest))  # the moment is the point of this test
        how = chance.choice(("wrapper", "snakemake", "both"))
        victims = [] if how == "wrapper" else [session.pid]
        wrappers = [] if how == "snakemake" else processes.wrappers()
        if how == "wrapper" and wrappers:
            wrappers = [chance.choice(wrappers)]
        processes.kill([*victims, *wrappers])
        if victims:
            session.wait(60)
    if session.poll() is None:
        session.wait(120)
    processes.wait_for_none("run-queued")
    for _ in range(4):  # at most three lost attempts, then a result
        research.snakemake(rc=None)
    check(research, witness, ids)
    assert len(ids) >= 2 * BATCH
    assert research.snakemake().stderr.count("nothing to run") == 1


# Its output goes nowhere, so nobody waits for orphans that hold it open.
COMMAND = "exec snakemake --cores 2 --quiet all >/dev/null 2>&1"
