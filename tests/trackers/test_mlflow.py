"""The adapter for MLflow: against a real server, a database and a folder, with the real SDK."""

import math
import os
import subprocess
import sys
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from aexp.errors import TrackerInitError
from aexp.trackers.conformance import check_adapter
from aexp.trackers.mlflow.adapter import MlflowAdapter

pytestmark = pytest.mark.xdist_group("mlflow")
ID = "0123456789abcdef0123456789abcdef"
LABELS = ["kind=experiment", "H001", "E001", "condition=full"]


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "1")
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)


def wanted(workspace: Path, project: str, **more: Any) -> dict[str, Any]:
    """Return what the run of this page is opened with."""
    workspace.mkdir(exist_ok=True)
    return {
        "project": project,
        "group": "H001/E001/full",
        "tags": LABELS,
        "config": {
            "lr": 0.1,
            "long": "x" * 9000,
            "job_id": ID,
            "aexp": {"experiment_id": "E001"},
            "frame": {"experiment_title": "Title"},
        },
        "notes": "# Title",
        "workspace": workspace,
        "run_id": ID,
        "name": "full-01234567",
        **more,
    }


@pytest.mark.usefixtures("_mlflow_server")  # which starts meanwhile
@pytest.mark.parametrize("uri", ["runs/mlflow", "sqlite:///runs/mlflow.db"])
def test_a_folder_and_a_database_below_the_repository(
    uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".git").mkdir()
    adapter = MlflowAdapter(uri)
    run = wanted(tmp_path / "w", "local")
    handle = adapter.init_run(**run)
    assert handle.url is None
    # In a folder one of these would exclude the other.
    adapter.log(handle, {"loss/val": 1, "loss": 2, "best": math.inf}, step=3)
    adapter.log_artifact(handle, "a/b.txt", __file__)
    adapter.finish(handle)
    handle = adapter.init_run(**run)
    adapter.log(handle, {"loss/val": 0.5, "loss": 1.5}, step=4)
    adapter.finish(handle, exit_code=1)
    monkeypatch.chdir(tmp_path)
    (record,) = adapter.list_runs(project="local", group_prefix="H001")
    assert record.state == "failed"
    assert record.summary["loss/val"] == 0.5
    assert record.summary["loss"] == 1.5
    assert record.summary["best"] > 1e308
    assert not (tmp_path / "mlruns").exists()
    assert [path.read_bytes() for path in tmp_path.glob("runs/**/a/b.txt")] == [
        Path(__file__).read_bytes()
    ]


def test_without_the_sdk_the_error_names_the_extra(tmp_path: Path) -> None:
    """And a folder that is called mlflow does not count as the SDK."""
    (tmp_path / "mlflow").mkdir()
    code = (
        "import sys; sys.meta_path.insert(0, type('No', (), {'find_spec': staticmethod("
        "lambda name, path=None, target=None: None)}));\n"
        "import importlib.machinery as m; real = m.PathFinder.find_spec\n"
        "m.PathFinder.find_spec = classmethod(lambda c, n, p=None, t=None: real("
        "n, ['.'] if n == 'mlflow' else p, t))\n"
        "from aexp.trackers import MlflowAdapter, TrackerInitError\n"
        "try: MlflowAdapter()\n"
        "except TrackerInitError as e: print(e.message, '|', e.hint)\n"
        "print('mlflow' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines() == [
        "MLflow is not installed | pip install 'aexp[mlflow]'",
        "False",
    ]


