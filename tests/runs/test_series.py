"""The series: rows survive every kind of writer, reader and kill."""

import json
import math
import os
import time as clock
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aexp.errors import AexpError, MetricError
from aexp.runs.series import Row, SeriesReader, SeriesWriter, numbers

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
METRICS = st.dictionaries(st.text(), VALUES, max_size=4)


def named(value: Any) -> Any:
    """Say how a value comes back: JSON has no NaN and no infinities."""
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    if isinstance(value, dict):
        return {key: named(item) for key, item in value.items()}
    return [named(item) for item in value] if isinstance(value, list) else value


@given(rows=st.lists(st.tuples(METRICS, st.none() | st.integers(0, 10**9)), max_size=6))
def test_what_is_appended_is_read(tmp_path_factory: Any, rows: list[Any]) -> None:
    path = str(tmp_path_factory.mktemp("series") / "series.jsonl")
    writer = SeriesWriter(path, 3)
    for metrics, step in rows:
        writer.append(metrics, step=step, time=12.5)
    writer.close()
    expected = [Row(3, step, 12.5, named(metrics)) for metrics, step in rows]
    assert SeriesReader(path).read() == expected
    by_one = SeriesReader(path)
    assert [row for _ in rows for row in by_one.read(limit=1)] == expected
    assert by_one.read() == []


@given(cut=st.integers(0, 10**6), limit=st.none() | st.integers(1, 4), flat=st.booleans())
def test_a_file_cut_anywhere_loses_its_last_row_only(
    tmp_path_factory: Any, cut: int, limit: int | None, flat: bool
) -> None:
    path = tmp_path_factory.mktemp("series") / "series.jsonl"
    writer = SeriesWriter(str(path), 1)
    for step in range(5):
        writer.append({"loss": step / 7, "name": 'a\n{"attempt":'}, step=step)
    writer.close()
    whole = path.read_bytes()
    cut %= len(whole) + 1
    path.write_bytes(whole[:cut])
    complete = whole[:cut].count(b"\n")
    reader = SeriesReader(str(path))
    before = reader.read(limit)
    again = SeriesWriter(str(path), 2)
    again.append({"loss": 1.0}, step=9)
    again.close()
    while rows := reader.read(limit):
        before += rows
    # A row that lacks its newline only is whole, and counts once the next writer ends it.
    kept = [row for row in before if row.attempt == 1]
    assert [row.step for row in kept] in (list(range(complete)), list(range(complete + 1)))
    assert before[-1] == (2, 9, before[-1].time, {"loss": 1.0})
    assert len(before) == len(kept) + 1


def test_a_row_behind_half_a_row_on_one_line_is_found(tmp_path: Path) -> None:
    path = tmp_path / "s"
    good = b'{"attempt":2,"step":1,"time":1.0,"metrics":{"a":1}}\n'
    path.write_bytes(b'{"attempt":1,"step":0,"time":1.0,"metr' + good + b"rubbish\n\n[1]\n" + good)
    assert SeriesReader(str(path)).read() == [Row(2, 1, 1.0, {"a": 1})] * 2


def test_half_a_row_costs_no_good_row_whatever_its_metrics_are(tmp_path: Path) -> None:
    path = tmp_path / "s"
    inner = b'{"attempt":1,"step":2,"time":3.0,"x":1}'
    good = b'{"attempt":2,"step":1,"time":1.0,"metrics":{"attempt":{"attempt":3},"a":' + inner
    torn = b'{"attempt":1,"step":0,"time":1.0,"metrics":{"a":' + inner
    for half in (torn, torn[:-9], torn[:52], b"rubbish"):
        path.write_bytes(half + good + b"}}\n")
        (row,) = SeriesReader(str(path)).read()
        assert row == Row(2, 1, 1.0, {"attempt": {"attempt": 3}, "a": json.loads(inner)})
    path.write_bytes(b'{"attempt":1,"step":1,"time":' * 250_000 + b"\n")  # 7 MB, no row
    assert SeriesReader(str(path)).read() == []


def test_a_line_without_end_is_passed_over_in_bounded_memory(tmp_path: Path) -> None:
    path = tmp_path / "s"
    path.write_bytes(b"x" * (20 << 20) + b'\n{"attempt":2,"step":1,"time":1.0,"metrics":{}}\n')
    assert len(SeriesReader(str(path)).read()) == 1


def test_a_file_that_became_shorter_is_read_from_its_beginning(tmp_path: Path) -> None:
    path = tmp_path / "s"
    line = b'{"attempt":2,"step":1,"time":1.0,"metrics":{}}\n'
    path.write_bytes(line * 3)
    reader = SeriesReader(str(path))
    assert len(reader.read()) == 3
    path.write_bytes(line)
    assert len(reader.read()) == 1


def test_the_plain_file_has_rows_from_its_second_line_on(tmp_path: Path) -> None:
    path = tmp_path / "metrics.json"
    reader = SeriesReader(str(path), flat=True)
    assert reader.read() == []
    path.write_text('{"loss": NaN, "step": 1}\n')
    assert reader.read() == []  # it may be the whole file: the final numbers
    with path.open("a") as file:
        file.write('{"loss": 2, "step": 2.0, "time": 5}\n{"loss"')
    assert reader.read() == [Row(0, 1, None, {"loss": "NaN"}), Row(0, 2, 5.0, {"loss": 2})]
    with path.open("a") as file:
        file.write(': 3}\nnonsense\n{"step": "x"}\n')
    assert reader.read() == [Row(0, None, None, {"loss": 3}), Row(0, None, None, {"step": "x"})]
    path.write_text('{\n  "a": 1,\n  "b": [\n{}\n]\n}\n')
    assert SeriesReader(str(path), flat=True).read() == []


