"""aexp sync-offline with the real `wandb sync` process, against the stand-in on loopback."""

import json
import subprocess
import sys
from typing import Any

from offline_runs import FIRST, SECOND
from wandb_server import API_KEY

from aexp import find_offline_runs, sync_offline_runs

# What a job's environment may hold; the offline runs know better.
FOREIGN = {
    "WANDB_MODE": "offline",
    "WANDB_RUN_ID": "foreign",
    "WANDB_RESUME": "never",
    "WANDB_PROJECT": "foreign",
    "WANDB_DIR": "/nowhere",
    "WANDB_SILENT": "true",
}


def steps(service: Any, run_id: str) -> list[int]:
    return [row["_step"] for row in service.runs[run_id].rows]


def test_each_once_attempts_in_order_urls_and_the_ledger(
    research: Any, offline: Any, wandb_service: Any
) -> None:
    first, second = research.add("seed=0..1,condition=full")
    research.aexp("queue", "run")
    offline.bind(first, "alpha")
    # The later attempt first on the disk: what decides is when they began.
    later = offline.put(first, "alpha5", SECOND)
    earlier = offline.put(first, "alpha0", FIRST)
    unfinished = offline.put(second, "beta0", online=True)
    (unfinished / ".aexp-unfinished").touch()
    env = {**wandb_service.environment, **FOREIGN}
    before = research.tree()

    planned = research.aexp("sync-offline", "--dry-run", env=env)
    assert planned.stdout.count("would sync  ") == 3
    assert "nothing was sent" in planned.stderr
    assert research.tree() == before
    assert wandb_service.requests == []

    done = research.aexp("sync-offline", env=env)
    assert "3 synced" in done.stdout
    assert API_KEY not in done.stdout + done.stderr
    alpha, beta = wandb_service.runs["alpha"], wandb_service.runs["beta"]
    assert steps(wandb_service, "alpha") == list(range(10))
    assert (alpha.state, alpha.project, alpha.entity) == ("finished", "paper", "the-team")
    assert alpha.summary == {"loss": 0.1, "last": 9}
    assert (steps(wandb_service, "beta"), beta.config["job_id"]) == (list(range(5)), "beta")
    url = f"{wandb_service.url}/the-team/paper/runs/alpha"
    tracker = research.doc(first)["tracker"]
    assert (tracker["url"], tracker["group"]) == (url, "H001/E001/full")
    assert research.entry(first)["tracker"]["url"] == url
    assert research.entry(second)["tracker"]["run_id"] == "beta"
    research.aexp("ledger", "verify")
    assert offline.marks(first) == [f"wandb/{path.name}" for path in (earlier, later)]

    # Nothing is sent twice, not even asked for.
    wandb_service.requests.clear()
    assert research.aexp("sync-offline", env=env).stdout == "3 already synced\n"
    results = research.json("sync-offline", first[:8], env=env)
    assert [(r["state"], r["ok"], r["url"]) for r in results] == [("already synced", True, url)] * 2
    assert wandb_service.requests == []
    again = research.json("sync-offline", second, "--again", env=env)
    assert [(r["state"], r["returncode"]) for r in again] == [("synced", 0)]
    assert "UpsertBucket" in wandb_service.requests


def test_the_python_functions_read_like_the_verb(
    research: Any, offline: Any, wandb_service: Any, monkeypatch: Any
) -> None:
    (job_id,) = research.add("seed=0,condition=full")
    paths = [offline.put(job_id, "gamma0"), offline.put(job_id, "beta0", SECOND)]
    monkeypatch.chdir(research.root)
    for name, value in wandb_service.environment.items():
        monkeypatch.setenv(name, value)
    assert find_offline_runs(".runs") == paths
    assert [r.ok for r in sync_offline_runs(".runs", dry_run=True)] == [True, True]
    assert wandb_service.runs == {}
    seen: list[Any] = []
    results = sync_offline_runs(".runs", on_result=seen.append)
    assert [(r.path, r.ok, r.returncode, r.run_id, r.job_id, r.backend) for r in results] == [
        (paths[0], True, 0, "gamma", job_id, "wandb"),
        (paths[1], True, 0, "beta", job_id, "wandb"),
    ]
    assert all("Finished syncing" in r.stdout and r.stderr == "" for r in results)
    assert sorted(r.run_id for r in seen) == ["beta", "gamma"]
    assert find_offline_runs(".runs") == paths
    assert [r.state for r in sync_offline_runs(research.root)] == ["already synced"] * 2


