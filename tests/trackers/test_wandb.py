"""The W&B adapter, and W&B from a script of one's own: the real SDK against the stand-in."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import wandb_server

ADAPTER = """
import json, sys
from pathlib import Path
from aexp.trackers import WandbAdapter

folder = Path(sys.argv[1])
(folder / "model.bin").write_bytes(b"weights")
adapter = WandbAdapter()
told = dict(
    project="p1", group="H001/E001/full", tags=["a", "b" * 80, "a"],
    config={"lr": 0.1, "job_id": "j1"}, notes="# Why", workspace=folder,
    run_id="r" * 32, name="full",
)
offline = adapter.init_run(**told, offline=True)
print(offline.url)
adapter.finish(offline)
first = adapter.init_run(**told)
adapter.log(first, {"loss": 0.5, "nan": "NaN"}, step=0)
adapter.log(first, {"loss": 0.25}, step=7)
adapter.log_artifact(first, "the model", folder / "model.bin")
adapter.summarize(first, {"loss": 0.125, "best": float("nan"), "up": float("inf")})
adapter.finish(first, exit_code=0)
again = adapter.init_run(**told)
adapter.log(again, {"loss": 1.0}, step=3)
adapter.log(again, {"loss": 0.1}, step=8)
adapter.finish(again, exit_code=3)
other = adapter.init_run(**{**told, "run_id": "other", "group": "H001/E001/fuller"})
adapter.finish(other)
listed = adapter.list_runs(project="p1", group_prefix="H001/E001/full")
only = adapter.list_runs(project="p1", group_prefix="H001/E001/full+")
print(json.dumps({
    "url": first.url, "next": [first.extra["next_step"], again.extra["next_step"]],
    "listed": [(r.id, r.group, r.state, r.summary.get("loss")) for r in listed], "only": len(only),
}))
"""


def environment(service: Any, **more: str) -> dict[str, str]:
    own = {k: v for k, v in os.environ.items() if not k.startswith(("WANDB_", "AEXP_"))}
    return {**own, **service.environment, **more}


def test_the_adapter(wandb_service: Any, tmp_path: Path) -> None:
    """One run across two openings, offline and online; nothing is printed by the SDK."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", ADAPTER, str(tmp_path)],
        env=environment(wandb_service),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.stderr == ""
    offline_url, said = done.stdout.splitlines()
    assert offline_url == "None"
    told = json.loads(said)
    run = wandb_service.runs["r" * 32]
    assert told["url"].startswith(wandb_service.url)
    assert told["url"].endswith("/p1/runs/" + "r" * 32)
    assert told["next"] == [0, 8]
    assert [(row["_step"], row["loss"]) for row in run.rows] == [(0, 0.5), (7, 0.25), (8, 0.1)]
    assert run.rows[0]["nan"] != run.rows[0]["nan"]
    summary = {key: value for key, value in run.summary.items() if key != "nan"}
    assert summary == {"loss": 0.1, "best": "NaN", "up": float("inf")}
    assert (run.group, run.notes, run.display_name) == ("H001/E001/full", "# Why", "full")
    assert run.tags == ["a", "b" * 64]
    assert run.config == {"lr": 0.1, "job_id": "j1"}
    assert run.artifacts == {"the-model": {"model.bin": b"weights"}}
    assert (run.state, run.exit_code) == ("failed", 3)
    assert told["listed"] == [
        ["r" * 32, "H001/E001/full", "failed", 0.1],
        ["other", "H001/E001/fuller", "finished", None],
    ]
    assert told["only"] == 0  # a prefix is a text, not a pattern
    # All of it lies in the run's own folder; no code, no git address went along.
    assert len(list(tmp_path.glob("wandb/offline-run-*"))) == 1
    assert len(list(tmp_path.glob("wandb/run-*-" + "r" * 32 + "*"))) == 2  # "-1" of the same second
    assert "git" not in json.loads(run.files["wandb-metadata.json"])


def test_without_the_package(tmp_path: Path) -> None:
    """Also beside a folder wandb/, which the SDK makes and Python takes for a package."""
    (tmp_path / "wandb").mkdir()
    code = (
        "import sys; sys.path[:0] = [sys.argv[1], '']\n"
        "from aexp.trackers import TrackerInitError, WandbAdapter\n"
        "try: WandbAdapter()\n"
        "except TrackerInitError as error: print(error.message, '|', error.hint)"
    )
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-S", "-c", code, str(root)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert "not installed here | run: pip install 'aexp[wandb]'" in done.stdout