class Scalar:
    """What numpy and torch call a scalar."""

    def __init__(self, value: Any) -> None:
        self.value = value

    def item(self) -> Any:
        if isinstance(self.value, Exception):
            raise self.value
        return self.value


def test_scalars_of_other_libraries_are_taken(tmp_path: Path) -> None:
    path = str(tmp_path / "s")
    writer = SeriesWriter(path, 1)
    metrics = {"a": Scalar(0.5), "b": {"c": Scalar(math.nan), "d": Scalar(True)}, 3: Scalar(4)}
    writer.append(metrics, step=Scalar(7))
    (row,) = SeriesReader(path).read()
    assert (row.step, row.metrics) == (7, {"a": 0.5, "b": {"c": "NaN", "d": True}, "3": 4})
    flat = numbers(row.metrics)
    assert math.isnan(flat.pop("b.c"))
    assert flat == {"a": 0.5, "b.d": True, "3": 4}


def test_a_rows_time_is_what_was_given_or_refused(tmp_path: Path) -> None:
    path = str(tmp_path / "s")
    writer = SeriesWriter(path, 1)
    for when in (0, 1.5, Scalar(2.5), -1):
        writer.append({}, time=when)  # type: ignore[arg-type]
    for wrong in ("yesterday", math.nan, True, object(), 10**400, Scalar("x")):
        with pytest.raises(MetricError, match="time"):
            writer.append({}, time=wrong)  # type: ignore[arg-type]
    assert [row.time for row in SeriesReader(path).read()] == [0, 1.5, 2.5, -1]


def test_rows_with_nan_are_fast_too(tmp_path: Path) -> None:
    writer = SeriesWriter(str(tmp_path / "s"), 1)
    began = clock.process_time()
    for step in range(20_000):
        writer.append({"loss": math.nan, "val": {"acc": 0.5}}, step=step)
    assert clock.process_time() - began < 0.4


RING: dict[str, Any] = {}
RING["ring"] = RING


@pytest.mark.parametrize(
    ("metrics", "step", "words"),
    [
        ({"loss": object()}, 1, "loss is object"),
        ({"net": {"w": Scalar(ValueError("2 elements"))}}, 1, "net.w is Scalar of more than one"),
        ({"a": [1, {2}]}, 1, r"a\[1\] is set"),
        ({"a": b"x"}, 1, "a is bytes"),
        ({"a": Scalar(1j)}, 1, "a is Scalar"),
        ({("a",): 1}, 1, "name of type tuple"),
        (0.5, 1, "float is no mapping|float, not a number"),
        ([1], 1, "list is no mapping"),
        (RING, 1, "nested too deeply, or holds itself"),
        ({}, True, "step True"),
        ({}, 1.5, "step 1.5"),
        ({}, math.nan, "step nan"),
        ({}, math.inf, "step inf"),
        ({}, "x", "step is str"),
    ],
)
def test_what_cannot_be_logged_is_named_and_nothing_is_written(
    tmp_path: Path, metrics: Any, step: Any, words: str
) -> None:
    path = tmp_path / "s"
    writer = SeriesWriter(str(path), 1)
    writer.append({"before": 1})
    size = path.stat().st_size
    with pytest.raises(MetricError, match=words) as caught:
        writer.append(metrics, step=step)
    assert isinstance(caught.value, TypeError)
    assert isinstance(caught.value, AexpError)
    assert caught.value.hint
    assert path.stat().st_size == size
    writer.append({"after": 1})
    assert len(SeriesReader(str(path)).read()) == 2


def test_a_disk_that_fills_costs_the_row_that_did_not_fit(tmp_path: Path) -> None:
    path = tmp_path / "s"
    code = f"""
import resource, signal
from aexp.runs.series import SeriesWriter
from aexp.errors import StoreReadOnly
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
writer = SeriesWriter({str(path)!r}, 1)
writer.append({{"a": 1}}, step=0)
resource.setrlimit(resource.RLIMIT_FSIZE, (100, hard))
try:
    writer.append({{"a": 1, "long": "x" * 99}}, step=1)
except StoreReadOnly as error:
    print("refused")
resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
writer.append({{"a": 1}}, step=2)
"""
    import subprocess
    import sys

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "refused\n"
    assert [row.step for row in SeriesReader(str(path)).read()] == [0, 2]


def test_threads_and_children_append_to_one_file(tmp_path: Path) -> None:
    from threading import Thread

    path = tmp_path / "s"
    writer = SeriesWriter(str(path), 1)
    long = "x" * 5000

    def write(who: int) -> None:
        for step in range(100):
            writer.append({"who": who, "text": long}, step=step)

    threads = [Thread(target=write, args=(who,)) for who in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    child = os.fork()
    if child == 0:
        write(3)
        os._exit(0)
    write(4)
    assert os.waitpid(child, 0)[1] == 0
    rows = SeriesReader(str(path)).read()
    for who in range(5):
        assert [row.step for row in rows if row.metrics["who"] == who] == list(range(100))
    assert len(path.read_bytes().splitlines()) == 500
    assert all(json.loads(line) for line in path.read_bytes().splitlines())
