"""The noop adapter's log, the contract's helper, and the conformance suite on both."""

import json
import math
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aexp.trackers import NoopAdapter, RunHandle, TrackerAdapter, TrackerInitError, get_adapter
from aexp.trackers.conformance import check_adapter
from aexp.trackers.contract import call_supported
from aexp.trackers.cursor import Cursor

STAMP = re.compile(r'^\{"timestamp": "\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", ')


def lines(path: Path) -> list[str]:
    """Return a log's lines without their times."""
    found = path.read_text().splitlines()
    assert all(STAMP.match(line) for line in found)
    return ["{" + STAMP.sub("", line) for line in found]


def test_the_event_log_byte_for_byte(tmp_path: Path) -> None:
    adapter = NoopAdapter(log_root=tmp_path)
    handle = adapter.init_run(
        project="p1", group="H001/E001/full", tags=["a"], config={"seed": 0}, notes="# x"
    )
    assert re.fullmatch("[0-9a-f]{12}", handle.id)
    assert (handle.backend, handle.url, handle.project) == ("noop", None, "p1")
    adapter.log(handle, {"loss": 0.1})
    adapter.log(handle, {"loss": math.nan, "n": 2}, step=3)
    out = tmp_path / "out.bin"
    out.write_bytes(b"x" * 1234)
    adapter.log_artifact(handle, "out", out)
    adapter.finish(handle)
    adapter.finish(handle, exit_code=3)
    assert lines(tmp_path / handle.id / "events.jsonl") == [
        '{"event": "init_run", "project": "p1", "group": "H001/E001/full", "tags": ["a"], '
        '"config": {"seed": 0}, "notes": "# x", "offline": false}',
        '{"event": "log", "metrics": {"loss": 0.1}}',
        '{"event": "log", "metrics": {"loss": "NaN", "n": 2}, "step": 3}',
        f'{{"event": "log_artifact", "name": "out", "path": "{out}", "size_bytes": 1234}}',
        '{"event": "finish", "exit_code": 0}',
        '{"event": "finish", "exit_code": 3}',
    ]
    (record,) = adapter.list_runs(project="p1", group_prefix="H001/")
    assert (record.id, record.state, record.tags) == (handle.id, "failed", ["a"])
    assert record.summary == {"loss": "NaN", "n": 2}
    assert adapter.list_runs(project="p2") == []


def test_the_log_lies_in_the_run_s_folder_and_nowhere_else(tmp_path: Path) -> None:
    frame: dict[str, Any] = {"project": None, "group": None, "tags": [], "config": {}}
    handle = NoopAdapter().init_run(**frame, workspace=tmp_path, run_id="abc")
    assert (tmp_path / "tracker_log" / "abc" / "events.jsonl").exists()
    assert handle.id == "abc"
    for bad in ("../x", "", ".hidden", "a/b", "a\n"):
        with pytest.raises(TrackerInitError):
            NoopAdapter().init_run(**frame, workspace=tmp_path, run_id=bad)
    with pytest.raises(TrackerInitError, match="no folder"):
        NoopAdapter().init_run(**frame)


def test_noop_keeps_the_contract(tmp_path: Path) -> None:
    results = check_adapter(NoopAdapter, tmp_path, online=True)
    assert [result for result in results if not result.ok] == []
    assert len(results) == 16


class Seed(TrackerAdapter):
    """An adapter with the seed's signatures; `fault` is what it does wrong."""

    name = "seed"
    fault = ""

    def init_run(  # type: ignore[override]
        self, *, project: Any, group: Any, tags: Any, config: Any, notes: Any, offline: Any
    ) -> Any:
        if self.fault == "handle":
            return {"id": "x"}
        if self.fault == "places":
            Path("left-behind").touch()
        return RunHandle(str(len(tags)), "other" if self.fault == "backend" else "seed")

    def log(self, handle: RunHandle, metrics: Any) -> None:  # type: ignore[override]
        if self.fault == "nan" and any(value != value for value in metrics.values()):
            raise ValueError("not a number")

    def log_artifact(self, handle: RunHandle, name: str, path: Any) -> None:
        Path(path).stat()

    def finish(self, handle: RunHandle, *, exit_code: int = 0) -> None:
        return None

    def list_runs(self, *, project: Any, group_prefix: Any = None) -> list[Any]:
        return [{}]


