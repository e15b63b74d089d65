"""Runs under Snakemake with a tracker: their numbers are equal wherever they are kept."""

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

from aexp.trackers import NoopAdapter

TRACKER = "tracker: {backend: noop, project: ecg}\n"
OBJECT = """
import json, os
sp = json.load(open(os.environ["AEXP_STATEPOINT_PATH"]))
numbers = {"loss": 0.5 / (1 + sp["seed"]), "val": {"acc": 0.9, "bad": float("nan")}, "n": 3}
json.dump(numbers, open(os.environ["AEXP_METRICS_PATH"], "w"))
"""
LINES = """
for step in 1 2 3; do
  printf '{"step": %s, "loss": 0.%s, "note": "text"}\\n' $step $step >> $AEXP_METRICS_PATH
done
printf '{"step": 4, "loss": 0.75}' >> $AEXP_METRICS_PATH
"""
HANDLE = """
import aexp
run = aexp.current()
for step in range(5):
    run.log({"loss": 1 / (1 + step), "val": {"acc": step}}, step=step)
run.log({"epochs": 1})
run.summary["best"] = 0.125
open("made.txt", "w").write("made")
run.log_artifact("made", "made.txt")
"""
# Logs from step 0 whenever it begins, as far as it may.
UNTIL_TOLD = """
import os, time, aexp
run = aexp.current()
for step in range(60):
    run.log({"loss": step / 10}, step=step)
    while step >= 20 and not os.path.exists("go-on"):
        time.sleep(0.02)
"""


def events(research, job_id: str, run_id: str | None = None) -> list[dict[str, Any]]:
    path = research.workspace(job_id) / "tracker_log" / (run_id or job_id) / "events.jsonl"
    if not path.exists():
        return []
    return [json.loads(line) for line in path.read_text().splitlines()]


def steps(research, job_id: str) -> list[int]:
    return [event["step"] for event in events(research, job_id) if "step" in event]


def follower(research, job_id: str) -> int | None:
    """Return the process that follows a run."""
    words = f"aexp.trackers.follow\0{job_id}\0".encode()
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            found = path.read_bytes()
            if words in found and Path(os.readlink(path.parent / "cwd")) == research.root:
                return int(path.parent.name)
        except OSError:
            continue
    return None


def one(research, experiment_id: str = "E001") -> str:
    arguments = ("queue", "add", "--experiment", experiment_id, "--sp", "seed=0")
    return str(research.json(*arguments)["runs"][0]["job_id"])


