"""A research repository whose runs declare files, with the command line in this process."""

from pathlib import Path
from typing import Any

import pytest

from aexp.files import pretty_json
from aexp.paths import Repo
from aexp.runs.store import compute_job_id
from tests.in_process import CommandLine

SCRIPT = "read line < data.csv; echo $line $1 > out-$1.txt\n"
FILES = 'inputs: [data.csv]\noutputs: ["out-{seed}.txt"]\n'


class Bench(CommandLine):
    """The repository, and what tests do with it."""

    def __init__(self, research: Any) -> None:
        self.research = research
        self.root: Path = research.root

    @property
    def repo(self) -> Repo:
        return Repo(self.root)

    def git(self, *arguments: str) -> str:
        """Run git in the repository."""
        return str(self.research.git(*arguments))

    def write(self, name: str, text: str) -> Path:
        """Write a file of the repository."""
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    def commit(self, message: str = "change") -> None:
        """Commit everything but the record of runs."""
        self.git("add", "-A", "--", ".", ":(exclude).runs", ":(exclude).aexp")
        self.git("commit", "-qm", message, "--allow-empty")

    def queue(self, sp: str, *more: str, experiment: str = "E001") -> str:
        """Queue one run."""
        arguments = ("queue", "add", "--experiment", experiment, "--sp", sp, *more)
        return str(self.json(*arguments)["runs"][0]["job_id"])

    def execute(self, *job_ids: str, rc: int = 0) -> None:
        """Execute queued runs."""
        for job_id in job_ids:
            self.cli("run-queued", job_id, rc=rc)

    def run(self, sp: str, *more: str, experiment: str = "E001") -> str:
        """Queue one run and execute it."""
        job_id = self.queue(sp, *more, experiment=experiment)
        self.execute(job_id)
        return job_id

    def check(self, *arguments: str, rc: int = 0) -> dict[str, tuple[str, str]]:
        """Check runs; return state and reasons by run."""
        report = self.json("check", *arguments, rc=rc)
        assert report["checked"] == len(report["runs"])
        return {
            run["job_id"]: (
                run["state"],
                "; ".join(f"{reason['kind']}: {reason['detail']}" for reason in run["reasons"]),
            )
            for run in report["runs"]
        }

    def states(self, *arguments: str, rc: int = 0) -> set[str]:
        """Check runs; return the states that there are."""
        return {state for state, _ in self.check(*arguments, rc=rc).values()}

    def why(self, *arguments: str) -> str:
        """Check runs that are all stale for one and the same reason; return it."""
        found = self.check(*arguments, rc=1)
        assert {state for state, _ in found.values()} == {"stale"}, found
        (why,) = {why for _, why in found.values()}
        return why

    def entry(self, name: str, **fields: Any) -> str:
        """Write the ledger entry of a run that another machine has executed."""
        sp = {"experiment_id": "E001", "name": name}
        job_id = compute_job_id(sp)
        stamp = fields.pop("ended_at", "2026-01-01T00:00:00Z")
        entry = {
            "schema_version": 1,
            "job_id": job_id,
            "statepoint": sp,
            "status": "complete",
            "promoted_at": stamp,
            "registered_machine": "elsewhere",
            "started_at": stamp,
            "ended_at": stamp,
            "run_link": {"experiment_id": "E001"},
            "attempts": [{"attempt": 1, "status": "complete", "host": "elsewhere"}],
            **fields,
        }
        path = self.root / ".aexp" / "ledger" / f"{job_id}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(pretty_json(entry))
        return job_id

    def recorded(self, job_id: str) -> dict[str, Any]:
        """Return a run's ledger entry."""
        return dict(self.research.entry(job_id))


@pytest.fixture
def bench(research: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Bench:
    """Give the test a repository whose experiment E001 has a script, an input and an output."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("PATH", research.env["PATH"])  # as in the processes that it starts
    bench = Bench(research)
    research.experiment("sh step.sh {seed}", FILES)
    bench.write("step.sh", SCRIPT)
    bench.write("data.csv", "one\n")
    bench.commit("E001")
    return bench
