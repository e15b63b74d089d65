"""Runs on a real Slurm: whatever dies, none is lost, and none is executed twice at a time."""

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

from aexp import slurm as aexp_slurm

SNAKEMAKE = [sys.executable, "-P", "-m", "snakemake"]

# The lock belongs to the whole process tree of one execution, so a second execution beside the
# first is seen, however the first one's wrapper died. What a run does depends on its kind and
# on its attempt: every trouble strikes the first attempt, and memory every one.
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
memory-*) "$2" -c 'import time; some = b"x" * 1200000000; time.sleep(20)' ;;
hold*-1) sleep 300 ;;
slow-*) sleep 8 ;;
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

    def started(self, *job_ids: str, timeout: float = 120) -> list[Line]:
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

    def session(self) -> "Session":
        """Start Snakemake with the shipped profile."""
        self.sessions.append(Session(self))
        return self.sessions[-1]

    def jobs(self, *states: str) -> list[Any]:
        """Return Slurm's jobs in these states."""
        return [job for job in self.slurm.squeue() if job.state in states]

    def idle(self, timeout: float = 60) -> None:
        """Wait until Slurm has nothing left to do."""
        self.slurm.wait_until(
            lambda: not self.jobs("PENDING", "RUNNING", "COMPLETING"), timeout, "an empty queue"
        )


class Session:
    """Snakemake in the background, its output in a file (a full pipe would stop it)."""

    def __init__(self, campaign: Campaign) -> None:
        self.path = campaign.folder / f"session-{time.monotonic_ns()}"
        with self.path.open("wb") as out:
            self.process = subprocess.Popen(
                [*SNAKEMAKE, "--profile", "profiles/slurm"],
                cwd=campaign.research.root,
                env=campaign.research.env,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def ended(self, timeout: float) -> tuple[int, str]:
        """Wait for the end; return the exit code and what was said."""
        try:
            code = self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            pytest.fail(f"Snakemake has not ended:\n{self.path.read_text()[-4000:]}")
        return code, self.path.read_text(errors="replace")

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


def soon(seconds: int) -> str:
    """Return a moment as Slurm writes it."""
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.localtime(time.time() + seconds))


def test_forty_runs_by_snakemake_through_all_troubles(campaign: Campaign) -> None:
    research, slurm = campaign.research, campaign.slurm
    held = [campaign.add(f"hold{i}")[0] for i in range(5)]
    limit, cancelled, stopped, requeued, node = held
    [memory] = campaign.add("memory", 1, "--resources", "mem_mb=400*2")
    failing = campaign.add("fail", 2)
    good = campaign.add("ok", 31)
    [child] = campaign.add("last", 1, "--after", good[0])
    assert len({*held, memory, *failing, *good, child}) == 40

    session = campaign.session()
    jobs = {line.job_id: line.slurm_job_id for line in campaign.started(*held)}

    # The controller is away for 15 s: nobody knows whether the owners live, so nobody
    # takes anything from them.
    slurm.kill_controller()
    began = time.monotonic()
    for job_id in (limit, node):
        said = research.aexp("run-queued", job_id, "--no-wait", rc=75).stderr
        assert "is being executed elsewhere" in said
    rows = {row["job_id"]: row for row in research.json("queue", "list")}
    if os.uname().nodename != campaign.lines("start", limit)[0].host:
        assert rows[limit]["state"] == "unknown", rows[limit]
    time.sleep(max(0.0, 15 - (time.monotonic() - began)))
    slurm.start_controller()
    assert research.status(limit) == research.status(node) == "running"

    # Slurm looks for jobs over their time every half minute.
    slurm.run(["scontrol", "update", f"JobId={jobs[limit]}", f"EndTime={soon(2)}"])
    slurm.run(["scancel", jobs[cancelled]])
    said = research.aexp("queue", "stop", stopped[:8])
    assert research.status(stopped) == "stopped", said
    slurm.run(["scontrol", "requeue", jobs[requeued]])
    where = next(line.host for line in campaign.lines("start", node))
    for job_id in (limit, requeued):  # their first attempts are over
        slurm.wait_until(
            lambda job_id=job_id: campaign.attempts(job_id)[0][0] != "running", what="its end"
        )
    number = int(where[1:]) if where.startswith("n") else int(slurm_node(campaign, jobs[node]))
    slurm.kill_node(number, noticed=True)
    time.sleep(1)
    slurm.start_node(number)

    code, output = session.ended(300)
    print(output[-6000:])
    assert code == 1, output
    assert "not complete: " + failing[0][:8] in output
    assert "38 of 40" not in output
    campaign.check([*good, child, limit, cancelled, requeued, node])
    campaign.check([*failing, memory], "failed")
    campaign.check([stopped], "stopped")

    assert {research.doc(i)["aexp_run"]["returncode"] for i in failing} == {3}
    assert research.entry(failing[0])["cause"] is None
    assert campaign.attempts(memory) == [("failed", "oom")] * 3
    assert research.entry(memory)["cause"] == "oom"
    assert asked_memory(campaign, memory) == [400, 800, 1600]
    assert ("failed", "timeout") in campaign.attempts(limit)
    assert campaign.faults(limit) == 1
    assert campaign.attempts(cancelled) == [("queued", "interrupted"), ("complete", None)]
    assert campaign.faults(cancelled) == 0
    assert campaign.attempts(requeued) == [("queued", "interrupted"), ("complete", None)]
    assert campaign.faults(requeued) == 0
    first, second = campaign.lines("start", requeued)
    assert first.slurm_job_id == second.slurm_job_id
    assert (first.restart, second.restart) == ("0", "1")
    assert campaign.attempts(node) == [("failed", "node_fail"), ("complete", None)]
    first, second = campaign.lines("start", node)
    assert (first.slurm_job_id, second.restart) == (second.slurm_job_id, "1")
    order = [line.job_id for line in campaign.lines("end")]
    assert order.index(good[0]) < order.index(child)

    again = research.snakemake("--profile", "profiles/slurm")
    assert "nothing to run" in again.stderr
    campaign.idle()


