"""How far a run is: read from files that its code writes, cheaply, and whatever they hold."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aexp.model import Run
from aexp.paths import Repo
from aexp.runs.progress import (
    Progress,
    facts_of,
    first_remaining_s,
    progress_facts,
    read_progress,
    remaining_s,
    run_progress,
)
from aexp.runs.series import SeriesWriter

JOB = "0" * 32
BEGAN = 1_790_000_000.0
STAMP = "2026-09-21T14:13:20Z"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("store")
    made = root / ".runs" / "workspace" / JOB
    made.mkdir(parents=True)
    return made


@pytest.fixture
def place(folder: Path) -> Path:
    for path in folder.iterdir():
        path.unlink()
    return folder


def repo_of(place: Path) -> Repo:
    return Repo(place.parents[2])


def running(attempts: int = 1, status: str = "running") -> Run:
    made = [
        {"attempt": number + 1, "status": "running", "started_at": STAMP}
        for number in range(attempts)
    ]
    return Run(JOB, {}, {"status": status, "aexp_run": {"attempts": made}})


def say(place: Path, **content: Any) -> None:
    (place / "progress.json").write_text(json.dumps(content))


def test_nothing_is_known_of_a_silent_run(place: Path) -> None:
    assert read_progress(repo_of(place), JOB) == Progress()
    assert run_progress(repo_of(place), running()) == Progress()


def test_a_run_that_is_not_running_is_not_looked_at(place: Path) -> None:
    say(place, fraction=0.5, at=BEGAN)
    assert progress_facts(repo_of(place), running(status="complete")) is None


def test_what_the_code_has_said(place: Path) -> None:
    say(place, fraction=None, step=30, total=120, message="epoch 3", at=BEGAN + 60)
    writer = SeriesWriter(str(place / "series.jsonl"), 1)
    writer.append({"loss": 2.0, "val": {"acc": 0.5}}, step=28)
    writer.append({"loss": 1.0, "note": "text"}, step=30)
    assert progress_facts(repo_of(place), running()) == {
        "fraction": 0.25,
        "step": 30,
        "total": 120,
        "message": "epoch 3",
        "at": "2026-09-21T14:14:20Z",
        "eta_s": 180.0,
        "metrics": {"loss": 1.0, "val.acc": 0.5},
    }


def test_the_step_may_come_from_the_rows(place: Path) -> None:
    writer = SeriesWriter(str(place / "series.jsonl"), 1)
    writer.append({"loss": 2.0}, step=28)
    assert read_progress(repo_of(place), JOB).step == 28
    say(place, total=56)
    assert read_progress(repo_of(place), JOB).fraction == 0.5


def test_what_an_earlier_attempt_left_is_not_shown(place: Path) -> None:
    say(place, fraction=0.9, at=BEGAN - 60)
    SeriesWriter(str(place / "series.jsonl"), 1).append({"loss": 2.0}, step=28)
    assert run_progress(repo_of(place), running(attempts=2)) == Progress()
    SeriesWriter(str(place / "series.jsonl"), 2).append({"loss": 9.0}, step=1)
    say(place, fraction=0.1, at=BEGAN + 10)
    seen = run_progress(repo_of(place), running(attempts=2))
    assert seen is not None
    assert (seen.fraction, seen.metrics) == (0.1, {"loss": 9.0})
    # It may have begun where the first attempt was: nothing is known about its pace.
    assert first_remaining_s(running(attempts=2), seen) is None
    assert remaining_s(seen, BEGAN, 0.05) == pytest.approx(180)


def test_the_end_of_a_long_series_is_enough(place: Path) -> None:
    writer = SeriesWriter(str(place / "series.jsonl"), 1)
    writer.append({"early": 1}, step=0)
    for step in range(5000):
        writer.append({"loss": step / 2}, step=step)
    seen = read_progress(repo_of(place), JOB, attempt=1)
    assert (seen.step, seen.metrics) == (4999, {"loss": 2499.5})
    # One row that is longer than what is read at first.
    writer.append({f"layer{number}": number for number in range(9000)}, step=5000)
    assert len(read_progress(repo_of(place), JOB, attempt=1).metrics) >= 9000


@pytest.mark.parametrize(
    ("text", "metrics", "step"),
    [
        ('{"loss": 0.5}', {"loss": 0.5}, None),
        (
            '{\n  "loss": 0.5,\n  "val": {\n    "acc": 1\n  }\n}\n',
            {"loss": 0.5, "val.acc": 1},
            None,
        ),
        ('{"step": 1, "loss": 4}\n{"step": 2, "loss": NaN}\n', {"loss": "NaN"}, 2),
        ('{"step": 1, "loss": 4}\n{"step": 2, "lo', {"loss": 4}, 1),
        ("nonsense", {"lr": 0.1}, 7),
    ],
)
def test_the_plain_file_wins_over_the_series(
    place: Path, text: str, metrics: dict[str, Any], step: int | None
) -> None:
    SeriesWriter(str(place / "series.jsonl"), 1).append({"lr": 0.1}, step=7)
    (place / "metrics.json").write_text(text)
    seen = read_progress(repo_of(place), JOB, attempt=1)
    assert seen.metrics == {"lr": 0.1, **metrics}
    assert seen.step == (7 if step is None else step)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=10,
)
SAID = st.fixed_dictionaries(
    {}, optional={name: JSON for name in ("fraction", "step", "total", "message", "at", "x")}
)
LINES = st.lists(JSON.map(json.dumps).map(str.encode) | st.binary(max_size=40), max_size=4)


@given(said=SAID.map(json.dumps).map(str.encode) | st.binary(), series=LINES, flat=LINES)
def test_whatever_the_files_hold(
    folder: Path, said: bytes, series: list[bytes], flat: list[bytes]
) -> None:
    (folder / "progress.json").write_bytes(said)
    (folder / "series.jsonl").write_bytes(b"\n".join(series))
    (folder / "metrics.json").write_bytes(b"\n".join(flat))
    seen = read_progress(repo_of(folder), JOB, attempt=1, since=BEGAN)
    assert seen.fraction is None or 0 <= seen.fraction <= 1
    assert all(not isinstance(value, dict | list) for value in seen.metrics.values())
    facts = facts_of(seen, remaining_s(seen, BEGAN))
    json.dumps(facts, ensure_ascii=False, allow_nan=False).encode()  # it can be printed