def test_one_run_across_attempts_on_a_server(mlflow_service: Any, tmp_path: Path) -> None:
    adapter = MlflowAdapter(mlflow_service.uri)
    run = wanted(tmp_path / "w", "attempts")
    first = adapter.init_run(**run)
    for step in range(1200):
        row = {"loss": 1 / (step + 1), "val": {"acc": step}, "odd:name%": 1, "text": "no"}
        adapter.log(first, {**row, "bad": "NaN" if step % 2 else math.inf}, step=step)
    (tmp_path / "w" / "model.bin").write_bytes(b"weights")
    adapter.log_artifact(first, "models/best.bin", tmp_path / "w" / "model.bin")
    adapter.log_artifact(first, "model.bin", tmp_path / "w" / "model.bin")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "a.txt").write_text("a")
    adapter.log_artifact(first, "plots", tmp_path / "folder")
    with pytest.raises(FileNotFoundError):
        adapter.log_artifact(first, "gone", tmp_path / "gone")
    adapter.finish(first, exit_code=-15)
    seen = mlflow_service.one("attempts")
    assert seen.status == "KILLED"
    # A second attempt in another process, whose notes have been edited meanwhile.
    again = {**run, "notes": "# Other", "config": {**run["config"], "lr": 0.2, "new": 1}}
    second = MlflowAdapter(mlflow_service.uri).init_run(**again)
    assert mlflow_service.one("attempts").status == "RUNNING"
    assert second.id == first.id == ID
    assert second.extra["mlflow_run_id"] == seen.id
    assert second.url == f"{mlflow_service.uri}/#/experiments/{seen.info['experiment_id']}" + (
        f"/runs/{seen.id}"
    )
    adapter.log(second, {"loss": 0.25}, step=1200)
    adapter.log(second, {"stepless": 1})
    adapter.log(second, {"stepless": 2})
    adapter.summarize(second, {"loss": 0.25, "best": 0.9, "stepless": 2, "text": "ok"})
    adapter.finish(second)
    done = mlflow_service.one("attempts")
    assert done.status == "FINISHED"
    loss = [(step, 1 / (step + 1)) for step in range(1200)]
    assert done.history("loss") == [*loss, (1200, 0.25)]
    assert done.history("stepless") == [(1201, 1.0), (1202, 2.0)]
    assert [step for step, _ in done.history("val.acc")] == list(range(1200))
    bad = [value for _, value in done.history("bad")]
    assert math.isnan(bad[1])
    assert bad[0] > 1e308  # what a database of MLflow's keeps for an infinity
    assert done.metrics["best"] == 0.9
    assert done.metrics["odd_name_"] == 1
    assert done.params["lr"] == "0.1"  # never changed
    assert done.params["new"] == "1"
    assert len(done.params["long"]) == 6000
    assert done.tags["mlflow.note.content"] == "# Other"
    assert done.tags["condition"] == "full"
    assert done.tags["aexp.run_id"] == ID
    assert done.info["run_name"] == "full-01234567"
    assert done.artifacts() == ["model.bin", "models", "plots"]
    assert done.artifacts("models") == ["models/best.bin"]
    assert done.artifacts("plots") == ["plots/a.txt"]
    # A folder that has forgotten MLflow's id finds the run by its tag.
    third = adapter.init_run(**{**run, "workspace": tmp_path})
    assert third.extra["mlflow_run_id"] == seen.id
    assert "MLFLOW_HTTP_REQUEST_MAX_RETRIES" not in os.environ


def test_runs_are_listed_by_the_beginning_of_their_group(
    mlflow_service: Any, tmp_path: Path
) -> None:
    adapter = MlflowAdapter(mlflow_service.uri)
    groups = ["H001/E001/full", "H001/E0012/full", "h001/E001/full", "H001/E001/a_%'\"`\\ü--x"]
    for number, group in enumerate(groups):
        handle = adapter.init_run(
            **{**wanted(tmp_path, "listed"), "run_id": f"{number:032d}", "group": group}
        )
        adapter.log(handle, {"n": number})
        adapter.finish(handle, exit_code=number % 2)

    def listed(prefix: str | None) -> list[str | None]:
        found = adapter.list_runs(project="listed", group_prefix=prefix)
        return [record.group for record in found]

    assert listed(None) == listed("") == groups
    assert listed("H001/E001/") == [groups[0], groups[3]]
    assert listed(groups[3]) == [groups[3]]
    assert listed("H001/E001/%") == listed("H001/E001/_") == listed("' OR 'a' = 'a") == []
    assert adapter.list_runs(project="there is none", group_prefix="H") == []
    record = adapter.list_runs(project="listed", group_prefix=groups[1])[0]
    assert record.id == f"{1:032d}"
    assert record.tags == LABELS
    assert record.state == "failed"
    assert record.summary == {"n": 1.0}
    assert record.created_at is not None
    assert abs(time.time() - _epoch(record.created_at)) < 600


def _epoch(stamp: str) -> float:
    from aexp.model import epoch

    return epoch(stamp)


@pytest.mark.parametrize("state", ["failing", "hanging", "closed"])
def test_a_server_that_is_away_is_given_up_in_time(
    state: str, way_to_mlflow: Any, tmp_path: Path
) -> None:
    way_to_mlflow.close() if state == "closed" else way_to_mlflow.change(state)
    began = time.monotonic()
    with pytest.raises(TrackerInitError) as raised:
        MlflowAdapter(way_to_mlflow.uri).init_run(**wanted(tmp_path, "away"))
    assert time.monotonic() - began < 8
    words = {"failing": "error", "hanging": "does not answer", "closed": "nothing listens"}
    assert words[state] in raised.value.message
    assert way_to_mlflow.uri in raised.value.message
    assert "aexp sync-offline" in str(raised.value.hint)


