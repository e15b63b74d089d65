"""The newest, the best, those of a variation; where training came from."""

import json
import math
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import aexp
from aexp.runs.variation import runs_of_variation, variation_key, variation_of


def test_the_newest_is_the_one_of_the_highest_step(run: Any, save: Callable[..., Any]) -> None:
    assert run.latest_checkpoint() is None
    assert run.restore() is None
    assert run.best_checkpoint("loss") is None
    for step in (10, 200, 3):
        save(run, step)
    assert run.latest_checkpoint().step == 200
    assert run.latest_checkpoint(before_step=200).step == 10
    assert run.latest_checkpoint(before_step=3) is None
    assert [item.step for item in run.checkpoints()] == [200, 10, 3]


def test_the_best(run: Any, save: Callable[..., Any]) -> None:
    values = {1: 0.5, 2: 0.1, 3: math.nan, 4: 0.1, 5: math.inf, 6: 0.9}
    for step, value in values.items():
        save(run, step, metrics={"loss": value, "val": {"acc": step}})
    save(run, 7)
    assert run.best_checkpoint("loss").step == 4, "of equal ones the newest"
    assert run.best_checkpoint("loss", "max").step == 5
    assert run.best_checkpoint("val.acc", mode="max").step == 6
    with pytest.raises(aexp.CheckpointError, match="acc") as caught:
        run.best_checkpoint("acc")
    assert "loss" in str(caught.value.hint)
    for wrong in ({"mode": "best"}, {"scope": "all"}, {"verify": "yes"}):
        with pytest.raises(aexp.AexpError, match="is no"):
            run.best_checkpoint("loss", **wrong)


def test_variations_leave_out_seed_repeat_and_code(repo: Any, begin: Callable[..., Any]) -> None:
    point = {"experiment_id": "E001", "lr": 0.1, "seed": 1, "repeat": 2, "code_commit": "abc"}
    same = {"lr": 0.1, "experiment_id": "E001", "seed": 5, "code_dirty": True}
    assert variation_key(point) == variation_key(same)
    assert variation_key(point) != variation_key({**point, "lr": 0.2})
    assert variation_key({**point, "workers": 3}, ["workers"]) == variation_key(point)


def test_going_on_from_another_run_of_the_variation(
    research: Any, begin: Callable[..., Any], end: Callable[..., None], save: Callable[..., Any]
) -> None:
    research.experiment("true", more="variation_ignore: [workers]\n")
    first = begin("seed=0 lr=0.1")
    theirs = save(first, 30, metrics={"loss": 0.1})
    end(first, "complete")
    other = begin("seed=0 lr=0.2")
    save(other, 99)
    end(other, "complete")
    second = begin("seed=1 lr=0.1 workers=4")
    assert second.restore() is None, "its own only, unless it is asked for"
    assert second.latest_checkpoint() is None
    assert second.latest_checkpoint(scope="variation") == theirs
    assert second.best_checkpoint("loss", scope="variation") == theirs
    assert second.restore(scope="variation") == theirs
    (source,) = second.inputs()
    assert (source["role"], source["id"], source["job"]) == ("resume", theirs.id, first.id)
    record = second.repo.run_file(second.id, "signac_job_document.json")
    attempt = json.loads(Path(record).read_text())["aexp_run"]["attempts"][-1]
    assert (attempt["resumed_from"], attempt["resumed_run"]) == (theirs.id, first.id)
    mine = save(second, 31)
    assert mine.manifest.resumed_from == theirs.id
    assert mine.manifest.variation == theirs.manifest.variation
    assert {row["id"] for row in second.outputs(scope="variation")} == {theirs.id, mine.id}
    assert [row["id"] for row in second.outputs()] == [mine.id]
    end(second, "complete")
    entry = json.loads((research.root / ".aexp" / "ledger" / f"{second.id}.json").read_text())
    told = entry["attempts"][-1]
    assert (told["resumed_from"], told["resumed_run"]) == (theirs.id, first.id)


def test_attempts_are_a_chain(
    run: Any, begin: Callable[..., Any], end: Callable[..., None], save: Callable[..., Any]
) -> None:
    first = save(run, 1)
    save(run, 2)
    back = run.restore(first)
    assert (back, run.inputs()) == (first, []), "going back within an attempt is no lineage"
    end(run)
    again = begin(job_id=run.id)
    resumed = again.restore()
    assert resumed.step == 2
    third = save(again, 3)
    assert (third.manifest.parent, third.manifest.resumed_from) == (resumed.id, resumed.id)
    end(again)
    last = begin(job_id=run.id)
    assert last.restore() == third
    assert [(row["attempt"], row["step"]) for row in last.inputs()] == [(2, 2), (3, 3)]