def test_two_at_once_sync_once(research: Any, offline: Any, wandb_service: Any) -> None:
    (job_id,) = research.add("seed=0,condition=full")
    offline.put(job_id, "alpha0", FIRST)
    offline.put(job_id, "alpha5", SECOND)
    started = [
        research.start_aexp("sync-offline", "--json", env=wandb_service.environment)
        for _ in range(2)
    ]
    states = []
    for process in started:
        output, _ = process.communicate(timeout=60)
        assert process.returncode == 0, output
        states += [one["state"] for one in json.loads(output)]
    assert sorted(states) == ["already synced"] * 2 + ["synced"] * 2
    assert steps(wandb_service, "alpha") == list(range(10))
    assert len(wandb_service.runs["alpha"].history) == 10


def test_a_running_run_is_left_alone(
    research: Any, offline: Any, wandb_service: Any, wait_until: Any
) -> None:
    research.experiment("sleep 600")
    (job_id,) = research.add("seed=0,condition=full")
    env = wandb_service.environment
    owner = research.start_aexp("run-queued", job_id)
    wait_until(lambda: research.status(job_id) == "running")
    offline.put(job_id, "beta0")
    left = research.aexp("sync-offline", env=env)
    assert "1 running" in left.stdout
    assert "--running" in left.stderr
    assert wandb_service.runs == {}
    # Asked for, it is sent; but it is not all there is.
    assert "1 synced" in research.aexp("sync-offline", "--running", env=env).stdout
    assert offline.marks(job_id) == []
    owner.kill()
    owner.wait()
    # Its owner is dead, and whoever is dead writes nothing more.
    assert "1 would sync" in research.aexp("sync-offline", "--dry-run", env=env).stdout


def test_a_run_that_was_killed_while_it_wrote(
    research: Any, offline: Any, wandb_service: Any
) -> None:
    torn, empty = research.add("seed=0..1,condition=full")
    (log,) = offline.put(torn, "beta0").glob("*.wandb")
    log.write_bytes(log.read_bytes()[:-200])
    (log,) = offline.put(empty, "gamma0").glob("*.wandb")
    log.write_bytes(log.read_bytes()[:7])
    results = research.json("sync-offline", env=wandb_service.environment)
    assert [(one["run_id"], one["state"]) for one in results] == [("beta", "synced")]
    # All but the record that was being written; its end was not seen.
    assert steps(wandb_service, "beta")[:4] == [0, 1, 2, 3]
    assert wandb_service.runs["beta"].state == "failed"


TWO_ATTEMPTS = """
import sys
from pathlib import Path
from aexp.runs.series import SeriesWriter
from aexp.trackers import WandbAdapter

workspace, adapter = Path(sys.argv[1]), WandbAdapter()
for attempt, offline in ((1, True), (2, False)):
    handle = adapter.init_run(
        project="paper", group=None, tags=[], config={}, offline=offline, workspace=workspace,
        run_id=workspace.name, attempt=attempt,
    )
    writer = SeriesWriter(workspace / "series.jsonl", attempt)
    for step in range(3 * attempt - 3, 3 * attempt):
        writer.append({"loss": step}, step=step)
        adapter.log(handle, {"loss": step}, step=step)
    adapter.finish(handle)
"""


def test_a_later_attempt_was_online(research: Any, offline: Any, wandb_service: Any) -> None:
    ours, script = research.add("seed=0..1,condition=full")
    env = {**research.env, **wandb_service.environment}
    command = [sys.executable, "-c", TWO_ATTEMPTS, str(research.workspace(ours))]
    subprocess.run(command, env=env, check=True, capture_output=True)
    # The first attempt's rows went before the second's: the service numbers rows that come late.
    assert [row["loss"] for row in wandb_service.runs[ours].rows] == list(range(6))
    assert steps(wandb_service, ours) == list(range(6))
    # A script that opens W&B by itself has no rows with us.
    overtaken = offline.put(script, "beta0", FIRST)
    offline.put(script, "beta0", SECOND, online=True)
    wandb_service.requests.clear()
    done = research.aexp("sync-offline", env=wandb_service.environment, rc=1)
    assert "number these rows anew" in done.stdout
    assert f"wandb sync --id NEW-ID {overtaken}" in done.stderr
    assert "1 failed" in done.stdout
    assert "1 already synced" in done.stdout
    assert set(wandb_service.requests) <= {"Viewer"}
