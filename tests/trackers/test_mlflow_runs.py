"""Queued runs with MLflow as their tracker: a real server, the real wrapper, real scripts."""

from typing import Any

import pytest

pytestmark = pytest.mark.xdist_group("mlflow")

SCRIPT = """
import os, sys
import aexp

run = aexp.current()
first = 3 * (run.attempt - 1)
for step in range(first, first + 3):
    run.log({"loss": 1 / (step + 1), "val/acc": step, "odd": float("nan")}, step=step)
run.upload_asset("notes", {"attempt": run.attempt}, name="notes.json")

import mlflow

with mlflow.start_run() as mine:
    print("MLFLOW", mine.info.run_id, mlflow.get_tracking_uri())
    mlflow.log_metric("own", run.attempt, step=run.attempt)
    mlflow.log_param("of_the_script", "yes")
run.summary["best"] = 0.75
sys.exit(0 if run.attempt == 2 else 3)
"""

SHELL = """
echo '{"step": 0, "loss": 1.0}' >> "$AEXP_METRICS_PATH"
echo '{"step": 1, "loss": 0.5}' >> "$AEXP_METRICS_PATH"
env | grep MLFLOW_
"""


def test_one_mlflow_run_across_attempts_that_the_script_continues(
    research: Any, mlflow_service: Any
) -> None:
    (research.root / "train.py").write_text(SCRIPT)
    more = f"tracker: {{backend: mlflow, project: queued, uri: '{mlflow_service.uri}'}}\n"
    research.experiment("python train.py", more)
    job = research.one("lr:=0.1,seed=7", "--retries", "1")
    done = research.aexp("run-queued", job)
    assert "tracker" not in done.stderr, done.stderr
    assert [one["status"] for one in research.doc(job)["aexp_run"]["attempts"]] == [
        "failed",
        "complete",
    ]
    seen = mlflow_service.one("queued")
    assert seen.status == "FINISHED"
    # What the script did with MLflow by itself is in the same run.
    for attempt in (1, 2):
        log = (research.workspace(job) / "logs" / f"{attempt}.log").read_text()
        assert f"MLFLOW {seen.id} {mlflow_service.uri}" in log
    assert seen.history("own") == [(1, 1.0), (2, 2.0)]
    assert seen.params["of_the_script"] == "yes"
    # What it logged with aexp is there once, and equal to document and ledger.
    assert seen.history("loss") == [(step, 1 / (step + 1)) for step in range(6)]
    assert [step for step, _ in seen.history("val/acc")] == list(range(6))
    final = research.doc(job)["aexp_run"]["metrics"]
    assert research.entry(job)["metrics"]["loss"] == final["loss"] == seen.metrics["loss"]
    assert final["odd"] == "NaN"
    assert seen.metrics["odd"] != seen.metrics["odd"]
    assert seen.metrics["best"] == 0.75
    bound = research.doc(job)["tracker"]
    assert bound["run_id"] == seen.tags["aexp.run_id"] == job
    assert bound["url"].endswith(f"/runs/{seen.id}")
    assert bound["group"] == seen.tags["aexp.group"]
    assert bound["project"] == "queued"
    assert seen.params["lr"] == "0.1"
    assert seen.params["job_id"] == job
    assert seen.tags["E001"] == "true"
    assert len(seen.artifacts()) == 1


def test_a_server_that_fails_costs_nothing_and_gets_it_later(
    research: Any, mlflow_service: Any, way_to_mlflow: Any
) -> None:
    (research.root / "train.sh").write_text(SHELL)
    more = f"tracker: {{backend: mlflow, project: later, uri: '{way_to_mlflow.uri}'}}\n"
    research.experiment("sh train.sh", more)
    job = research.one()
    way_to_mlflow.change("failing")
    done = research.aexp("run-queued", job)
    assert "tracker mlflow: used offline" in done.stderr
    assert "aexp sync-offline" in done.stderr
    assert research.status(job) == "complete"
    assert research.entry(job)["metrics"] == {"loss": 0.5}
    log = (research.workspace(job) / "logs" / "1.log").read_text()
    folder = next((research.workspace(job) / "mlflow").iterdir())
    assert f"MLFLOW_TRACKING_URI=file://{folder}\n" in log
    way_to_mlflow.change("open")
    (synced,) = research.json("sync-offline")
    assert synced["ok"]
    seen = mlflow_service.one("later")
    assert seen.history("loss") == [(0, 1.0), (1, 0.5)]
    assert seen.status == "FINISHED"
    assert research.doc(job)["tracker"]["url"].endswith(f"/runs/{seen.id}")
    assert [one["state"] for one in research.json("sync-offline")] == ["already synced"]


def test_what_a_kill_has_cost_the_server_comes_from_the_series(
    research: Any, mlflow_service: Any
) -> None:
    """The process beside the run is killed while MLflow is still being imported."""
    (research.root / "train.sh").write_text(
        SHELL + "until ls $AEXP_JOB_WORKSPACE/mlflow/*.open.json; do sleep 0.05; done\n"
    )
    more = (
        f"tracker: {{backend: mlflow, project: killed, uri: '{mlflow_service.uri}', "
        "options: {hand_over: false}}\n"
    )
    research.experiment("sh train.sh", more)
    job = research.one()
    done = research.aexp("run-queued", job, env={"AEXP_TRACKER_TIMEOUT_S": "0"})
    assert "not done within" in done.stderr
    assert "aexp sync-offline" in done.stderr
    assert research.status(job) == "complete"
    assert "MLFLOW_RUN_ID" not in (research.workspace(job) / "logs" / "1.log").read_text()
    (synced,) = research.json("sync-offline")
    assert synced["ok"], synced
    seen = mlflow_service.one("killed")
    assert seen.history("loss") == [(0, 1.0), (1, 0.5)]
    assert seen.status == "FINISHED"
    assert seen.params["job_id"] == job
    assert not (research.workspace(job) / "mlflow").exists()