def slurm_node(campaign: Campaign, slurm_job_id: str) -> str:
    """Return the number of the node that a job runs on."""
    return next(j.nodes for j in campaign.slurm.squeue() if j.id == slurm_job_id).lstrip("n")


def asked_memory(campaign: Campaign, job_id: str) -> list[int]:
    """Return the megabytes that Slurm was asked for, for each attempt of a run."""
    asked = []
    for line in campaign.lines("start", job_id):
        shown = campaign.slurm.run(["scontrol", "-o", "show", "job", line.slurm_job_id]).stdout
        asked.append(int(shown.split("MinMemoryNode=")[1].split("M")[0]))
    return asked


def test_snakemake_killed_and_started_again_while_its_jobs_live(campaign: Campaign) -> None:
    research, slurm = campaign.research, campaign.slurm
    # Four CPUs each: one run a node, the others wait.
    ids = campaign.add("slow", 8, "--resources", "threads=4")
    first = campaign.session()
    slurm.wait_until(lambda: len(campaign.lines("start")) == 4, what="four runs")
    pending = slurm.wait_until(lambda: campaign.jobs("PENDING"), what="jobs to wait")
    first.kill()
    assert campaign.jobs("RUNNING")

    code, output = campaign.session().ended(180)
    assert code == 0, output
    assert f"cancelled {len(pending)} Slurm job(s) that a dead session left pending" in output
    states = {job.id: job.state for job in slurm.squeue()}
    assert {states[job.id] for job in pending} == {"CANCELLED"}
    campaign.idle()
    campaign.check(ids)
    assert {len(campaign.attempts(job_id)) for job_id in ids} == {1}


def test_arrays_share_one_queue(campaign: Campaign) -> None:
    research, slurm = campaign.research, campaign.slurm
    ids = campaign.add("ok", 39, "--tag", "hand") + campaign.add("fail", 1, "--tag", "hand")
    others = campaign.add("other", 40, "--tag", "script")
    logs = research.root / "logs"
    logs.mkdir()

    def submit(array: str, command: str) -> str:
        words = ["sbatch", "--parsable", f"--array={array}", "--mem=100", "-t", "5"]
        words += ["-o", str(logs / "%A_%a"), "--wrap", command]
        return slurm.run(words, cwd=research.root, env=research.env).stdout.strip()

    command = 'aexp queue run --tag hand --index "$SLURM_ARRAY_TASK_ID"'
    staggered = submit("0-39%3", command)
    made = research.json(
        *("queue", "materialize", "--runner", "slurm", "--tag", "script", "--array-size", "15"),
        *("-o", "script.sh", "--slurm-time", "5", "--slurm-mem", "100"),
    )
    assert made["num_jobs"] == 40
    said = slurm.run(["bash", str(research.root / "script.sh")], cwd="/", env=research.env)
    assert said.stdout.count("Submitted batch job") == 3
    second = submit("0-39", command)
    campaign.idle(240)

    campaign.check(ids[:39] + others)
    campaign.check(ids[39:], "failed")
    assert {len(campaign.attempts(job_id)) for job_id in ids + others} == {1}
    states = {job.id: job.state for job in slurm.squeue()}
    for index in range(40):
        log = (logs / f"{staggered}_{index}").read_text()
        if index == 39 and "the run is failed" in log:
            assert states[f"{staggered}_{index}"] == "FAILED", log
        elif "being executed elsewhere" not in log:
            assert states[f"{staggered}_{index}"] == "COMPLETED", log
    executions = Counter(line.slurm_job_id for line in campaign.lines("start"))
    assert set(executions.values()) == {1}
    assert (logs / f"{second}_0").exists()
    chunks = Counter(job.state for job in slurm.squeue() if job.name == "aexp-queue-script")
    assert chunks == {"COMPLETED": 40}