def test_offline_and_then_synced_once(mlflow_service: Any, tmp_path: Path) -> None:
    adapter = MlflowAdapter(mlflow_service.uri)
    run = wanted(tmp_path / "w", "offline")
    for attempt, code in ((0, -15), (1, 0)):
        handle = adapter.init_run(**run, offline=True)
        for step in range(attempt * 700, attempt * 700 + 700):
            row = {"loss": 1 / (step + 1), "loss/val": step, "bad": float("nan"), "up": "Infinity"}
            adapter.log(handle, row, step=step)
        adapter.log_artifact(handle, f"models/{attempt}.py", __file__)
        adapter.finish(handle, exit_code=code)
    found = adapter.find_offline(tmp_path / "w")
    assert [one.run_id for one in found] == [ID, ID]
    assert all(one.path.parent == tmp_path / "w" / "mlflow" for one in found)
    assert "offline" not in str(mlflow_service.call("experiments/search?max_results=100"))
    # The later one is synced first: it does not lose its status to the earlier one.
    assert adapter.sync(found[1], timeout_s=60).ok
    result = adapter.sync(found[0], timeout_s=60)
    assert result.ok
    assert result.url is not None
    seen = mlflow_service.one("offline")
    assert seen.id in result.url
    assert seen.status == "FINISHED"
    before = {key: seen.history(key) for key in ("loss", "loss/val", "up")}
    assert before["loss"] == [(step, 1 / (step + 1)) for step in range(1400)]
    assert [step for step, _ in before["loss/val"]] == list(range(1400))
    assert len(seen.history("bad")) == 1400
    assert seen.params["lr"] == "0.1"
    assert seen.tags["aexp.group"] == "H001/E001/full"
    assert not any(key.startswith("aexp.metric.") for key in seen.tags)
    assert seen.artifacts("models") == ["models/0.py", "models/1.py"]
    for one in found:  # as after a sync that was killed before it could say that it was done
        assert adapter.sync(one, timeout_s=60).ok
    again = mlflow_service.one("offline")
    assert {key: again.history(key) for key in before} == before
    # A third attempt has a folder of its own: what was synced stays as it is.
    adapter.finish(adapter.init_run(**run, offline=True))
    assert len(adapter.find_offline(tmp_path / "w")) == 3


