"""The published package of the same layout, installed from PyPI, on the same repositories.

What it has made and run opens here with the same ids; what we have made and run stays
readable there. Only its command line is used.
"""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from benchmarks.peer import PEER, PeerUnavailable, install_peer

ROOT = Path(__file__).parents[2]
RUNNER = 'runner_command: "test {seed} != 2 && echo {condition} {width}"'
CONDITIONS = "conditions: {wide: {width: 8}, slim: {width: 2}}"


@pytest.fixture(scope="session")
def peer_script() -> Path:
    """Its console script; these tests need PyPI once, as installing the test tools does."""
    try:
        return install_peer(ROOT / "build" / "bench")
    except PeerUnavailable as error:
        raise RuntimeError(
            f"these tests install {PEER} from PyPI, and that failed: {error}"
        ) from None


class Lab:
    """One repository, and both command lines on it."""

    def __init__(self, research: Any, script: Path) -> None:
        self.research = research
        self.root: Path = research.root
        self._script = script

    def peer(self, *arguments: str, rc: int = 0) -> str:
        """Call the peer's command line."""
        env = {**self.research.env, "COLUMNS": "200", "NO_COLOR": "1"}
        env.pop("PYTHONPATH", None)
        env["PATH"] = f"{self._script.parent}{os.pathsep}{env['PATH']}"
        done = subprocess.run(
            [str(self._script), *arguments],
            cwd=self.root, env=env, capture_output=True, text=True, timeout=300,
        )  # fmt: skip
        assert done.returncode == rc, (arguments, done.stdout, done.stderr)
        return done.stdout

    def ids(self) -> list[str]:
        return sorted(path.name for path in (self.root / ".runs" / "workspace").iterdir())

    def write_experiment(self) -> None:
        (path,) = (self.root / "kb" / "research" / "experiments").glob("E001-*.md")
        lines = path.read_text().splitlines()
        for number, line in enumerate(lines):
            if line.startswith("runner_command:"):
                lines[number] = RUNNER
            if line.startswith("conditions:"):
                lines[number] = CONDITIONS
        path.write_text("\n".join(lines) + "\n")

    def finding(self, text: str) -> None:
        (path,) = (self.root / "kb" / "research" / "findings").glob("F001-*.md")
        head, rest = path.read_text().split("\ntags:", 1)
        head = head.split("\nsupporting_runs:")[0]
        path.write_text(f"{head}\nsupporting_runs:\n{text}tags:{rest}")

    def commit(self, message: str) -> None:
        self.research.git("add", "--all")
        self.research.git("commit", "-qm", message)


@pytest.fixture
def theirs(research: Any, peer_script: Path, tmp_path: Path) -> Lab:
    """A repository made and run by the peer alone: four complete runs, two failed, one queued."""
    root = tmp_path / "theirs"
    root.mkdir()
    lab = Lab(type(research)(root), peer_script)
    lab.research.git("init", "-q")
    lab.peer("install", "--yes", "--machine-label", "boxA")
    lab.peer("new-hypothesis", "--title", "Wider is better")
    lab.peer("new-experiment", "--title", "Width", "--hypothesis", "H001")
    lab.write_experiment()
    lab.commit("start")
    add = ("queue", "add", "--experiment", "E001", "--hypothesis", "H001", "--tag", "demo")
    lab.peer(*add, "--sweep", "condition=wide|slim,seed=0..2")
    lab.peer("queue", "run", "--continue-on-failure", rc=1)
    lab.peer(*add, "--sp", "condition=wide,seed=9")
    lab.peer("new-finding", "--title", "It is", "--hypothesis", "H001", "--experiment", "E001")
    lab.commit("runs and a finding")
    return lab


def test_a_repository_of_the_peer_opens_here(theirs: Lab) -> None:
    research, ids = theirs.research, theirs.ids()
    assert len(ids) == 7
    runs = research.json("list-runs")
    assert sorted(run["job_id"] for run in runs) == ids
    statuses = sorted(run["status"] for run in runs)
    assert statuses == ["complete"] * 4 + ["failed"] * 2 + ["queued"]
    (waiting,) = research.json("queue", "list")
    assert waiting["sp"]["seed"] == "9"
    from aexp.paths import Repo
    from aexp.runs.store import compute_job_id, scan_runs

    assert all(compute_job_id(run.sp) == run.job_id for run in scan_runs(Repo(theirs.root)))
    assert all(run.tag == "demo" for run in scan_runs(Repo(theirs.root)))


def test_its_ledger_is_read_and_completed(theirs: Lab) -> None:
    research = theirs.research
    found = research.json("ledger", "verify")
    assert found["entries"] == 6
    assert {p["code"] for p in found["problems"]} == {"entry.incomplete"}
    assert all("ended_at" in p["message"] for p in found["problems"])
    assert len(research.json("ledger", "backfill", "--overwrite")["promoted"]) == 6
    assert research.json("ledger", "verify")["problems"] == []
    for path in (theirs.root / ".aexp" / "ledger").glob("*.json"):
        entry = json.loads(path.read_text())
        assert entry["registered_machine"] == "boxA"
        assert entry["ended_at"]
    assert "0 entries" in theirs.peer("ledger", "backfill")