def test_a_run_is_not_taken_from_a_requeued_job_that_lives(campaign: Campaign) -> None:
    """The second start of a job is the owner; anybody else asks Slurm and leaves it alone."""
    research, slurm = campaign.research, campaign.slurm
    [job_id] = campaign.add("slow")
    batch = 'test -n "$SLURM_RESTART_COUNT" || sleep 300; export PATH='
    job = slurm.sbatch(
        *("-o", str(campaign.folder / "out"), "-t", "5", "--chdir", str(research.root)),
        # As Snakemake's executor does it: everything of Slurm's but the id is gone.
        wrap=batch
        + research.env["PATH"]
        + f" AEXP_SLURM_START=$SLURM_JOB_ID:$SLURM_RESTART_COUNT; unset SLURM_RESTART_COUNT;"
        f" aexp run-queued {job_id}",
    )
    slurm.wait_until(lambda: slurm.state(job) == "RUNNING")
    slurm.run(["scontrol", "requeue", job])
    [line] = campaign.started(job_id)
    assert line.restart == "1"
    said = research.aexp("run-queued", job_id, "--no-wait", rc=75).stderr
    assert "is being executed elsewhere" in said
    research.aexp("reconcile")
    assert research.status(job_id) == "running"
    slurm.wait_until(lambda: slurm.state(job) == "COMPLETED")
    campaign.check([job_id])


def test_what_slurm_says_about_its_jobs(slurm: Any, tmp_path: Path) -> None:
    def submit(wrap: str, *options: str) -> str:
        return slurm.sbatch("-o", str(tmp_path / "%j"), "-t", "5", *options, wrap=wrap)

    running, over, later = (
        submit("sleep 300"),
        submit("true"),
        submit("sleep 300", "--begin=now+1hour"),
    )
    failed, gone = submit("exit 3"), submit("sleep 300")
    requeued, lost = submit("sleep 300"), submit("sleep 300", "-w", "n4", "--no-requeue")
    array = submit("sleep 300", "--array=0-1")
    memory = submit(
        f"{sys.executable} -c 'x = b\"x\" * 400000000; import time; time.sleep(9)'", "--mem=50"
    )
    slurm.wait_until(lambda: slurm.state(f"{array}_1") == "RUNNING")
    slurm.wait_until(lambda: {slurm.state(j) for j in (over, failed)} == {"COMPLETED", "FAILED"})
    slurm.run(["scancel", gone])
    slurm.run(["scontrol", "requeue", requeued])
    slurm.kill_node(4, noticed=True)
    slurm.wait_until(lambda: slurm.state(lost) == "NODE_FAIL")
    slurm.wait_until(lambda: slurm.state(gone) == "CANCELLED")
    slurm.wait_until(lambda: slurm.state(memory) not in ("RUNNING", "COMPLETING", "PENDING"))
    slurm.start_node(4)

    form = "squeue -h -r -t all -O JobArrayID:20,JobID:20"
    raw = dict(line.split() for line in slurm.run(form).stdout.splitlines())
    states = aexp_slurm.JobStates()
    for job, restart, expected in [
        (running, 0, "alive"),
        (raw[f"{array}_0"], 0, "alive"),
        (raw[f"{array}_1"], 0, "alive"),
        (over, 0, "dead"),
        (failed, 0, "dead"),
        (later, 0, "dead"),  # it does not run, so no owner of it does
        (gone, 0, "dead"),
        (lost, 0, "dead"),
        (requeued, 0, "dead"),
        ("999999", 0, "dead"),
        ("x; reboot", 0, "unknown"),
    ]:
        assert states.of(job, restart)[0] == expected, (job, states.of(job, restart))

    assert aexp_slurm.end_cause(gone, 0) == (None, True)
    assert aexp_slurm.end_cause(lost, 0) == ("node_fail", False)
    assert aexp_slurm.end_cause(requeued, 0) == ("requeued", True)
    assert aexp_slurm.end_cause(memory, 0) == ("oom", False)
    assert aexp_slurm.end_cause(failed, 0) == (None, False)
    assert aexp_slurm.end_cause("999999", 0) == (None, False)

    slurm.kill_controller()
    try:
        for job in (running, over, "999999"):
            assert aexp_slurm.JobStates().of(job, 0)[0] == "unknown"
        assert aexp_slurm.end_cause(gone, 0) == (None, False)
        assert aexp_slurm.pending_jobs("x") == []
    finally:
        slurm.start_controller()
