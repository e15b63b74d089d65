"""Kill the wrapper, Snakemake, or both, at random moments; then the same command again."""

import os
import random
import shlex
import sys
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


class Chaos:
    """A session that is started again as often as it has ended, over ever new runs."""

    def __init__(self, research: Any, processes: Any) -> None:
        self.research, self.processes = research, processes
        self.ids: list[str] = []
        self.session: Any = None

    def is_under_way(self) -> bool:
        return self.session is not None and self.session.poll() is None

    def start(self) -> None:
        """Start a session unless one is under way, with new runs if all others have ended."""
        if self.is_under_way():
            return
        ended = [self.research.status(job_id) in ("complete", "failed") for job_id in self.ids]
        if all(ended):
            first = len(self.ids)
            self.ids += self.research.add(f"seed={first}..{first + BATCH - 1}")
        self.session = self.research.start("/bin/sh", "-c", COMMAND)

    def wait_for_wrappers(self) -> list[int]:
        """Return the processes that execute a run, once there are some."""
        end = time.monotonic() + 120
        while not (found := self.processes.wrappers()):
            assert time.monotonic() < end
            self.start()
            time.sleep(0.02)
        return found


@pytest.mark.slow
def test_a_hundred_kills(research: Any, witness: Any, processes: Any) -> None:
    witness.experiment(seconds="0.2", code="0")
    chance = random.Random(SEED)
    chaos = Chaos(research, processes)
    for _ in range(ROUNDS):
        chaos.start()
        # A wrapper's death costs little, so most rounds are one.
        how = chance.choice(("wrapper", "wrapper", "wrapper", "snakemake", "both"))
        if how == "snakemake":
            time.sleep(chance.uniform(0.2, 3.0))  # the moment is the point of this test
            wrappers = []
        else:
            chaos.wait_for_wrappers()
            time.sleep(chance.uniform(0.0, 0.5))
            wrappers = processes.wrappers()
        if how == "wrapper" and wrappers:
            wrappers = [chance.choice(wrappers)]
        processes.kill(wrappers)
        if how != "wrapper":
            chaos.session.kill()
            chaos.session.wait(60)
    if chaos.is_under_way():
        chaos.session.wait(120)
    processes.wait_for_none("run-queued")
    for _ in range(4):  # at most three lost attempts, then a result
        research.snakemake(rc=None)
    check(research, witness, chaos.ids)
    assert len(chaos.ids) >= 2 * BATCH
    attempts = [a for job_id in chaos.ids for a in research.doc(job_id)["aexp_run"]["attempts"]]
    assert sum(attempt["cause"] == "lost" for attempt in attempts) > ROUNDS / 10
    assert research.snakemake().stderr.count("nothing to run") == 1


# Its output goes nowhere, so nobody waits for orphans that hold it open.
PROGRAM = f"{shlex.quote(sys.executable)} -P -m snakemake"
COMMAND = f"exec {PROGRAM} --cores 2 --quiet all >/dev/null 2>&1"
