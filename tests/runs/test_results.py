"""The final numbers of an attempt, from series, metrics file and summary."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aexp.ledger.projection import flat_numbers, nested
from aexp.paths import Repo
from aexp.runs import results
from aexp.runs.results import AttemptNumbers
from aexp.runs.series import SeriesWriter

NAMES = st.text("ab.", min_size=1, max_size=5).filter(
    lambda name: ".." not in name and name[0] != "." and name[-1] != "."
)
NUMBERS = st.integers(-5, 5) | st.booleans() | st.floats(-1, 1)


@given(st.dictionaries(NAMES, NUMBERS, max_size=8))
def test_names_with_dots_become_objects_and_names_again(flat: dict[str, Any]) -> None:
    made = nested(flat)
    assert flat_numbers(made) == flat

    def check(value: dict[str, Any]) -> None:
        for key, item in value.items():
            assert "." not in key
            if isinstance(item, dict):
                check(item)

    check(made)


@pytest.fixture
def numbers(research: Any) -> Any:
    """Collect the numbers of a run's second attempt; its first has logged already."""
    job_id = research.one()
    folder = research.workspace(job_id)
    earlier = SeriesWriter(str(folder / "series.jsonl"), 1)
    earlier.append({"old": 1, "loss": 9})
    with (folder / "series.jsonl").open("a") as file:
        file.write('{"attempt":1,"step":3')  # it was killed
    collected = AttemptNumbers(Repo(research.root), job_id, 2)
    return folder, collected, SeriesWriter(str(folder / "series.jsonl"), 2), earlier


def test_looks_now_and_then_give_what_one_look_gives(numbers: Any) -> None:
    folder, collected, writer, earlier = numbers
    metrics = folder / "metrics.json"
    for step in range(100):
        writer.append({"loss": step, "val": {"acc": step / 2}, f"k{step % 7}": step}, step=step)
        earlier.append({"loss": -1, "old": 2})  # a process that has outlived the first attempt
        writer.append({"text": "x", "loss": None} if step == 99 else {"val.f1": step})
        with metrics.open("a") as file:
            file.write(json.dumps({"file": step, "step": step}) + "\n")
        if step % 10 == 0:
            collected.look()
    with metrics.open("a") as file:
        file.write('{"file": 100, "last": true}')  # without a newline
    found, problems = collected.finish()
    assert problems == []
    assert flat_numbers(found) == {
        "loss": 99,
        "val.acc": 49.5,
        "val.f1": 98,
        **{f"k{step % 7}": step for step in range(93, 100)},
        "file": 100,
        "last": True,
    }


FILES = [
    ("", None, None),
    (" \n", None, None),
    ('{"a": 1}', {"a": 1}, None),
    ('{"a": 1, "step": 4}\n', {"a": 1, "step": 4}, None),
    ('{\n "a": {"b": NaN, "t": "x"},\n "c.d": 2\n}\n', {"a": {"b": "NaN"}, "c": {"d": 2}}, None),
    ('{"a": 1, "step": 4}\n{"b": 2}', {"a": 1, "b": 2}, None),
    ('{"a": 1}\n{"b": 2}\nnonsense\n[3]\n{"a": 3', {"a": 1, "b": 2}, None),
    ("{", None, "not valid JSON"),
    ("nonsense\n{}\n", None, "not valid JSON"),
    ("[1]", None, "no JSON object"),
    ('{"a": "' + "x" * 10_000_000 + '"}', None, "over 10 MB"),
]


def test_a_metrics_file_is_one_object_or_lines(research: Any) -> None:
    job_id = research.one()
    for text, expected, problem in FILES:
        (research.workspace(job_id) / "metrics.json").write_text(text)
        found, problems = AttemptNumbers(Repo(research.root), job_id, 1).finish()
        assert found == expected, text[:50]
        assert [problem in said for said in problems] == ([True] if problem else []), text[:50]


def test_what_grew_faster_than_it_is_read_is_read_at_its_end(
    numbers: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(results, "_AT_THE_END", 10_000)
    monkeypatch.setattr(results, "_LAST", 1_000)
    _, collected, writer, _ = numbers
    for step in range(1000):
        writer.append({"loss": step, "early" if step == 5 else "late": step})
    found, (problem,) = collected.finish()
    assert found == {"loss": 999, "late": 999}
    assert "may lack their last value" in problem


def test_names_without_end_are_not_kept_without_end(numbers: Any) -> None:
    _, collected, writer, _ = numbers
    for step in range(30):
        writer.append({f"name-{step}-{i}": i for i in range(1000)})
    found, (problem,) = collected.finish()
    assert len(found) == 20_000
    assert "over 20000 names" in problem


def test_the_summary_is_above_the_file_and_the_file_above_the_series(
    numbers: Any, research: Path
) -> None:
    folder, collected, writer, _ = numbers
    writer.append({"a": 1, "b": 1, "c": 1})
    (folder / "metrics.json").write_text('{"b": 2, "c": 2}')
    document = folder / "signac_job_document.json"
    doc = json.loads(document.read_text())
    document.write_text(json.dumps({**doc, "summary_metrics": {"c": 3, "text": "x"}}))
    assert collected.finish() == ({"a": 1, "b": 2, "c": 3}, [])