@pytest.mark.parametrize(
    ("fault", "failed"),
    [
        ("", []),
        ("handle", ["init_run opens a run and returns its handle"]),
        ("backend", ["init_run opens a run and returns its handle"]),
        ("nan", ["log takes NaN and infinities"]),
        ("places", ["all local files lie in the run's folder"]),
    ],
)
def test_the_suite_finds_what_breaks_the_contract(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: str, failed: list[str]
) -> None:
    (tmp_path / "here").mkdir()
    (tmp_path / "run").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    kind = type("Faulty", (Seed,), {"fault": fault})
    results = check_adapter(kind, tmp_path / "run")
    assert [result.name for result in results if not result.ok] == failed
    if not failed:
        *_, listed = check_adapter(kind, tmp_path / "run", online=True)
        assert listed.message == "it returned something else than RunRecords"


def test_a_method_gets_the_keywords_it_takes() -> None:
    assert call_supported(lambda: 1, step=2) == 1
    assert call_supported(lambda x, *, step: (x, step), 1, step=2, more=3) == (1, 2)
    assert call_supported(lambda **all: all, step=2, more=3) == {"step": 2, "more": 3}
    assert call_supported(dict, {"a": 1}) == {"a": 1}


def test_adapters_are_found_by_name() -> None:
    assert get_adapter("noop", log_root="x").log_root == Path("x")  # type: ignore[attr-defined]
    with pytest.raises(Exception, match="no tracker is called nope") as caught:
        get_adapter("nope")
    assert "one of: mlflow, noop, wandb" in caught.value.hint  # type: ignore[attr-defined]
    with pytest.raises(Exception, match="has no option entity"):
        get_adapter("noop", entity="x")


@given(
    attempts=st.lists(
        st.lists(st.one_of(st.none(), st.integers(0, 20)), max_size=8), min_size=1, max_size=4
    ),
    kill_at=st.integers(0, 40),
)
def test_the_cursor_lets_each_step_pass_once(
    tmp_path_factory: pytest.TempPathFactory, attempts: list[list[int | None]], kill_at: int
) -> None:
    """Whatever the attempts log, and wherever the follower is killed and begins again."""
    from aexp.paths import Repo
    from aexp.runs.series import Row

    repo = Repo(tmp_path_factory.mktemp("cursor"))
    job_id, sent, seen = "0" * 32, [], 0
    for number, steps in enumerate(attempts, 1):
        cursor = Cursor(repo, job_id, "noop:x", number)
        before = {step for _, step in sent if step is not None}
        highest = max(before, default=-1)
        for step in steps:
            seen += 1
            if cursor.new_of(Row(number, step, None, {}), {"loss": 1}):
                sent.append((number, step))
                assert step is None or step > highest
            else:
                assert step is not None
                assert step <= highest
            cursor.save()
            if seen == kill_at:
                cursor = Cursor(repo, job_id, "noop:x", number)
    text = (Path(repo.run_dir(job_id)) / "tracker" / "cursor.json").read_text() if seen else "{}"
    assert json.loads(text) is not None
    another = Cursor(repo, job_id, "noop:another", 1)
    assert another.new_of(Row(1, 0, None, {}), {"loss": 1}) == {"loss": 1}


def test_a_step_that_was_logged_in_part_is_completed(tmp_path: Path) -> None:
    from aexp.paths import Repo
    from aexp.runs.series import Row

    repo, job_id = Repo(tmp_path), "0" * 32
    first = Cursor(repo, job_id, "noop:x", 1)
    many = {f"layer.{number}.gradient": 0.5 for number in range(400)}
    for step in range(3):
        assert first.new_of(Row(1, step, None, {}), {"loss": 1, **many}) == {"loss": 1, **many}
        first.save()
    first.save()
    # Killed before it had evaluated step 2; the next one begins again at step 1.
    second = Cursor(repo, job_id, "noop:x", 2)
    assert second.new_of(Row(2, 1, None, {}), {"loss": 1, **many}) == {}
    assert second.new_of(Row(2, 2, None, {}), {"loss": 1, "accuracy": 0.9}) == {"accuracy": 0.9}
    assert second.new_of(Row(2, 3, None, {}), {"loss": 1}) == {"loss": 1}
    second.raise_to(10)
    assert second.new_of(Row(2, 9, None, {}), {"other": 1}) == {}
    second.save()
    assert Cursor(repo, job_id, "noop:x", 2).new_of(Row(2, 9, None, {}), {"other": 1}) == {}