def test_the_store_is_read_once_for_a_variation(
    research: Any, repo: Any, begin: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs = research.add("seed=1..3,lr=0.1|0.2")
    for job_id in jobs[:3]:  # as an earlier version of aexp has left them
        path = Path(repo.run_file(job_id, "signac_job_document.json"))
        document = json.loads(path.read_text())
        del document["aexp_run"]["variation"]
        path.write_text(json.dumps(document))
    key = variation_of(repo, jobs[0])
    assert json.loads(path.read_text())["aexp_run"].get("variation") is None
    found = runs_of_variation(repo, key)
    assert len(found) == 3
    assert jobs[0] in found
    monkeypatch.delattr("aexp.runs.variation.read_object")  # nothing is read any more
    assert runs_of_variation(repo, key) == found


def test_assets_of_any_kind(run: Any, save: Callable[..., Any], tmp_path: Path) -> None:
    (tmp_path / "plots" / "deep").mkdir(parents=True)
    (tmp_path / "plots" / "deep" / "a.png").write_bytes(b"png")
    (tmp_path / "preds.csv").write_bytes(b"1,2\n" * 1000)
    run.log_asset("config", {"layers": 3}, config={"schema": 1}, metadata={"by": "me"})
    table = run.log_asset("predictions", path=tmp_path / "preds.csv", metadata={"split": "test"})
    plots = run.log_asset("plots", path=tmp_path / "plots")
    assert run.log_asset("plots", path=tmp_path / "plots") == plots, "kept once"
    (tmp_path / "preds.csv").write_bytes(b"changed")
    assert (run.workspace / table["path"]).read_bytes() == b"1,2\n" * 1000
    assert table["path"].endswith(".csv")
    assert (run.workspace / plots["path"] / "deep" / "a.png").read_bytes() == b"png"
    saved = save(run, 1)
    outputs = run.outputs()
    assert {row["asset_type"] for row in outputs} == {
        "config",
        "predictions",
        "plots",
        "checkpoint",
    }
    assert all(row["state"] == "ready" and Path(row["path"]).exists() for row in outputs)
    assert len({row["id"] for row in outputs}) == 4
    (row,) = run.outputs("plots")
    assert [part["path"] for part in row["components"]] == ["deep/a.png"]
    (row,) = run.outputs("predictions")
    assert (row["metadata"], row["size"]) == ({"split": "test"}, 4000)
    (row,) = run.outputs("checkpoint")
    assert (row["id"], row["step"]) == (saved.id, 1)
    with pytest.raises(aexp.AexpError, match="is not there"):
        run.log_asset("x", path=tmp_path / "absent")
    (tmp_path / "link").symlink_to(tmp_path / "preds.csv")
    left = [path.name for path in (run.workspace / "assets").iterdir() if path.name[0] == "."]
    assert left == []


def test_a_training_script_that_is_killed_and_queued_again(research: Any) -> None:
    """The tutorial's loop as a queued run, with everything else around it."""
    script = research.root / "train.py"
    script.write_text(
        textwrap.dedent("""
        import os, signal, aexp
        run = aexp.current()
        resumed = run.restore()
        step = resumed.step + 1 if resumed else 0
        weights = float((resumed / "w.txt").read_text()) if resumed else 1.0
        while step < 12:
            weights = weights * 0.9 + step
            run.log({"weights": weights}, step=step)
            with run.checkpoint(step, metrics={"loss": weights}, background=True) as folder:
                (folder / "w.txt").write_text(repr(weights))
            if step == 3 and run.attempt == 1:
                run.wait_for_saves()
                os.kill(os.getpid(), signal.SIGKILL)
            if step == 8 and run.attempt == 2:
                raise SystemExit(1)
            step += 1
        run.summary["final"] = weights
        run.succeed()
        """)
    )
    research.experiment(f"{sys.executable} {script}")
    job_id = research.one("seed=0", "--retries", "3")
    research.aexp("run-queued", job_id, rc=75)  # killed: it is queued again
    research.aexp("run-queued", job_id)
    weights = 1.0
    for step in range(12):
        weights = weights * 0.9 + step
    entry = json.loads((research.root / ".aexp" / "ledger" / f"{job_id}.json").read_text())
    assert entry["status"] == "complete"
    assert entry["metrics"]["final"] == weights, "as if nothing had happened"
    assert len(entry["attempts"]) == 3
    assert [bool(item.get("resumed_from")) for item in entry["attempts"]] == [False, True, True]
    rows = (research.workspace(job_id) / "series.jsonl").read_text().splitlines()
    assert [json.loads(row)["step"] for row in rows] == list(range(12)), "no step is done twice"
    ignored = subprocess.run(
        ["git", "status", "--porcelain", "-uall"], cwd=research.root, capture_output=True, text=True
    )
    assert "checkpoints/" not in ignored.stdout
    assert ".aexp/objects" not in ignored.stdout
