"""A research repository on the test cluster, and a witness of what is really executed."""

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

SNAKEMAKE = [sys.executable, "-P", "-m", "snakemake"]

# The lock belongs to the whole process tree of one execution, so a second execution beside the
# first is seen, however the first one's wrapper died. What a run does depends on its kind and
# on its attempt. A command over its memory goes on until it is killed.
WITNESS = """#!/bin/sh
dir=$(dirname "$0")
exec 9>>"$dir/lock-$AEXP_JOB_ID"
say() {
    restart=$(sed 's/.*"slurm_restart": \\([0-9]*\\).*/\\1/' "$AEXP_JOB_WORKSPACE/claim")
    echo "$1 $AEXP_JOB_ID $AEXP_ATTEMPT $SLURM_JOB_ID $restart $(uname -n)" >>"$dir/log"
}
flock -n 9 || say overlap
test -e "$AEXP_JOB_WORKSPACE/terminal.json" && say late
say start
case $1-$AEXP_ATTEMPT in
grow-2) "$2" -c 'some = b"x" * 450000000' ;;
grow-* | memory-*) "$2" -c 'import time; some = b"x" * 450000000; time.sleep(60)' ;;
hold*-1) sleep 3000 ;;
wait-*) while ! test -e "$dir/go"; do sleep 0.2; done ;;
fail-*) echo "loss is nan"; say end; exit 3 ;;
*) sleep 0.2 ;;
esac
echo '{"loss": 0.5}' >"$AEXP_METRICS_PATH"
say end
"""


class Line(NamedTuple):
    """One line of the witness."""

    word: str
    job_id: str
    attempt: str
    slurm_job_id: str
    restart: str
    host: str


class Campaign:
    """A research repository on the cluster, and what was really executed in it."""

    def __init__(self, research: Any, slurm: Any) -> None:
        self.research, self.slurm = research, slurm
        self.sessions: list[Session] = []
        for key in ("SLURM_CONF", "PATH"):
            research.env[key] = slurm.env[key]
        # Batch scripts call `aexp` as users do.
        research.env["PATH"] = f"{Path(sys.executable).parent}:{research.env['PATH']}"
        self.folder = research.root.parent / "witness"
        self.folder.mkdir()
        self.log = self.folder / "log"
        self.log.touch()
        script = self.folder / "witness.sh"
        script.write_text(WITNESS)
        research.experiment(f"sh {script} {{kind}} {sys.executable}")

    def add(self, kind: str, count: int = 1, *more: str) -> list[str]:
        """Queue `count` runs of a kind."""
        return self.research.add(f"condition=full,kind={kind},seed=0..{count - 1}", *more)

    def lines(self, word: str, *job_ids: str) -> list[Line]:
        """Return what the witness says, of all runs or of some."""
        said = [Line(*line.split()) for line in self.log.read_text().splitlines()]
        return [s for s in said if s.word == word and (not job_ids or s.job_id in job_ids)]

    def started(self, *job_ids: str, timeout: float = 300) -> list[Line]:
        """Wait until all these runs execute, and return the first start of each."""

        def all_of_them() -> list[Line] | None:
            firsts = {line.job_id: line for line in reversed(self.lines("start", *job_ids))}
            return [firsts[i] for i in job_ids] if len(firsts) == len(job_ids) else None

        return self.slurm.wait_until(all_of_them, timeout, f"{len(job_ids)} run(s) to start")

    def check(self, ids: list[str], status: str = "complete") -> None:
        """Insist that these runs ended like this, and that nothing is wrong with any run."""
        assert not self.lines("overlap")
        assert not self.lines("late")
        starts = Counter(line.job_id for line in self.lines("start"))
        for job_id in ids:
            doc, entry = self.research.doc(job_id), self.research.entry(job_id)
            assert doc["status"] == entry["status"] == status, doc
            sentinel = json.loads((self.research.workspace(job_id) / "terminal.json").read_text())
            assert sentinel["status"] == status
            attempts = doc["aexp_run"]["attempts"]
            assert len(attempts) == len(entry["attempts"]) == starts[job_id], doc
            assert [a["attempt"] for a in attempts] == list(range(1, len(attempts) + 1))
            assert attempts[-1]["status"] == status
            assert not [a for a in attempts[:-1] if a["status"] in ("complete", "running")]
            assert all(a["slurm_job_id"] for a in attempts)
            assert entry["ended_at"] == doc["ended_at"]
            if status == "complete":
                assert entry["metrics"] == {"loss": 0.5}
            assert not (self.research.workspace(job_id) / "claim").exists()

    def attempts(self, job_id: str) -> list[tuple[str, str | None]]:
        """Return status and cause of each attempt of a run."""
        attempts = self.research.doc(job_id)["aexp_run"]["attempts"]
        return [(attempt["status"], attempt.get("cause")) for attempt in attempts]

    def faults(self, job_id: str) -> int:
        """Return how many faults of the infrastructure have been counted."""
        return self.research.doc(job_id)["aexp_run"].get("faults", 0)

    def session(self, *options: str) -> "Session":
        """Start Snakemake with the shipped profile."""
        self.sessions.append(Session(self, options))
        return self.sessions[-1]

    def go(self) -> None:
        """Let the runs of kind ``wait`` go on."""
        (self.folder / "go").touch()

    def jobs(self, *states: str) -> list[Any]:
        """Return Slurm's jobs in these states."""
        return [job for job in self.slurm.squeue() if job.state in states]

    def idle(self, timeout: float = 300) -> None:
        """Wait until Slurm has nothing left to do."""
        self.slurm.wait_until(
            lambda: not self.jobs("PENDING", "RUNNING", "COMPLETING"), timeout, "an empty queue"
        )


class Session:
    """Snakemake in the background, its output in a file (a full pipe would stop it)."""

    def __init__(self, campaign: Campaign, options: tuple[str, ...]) -> None:
        self.path = campaign.folder / f"session-{time.monotonic_ns()}"
        with self.path.open("wb") as out:
            self.process = subprocess.Popen(
                [*SNAKEMAKE, "--profile", "profiles/slurm", *options],
                cwd=campaign.research.root,
                env=campaign.research.env,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def said(self) -> str:
        """Return what was printed so far."""
        return self.path.read_text(errors="replace")

    def ended(self, timeout: float = 900) -> tuple[int, str]:
        """Wait for the end; return the exit code and what was said."""
        try:
            code = self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            pytest.fail(f"Snakemake has not ended:\n{self.said()[-4000:]}")
        return code, self.said()

    def kill(self) -> None:
        """End it as a lost login node would."""
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()


@pytest.fixture
def campaign(research: Any, slurm: Any) -> Iterator[Campaign]:
    made = Campaign(research, slurm)
    yield made
    for session in made.sessions:
        session.kill()
