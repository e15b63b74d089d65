"""Stopping a run from another shell: TERM, then KILL, and the record that says who did it."""

import json
import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest

import aexp
from aexp.processes import start_time


def alive(pid: str | int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state not in "ZX"


@pytest.fixture
def running(research: Any, wait_until: Any) -> tuple[str, Any, list[str]]:
    """A run that executes: its id, its wrapper, the processes of its command."""
    research.experiment("sleep 67 & echo $$ $! > pids.new; mv pids.new pids; wait")
    job_id = research.one("seed=0", "--retries", "3", "--tag", "t")
    wrapper = research.start_aexp("run-queued", job_id)
    wait_until(lambda: "proc" in research.doc(job_id)["queue"])
    wait_until((research.root / "pids").exists)
    return job_id, wrapper, (research.root / "pids").read_text().split()


def check_stopped(research: Any, job_id: str, wrapper: Any, pids: list[str]) -> None:
    assert wrapper.wait(timeout=20) == 1
    assert not any(alive(pid) for pid in pids)
    doc = research.doc(job_id)
    assert doc["status"] == "stopped"
    assert doc["queue"]["last_error"]["cause"] == "operator_stop"
    assert "proc" not in doc["queue"]
    assert doc["ended_at"]
    entry = research.entry(job_id)
    assert (entry["status"], entry["cause"]) == ("stopped", "operator_stop")
    assert len(entry["attempts"]) == 1, "a stop is not retried"
    assert (research.workspace(job_id) / "terminal.json").exists()
    assert not (research.workspace(job_id) / "claim").exists()


def test_stop_by_id(research: Any, running: Any) -> None:
    assert "stopped" in research.aexp("queue", "stop", running[0]).stdout
    check_stopped(research, *running)


def test_stop_by_filter(research: Any, running: Any) -> None:
    (change,) = research.json("queue", "stop", "--tag", "t")
    assert (change["job_id"], change["status"], change["done"]) == (running[0], "stopped", True)
    check_stopped(research, *running)


def test_stop_through_the_api(research: Any, running: Any) -> None:
    assert aexp.stop_queued(running[0][:10], repo_root=research.root) == 0
    check_stopped(research, *running)


@pytest.mark.parametrize("force", [False, True])
def test_a_command_that_ignores_term_is_killed(research: Any, wait_until: Any, force: bool) -> None:
    research.experiment("trap '' TERM; echo $$ > pids; while :; do sleep 0.1; done")
    job_id = research.one("seed=0")
    wrapper = research.start_aexp("run-queued", job_id)
    wait_until(lambda: "proc" in research.doc(job_id)["queue"])
    pids = wait_until(lambda: (research.root / "pids").read_text().split())
    began = time.monotonic()
    how = ("--force",) if force else ("--grace-s", "1")
    research.aexp("queue", "stop", job_id, *how)
    assert force or time.monotonic() - began >= 1
    check_stopped(research, job_id, wrapper, pids)


def test_a_command_that_ends_with_0_on_term_is_stopped_all_the_same(
    research: Any, wait_until: Any
) -> None:
    research.experiment("trap 'exit 0' TERM; echo $$ > pids; while :; do sleep 0.1; done")
    job_id = research.one("seed=0")
    wrapper = research.start_aexp("run-queued", job_id)
    wait_until(lambda: "proc" in research.doc(job_id)["queue"])
    pids = wait_until(lambda: (research.root / "pids").read_text().split())
    research.aexp("queue", "stop", job_id)
    check_stopped(research, job_id, wrapper, pids)
    assert "stop_requested_at" not in research.doc(job_id)["aexp_run"]


def test_the_queue_run_that_drives_it_goes_on_with_the_next(research: Any, wait_until: Any) -> None:
    research.experiment("test {seed} = 1 || sleep 67")
    first, second = research.add("seed=0..1")
    driver = research.start_aexp("queue", "run", "--continue-on-failure")
    wait_until(lambda: "proc" in research.doc(first)["queue"])
    research.aexp("queue", "stop", first)
    assert driver.wait(timeout=20) == 1
    assert [research.status(job_id) for job_id in (first, second)] == ["stopped", "complete"]


def test_dry_run_only_says_it(research: Any, running: Any) -> None:
    done = research.aexp("queue", "stop", running[0], "--dry-run")
    assert "would be stopped" in done.stdout
    time.sleep(0.3)
    assert research.status(running[0]) == "running"
    assert "stop_requested_at" not in research.doc(running[0])["aexp_run"]
    assert all(alive(pid) for pid in running[2])


def test_a_queued_run_is_not_running(research: Any) -> None:
    job_id = research.one("seed=0")
    done = research.aexp("queue", "stop", job_id, rc=1)
    assert f"run {job_id[:8]} is queued, not running" in done.stderr
    assert "aexp queue remove" in done.stderr
    with pytest.raises(aexp.StopJobError):
        aexp.stop_queued(job_id, repo_root=research.root)
    assert research.status(job_id) == "queued"


def test_an_ended_run_is_not_running(research: Any) -> None:
    job_id = research.one("condition=full,seed=0")
    research.aexp("run-queued", job_id)
    before = research.doc(job_id)
    assert "is complete" in research.aexp("queue", "stop", job_id, rc=1).stderr
    assert research.doc(job_id) == before


def edit_claim(research: Any, job_id: str, **changes: Any) -> None:
    path = research.workspace(job_id) / "claim"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def test_another_host_is_refused(research: Any, running: Any) -> None:
    job_id, wrapper, pids = running
    edit_claim(research, job_id, host="elsewhere")
    done = research.aexp("queue", "stop", job_id, rc=1)
    assert "executed by" in done.stderr
    assert "on elsewhere" in done.stderr
    assert wrapper.poll() is None
    assert all(alive(pid) for pid in pids)
    assert "stop_requested_at" not in research.doc(job_id)["aexp_run"]


def test_a_recycled_process_number_is_not_signalled(
    research: Any, running: Any, wait_until: Any
) -> None:
    """The owner is dead and its command's number belongs to an innocent process by now."""
    job_id, wrapper, pids = running
    wrapper.kill()
    wrapper.wait()
    os.killpg(int(pids[0]), signal.SIGKILL)
    innocent = research.start("sleep", "67")
    path = research.workspace(job_id) / "signac_job_document.json"
    doc = research.doc(job_id)
    recorded = doc["queue"]["proc"]
    recorded.update(pid=innocent.pid, pgid=innocent.pid)
    # The closest that two processes of one number can have started: one clock tick apart.
    recorded["start_fingerprint"] = start_time(innocent.pid) - 1
    path.write_text(json.dumps(doc))
    research.aexp("queue", "stop", job_id)
    assert innocent.poll() is None
    assert research.status(job_id) == "stopped"
    assert research.entry(job_id)["status"] == "stopped"


def test_stop_ends_the_orphan_of_a_killed_wrapper(
    research: Any, running: Any, wait_until: Any
) -> None:
    job_id, wrapper, pids = running
    wrapper.kill()
    wrapper.wait()
    assert alive(pids[0])
    research.aexp("queue", "stop", job_id)
    wait_until(lambda: not any(alive(pid) for pid in pids), timeout=5)
    assert research.status(job_id) == "stopped"
    assert not (research.workspace(job_id) / "claim").exists()


def test_a_stop_that_comes_before_the_owners_death_is_obeyed(research: Any, running: Any) -> None:
    """The intent is written first: whoever finds the dead owner's run obeys it."""
    job_id, wrapper, pids = running
    path = research.workspace(job_id) / "signac_job_document.json"
    wrapper.send_signal(signal.SIGSTOP)
    doc = research.doc(job_id)
    doc["aexp_run"]["stop_requested_at"] = "2026-01-01T00:00:00Z"
    path.write_text(json.dumps(doc))
    wrapper.kill()
    wrapper.wait()
    research.aexp("reconcile")
    assert research.status(job_id) == "stopped"
    assert not any(alive(pid) for pid in pids)


def test_a_stopped_run_can_be_retried(research: Any, running: Any) -> None:
    job_id, wrapper, _ = running
    research.aexp("queue", "stop", job_id)
    wrapper.wait(timeout=20)
    research.experiment("echo again")
    research.aexp("queue", "retry", "--status", "stopped")
    assert research.aexp("run-queued", job_id).stdout == "again\n"
    assert research.entry(job_id)["status"] == "complete"


def test_several_ids_of_which_one_is_not_running(research: Any, running: Any) -> None:
    queued = research.one("seed=1")
    done = research.aexp("queue", "stop", running[0], queued, rc=1)
    assert "is queued, not running" in done.stdout
    check_stopped(research, *running)
