"""Who executes a run: one owner at a time, taken over only from the dead."""

import json
import os
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

import aexp

ONCE = (
    "exec 9>>lock; flock -n 9 || touch TWICE;"
    " echo $AEXP_ATTEMPT >> ran; until test -e go; do sleep 0.05; done"
)


def ran(research: Any) -> list[str]:
    path = research.root / "ran"
    return path.read_text().split() if path.exists() else []


def claim_path(research: Any, job_id: str) -> Path:
    return Path(research.workspace(job_id) / "claim")


@pytest.fixture
def left_running(research: Any, wait_until: Any) -> tuple[str, dict[str, Any]]:
    """A run whose document says ``running``; its owner is dead, its claim is still there."""
    research.experiment(ONCE)
    job_id = research.one("seed=0")
    wrapper = research.start_aexp("run-queued", job_id)
    pid = wait_until(lambda: research.doc(job_id)["queue"].get("proc", {}).get("pid"))
    wait_until(lambda: ran(research))
    wrapper.kill()
    wrapper.wait()
    os.killpg(pid, 9)
    (research.root / "go").touch()
    return job_id, json.loads(claim_path(research, job_id).read_text())


def rewrite(research: Any, job_id: str, **changes: Any) -> None:
    path = claim_path(research, job_id)
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def test_two_calls_execute_once_and_both_exit_0(research: Any, wait_until: Any) -> None:
    research.experiment(ONCE)
    job_id = research.one("seed=0")
    callers = [research.start_aexp("run-queued", job_id) for _ in range(4)]
    wait_until(lambda: ran(research))
    time.sleep(0.5)
    assert all(caller.poll() is None for caller in callers)
    (research.root / "go").touch()
    assert [caller.wait(timeout=30) for caller in callers] == [0] * 4
    assert ran(research) == ["1"]
    assert not (research.root / "TWICE").exists()
    assert len(research.doc(job_id)["aexp_run"]["attempts"]) == 1


def test_waiting_for_a_run_that_fails(research: Any, wait_until: Any) -> None:
    """The one that executed it says so; the other finds an ended run, and skips it."""
    research.experiment(ONCE + "; exit 3")
    job_id = research.one("seed=0")
    owner = research.start_aexp("run-queued", job_id)
    wait_until(lambda: ran(research))
    waiter = research.start_aexp("run-queued", job_id)
    time.sleep(0.4)
    (research.root / "go").touch()
    assert (owner.wait(timeout=30), waiter.wait(timeout=30)) == (1, 0)
    assert ran(research) == ["1"]


def test_no_wait_gives_back_at_once(research: Any, wait_until: Any) -> None:
    research.experiment(ONCE)
    job_id = research.one("seed=0")
    research.start_aexp("run-queued", job_id)
    wait_until(lambda: ran(research))
    done = research.aexp("run-queued", job_id, "--no-wait", rc=75)
    assert "executed elsewhere" in done.stderr
    assert research.status(job_id) == "running"


def test_an_allocation_is_given_back_at_once(research: Any, wait_until: Any) -> None:
    research.experiment(ONCE)
    job_id = research.one("seed=0")
    research.start_aexp("run-queued", job_id)
    wait_until(lambda: ran(research))
    began = time.monotonic()
    research.aexp("run-queued", job_id, rc=75, env={"SLURM_JOB_ID": "123"})
    assert time.monotonic() - began < 5


def test_a_waiter_takes_over_when_the_owner_dies(research: Any, wait_until: Any) -> None:
    research.experiment(ONCE)
    job_id = research.one("seed=0")
    owner = research.start_aexp("run-queued", job_id)
    wait_until(lambda: ran(research))
    wait_until(lambda: "proc" in research.doc(job_id)["queue"])
    waiter = research.start_aexp("run-queued", job_id)
    time.sleep(0.5)
    owner.kill()
    owner.wait()
    wait_until(lambda: ran(research) == ["1", "2"])
    (research.root / "go").touch()
    assert waiter.wait(timeout=30) == 0
    assert not (research.root / "TWICE").exists()
    assert [a["cause"] for a in research.doc(job_id)["aexp_run"]["attempts"]] == ["lost", None]


@pytest.mark.slow
def test_many_processes_over_one_queue_execute_each_run_once(research: Any) -> None:
    research.experiment("exec 9>>lock-{seed}; flock -n 9 || touch TWICE; echo {seed} >> ran")
    ids = research.add("seed=0..23")
    drivers = [research.start_aexp("queue", "run") for _ in range(4)]
    assert [driver.wait(timeout=120) for driver in drivers] == [0] * 4
    assert sorted(map(int, ran(research))) == list(range(24))
    assert not (research.root / "TWICE").exists()
    assert all(len(research.doc(i)["aexp_run"]["attempts"]) == 1 for i in ids)


