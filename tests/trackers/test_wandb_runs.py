"""Runs tracked by W&B, from the queue to the service: real processes, SDK, sync and kills."""

import contextlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import wandb_server

# The three kinds of training code, and the accidents that befall them.
TRAIN = """
import json, os, signal, sys, time

kind, accident = sys.argv[1], sys.argv[2]
attempt = int(os.environ["AEXP_ATTEMPT"])
begin = 3 * (attempt - 1)

if kind == "plain":
    def log(row, step):
        with open(os.environ["AEXP_METRICS_PATH"], "a") as file:
            print(json.dumps({"step": step, **row}), file=file)
elif kind == "handle":
    import aexp
    run = aexp.current()
    log = run.log
else:
    import wandb
    import aexp
    run = wandb.init(config={"mine": 1})
    aexp.current().attach(run)
    log = wandb.log

for step in range(begin, begin + 3):
    log({"loss": 1 / (step + 1), "val": {"acc": step}}, step=step)
if accident == "killed" and attempt == 1:
    os.kill(os.getpid(), signal.SIGKILL)
if accident == "cut":
    open("cut", "w").close()
    while os.path.exists("cut"):
        time.sleep(0.02)
    for step in range(3, 6):
        log({"loss": 1 / (step + 1), "val": {"acc": step}}, step=step)
if kind != "plain":
    run.summary["best"] = 0.05
"""
TRACKER = "tracker: {backend: wandb, project: p1, options: {finish_timeout_s: 2}}\n"
# Rows reach the stand-in as they come, not every 15 seconds.
AT_ONCE = {"WANDB__FILE_STREAM_TRANSMIT_INTERVAL": "0.1"}


