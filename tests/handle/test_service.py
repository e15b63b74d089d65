"""The names of hosted services: how a started run ends, what is handed over and taken."""

import json
from pathlib import Path
from typing import Any

import pytest

# A run that was never queued is created again, not queued.
ENDS = {
    "run.succeed()": ("complete", None, 0),
    "run.fail('diverged', 'NaN')": ("failed", "diverged", 0),
    "run.preempted()": ("created", "preempted", 75),
    "raise ValueError('no')": ("failed", "exception", 1),
    "sys.exit(3)": ("failed", "unfinished", 3),
    "pass": ("failed", "unfinished", 0),
}


def test_how_a_started_run_ends(training: Any, research: Any) -> None:
    for number, (last, (status, cause, code)) in enumerate(ENDS.items()):
        done = training.by_hand(
            f"""
            run = aexp.start(experiment="E001", sp={{"seed": {number}}})
            assert run.start() is run is run.start(wandb_run_id="x", wandb_entity="e")
            assert run.attempt == 1 and aexp.current() is run
            run.log({{"loss": 0.5}}, step=1)
            print(run.id, flush=True)
            {last}
            """,
            rc=code,
        )
        document = research.doc(done.stdout.split()[0])
        attempt = document["aexp_run"]["attempts"][0]
        assert (document["status"], attempt["cause"]) == (status, cause), last
        assert document["tracker"]["run_id"] == "x"


def test_in_a_queued_run_start_only_notes(training: Any, research: Any) -> None:
    job_id = training.queued(
        "run = aexp.current().start(); assert run.attempt == 1; sys.exit(4)", rc=1
    )
    assert research.doc(job_id)["aexp_run"]["attempts"][0]["cause"] is None


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "out" / "checkpoint-1200"
    made.mkdir(parents=True)
    (made / "state.pt").write_bytes(b"state" * 1000)
    return made


def test_what_a_kill_cuts_short_is_taken_up(training: Any, research: Any, folder: Path) -> None:
    job_id = ""
    for code in (-9, 0):
        done = training.by_hand(
            f"""
            from pathlib import Path
            out = Path({str(folder.parent)!r})
            tracker = aexp.UploadTracker(out / "uploads.sqlite")
            run = aexp.start(experiment="E001", sp={{"seed": 0}}).start()
            print(run.id, flush=True)
            if {code}:
                number = tracker.begin(run.id, str(out / "gone-7"), "checkpoint", 7)
                run.upload_directory_async(out / "checkpoint-1200", upload_tracker=tracker)
                os.kill(os.getpid(), 9)
            (out / "checkpoint-1300").mkdir()
            (out / "checkpoint-1300" / "state.pt").write_text("later")
            pending = run.upload_directory_async(out / "checkpoint-1300", upload_tracker=tracker)
            assert pending.result()["step"] == 1300
            run.succeed()
            assert tracker.get_incomplete() == []
            """,
            rc=code,
        )
        job_id = done.stdout.split()[0]
        research.aexp("reconcile")
    assert "gone-7 was handed over by a process that is gone, and is lost" in done.stderr
    names = sorted(path.name for path in (research.workspace(job_id) / "checkpoints").glob("s*"))
    assert names == ["step-000001200", "step-000001300"]


def test_outputs_are_taken_whole_or_not_at_all(
    training: Any, research: Any, folder: Path, tmp_path: Path
) -> None:
    job_id = training.queued(
        f"""
        run = aexp.current()
        assert run.latest_output() is None
        pending = run.upload_directory_async({str(folder)!r}, asset_type="curves")
        assert pending.done() and pending.result()["asset_type"] == "curves"
        run.upload_asset("config", {{"lr": 1}})
        run.upload_directory_async({str(folder)!r})
        run.upload_directory_async({str(folder)!r}, asset_type="snapshot", metadata={{"a": 1}})
        assert run.latest_output()["step"] == 1200
        assert run.latest_output("snapshot")["metadata"] == {{"a": 1}}
        assert run.list_inputs() == []
        """
    )
    import aexp
    from aexp.errors import CheckpointDamaged, CheckpointNotFound

    run = aexp.run(job_id, repo_root=research.root)
    assert [row["asset_type"] for row in run.list_outputs("config")] == ["config"]
    for row in run.list_outputs(across_runs=True):
        taken = run.download_asset(row["id"], tmp_path / row["id"])
        names = {path.name for path in taken.iterdir()} - {"manifest.json"}
        assert names == {item["path"] for item in row["components"]}
    curves = run.latest_output("curves")
    assert curves is not None
    with pytest.raises(CheckpointNotFound):
        run.download_asset("as_0", tmp_path / "none")
    state = Path(curves["path"]) / "state.pt"
    state.chmod(0o644)
    state.write_bytes(b"other" * 1000)
    with pytest.raises(CheckpointDamaged):
        run.download_asset(curves["id"], tmp_path / "damaged")
    assert not list((tmp_path / "damaged").iterdir())
    index = research.workspace(job_id) / "assets" / "index.jsonl"
    rows = [json.loads(line) for line in index.read_text().splitlines()]
    rows[0]["components"][0]["path"] = "../../stolen"
    index.write_text("".join(json.dumps(row) + "\n" for row in rows))
    forged = run.latest_output("curves")
    assert forged is not None
    with pytest.raises(CheckpointDamaged, match="leaves"):
        run.download_asset(forged["id"], tmp_path / "damaged")