def test_a_server_that_goes_away_gets_the_rest_by_a_sync(
    mlflow_service: Any, way_to_mlflow: Any, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    adapter = MlflowAdapter(way_to_mlflow.uri)
    handle = adapter.init_run(**wanted(tmp_path, "cut"))
    adapter.log(handle, {"loss": 1}, step=0)
    adapter.flush(handle)
    way_to_mlflow.change("hanging")
    began = time.monotonic()
    for step in range(1, 3000):
        adapter.log(handle, {"loss": 1 / (step + 1)}, step=step)
    adapter.summarize(handle, {"loss": 1 / 3000, "best": 0.5})
    adapter.finish(handle)
    assert time.monotonic() - began < 15
    assert "does not answer" in handle.extra["went_offline"]
    assert "aexp sync-offline" in capfd.readouterr().err
    assert mlflow_service.one("cut").status == "RUNNING"
    (found,) = adapter.find_offline(tmp_path)
    failed = adapter.sync(found, timeout_s=4)
    assert not failed.ok
    assert "does not answer" in failed.stderr
    way_to_mlflow.change("open")
    assert adapter.sync(found, timeout_s=60).ok
    seen = mlflow_service.one("cut")
    assert seen.status == "FINISHED"
    assert seen.history("loss") == [(step, 1 / (step + 1)) for step in range(3000)]
    assert seen.metrics["best"] == 0.5


def test_an_artifact_that_is_refused_costs_only_itself(
    mlflow_service: Any, way_to_mlflow: Any, tmp_path: Path
) -> None:
    adapter = MlflowAdapter(way_to_mlflow.uri)
    handle = adapter.init_run(**wanted(tmp_path, "refused"))
    way_to_mlflow.change("failing")
    adapter.log_artifact(handle, "late/file.py", __file__)
    way_to_mlflow.change("open")
    adapter.log(handle, {"loss": 1}, step=0)
    # While a run is open online, a mark tells of it: a kill would leave it behind.
    assert len(adapter.find_offline(tmp_path)) == 2
    adapter.finish(handle)
    seen = mlflow_service.one("refused")
    assert seen.status == "FINISHED"
    assert seen.history("loss") == [(0, 1.0)]
    assert seen.artifacts() == []
    (found,) = adapter.find_offline(tmp_path)
    assert adapter.sync(found, timeout_s=60).ok
    seen = mlflow_service.one("refused")
    assert (seen.artifacts("late"), seen.status) == (["late/file.py"], "FINISHED")


def test_a_sync_that_is_cut_anywhere_is_simply_done_again(
    mlflow_service: Any, way_to_mlflow: Any, tmp_path: Path
) -> None:
    adapter = MlflowAdapter(way_to_mlflow.uri)
    handle = adapter.init_run(**wanted(tmp_path, "again"), offline=True)
    for step in range(2500):
        adapter.log(handle, {"a": step, "b": -step}, step=step)
    adapter.finish(handle)
    (found,) = adapter.find_offline(tmp_path)
    import threading

    cut = threading.Event()

    def watch() -> None:
        while not cut.is_set():
            try:
                if mlflow_service.one("again").metrics:
                    way_to_mlflow.change("failing")
                    return
            except (OSError, ValueError):
                continue

    watcher = threading.Thread(target=watch)
    watcher.start()
    first = adapter.sync(found, timeout_s=60)
    cut.set()
    watcher.join()
    way_to_mlflow.change("open")
    assert adapter.sync(found, timeout_s=60).ok
    assert first.ok or "aexp sync-offline" in first.hint
    seen = mlflow_service.one("again")
    for key in "ab":
        assert max(Counter(step for step, _ in seen.history(key)).values()) == 1
        assert len(seen.history(key)) == 2500


def test_what_cannot_be_opened_says_what_to_do(
    mlflow_service: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(TrackerInitError, match="nothing says where MLflow is") as raised:
        MlflowAdapter().init_run(**wanted(tmp_path, "p"))
    assert "MLFLOW_TRACKING_URI" in str(raised.value.hint)
    with pytest.raises(TrackerInitError, match="needs the run's folder"):
        MlflowAdapter().init_run(project="p", offline=True)
    with pytest.raises(TrackerInitError, match="cannot be the id"):
        MlflowAdapter("x").init_run(**{**wanted(tmp_path, "p"), "run_id": "a' OR 'b"})
    monkeypatch.setenv("MLFLOW_TRACKING_URI", mlflow_service.uri)
    adapter = MlflowAdapter()
    handle = adapter.init_run(**wanted(tmp_path, "deleted"))
    experiment = handle.extra["opened"].experiment
    mlflow_service.call("experiments/delete", {"experiment_id": experiment})
    with pytest.raises(TrackerInitError, match="has been deleted"):
        adapter.init_run(**wanted(tmp_path, "deleted"))
    # A workspace that somebody has prepared does not lead out of itself.
    outside = tmp_path / "outside" / "mlflow" / "x"
    outside.mkdir(parents=True)
    (outside / "aexp.json").write_text('{"run_id": "x"}')
    (tmp_path / "w").mkdir()
    (tmp_path / "w" / "mlflow").symlink_to(tmp_path / "outside" / "mlflow")
    assert adapter.find_offline(tmp_path / "w") == []


def test_it_keeps_the_contract(mlflow_service: Any, tmp_path: Path) -> None:
    for online in (False, True):
        folder = tmp_path / str(online)
        folder.mkdir()
        results = check_adapter(lambda: MlflowAdapter(mlflow_service.uri), folder, online=online)
        assert [result for result in results if not result.ok] == []


def test_runs_that_begin_at_once_make_one_experiment(mlflow_service: Any, tmp_path: Path) -> None:
    for uri in (mlflow_service.uri, str(tmp_path / "runs")):

        def begin(number: int, uri: str = uri) -> str:
            run = {**wanted(tmp_path, "at once"), "run_id": f"run-{number}", "workspace": None}
            return str(MlflowAdapter(uri).init_run(**run).extra["opened"].experiment)

        with ThreadPoolExecutor(8) as pool:
            assert len(set(pool.map(begin, range(16)))) == 1
        assert len(MlflowAdapter(uri).list_runs(project="at once")) == 16


def test_a_password_in_the_address_is_written_nowhere(mlflow_service: Any, tmp_path: Path) -> None:
    uri = mlflow_service.uri.replace("//", "//somebody:hunter2@")
    adapter = MlflowAdapter(uri)
    handle = adapter.init_run(**wanted(tmp_path, "password"))
    assert handle.url is not None
    assert "hunter2" not in handle.url
    adapter.finish(adapter.init_run(**wanted(tmp_path, "password"), offline=True))
    with pytest.raises(TrackerInitError) as raised:
        MlflowAdapter("http://somebody:hunter2@127.0.0.1:9").init_run(**wanted(tmp_path, "no"))
    assert "hunter2" not in raised.value.message
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert files
    assert not any(b"hunter2" in path.read_bytes() for path in files)