@pytest.fixture
def tracked(research: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return a repository whose experiment is tracked by W&B."""
    research.env = {k: v for k, v in research.env.items() if not k.startswith("WANDB_")} | AT_ONCE
    (research.root / "train.py").write_text(TRAIN)
    research.experiment("python train.py {kind} {accident}", TRACKER)
    return research


def rows(steps: range, nested: bool) -> list[dict[str, Any]]:
    """Return what the script logs at these steps, as W&B has it."""
    more = [{"val": {"acc": step}} if nested else {"val.acc": step} for step in steps]
    return [
        {"_step": step, "loss": 1 / (step + 1), **acc}
        for step, acc in zip(steps, more, strict=True)
    ]


def flat(metrics: dict[str, Any]) -> dict[str, Any]:
    """Return metrics with dots in the names of nested ones, as in the ledger."""
    val = metrics.get("val")
    inner = {"val.acc": val["acc"]} if isinstance(val, dict) else {}
    return {key: value for key, value in metrics.items() if key != "val"} | inner


def check(research: Any, job_id: str, run: Any, steps: int) -> None:
    """Insist on the same numbers in the document, the ledger and the tracker."""
    doc, entry = research.doc(job_id), research.entry(job_id)
    point = json.loads((research.workspace(job_id) / "signac_statepoint.json").read_text())
    kind = point["kind"]
    assert [dict(sorted(row.items())) for row in run.rows] == [
        dict(sorted(row.items())) for row in rows(range(steps), nested=kind == "own")
    ]
    final = {"loss": 1 / steps, "val.acc": steps - 1} | ({} if kind == "plain" else {"best": 0.05})
    assert flat(doc["aexp_run"]["metrics"]) == final
    assert entry["metrics"] == final
    assert flat(run.summary) == final
    assert run.config["job_id"] == job_id
    assert run.group == f"H001/E001/{job_id[:8]}"
    assert run.tags == ["kind=experiment", "H001", "E001"]
    assert (run.state, run.exit_code) == ("finished", 0)
    assert doc["tracker"] == entry["tracker"]
    assert doc["tracker"]["run_id"] == run.id == job_id
    assert doc["tracker"]["url"].endswith(f"/{wandb_server.ENTITY}/p1/runs/{job_id}")


def test_three_kinds_of_training_code(tracked: Any, wandb_service: Any) -> None:
    """Under Snakemake; offline they use no network at all, and one sync brings them there."""
    secret = "token-of-slurm-0123456789"  # the SDK uploads SLURM_ variables, if it is let
    tracked.env |= wandb_service.environment | {"SLURM_JWT": secret}
    offline = tracked.add("kind=plain|handle|own,accident=none", "--offline")
    online = tracked.add("kind=plain|own,accident=no")
    wandb_service.requests.clear()
    tracked.snakemake()
    assert set(wandb_service.runs) == set(online)
    for job_id in online:
        check(tracked, job_id, wandb_service.runs[job_id], 3)
    for job_id in offline:
        assert tracked.doc(job_id)["tracker"]["url"] is None
        assert len(list(tracked.workspace(job_id).glob("wandb/offline-run-*"))) == 1
    assert "mine" in wandb_service.runs[online[1]].config
    tracked.aexp("sync-offline")
    for job_id in offline:
        check(tracked, job_id, wandb_service.runs[job_id], 3)
    sent = repr([(run.raw_config, run.files, run.lines) for run in wandb_service.runs.values()])
    for value in (secret, wandb_server.API_KEY):
        assert value not in sent
        kept = [path for path in tracked.root.rglob("*") if path.is_file()]
        assert [path for path in kept if value.encode() in path.read_bytes()] == []


def test_killed_while_logging(tracked: Any, wandb_service: Any) -> None:
    """The next attempt goes on in the same run of W&B, and no row of the first is missing."""
    tracked.env |= wandb_service.environment
    online = tracked.add("kind=handle|own,accident=killed")
    (offline,) = tracked.add("kind=own,accident=killed,seed=1", "--offline")
    everything = [*online, offline]
    tracked.aexp("queue", "run", "--continue-on-failure", rc=75)
    assert {tracked.status(job_id) for job_id in everything} == {"queued"}
    tracked.aexp("queue", "run")
    for job_id in online:
        check(tracked, job_id, wandb_service.runs[job_id], 6)
    assert set(wandb_service.runs) == set(online)
    tracked.aexp("sync-offline")
    check(tracked, offline, wandb_service.runs[offline], 6)


def test_faults_of_the_service(
    tracked: Any, wandb_service: Any, wait_until: Callable[..., Any]
) -> None:
    """Every run completes and says what to do; afterwards one sync is complete."""
    with contextlib.ExitStack() as stack:
        failing, hanging, stuck = (stack.enter_context(wandb_server.serving()) for _ in range(3))
        failing.mode = "error"
        hanging.hang()
        stuck.hang("UpsertBucket")  # it answers, and then does not open the run
        ways = {
            "plain": {**wandb_service.environment, "WANDB_API_KEY": wandb_server.WRONG_KEY},
            "handle": failing.environment,
            "own": hanging.environment,
        }
        ids = dict(zip(ways, tracked.add("kind=plain|handle|own,accident=none"), strict=True))
        ways["stuck"] = {**stuck.environment, "AEXP_TRACKER_INIT_S": "8"}
        (ids["stuck"],) = tracked.add("kind=handle,accident=stuck")
        ways["cut"] = wandb_service.environment
        (ids["cut"],) = tracked.add("kind=handle,accident=cut")
        running = {way: tracked.start_aexp("run-queued", ids[way], env=ways[way]) for way in ways}
        cut = Path(tracked.root, "cut")
        wait_until(lambda: cut.exists() and ids["cut"] in wandb_service.runs)
        wait_until(lambda: len(wandb_service.runs[ids["cut"]].rows) >= 2)
        wandb_service.down()
        cut.unlink()
        said = {}
        for way, process in running.items():
            said[way] = process.communicate(timeout=120)[0].decode()
            assert process.returncode == 0, said[way]
        stuck.release()
    for way, job_id in ids.items():
        assert tracked.status(job_id) == "complete", said[way]
        assert tracked.entry(job_id)["metrics"]["loss"] == (1 / 6 if way == "cut" else 1 / 3)
        assert "Traceback" not in said[way]
        assert "aexp sync-offline" in said[way]
    assert "does not accept the key (HTTP 401)" in said["plain"]
    assert "HTTP 500" in said["handle"]
    assert "does not answer within 5 s" in said["own"]
    assert "no answer within 8 s" in said["stuck"]
    assert stuck.runs == {}  # nothing goes on trying
    assert wandb_server.WRONG_KEY not in said["plain"]
    wandb_service.up()
    done = tracked.json("sync-offline", env=wandb_service.environment)
    assert json.dumps(done).count('"ok": true') == 5, done
    for way, job_id in ids.items():
        check(tracked, job_id, wandb_service.runs[job_id], 6 if way == "cut" else 3)
