"""The wrapper dies without a word: nothing is lost, and no run executes twice at once."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

# Says TWICE if another copy holds the lock; the lock goes with the last process of a copy.
ONCE = (
    "exec 9>>lock; flock -n 9 || touch TWICE;"
    " echo $AEXP_ATTEMPT >> ran; test -e go || sleep 64; test ! -e fail"
)


def alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state not in "ZX"


def kill_running(research: Any, wait_until: Any, job_id: str, *arguments: str) -> int:
    """Start the run, kill its wrapper with -9 as soon as the command runs; return its pid."""
    lines = research.root / "ran"
    before = len(lines.read_text().split()) if lines.exists() else 0
    wrapper = research.start_aexp("run-queued", job_id, *arguments)
    wait_until(lambda: lines.exists() and len(lines.read_text().split()) > before)
    pid = wait_until(lambda: research.doc(job_id)["queue"].get("proc", {}).get("pid"))
    wrapper.kill()
    wrapper.wait()
    assert research.status(job_id) == "running"
    return int(pid)


def test_a_killed_wrappers_run_is_continued_by_the_next_call(
    research: Any, wait_until: Any
) -> None:
    research.experiment(ONCE)
    job_id = research.one("seed=0")
    orphan = kill_running(research, wait_until, job_id)
    assert alive(orphan)
    (research.root / "go").touch()
    done = research.aexp("run-queued", job_id)
    assert "its owner has ended" in done.stderr
    assert not alive(orphan)
    doc = research.doc(job_id)
    assert doc["status"] == "complete"
    first, second = doc["aexp_run"]["attempts"]
    assert (first["attempt"], first["status"], first["cause"]) == (1, "failed", "lost")
    assert (second["attempt"], second["status"]) == (2, "complete")
    assert not (research.root / "TWICE").exists()
    assert [a["status"] for a in research.entry(job_id)["attempts"]] == ["failed", "complete"]


def test_the_orphans_of_an_orphan_are_ended_too(research: Any, wait_until: Any) -> None:
    research.experiment(
        "echo x >> ran; setsid sh -c 'echo $$ > deep; exec sleep 64' & test -e go || sleep 64"
    )
    job_id = research.one("seed=0")
    kill_running(research, wait_until, job_id)
    deep_file = research.root / "deep"
    deep = int(wait_until(lambda: deep_file.exists() and deep_file.read_text().strip()))
    assert alive(deep)
    research.aexp("reconcile")
    assert not alive(deep)


def test_reconcile_finds_and_settles_it(research: Any, wait_until: Any) -> None:
    research.experiment(ONCE)
    job_id = research.one("seed=0")
    orphan = kill_running(research, wait_until, job_id)
    (entry,) = research.json("queue", "list")
    assert entry["state"] == "owner dead"
    assert job_id[:8] in research.aexp("reconcile").stdout
    assert not alive(orphan)
    doc = research.doc(job_id)
    assert (doc["status"], doc["aexp_run"]["faults"]) == ("queued", 1)
    assert "proc" not in doc["queue"]
    assert not (research.workspace(job_id) / "claim").exists()
    assert "nothing to repair" in research.aexp("reconcile").stdout


def test_three_lost_attempts_fail_the_run(research: Any, wait_until: Any) -> None:
    research.experiment(ONCE)
    job_id = research.one("seed=0", "--retries", "5")
    for _ in range(3):
        kill_running(research, wait_until, job_id)
    research.aexp("run-queued", job_id, rc=1)
    entry = research.entry(job_id)
    assert (entry["status"], entry["cause"]) == ("failed", "lost")
    assert [attempt["cause"] for attempt in entry["attempts"]] == ["lost"] * 3
    assert not (research.root / "TWICE").exists()
    research.aexp("queue", "retry", job_id)
    (research.root / "go").touch()
    research.aexp("run-queued", job_id)
    assert research.status(job_id) == "complete"


def test_a_killed_queue_run_goes_on_where_it_was(research: Any, wait_until: Any) -> None:
    research.experiment("echo {seed} >> ran; test {seed} != 1 || test -e go || sleep 64")
    ids = research.add("seed=0..3")
    driver = research.start_aexp("queue", "run")
    wait_until(
        lambda: (research.root / "ran").exists() and "1" in (research.root / "ran").read_text()
    )
    wait_until(lambda: "proc" in research.doc(ids[1])["queue"])
    driver.kill()
    driver.wait()
    (research.root / "go").touch()
    research.aexp("queue", "run")
    assert [research.status(job_id) for job_id in ids] == ["complete"] * 4
    assert (research.root / "ran").read_text().split() == ["0", "1", "1", "2", "3"]


@pytest.mark.slow
def test_killed_at_random_moments_every_run_ends_once(research: Any) -> None:
    """Kill the driver at moments spread over its whole life, then call it again."""
    research.experiment(
        "exec 9>>lock-{seed}; flock -n 9 || touch TWICE; echo {seed} >> done; exit 0"
    )
    ids = research.add("seed=0..29")
    pause, rounds = 0.1, 0
    while any(research.status(job_id) in ("queued", "running") for job_id in ids):
        driver = research.start_aexp("queue", "run", "--continue-on-failure")
        try:
            driver.wait(timeout=pause)
        except subprocess.TimeoutExpired:
            driver.kill()
            driver.wait()
        pause += 0.037
        rounds += 1
        assert rounds < 60
    assert rounds > 2
    assert not (research.root / "TWICE").exists()
    research.aexp("reconcile")
    for job_id in ids:
        assert research.status(job_id) == "complete"
        entry = research.entry(job_id)
        assert entry["status"] == "complete"
        assert [a["status"] for a in entry["attempts"]].count("complete") == 1
        assert (research.workspace(job_id) / "terminal.json").exists()
        assert not (research.workspace(job_id) / "claim").exists()


@pytest.mark.parametrize("missing", ["terminal.json", "ledger", "both"])
def test_killed_between_document_and_outputs(research: Any, missing: str) -> None:
    """The document is the truth; what a crash left unwritten is made again, byte for byte."""
    job_id = research.one("condition=full,seed=0")
    research.aexp("run-queued", job_id)
    sentinel = research.workspace(job_id) / "terminal.json"
    entry = research.root / ".aexp" / "ledger" / f"{job_id}.json"
    before = (sentinel.read_bytes(), entry.read_bytes(), research.doc(job_id))
    if missing != "ledger":
        sentinel.unlink()
    if missing != "terminal.json":
        entry.unlink()
    if missing == "both":
        research.aexp("run-queued", job_id, "--engine")
    else:
        assert f"restored   {job_id[:8]}" in research.aexp("reconcile").stdout
    assert (sentinel.read_bytes(), entry.read_bytes(), research.doc(job_id)) == before


def test_a_half_made_folder_of_a_killed_add_is_ignored_and_swept(research: Any) -> None:
    import os

    folder = research.root / ".runs" / "workspace" / (".new-" + "a" * 32 + "-001122")
    folder.mkdir()
    (folder / "signac_statepoint.json").write_text('{"exp')
    job_id = research.one("seed=0")
    assert [e["job_id"] for e in research.json("queue", "list")] == [job_id]
    assert research.aexp("reconcile").stderr == ""
    assert folder.exists(), "it may belong to an add that is still at work"
    old = time.time() - 7200
    os.utime(folder, (old, old))
    research.aexp("reconcile")
    assert not folder.exists()


def test_a_wrapper_that_was_stopped_is_not_dead(research: Any, wait_until: Any) -> None:
    """A suspended owner gives no heartbeat, and still nobody takes its run over."""
    research.experiment(ONCE)
    job_id = research.one("seed=0")
    wrapper = research.start_aexp("run-queued", job_id)
    wait_until(lambda: "proc" in research.doc(job_id)["queue"])
    wrapper.send_signal(signal.SIGSTOP)
    heartbeat = research.workspace(job_id) / "heartbeat"
    heartbeat.touch()
    import os

    os.utime(heartbeat, (0, 0))
    assert "nothing to repair" in research.aexp("reconcile").stdout
    assert research.status(job_id) == "running"
    assert research.aexp("run-queued", job_id, "--no-wait", rc=75).stdout == ""
    wrapper.send_signal(signal.SIGCONT)
    (research.root / "go").touch()
    assert not (research.root / "TWICE").exists()


def test_the_heartbeat_is_written_while_the_command_runs(research: Any, wait_until: Any) -> None:
    research.experiment("sleep 64")
    job_id = research.one("seed=0")
    research.start_aexp("run-queued", job_id, env={"AEXP_HEARTBEAT_S": "0.2"})
    heartbeat = research.workspace(job_id) / "heartbeat"
    wait_until(heartbeat.exists)
    first = research.doc(job_id)["heartbeat_at"]
    before = heartbeat.stat().st_mtime_ns
    wait_until(lambda: heartbeat.stat().st_mtime_ns > before, timeout=5)
    wait_until(lambda: research.doc(job_id)["heartbeat_at"] > first, timeout=5)
    assert "heartbeat" in research.aexp("show-run", job_id).stdout


def test_a_run_without_heartbeat_is_no_less_alive(research: Any, wait_until: Any) -> None:
    research.experiment("sleep 64")
    job_id = research.one("seed=0")
    research.start_aexp("run-queued", job_id, env={"AEXP_HEARTBEAT_S": "0"})
    wait_until(lambda: "proc" in research.doc(job_id)["queue"])
    assert not (research.workspace(job_id) / "heartbeat").exists()
    (entry,) = research.json("queue", "list")
    assert entry["state"] == "running"
    assert "nothing to repair" in research.aexp("reconcile").stdout


def test_a_python_that_dies_inside_the_lifecycle_is_found(research: Any) -> None:
    job_id = research.one("seed=0")
    code = (
        "import aexp, os, sys\n"
        "with aexp.run_lifecycle(aexp.open_run(sys.argv[1])):\n"
        "    os.kill(os.getpid(), 9)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, job_id], cwd=research.root, env=research.env, check=False
    )
    assert done.returncode == -signal.SIGKILL
    assert research.status(job_id) == "running"
    research.aexp("reconcile")
    doc = json.loads((research.workspace(job_id) / "signac_job_document.json").read_text())
    assert (doc["status"], doc["aexp_run"]["attempts"][0]["cause"]) == ("queued", "lost")


def test_the_days_until_a_lost_attempt_is_found_are_not_the_runs(
    research: Any, wait_until: Any
) -> None:
    research.experiment("echo up; sleep 300")
    job_id = research.one("seed=0", "--max-faults", "1")
    wrapper = research.start_aexp("run-queued", job_id, env={"AEXP_HEARTBEAT_S": "0"})
    log = research.workspace(job_id) / "logs" / "1.log"
    wait_until(lambda: log.exists() and log.read_text() == "up\n")
    wrapper.kill()
    wrapper.wait()
    path = research.workspace(job_id) / "signac_job_document.json"
    doc = json.loads(path.read_text())
    began = time.time() - 3 * 86400  # as if it had been on Friday
    doc["started_at"] = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(began))
    doc["aexp_run"]["attempts"][0]["started_at"] = doc["started_at"]
    path.write_text(json.dumps(doc))
    for file in (log, research.workspace(job_id) / "heartbeat"):
        if file.exists():
            os.utime(file, (began + 60, began + 60))
    research.aexp("reconcile")
    entry = research.entry(job_id)
    assert (entry["status"], entry["cause"]) == ("failed", "lost")
    assert 59 <= entry["attempts"][0]["wallclock_s"] <= 61
    assert entry["wallclock_s"] == entry["attempts"][0]["wallclock_s"]