@pytest.mark.parametrize(
    ("what", "changes"),
    [
        ("restarted", {"boot_id": "another", "pid": os.getpid()}),
        ("ended", {"pid": 4_194_303}),
        ("ended", {"pid": os.getpid(), "start": 1.0}),  # the number belongs to another now
    ],
    ids=["reboot", "gone", "recycled"],
)
def test_a_dead_owner(
    research: Any, left_running: tuple[str, dict[str, Any]], what: str, changes: dict[str, Any]
) -> None:
    job_id, _ = left_running
    rewrite(research, job_id, **changes)
    (entry,) = research.json("queue", "list")
    assert (entry["state"], what in entry["why"]) == ("owner dead", True)
    research.aexp("run-queued", job_id)
    assert research.status(job_id) == "complete"
    assert ran(research) == ["1", "2"]


ELSEWHERE = [
    {"host": "elsewhere"},
    {"machine_id": "another"},
    {"pid_namespace": "pid:[1]"},
    {"host": "node7", "slurm_job_id": "4711"},
]


@pytest.mark.parametrize("changes", ELSEWHERE, ids=["host", "machine", "container", "slurm"])
def test_an_owner_that_cannot_be_checked_is_unknown(
    research: Any, left_running: tuple[str, dict[str, Any]], changes: dict[str, Any]
) -> None:
    job_id, _ = left_running
    rewrite(research, job_id, **changes)
    before = research.doc(job_id)
    env = {"PATH": "/usr/bin:/bin"} if "slurm_job_id" in changes else {}
    (entry,) = research.json("queue", "list", env=env)
    assert entry["state"] == "unknown"
    assert f"aexp queue release {job_id[:8]}" in entry["why"]
    assert "nothing to repair" in research.aexp("reconcile", env=env).stdout
    research.aexp("run-queued", job_id, "--no-wait", rc=75, env=env)
    assert research.doc(job_id) == before
    assert "nothing to run" in research.aexp("queue", "run", env=env).stderr


def test_a_person_releases_what_cannot_be_checked(
    research: Any, left_running: tuple[str, dict[str, Any]]
) -> None:
    job_id, _ = left_running
    rewrite(research, job_id, host="elsewhere")
    before = research.tree()
    research.aexp("queue", "release", job_id, "--dry-run")
    assert research.tree() == before
    assert "released" in research.aexp("queue", "release", job_id).stdout
    doc = research.doc(job_id)
    assert (doc["status"], doc["aexp_run"]["attempts"][0]["cause"]) == ("queued", "lost")
    assert not claim_path(research, job_id).exists()
    research.aexp("run-queued", job_id)
    assert research.status(job_id) == "complete"


def test_adopt_takes_over_what_cannot_be_checked(
    research: Any, left_running: tuple[str, dict[str, Any]]
) -> None:
    job_id, _ = left_running
    rewrite(research, job_id, host="elsewhere")
    research.aexp("run-queued", job_id, "--adopt")
    assert research.status(job_id) == "complete"


def test_a_living_owner_is_not_released(research: Any, wait_until: Any) -> None:
    research.experiment(ONCE)
    job_id = research.one("seed=0")
    research.start_aexp("run-queued", job_id)
    wait_until(lambda: ran(research))
    done = research.aexp("queue", "release", job_id, rc=1)
    assert "is being executed" in done.stderr
    assert f"aexp queue stop {job_id[:8]}" in done.stderr
    assert research.status(job_id) == "running"


def test_there_is_nothing_to_release(research: Any) -> None:
    job_id = research.one("seed=0")
    done = research.aexp("queue", "release", job_id, rc=1)
    assert "nobody claims it" in done.stderr


def test_a_run_of_another_store_is_unknown(
    research: Any, left_running: tuple[str, dict[str, Any]]
) -> None:
    """A document pulled with git from a machine that runs it: no claim comes with it."""
    job_id, _ = left_running
    claim_path(research, job_id).unlink()
    path = research.workspace(job_id) / "signac_job_document.json"
    doc = research.doc(job_id)
    doc["aexp_run"]["store"] = {"id": "other", "machine": "cluster"}
    path.write_text(json.dumps(doc))
    (entry,) = research.json("queue", "list")
    assert entry["state"] == "unknown"
    assert "another store (cluster)" in entry["why"]
    assert "nothing to repair" in research.aexp("reconcile").stdout
    assert "nothing to run" in research.aexp("queue", "run").stderr
    assert research.doc(job_id) == doc