OWN_SCRIPT = """
import sys, wandb
import aexp
from aexp.trackers import prepare_tracker, tracked_run

job = aexp.create_run(experiment_id="E001", statepoint={"condition": "full", "seed": 0})
with aexp.run_lifecycle(job):
    with tracked_run(job, project="p1", extra_tags=["mine"], name="N", job_type="train") as run:
        for step in range(3):
            run.log({"loss": 1 / (step + 1), "val": {"acc": step}})
        wandb.log({"loss": 0.2}, step=9)
        run.summary["best"] = 0.1
print(job.id)

other = aexp.create_run(experiment_id="E001", statepoint={"condition": "full", "seed": 1})
context = prepare_tracker(other, project="p2", offline=True)
run = wandb.init(**context.init_kwargs, settings=wandb.Settings(silent=True))
print(context.bind(run)["run_id"], context.init_kwargs["config"]["job_id"])
run.finish()

down = aexp.create_run(experiment_id="E001", statepoint={"condition": "full", "seed": 2})
import os
os.environ["WANDB_BASE_URL"] = "http://127.0.0.1:9"
try:
    with aexp.run_lifecycle(down), tracked_run(down, project="p1") as run:
        run.log({"loss": 0.5})
        raise ValueError("diverged")
except ValueError:
    print(down.id)

os.environ["WANDB_BASE_URL"] = sys.argv[1]  # answers, and then does not open the run
stuck = aexp.create_run(experiment_id="E001", statepoint={"condition": "full", "seed": 3})
short = wandb.Settings(init_timeout=1, base_url=sys.argv[1])
with aexp.run_lifecycle(stuck), tracked_run(stuck, project="p1", settings=short) as run:
    run.log({"loss": 0.5})
    run.log({"loss": 0.25})
print(stuck.id)

# A project that W&B refuses, offline too.
refused = aexp.create_run(experiment_id="E001", statepoint={"condition": "full", "seed": 4})
with aexp.run_lifecycle(refused), tracked_run(refused, project="no/such") as run:
    run.log({"loss": 0.5})
    run.log({"loss": 0.25}, step=7)
    run.summary["best"] = 0.1
print(refused.id)

os.environ["RANK"] = "1"
rank = aexp.create_run(experiment_id="E001", statepoint={"condition": "full", "seed": 5})
with aexp.run_lifecycle(rank), tracked_run(rank, project="p1") as run:
    run.log({"loss": 0.5})
print(rank.id)
"""


def test_tracked_run_and_prepare_tracker(research: Any, wandb_service: Any) -> None:
    with wandb_server.serving() as stuck:
        stuck.hang("UpsertBucket")
        done = subprocess.run(
            [sys.executable, "-W", "error", "-c", OWN_SCRIPT, stuck.url],
            env=environment(wandb_service),
            cwd=research.root,
            capture_output=True,
            text=True,
            timeout=120,
        )
    assert done.returncode == 0, done.stderr
    first, second, third, late, refused, other_rank = done.stdout.splitlines()
    # Of each run that W&B did not get, one line on the training's output says what to do.
    said = done.stderr.splitlines()
    assert len(said) == 3, done.stderr
    assert "cannot be reached: Connection refused" in said[0]
    assert "Timed out initializing run" in said[1]
    assert all("aexp sync-offline" in line for line in said[:2])
    assert "only the run's own series is kept" in said[2]

    tracked = wandb_service.runs[first]
    doc, entry = research.doc(first), research.entry(first)
    assert (
        doc["tracker"]
        == entry["tracker"]
        == {
            "backend": "wandb",
            "run_id": first,
            "url": f"{wandb_service.url}/{wandb_server.ENTITY}/p1/runs/{first}",
            "project": "p1",
            "group": "H001/E001/full",
        }
    )
    assert tracked.config["job_id"] == first
    assert (tracked.group, tracked.display_name, tracked.job_type) == (
        "H001/E001/full",
        "N",
        "train",
    )
    assert tracked.tags == ["kind=experiment", "H001", "E001", "condition=full", "mine"]
    assert tracked.summary == {"loss": 0.2, "val": {"acc": 2}, "best": 0.1}
    assert doc["summary_metrics"] == tracked.summary
    assert entry["metrics"] == {"loss": 0.2, "val.acc": 2, "best": 0.1}
    lines = (research.workspace(first) / "series.jsonl").read_text().splitlines()
    rows = [json.loads(line) for line in lines]
    assert [{"_step": row["step"], **row["metrics"]} for row in rows] == tracked.rows

    bound, named = second.split()
    assert bound == named
    assert research.doc(bound)["tracker"]["project"] == "p2"
    assert list(research.workspace(bound).glob("wandb/offline-run-*"))

    assert research.status(third) == "failed"
    assert research.doc(third)["summary_metrics"] == {"loss": 0.5}
    assert list(research.workspace(third).glob("wandb/offline-run-*"))

    # An opening that fails leaves nothing that W&B could get later but the whole run.
    assert stuck.runs == {}
    (sent,) = research.json("sync-offline", late, env=wandb_service.environment)
    assert (sent["state"], sent["job_id"]) == ("synced", late)
    assert [row["loss"] for row in wandb_service.runs[late].rows] == [0.5, 0.25]
    assert wandb_service.runs[late].config["job_id"] == late
    assert wandb_service.runs[late].state == "finished"

    assert research.status(refused) == "complete"
    assert research.entry(refused)["metrics"] == {"loss": 0.25, "best": 0.1}
    assert len((research.workspace(refused) / "series.jsonl").read_text().splitlines()) == 2

    assert other_rank not in wandb_service.runs
    assert not (research.workspace(other_rank) / "series.jsonl").exists()
