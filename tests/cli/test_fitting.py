"""Tables for terminals: nothing is wider than the terminal, whatever is in the cells."""

import time
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from aexp.cli.fitting import Column, cell_width, cut, fit
from aexp.cli.progress_text import bar, duration, metrics_text, percent, progress_text
from aexp.cli.watch_view import frame
from aexp.model import STATUSES, Run
from aexp.runs.claims import Liveness
from aexp.runs.observe import Executing, Observation
from aexp.runs.progress import Progress
from aexp.runs.select import RunFilter

COLUMNS = (
    Column("ID"),
    Column("NAME", 4),
    Column("WORDS", 3, leave_out=2),
    Column("N", leave_out=1),
)
TEXT = st.text(max_size=30)


@given(text=TEXT, width=st.integers(0, 30))
def test_a_cut_text_fits(text: str, width: int) -> None:
    short = cut(text, width)
    assert cell_width(short) <= width
    assert short == text or short.endswith("…") or width == 0


@given(
    rows=st.lists(st.tuples(TEXT, TEXT, TEXT, st.none() | st.integers())), width=st.integers(1, 90)
)
def test_no_line_is_wider_than_the_terminal(rows: list[Any], width: int) -> None:
    lines = fit(COLUMNS, rows, width)
    assert len(lines) == len(rows) + 1
    assert all(cell_width(line) <= width for line in lines)


def test_columns_are_cut_before_they_are_left_out() -> None:
    rows = [("1234", "a" * 12, "word " * 6, 7)]
    assert fit(COLUMNS, rows, None)[1] == "1234  aaaaaaaaaaaa  word word word word word word   7"
    assert fit(COLUMNS, rows, 30)[1] == "1234  aaaaaaaa…  word word…  7"
    assert fit(COLUMNS, rows, 12)[0] == "ID    NAME"
    wide = fit(COLUMNS, [("1", "漢字漢字", "x", None), ("22", "b", "y", None)], 80)
    assert wide == ["ID  NAME      WORDS", "1   漢字漢字  x", "22  b         y"]
    assert fit(COLUMNS, [("1", "\x1b[2J\n", "x", None)], 80)[1] == r"1   \x1b[2J\n  x"


def observation(running: int) -> Observation:
    counts = {f"E{number:03}": {word: number for word in STATUSES} for number in range(1, 12)}
    made = [
        Executing(
            Run(f"{number:032x}", {"seed": number, "name": "x" * 50}, {"status": "running"}),
            Liveness("dead" if number % 3 == 2 else "alive", "so it is"),
            Progress(number / 100, number, 100, "message " * 9, 5.0, {"loss": 0.5, "漢": 1}),
            75.0,
            3700.0,
            2.0,
        )
        for number in range(running)
    ]
    ended = [
        Run(
            "f" * 32,
            {"seed": 1},
            {"status": "failed", "ended_at": "x", "wallclock_s": float("inf")},
        )
    ] * 5
    return Observation(time.time(), counts, made, ended, ["cannot read it " * 9] * 9)


@given(
    running=st.integers(0, 40),
    width=st.none() | st.integers(1, 200),
    height=st.none() | st.integers(1, 60),
)
def test_a_view_fits_its_terminal(running: int, width: int | None, height: int | None) -> None:
    lines = frame(observation(running), RunFilter(), width=width, height=height, footer="foot")
    if width is not None:
        assert all(cell_width(line.text) <= width for line in lines)
    if height is not None:
        assert len(lines) <= height
    if running and height is not None and height >= 35 and width is None:
        shown = [line.text for line in lines if line.text.startswith("00000000  ")]
        more = [line.text for line in lines if line.text.endswith("more running")]
        assert len(shown) == running or more == [f"... and {running - len(shown)} more running"]
        assert lines[-1].text == "foot"


def test_words() -> None:
    assert [duration(s) for s in (0.4, 59.9, 190, 7500, 273_600, None, float("nan"))] == [
        "0s", "59s", "3m10s", "2h05m", "3d04h", "", "",
    ]  # fmt: skip
    assert percent({"fraction": 0.999}) == "99%"
    assert percent({"fraction": 0.29}) == "29%"
    assert bar(0.5, 4) == "██░░"
    assert bar(0.999, 4, plain=True) == "###."
    assert progress_text(None) == ""
    assert progress_text(Progress(step=3)) == "step 3"
    assert metrics_text({"a": 0.123456789, "b": "NaN", "c": 1}, 2) == "a=0.123457 b=NaN …"
    assert len(metrics_text({"x." * 500: 1})) < 50