def test_a_running_document_without_any_claim_of_this_store_is_dead(
    research: Any, left_running: tuple[str, dict[str, Any]]
) -> None:
    job_id, _ = left_running
    claim_path(research, job_id).unlink()
    assert job_id[:8] in research.aexp("reconcile").stdout
    assert research.status(job_id) == "queued"


WRONG_TYPE = json.dumps(
    {
        "nonce": "n", "host": os.uname().nodename.split(".")[0], "machine_id": "", "boot_id": "",
        "pid_namespace": "", "pid": "1", "start": 1.0, "slurm_job_id": None,
        "slurm_restart": 0, "claimed_at": "",
    }
)  # fmt: skip


@pytest.mark.parametrize("text", ["", "{", "[]", '{"pid": 1}', "\x00\x01", WRONG_TYPE])
def test_a_corrupt_claim_is_unknown_until_it_is_released(research: Any, text: str) -> None:
    research.experiment("echo ran")
    job_id = research.one("seed=0")
    claim_path(research, job_id).write_text(text)
    (entry,) = research.json("queue", "list")
    assert entry["state"] == "unknown"
    assert "claim" in entry["why"]
    assert f"aexp queue release {job_id[:8]}" in entry["why"]
    done = research.aexp("run-queued", job_id, rc=1)
    assert "claim" in done.stderr
    assert f"aexp queue release {job_id[:8]}" in done.stderr
    assert research.status(job_id) == "queued"
    assert research.aexp("queue", "release", job_id).returncode == 0
    assert research.aexp("run-queued", job_id).stdout == "ran\n"


def test_a_claim_left_on_an_ended_run_does_not_block_its_retry(research: Any) -> None:
    """Its owner, on whatever host, recorded the end and died before it gave the claim up."""
    research.experiment("echo ran; exit 3")
    job_id = research.one("seed=0")
    research.aexp("run-queued", job_id, rc=1)
    nonce = research.doc(job_id)["aexp_run"]["attempts"][0]["claim"]
    claim = {
        "nonce": nonce, "host": "elsewhere", "machine_id": "m", "boot_id": "b",
        "pid_namespace": "p", "pid": 1, "start": 1.0, "slurm_job_id": None,
        "slurm_restart": 0, "claimed_at": "2026-01-01T00:00:00Z",
    }  # fmt: skip
    claim_path(research, job_id).write_text(json.dumps(claim))
    research.aexp("queue", "retry", job_id)
    research.aexp("run-queued", job_id, rc=1)
    assert len(research.doc(job_id)["aexp_run"]["attempts"]) == 2


def hammer(research: Any, code: str, count: int, *arguments: str) -> list[str]:
    import sys

    processes = [
        subprocess.Popen(
            [sys.executable, "-c", code, *arguments],
            cwd=research.root,
            env=research.env,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(count)
    ]
    outputs = [process.communicate(timeout=120)[0] for process in processes]
    assert [process.returncode for process in processes] == [0] * count
    return outputs


TAKERS = """
import sys, time
from aexp.paths import Repo
from aexp.runs import claims
repo, job_id, start = Repo.installed(), sys.argv[1], float(sys.argv[2])
while time.time() < start: pass
got = claims.acquire(repo, job_id)
print("claimed" if isinstance(got, claims.Claim) else "held")
time.sleep(1)
"""


def test_of_many_takers_of_a_dead_claim_one_gets_it(
    research: Any, left_running: tuple[str, dict[str, Any]], tmp_path: Path
) -> None:
    job_id, _ = left_running
    outputs = hammer(research, TAKERS, 8, job_id, str(time.time() + 1.5))
    assert sorted(outputs) == ["claimed\n"] + ["held\n"] * 7


def test_the_lifecycle_refuses_a_claimed_run(research: Any, wait_until: Any) -> None:
    research.experiment(ONCE)
    job_id = research.one("seed=0")
    research.start_aexp("run-queued", job_id)
    wait_until(lambda: ran(research))
    job = aexp.open_run(job_id, research.root)
    with pytest.raises(aexp.StatusError, match="being executed"), aexp.run_lifecycle(job):
        pytest.fail("the block must not run")
    assert research.status(job_id) == "running"


def test_an_edited_state_point_is_not_executed(research: Any) -> None:
    job_id = research.one("condition=full,seed=0")
    path = research.workspace(job_id) / "signac_statepoint.json"
    path.write_text(path.read_text().replace('"seed": 0', '"seed": 1'))
    done = research.aexp("run-queued", job_id, rc=1)
    assert "changed after the run was created" in done.stderr
    assert done.stdout == ""
    assert research.status(job_id) == "queued"