def test_numbers_are_equal_in_document_ledger_and_tracker(research, monkeypatch) -> None:
    (research.root / "object.py").write_text(OBJECT)
    (research.root / "lines.sh").write_text(LINES)
    (research.root / "handle.py").write_text(HANDLE)
    research.experiment("python object.py", TRACKER)
    research.experiment("sh lines.sh", TRACKER, "E002")
    research.experiment("python handle.py", TRACKER, "E003")
    ids = {name: one(research, name) for name in ("E001", "E002", "E003")}
    research.snakemake("--quiet")
    monkeypatch.chdir(research.root)
    found = {record.id: record for record in NoopAdapter().list_runs(project="ecg")}
    expected = {
        "E001": {"loss": 0.5, "val.acc": 0.9, "val.bad": "NaN", "n": 3},
        "E002": {"loss": 0.75},
        "E003": {"loss": 0.2, "val.acc": 4, "epochs": 1, "best": 0.125},
    }
    for name, job_id in ids.items():
        entry, doc, record = research.entry(job_id), research.doc(job_id), found[job_id]
        assert entry["status"] == "complete"
        assert entry["metrics"] == expected[name]
        assert record.summary == expected[name]
        (run,) = research.json("list-runs", "--experiment", name)
        assert run["metrics"] == expected[name]
        assert (record.state, record.group) == ("finished", f"H001/{name}/{job_id[:8]}")
        binding = {
            "backend": "noop",
            "run_id": job_id,
            "url": None,
            "project": "ecg",
            "group": record.group,
        }
        assert doc["tracker"] == binding
        assert entry["tracker"] == {k: v for k, v in binding.items() if v is not None}
        first, *_, last = events(research, job_id)
        assert first["config"]["job_id"] == job_id
        assert first["config"]["aexp"]["experiment_id"] == name
        assert first["config"]["seed"] == 0
        assert (first["event"], last["event"], last["exit_code"]) == ("init_run", "finish", 0)
    assert steps(research, ids["E002"]) == [1, 2, 3, 4]
    logged = [event for event in events(research, ids["E003"]) if event["event"] == "log"]
    assert [event.get("step") for event in logged] == [0, 1, 2, 3, 4, None, None]
    (artifact,) = [e for e in events(research, ids["E003"]) if e["event"] == "log_artifact"]
    assert (artifact["name"], artifact["size_bytes"]) == ("made", 4)
    assert NoopAdapter().list_runs(project="ecg", group_prefix="H001/E002/")[0].id == ids["E002"]
    assert NoopAdapter().list_runs(project="another") == []
    # A wrapper that is killed after it has recorded the end says nothing more: the follower
    # goes by the record.
    job_id = ids["E003"]
    told = [{**event, "timestamp": ""} for event in events(research, job_id)]
    for name in ("tracker", "tracker_log"):
        shutil.rmtree(research.workspace(job_id) / name)
    follow = [sys.executable, "-P", "-m", "aexp.trackers.follow", job_id, "1"]
    subprocess.run(follow, cwd=research.root, stdin=subprocess.DEVNULL, check=True)
    assert [{**event, "timestamp": ""} for event in events(research, job_id)] == told


def test_attempts_continue_one_tracked_run_and_no_row_appears_twice(research, wait_until) -> None:
    (research.root / "train.py").write_text(UNTIL_TOLD)
    research.experiment("python train.py", TRACKER)
    job_id = one(research)

    def begin() -> Any:
        wrapper = research.start_aexp("run-queued", job_id)
        wait_until(lambda: 20 in steps(research, job_id))
        return wrapper

    # The wrapper is killed: its follower ends the tracker's run for the time being.
    wrapper = begin()
    wrapper.kill()
    wrapper.wait()
    wait_until(lambda: events(research, job_id)[-1]["event"] == "finish")
    wait_until(lambda: follower(research, job_id) is None)
    # It is asked to end: the run goes back to the queue within the tracker's short time.
    wrapper = begin()
    wait_until(lambda: len(events(research, job_id)) > 0 and follower(research, job_id))
    wait_until(lambda: research.doc(job_id).get("queue", {}).get("proc"))
    wrapper.send_signal(signal.SIGTERM)
    assert wrapper.wait(timeout=20) == 75
    assert research.status(job_id) == "queued"
    # The follower is killed: another one brings the rest when the run has ended.
    wrapper = begin()
    pid = wait_until(lambda: follower(research, job_id))
    os.kill(pid, signal.SIGKILL)
    (research.root / "go-on").touch()
    assert wrapper.wait(timeout=60) == 0
    assert research.status(job_id) == "complete"
    assert steps(research, job_id) == list(range(60))
    starts = [event for event in events(research, job_id) if event["event"] == "init_run"]
    assert len({json.dumps({**event, "timestamp": ""}) for event in starts}) == 1
    assert research.entry(job_id)["metrics"] == {"loss": 5.9}
    assert len(research.doc(job_id)["aexp_run"]["attempts"]) == 3
    # Executed again after its end it is another run in the tracker.
    research.aexp("queue", "retry", job_id)
    assert "tracker" not in research.doc(job_id)
    research.aexp("run-queued", job_id)
    again = f"{job_id}-4"
    assert research.doc(job_id)["tracker"]["run_id"] == again
    logged = events(research, job_id, again)
    assert [event["step"] for event in logged if "step" in event] == list(range(60))
    assert research.entry(job_id)["tracker"]["run_id"] == again
    assert steps(research, job_id) == list(range(60))
