"""aexp sync-offline where something fails: nothing is lost, marked or left running."""

import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from offline_runs import FIRST, SECOND
from wandb_server import WRONG_KEY


def syncing() -> list[int]:
    """Return the processes of this machine that sync for somebody, ours or not."""
    found = []
    for path in Path("/proc").glob("[0-9]*/environ"):
        try:
            if b"\0AEXP_SYNC=" in b"\0" + path.read_bytes():
                found.append(int(path.parent.name))
        except OSError:
            continue
    return found


@pytest.fixture
def none_left(wait_until: Any) -> Iterator[None]:
    """Insist that every process that the test has made sync is gone at its end."""
    before = set(syncing())
    yield
    wait_until(lambda: not set(syncing()) - before)


def test_the_service_cannot_be_used(research: Any, offline: Any, wandb_service: Any) -> None:
    ids = research.add("seed=0..6,condition=full")
    for job_id in ids:
        offline.put(job_id, "alpha0", FIRST, run_id=job_id)
    offline.put(min(ids), "alpha5", SECOND, run_id=min(ids))
    env = wandb_service.environment

    def refused(*more: str, **changed: str) -> tuple[str, str]:
        done = research.aexp("sync-offline", *more, env={**env, **changed}, rc=1)
        assert "Traceback" not in done.stderr
        assert (changed.get("WANDB_API_KEY") or "~") not in done.stdout + done.stderr
        assert wandb_service.runs == {}
        assert [offline.marks(job_id) for job_id in ids] == [[]] * len(ids)
        return done.stdout, done.stderr

    out, err = refused(WANDB_API_KEY=WRONG_KEY)
    assert "does not accept the key (HTTP 401)" in out
    assert "hint: log in with: wandb login" in err
    # The attempt behind one that failed waits, and all others when it is the service's fault.
    assert "the attempt before it is not synced" in out
    assert "others have failed: W&B at" in out
    assert out.splitlines()[-1].endswith("not tried")
    out, err = refused(WANDB_API_KEY="", NETRC=os.devnull)
    assert "no key" in out
    wandb_service.mode = "error"
    assert "fails (HTTP 500)" in refused()[0]
    wandb_service.hang()
    out, err = refused("--timeout", "1", "--jobs", "8")
    assert "does not answer within 1 s" in out
    wandb_service.down()
    out, err = refused()
    assert "cannot be reached: Connection refused" in out
    assert "check the network" in err
    log = (research.workspace(min(ids)) / "tracker" / "sync.log").read_text()
    assert "Connection refused" in log


def test_the_exit_code_of_wandb_sync_is_not_believed(
    research: Any, offline: Any, wandb_service: Any
) -> None:
    (job_id,) = research.add("seed=0,condition=full")
    path = offline.put(job_id, "beta0")
    env = {**wandb_service.environment, "WANDB__FILE_STREAM_RETRY_MAX": "1"}
    takes = wandb_service.file_stream

    def breaks(*arguments: Any) -> None:
        raise ConnectionResetError

    wandb_service.file_stream = breaks
    (lost,) = research.json("sync-offline", "--timeout", "30", env=env, rc=1)
    # wandb itself says that it is done.
    assert (lost["returncode"], lost["state"]) == (0, "failed")
    assert list(path.glob("*.synced"))
    assert lost["stderr"].startswith("W&B ")
    assert "Fatal error while uploading data" in lost["stderr"]
    assert offline.marks(job_id) == []
    wandb_service.file_stream = takes
    assert research.json("sync-offline", env=env)[0]["state"] == "synced"
    assert [row["_step"] for row in wandb_service.runs["beta"].rows] == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("end", ["SIGKILL", "SIGINT", "timeout"])
@pytest.mark.usefixtures("none_left")
def test_interrupted_while_it_uploads(
    end: str, research: Any, offline: Any, wandb_service: Any
) -> None:
    (job_id,) = research.add("seed=0,condition=full")
    offline.put(job_id, "beta0")
    env = wandb_service.environment
    takes, is_uploading, may_go_on = wandb_service.file_stream, threading.Event(), threading.Event()

    def waits(*arguments: Any) -> None:
        is_uploading.set()
        may_go_on.wait(30)

    wandb_service.file_stream = waits
    try:
        limit = "6" if end == "timeout" else "60"
        process = research.start_aexp("sync-offline", "--timeout", limit, env=env)
        assert is_uploading.wait(30)
        assert syncing()
        if end != "timeout":
            process.send_signal(getattr(signal, end))
        output = process.communicate(timeout=60)[0].decode()
    finally:
        may_go_on.set()
        wandb_service.file_stream = takes
    expected = {"SIGKILL": -signal.SIGKILL, "SIGINT": 130, "timeout": 1}
    assert process.returncode == expected[end], output
    if end == "timeout":
        assert "has not ended within 6 s" in output
        assert "--timeout" in output
    assert "Traceback" not in output
    assert offline.marks(job_id) == []
    done = research.aexp("sync-offline", env=env)
    assert "1 synced" in done.stdout
    assert {row["_step"] for row in wandb_service.runs["beta"].rows} == set(range(5))
    assert wandb_service.runs["beta"].state == "finished"