def test_validate_is_sensible_about_it(theirs: Lab) -> None:
    research = theirs.research
    run = next(r for r in research.json("list-runs") if r["status"] == "complete")
    theirs.finding(
        f"  - {{type: job, id: {run['job_id']}}}\n"
        "  - {type: batch, experiment_id: E001, selector: {condition: wide}}\n"
    )
    # A queued run is an error there (and the reason not to have validate in its CI), not here.
    assert "run.status_invalid" in theirs.peer("validate", rc=1)
    result = research.json("validate", rc=None)
    assert result["errors"] == 0, result
    codes = {issue["code"] for issue in result["issues"]}
    # One run of the cited batch has failed, and the peer's own tree was dirty: both true.
    assert all(code.startswith("finding.") for code in codes), codes
    theirs.finding(f"  - {{type: job, id: {'0' * 32}}}\n")
    result = research.json("validate", rc=1)
    assert "finding.broken_run_citation" in {issue["code"] for issue in result["issues"]}


def test_its_queue_goes_on_here(theirs: Lab) -> None:
    research = theirs.research
    research.aexp("install", "--yes")
    (waiting,) = research.json("queue", "list")
    research.snakemake()
    assert research.status(waiting["job_id"]) == "complete"
    assert research.entry(waiting["job_id"])["registered_machine"] == "boxA"
    failed = [r["job_id"] for r in research.json("list-runs") if r["status"] == "failed"]
    research.aexp("queue", "retry", failed[0])
    research.aexp("run-queued", failed[0], rc=1)
    assert len(research.entry(failed[0])["attempts"]) >= 1
    # And the peer reads all of it again.
    listed = theirs.peer("list-runs")
    assert all(job_id[:8] in listed for job_id in theirs.ids())
    assert "OK" in theirs.peer("validate")


def test_the_same_configuration_has_the_same_id(theirs: Lab) -> None:
    before = theirs.ids()
    add = ("queue", "add", "--experiment", "E001", "--hypothesis", "H001", "--no-commit", "--sweep")
    theirs.peer(*add, "condition=wide|slim,seed=20..22")
    made = set(theirs.ids()) - set(before)
    again = theirs.research.json(*add, "condition=wide|slim,seed=20..22")["runs"]
    assert {run["job_id"] for run in again} == made
    assert theirs.ids() == sorted({*before, *made})


def test_a_repository_of_ours_stays_readable_there(research: Any, peer_script: Path) -> None:
    ours = Lab(research, peer_script)
    (research.root / "kb" / "research" / "experiments" / "E001-test.md").unlink()
    research.aexp("new-hypothesis", "--title", "Wider is better")
    research.aexp("new-experiment", "--title", "Width", "--hypothesis", "H001")
    research.aexp("new-finding", "--title", "It is", "--hypothesis", "H001", "--experiment", "E001")
    ours.write_experiment()
    ours.commit("a record")
    sweep = "condition=wide|slim,seed=0..2"
    research.json("queue", "add", "--experiment", "E001", "--sweep", sweep, "--tag", "demo")
    research.snakemake(rc=1)
    ids = ours.ids()
    assert len(ids) == 6
    listed = ours.peer("list-runs", "--experiment", "E001")
    assert all(job_id[:8] in listed for job_id in ids)
    assert listed.count("complete") == 4
    assert listed.count("failed") == 2
    shown = ours.peer("show-run", ids[0])
    assert ids[0][:8] in shown
    entries = {job_id: research.entry(job_id) for job_id in ids}
    assert "0 entries (6 already present" in ours.peer("ledger", "backfill")
    for job_id in ids:
        (ours.root / ".aexp" / "ledger" / f"{job_id}.json").unlink()
    assert "6 entries" in ours.peer("ledger", "backfill")
    # What it has written in place of ours knows less; it is completed again.
    assert len(research.json("ledger", "verify")["problems"]) == 6
    research.aexp("ledger", "backfill", "--overwrite")
    for job_id in ids:
        again = research.entry(job_id)
        assert {**again, "promoted_at": entries[job_id]["promoted_at"]} == entries[job_id]
    complete = next(i for i in ids if research.status(i) == "complete")
    ours.finding(
        f"  - {{type: job, id: {complete}}}\n"
        "  - {type: batch, experiment_id: E001, selector: {condition: wide}}\n"
    )
    assert "OK" in ours.peer("validate")
    assert research.json("validate", rc=None)["errors"] == 0


def test_the_commands_of_the_migration_page(theirs: Lab, tmp_path: Path) -> None:
    """Each command of the page is typed, in order, in a repository that the peer has made."""
    page = (ROOT / "docs" / "migration.md").read_text()
    typed = re.findall(r"^\$ (.+)$", page, re.MULTILINE)
    assert len(typed) >= 10
    research = theirs.research
    remote = tmp_path / "remote.git"
    subprocess.run(["git", "init", "-q", "--bare", str(remote)], check=True)
    research.git("remote", "add", "origin", str(remote))
    research.git("config", "user.name", "t")
    research.git("config", "user.email", "t@example.org")
    before = theirs.ids()
    env = {**research.env, "PATH": f"{Path(sys.executable).parent}:{research.env['PATH']}"}
    for command in typed:
        done = subprocess.run(
            ["bash", "-c", command], cwd=theirs.root, env=env, capture_output=True, text=True
        )
        assert done.returncode == 0, (command, done.stdout, done.stderr)
    assert done.stdout == "6 entries\nOK\n"
    assert theirs.ids() == before
    assert research.git("status", "--porcelain", ".aexp") == ""
    refs = research.git("ls-remote", "origin")
    assert research.git("rev-parse", "HEAD").strip() in refs
