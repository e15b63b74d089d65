"""Real runs whose checkpoints are uploaded while they train, and after whatever ends them."""

import fcntl
import os
import signal
from pathlib import Path
from typing import Any

import pytest

TRAIN = """
import os, sys, time, aexp
run = aexp.current()
found = run.latest_checkpoint()
first = 0 if found is None else found.step + 1
for step in range(first, 6):
    with run.checkpoint(step) as folder:
        (folder / "model.bin").write_bytes(bytes([step]) * 2_000_000)
        (folder / "frozen.bin").write_bytes(b"f" * 1_000_000)
    print("saved", step, flush=True)
    if len(sys.argv) > 1 and step == 3:
        time.sleep(300)
"""


def train(run: Any, more: str = "") -> None:
    """Let the run's command be Python code that saves six checkpoints."""
    (run.research.root / "train.py").write_text(TRAIN + more)


def uploader_ended(run: Any) -> bool:
    """Return whether the run's uploader has ended."""
    path = run.research.workspace(run.job) / "checkpoints" / ".uploader.lock"
    if not path.exists():
        return True
    with path.open() as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True


@pytest.fixture
def trained(in_rclone: Any, wait_until: Any) -> Any:
    """Return a run whose command is train.py, and a remote."""
    import sys

    in_rclone.research.experiment(f"{sys.executable} train.py")
    in_rclone.job = in_rclone.research.one("seed=1")
    train(in_rclone)
    yield in_rclone
    wait_until(lambda: uploader_ended(in_rclone), timeout=60)


def test_a_run_uploads_while_it_trains_and_waits_where_required(trained: Any) -> None:
    trained.add(required=True)
    train(trained, "run.succeed()\nfrom pathlib import Path\nPath('after').write_text('x')\n")
    trained.research.aexp("run-queued", trained.job)
    assert trained.arrived() == list(range(6))
    assert trained.research.status(trained.job) == "complete"
    rows = trained.research.json("uploads", "ls", trained.job, "--all")
    assert {row["state"] for row in rows} == {"pushed"}
    assert sum(row["sent"] for row in rows) == 6 * 2_000_000 + 1_000_000
    log = (trained.research.workspace(trained.job) / "checkpoints" / "upload.log").read_text()
    assert not [word for word in ("SECRETKEY", "Traceback") if word in log]


def test_what_is_not_required_arrives_by_itself(trained: Any, wait_until: Any) -> None:
    trained.add()
    trained.research.aexp("run-queued", trained.job)
    wait_until(lambda: trained.arrived() == list(range(6)), timeout=60)
    wait_until(lambda: uploader_ended(trained), timeout=60)
    assert trained.research.aexp("push").stdout == "nothing to push\n"


def test_a_manual_remote_waits_for_push(trained: Any) -> None:
    trained.add(push="manual")
    trained.research.aexp("run-queued", trained.job)
    assert trained.arrived() == []
    assert not (trained.research.workspace(trained.job) / "checkpoints" / "upload.log").exists()
    trained.research.aexp("push", trained.job)
    assert trained.arrived() == list(range(6))


def test_a_plain_command(trained: Any, wait_until: Any) -> None:
    trained.add(required=True)
    command = "echo 1 > $AEXP_CHECKPOINT_DIR/t; mv $AEXP_CHECKPOINT_DIR/t $AEXP_CHECKPOINT_DIR/s-7"
    trained.job = trained.research.one("seed=2", "--command", command)
    trained.research.aexp("run-queued", trained.job)
    assert trained.arrived() == [7]


def test_a_remote_that_is_away_costs_no_run(trained: Any, way: Any) -> None:
    trained.add(options={"endpoint": way.endpoint}, required=True)
    way.change("shut")
    train(trained, "run.succeed()\n")
    trained.research.env["AEXP_UPLOAD_TIMEOUT_S"] = "0"
    done = trained.research.aexp("run-queued", trained.job)
    assert trained.research.status(trained.job) == "complete"
    assert trained.research.entry(trained.job)["status"] == "complete"
    output = done.stdout + done.stderr
    assert "UploadsIncomplete" in output  # what succeed() raised
    assert "not uploaded: step-000000005 to r" in done.stderr  # what the wrapper says
    assert "aexp push" in done.stderr
    rows = trained.research.json("uploads", "ls")
    assert len(rows) == 6
    assert {row["state"] for row in rows} <= {"queued", "pushing", "failed"}
    way.change("open")
    trained.research.aexp("push")
    assert trained.arrived() == list(range(6))


def test_a_wrapper_that_waits_for_a_remote_ends_when_it_is_asked_to(
    trained: Any, wait_until: Any
) -> None:
    trained.add(options={"endpoint": "http://127.0.0.1:9"}, required=True)
    command = "echo 1 > $AEXP_CHECKPOINT_DIR/t; mv $AEXP_CHECKPOINT_DIR/t $AEXP_CHECKPOINT_DIR/s-7"
    trained.job = trained.research.one("seed=4", "--command", command)
    process = trained.research.start_aexp("run-queued", trained.job)
    wait_until(lambda: trained.research.status(trained.job) == "complete", timeout=60)
    process.terminate()
    said = b"".join(part or b"" for part in process.communicate(timeout=60)).decode()
    assert "not uploaded: step-000000007 to r" in said
    assert trained.research.status(trained.job) == "complete"


def test_training_is_killed_and_its_uploads_arrive(trained: Any, wait_until: Any) -> None:
    import sys

    trained.add()
    trained.job = trained.research.one(
        "seed=3", "--command", f"exec {sys.executable} train.py and-wait"
    )
    process = trained.research.start_aexp("run-queued", trained.job)
    folder: Path = trained.research.workspace(trained.job) / "checkpoints"
    wait_until(lambda: (folder / "step-000000003").exists(), timeout=60)
    pid = trained.research.doc(trained.job)["queue"]["proc"]["pid"]
    process.kill()
    process.wait()
    os.killpg(pid, signal.SIGKILL)
    wait_until(lambda: trained.arrived() == [0, 1, 2, 3], timeout=60)
    wait_until(lambda: uploader_ended(trained), timeout=60)
    assert trained.arrived() == [0, 1, 2, 3]  # and nothing besides


@pytest.mark.parametrize("wait", [False, 0])
def test_the_end_of_a_block_says_no_second_time_what_did_not_arrive(
    in_folder: Any, monkeypatch: pytest.MonkeyPatch, wait: Any
) -> None:
    import contextlib

    import aexp

    monkeypatch.setenv("AEXP_UPLOAD_TIMEOUT_S", "0")
    in_folder.add(required=True, push="manual")
    in_folder.folder.rename(in_folder.folder.with_name("unmounted"))
    with aexp.run(in_folder.job, repo_root=in_folder.research.root) as run:
        with run.checkpoint(1) as folder:
            (folder / "a").write_bytes(b"1")
        with contextlib.suppress(aexp.UploadsIncomplete):
            run.succeed(wait=wait)
    assert in_folder.research.status(in_folder.job) == "complete"


def test_succeed_names_what_did_not_arrive(trained: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    import aexp

    trained.add(options={"endpoint": "http://127.0.0.1:9"})
    with aexp.run(trained.job, repo_root=trained.research.root) as run:
        with run.checkpoint(1) as folder:
            (folder / "a").write_bytes(b"1")
        run.succeed()  # not required: not waited for
        with pytest.raises(aexp.UploadsIncomplete, match="step-000000001 to r"):
            run.succeed(wait=0.1)
        trained.add()
        run.succeed(wait=True)
    assert trained.arrived() == [1]
    assert trained.research.status(trained.job) == "complete"
