"""The one renderer: what goes in comes out, in every form."""

import csv
import io
import json
import math
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from aexp.cli.rendering import (
    CSV,
    JSON,
    MARKDOWN,
    PARQUET,
    Output,
    exact,
    plain,
    render,
    unique_names,
)
from aexp.errors import AexpError

ODD = 'серия "x" | *y* <b>, z'
FORMS = {
    "ls": (),
    "list-runs": (),
    "find": (),
    "table": (),
    "best": ("--metric", "score"),
    "diff": (),
}


def arguments(lab: Any, verb: str) -> list[str]:
    if verb == "diff":
        return [verb, lab.ids["away"], lab.ids["nan"]]
    more = ("--runs",) if verb == "table" else ()
    return [verb, "--experiment", "E002", *FORMS[verb], *more]


@pytest.mark.parametrize("verb", FORMS)
def test_every_form_has_the_same_rows(lab: Any, verb: str, tmp_path: Path) -> None:
    import duckdb

    asked = arguments(lab, verb)
    text, path = lab.cli(*asked), tmp_path / "found.parquet"
    made = list(csv.reader(io.StringIO(lab.cli(*asked, "--csv"))))
    assert len(made) > 1
    lines = lab.cli(*asked, "--md").splitlines()
    assert len(lines) == len(made) + 1
    assert lines[1].split() == ["|", *["---", "|"] * len(made[0])]
    assert lab.cli(*asked, "--parquet", str(path)) == ""
    assert f"{len(made) - 1} row(s) in {path}" in lab.stderr
    with duckdb.connect() as connection:
        found = connection.from_parquet(str(path))
        assert found.columns == made[0]
        assert len(found.fetchall()) == len(made) - 1
    data = json.loads(lab.cli(*asked, "--json"))
    assert len(data["differences"] if verb == "diff" else data) == len(made) - 1
    assert len(text.splitlines()) >= len(made)


def test_labels_come_out_as_they_went_in(lab: Any, tmp_path: Path) -> None:
    import duckdb

    asked = ("ls", "--tag", ODD)
    (row,) = csv.DictReader(io.StringIO(lab.cli(*asked, "--csv")))
    assert (row["tag"], row["p_text"], row["m_score"], row["machine"]) == (
        ODD, "a=b<c", "8.5", "lab2",
    )  # fmt: skip
    assert lab.json(*asked)[0]["tag"] == ODD
    assert r'серия "x" \| \*y\* \<b\>, z' in lab.cli(*asked, "--md")
    lab.cli(*asked, "--parquet", str(tmp_path / "a.parquet"))
    with duckdb.connect() as connection:
        found = connection.from_parquet(str(tmp_path / "a.parquet"))
        assert found.project("tag, p_x, m_score").fetchall() == [(ODD, 1, 8.5)]


@pytest.mark.parametrize("form", ["--csv", "--md", "--json", "--parquet"])
def test_nothing_found_is_a_table_without_rows(lab: Any, form: str, tmp_path: Path) -> None:
    path = tmp_path / "none.parquet"
    shown = lab.cli("find", "--tag", "nope", form, *([str(path)] if form == "--parquet" else []))
    assert "no run matches tag nope" in lab.stderr
    assert {"--csv": shown.startswith("job_id,"), "--md": shown.startswith("| job_id |"),
            "--json": shown == "[]\n", "--parquet": path.exists()}[form]  # fmt: skip


def test_parquet_writes_only_where_it_may(lab: Any, tmp_path: Path) -> None:
    other = tmp_path / "paper.tex"
    other.write_text("mine")
    for path, said in (
        (other, "exists and is no Parquet file"),
        (tmp_path, "is no file to write to"),
        ("", "is no file to write to"),
        ("-", "is no file to write to"),
    ):
        lab.cli("ls", "--parquet", str(path), rc=2)
        assert said in lab.stderr
    assert other.read_text() == "mine"
    lab.cli("ls", "--parquet", str(tmp_path / "no" / "a.parquet"), rc=1)
    assert "does its folder exist" in lab.stderr
    good = tmp_path / "it's.parquet"
    for _ in range(2):  # an earlier one is replaced
        lab.cli("ls", "--parquet", str(good))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["it's.parquet", "paper.tex"]
    lab.cli("ls", "--parquet", "a", "--md", rc=2)
    assert "--md and --parquet exclude each other" in lab.stderr


CELLS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.floats(),
    st.text(st.characters(exclude_categories=["Cs"])),
    st.lists(st.integers(), max_size=2),
)


def read_back(text: str) -> list[list[str]]:
    return list(csv.reader(io.StringIO(text, newline="")))


@settings(deadline=None)
@given(rows=st.lists(st.tuples(CELLS, CELLS), min_size=1, max_size=5))
def test_csv_and_json_lose_nothing(rows: list[tuple[Any, Any]]) -> None:
    def shown(form: str) -> str:
        with CliRunner().isolation() as (out, _, _):
            render(Output(form), ["a", 'b,"'], rows)
            return out.getvalue().decode()

    lines = read_back(shown(CSV))
    assert lines[0] == ["a", 'b,"']
    for line, row in zip(lines[1:], rows, strict=True):
        for text, value in zip(line, row, strict=True):
            if isinstance(value, str):
                assert text == value
            elif value is None:
                assert text == ""
            elif isinstance(value, bool):
                assert text == str(value).lower()
            elif isinstance(value, float):
                assert float(text) == value or math.isnan(value)
            else:
                assert json.loads(text) == value
    found = json.loads(shown(JSON), parse_constant=pytest.fail)
    assert [[one["a"], one['b,"']] for one in found] == [[plain(v) for v in row] for row in rows]
    assert len(shown(MARKDOWN).splitlines()) == len(rows) + 2


@settings(max_examples=25, deadline=None)
@given(rows=st.lists(st.tuples(CELLS, st.integers() | st.none()), min_size=1, max_size=5))
def test_parquet_has_one_type_per_column(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[Any, Any]]
) -> None:
    import duckdb

    path = tmp_path_factory.getbasetemp() / "any.parquet"
    render(Output(PARQUET, str(path)), ["a", "b"], rows)
    with duckdb.connect() as connection:
        found = connection.from_parquet(str(path)).fetchall()
    for (first, second), (a, b) in zip(rows, found, strict=True):
        assert (first is None) == (a is None)
        assert b == second or b == str(second) or math.isclose(b, second, rel_tol=1e-9)
        if isinstance(first, str):
            assert a == first


def test_odd_values() -> None:
    assert unique_names(["a", "a", "a_2", "a"]) == ["a", "a_2", "a_2_2", "a_3"]
    assert plain({"a": [math.inf, datetime(2026, 1, 1)], "b": b"\x01"}) == {
        "a": ["Infinity", "2026-01-01T00:00:00"], "b": "01",
    }  # fmt: skip
    assert exact("\ud800") == "\ud800"
    with pytest.raises(AexpError):
        render(Output(PARQUET, "/nowhere/at/all.parquet"), ["a"], [(1,)])
