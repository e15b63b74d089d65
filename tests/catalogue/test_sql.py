"""`aexp sql`: what it finds comes out as it went in; it can change and reach nothing."""

import csv
import io
import json
import subprocess
import sys
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from aexp.errors import UsageError

ODD = [
    'it\'s "quoted"',
    "a,b;c|d\te",
    "<b>*bold*</b> `code` [x](y) ~~z~~",
    "two\nlines\r\nand\x0bmore",
    "серия 系列 🎉 e\u0301 \u202eright",
    "\\N \\0 NULL null",
    "'; DROP TABLE runs; --",
    "{x} %s $1 ? :a",
    " blanks ",
    "\x1b[31mred\x7f",
    "",
]


def test_texts_come_out_as_they_went_in(place: Any, tmp_path: Path) -> None:
    wanted = {}
    for number, odd in enumerate(ODD):
        sp = {"text": odd, odd or "empty": odd, "nested": {odd or "empty": [odd, None]}}
        job_id = place.entry(number, sp=sp, tag=odd, metrics={odd or "m": number, "plain": 1})
        wanted[job_id] = odd
    with place.open() as catalogue:
        assert catalogue.warnings == []
        for column, table in (("tag", "runs"), ("str", "params WHERE key = 'text'")):
            assert dict(catalogue.rows(f"SELECT job_id, {column} FROM {table}").rows) == wanted
        keys = catalogue.rows("SELECT key FROM metrics WHERE key NOT IN ('plain', 'm')").rows
        assert {key for (key,) in keys} == set(ODD) - {""}
        found = catalogue.rows("SELECT job_id, statepoint FROM runs").rows
        assert {job_id: json.loads(text)["text"] for job_id, text in found} == wanted
        values = catalogue.rows("SELECT job_id, value FROM params WHERE key LIKE 'nested.%'").rows
        assert {job_id: json.loads(text)[0] for job_id, text in values} == wanted
        for job_id, odd in wanted.items():  # and as a parameter
            assert catalogue.rows("SELECT job_id FROM runs WHERE tag = ?", [odd]).rows == [
                (job_id,)
            ]
    query = "SELECT job_id, tag FROM runs ORDER BY job_id"
    told = json.loads(place.cli("sql", query, "--json"))
    assert {row["job_id"]: row["tag"] for row in told} == wanted
    place.cli("sql", query, "--csv")  # its stdout as it is, line ends and all
    rows = list(csv.reader(io.StringIO(place.stdout, newline="")))
    assert rows[0] == ["job_id", "tag"]
    assert {job_id: tag for job_id, tag in rows[1:]} == wanted
    assert place.cli("sql", query, "--md").count("\n") == len(ODD) + 2
    assert "\x1b" not in place.cli("sql", query)
    place.cli("sql", query, "--parquet", str(tmp_path / "found.parquet"))
    import duckdb

    with duckdb.connect() as connection:
        name = str(tmp_path / "found.parquet")
        assert (
            dict(connection.execute("SELECT * FROM read_parquet(?)", [name]).fetchall()) == wanted
        )


def test_numbers_and_types_are_those_of_the_files(place: Any) -> None:
    point = {
        "i": 3,
        "f": 1e-5,
        "b": True,
        "n": None,
        "l": [1, "x"],
        "d": {},
        "huge": 10**30,
        "t": "1",
    }
    metrics = {"a": 0.1, "nan": "NaN", "inf": "-Infinity", "yes": True, "huge": 10**400}
    place.entry(1, sp=point, metrics=metrics, wallclock_s="12", returncode=True, tags=["x", 5])
    params = dict(
        (key, (kind, num, text))
        for key, kind, num, text in place.rows("SELECT key, type, num, str FROM params")
    )
    assert params.pop("seed") == ("int", 1.0, "1")
    assert params == {
        "i": ("int", 3.0, "3"),
        "f": ("float", 1e-5, "1e-05"),
        "b": ("bool", None, "true"),
        "n": ("null", None, "null"),
        "l": ("list", None, '[1, "x"]'),
        "d": ("dict", None, "{}"),
        "huge": ("int", 1e30, str(10**30)),
        "t": ("str", None, "1"),
    }
    values = dict(place.rows("SELECT key, value FROM metrics"))
    assert values["a"] == 0.1
    assert values["yes"] == 1.0
    assert values["inf"] == float("-inf")
    assert values["huge"] == float("inf")
    assert values["nan"] != values["nan"]
    # What is of another type than it should be is nothing, not something like it.
    assert place.rows("SELECT wallclock_s, returncode, tags FROM runs") == [(None, None, ["x"])]
    types = place.cli("sql", "SELECT typeof(ended_at), typeof(statepoint), typeof(tags) FROM runs")
    assert types.split()[-3:] == ["TIMESTAMP", "JSON", "VARCHAR[]"]


REFUSED = [
    "DELETE FROM runs",
    "INSERT INTO runs SELECT * FROM runs",
    "UPDATE runs SET status = 'complete'",
    "DROP VIEW runs",
    "DROP TABLE base.runs",
    "CREATE TABLE x (a INT)",
    "CREATE TEMP TABLE x AS SELECT 1",
    "CREATE MACRO runs() AS TABLE SELECT 1",
    "ALTER TABLE fresh.runs DROP COLUMN status",
    "TRUNCATE fresh.runs",
    "ATTACH '{file}' AS other",
    "DETACH base",
    "USE fresh",
    "COPY runs TO '{new}'",
    "COPY (SELECT 1) TO '{new}' (FORMAT parquet)",
    "COPY fresh.runs FROM '{file}'",
    "EXPORT DATABASE '{new}'",
    "IMPORT DATABASE '{new}'",
    "INSTALL httpfs",
    "LOAD '{file}'",
    "SET enable_external_access = true",
    "SET lock_configuration = false",
    "RESET enable_external_access",
    "PRAGMA enable_profiling",
    "PRAGMA database_list",
    "CALL pragma_version()",
    "VACUUM",
    "CHECKPOINT",
    "BEGIN",
    "EXPLAIN ANALYZE DELETE FROM fresh.runs",
    "WITH x AS (DELETE FROM fresh.runs RETURNING *) FROM x",
    "WITH x AS (UPDATE fresh.runs SET status = 'failed' RETURNING *) FROM x",
    "WITH x AS MATERIALIZED (INSERT INTO fresh.runs FROM fresh.runs RETURNING *) FROM x",
    "SELECT (WITH x AS (DELETE FROM fresh.runs RETURNING job_id) SELECT max(job_id) FROM x)",
    "WITH x AS (COPY runs TO '{new}') FROM x",
    "WITH x AS (COPY runs TO '{base}.wal' (FORMAT csv)) FROM x",
    "FROM (WITH x AS (COPY (SELECT 1) TO '{base}.wal' (FORMAT csv)) FROM x)",
    "PIVOT params ON key USING max(num)",
    "PREPARE x AS SELECT 1",
    "SELECT 1; DELETE FROM fresh.runs",
    "SELECT 1; SELECT 2",
    "",
    ";",
    "SELECT",
    "SELECT nothing FROM runs",
    "SELECT * FROM read_text('{file}')",
    "SELECT * FROM read_blob('{file}')",
    "SELECT * FROM read_csv('{file}')",
    "SELECT * FROM read_json_auto('{file}')",
    "SELECT * FROM read_parquet('{file}')",
    "SELECT * FROM glob('/*')",
    "SELECT * FROM '{file}'",
    "SELECT * FROM '{folder}/*.json'",
    'SELECT * FROM "https://example.org/x.csv"',
    "SELECT (SELECT count(*) FROM read_text('{file}'))",
    "WITH x AS (SELECT * FROM read_text('{file}')) SELECT * FROM x",
    "SELECT * FROM runs, LATERAL (SELECT * FROM read_text('{file}'))",
    "SELECT * FROM query('SELECT * FROM read_text(''{file}'')')",
    "SELECT * FROM query_table('runs')",
    "SELECT * FROM json_execute_serialized_sql('{{}}')",
    "SELECT * FROM pandas_scan(1)",
    "SELECT * FROM arrow_scan(1, 2, 3)",
    "SELECT * FROM enable_logging(storage = 'file', storage_path = '{new}')",
    "SELECT * FROM force_checkpoint()",
    "SELECT * FROM duckdb_secrets()",
    "SELECT * FROM sniff_csv('{file}')",
    "SELECT * FROM place",
    "SELECT getenv('HOME')",
    "SELECT * FROM secret",
]


def test_it_can_change_and_reach_nothing(place: Any, tmp_path: Path) -> None:
    place.entry(1)
    place.open(rebuild=True).close()
    base = place.root / ".aexp/cache/catalogue" / place.files[0]
    file, new = tmp_path / "secret.csv", tmp_path / "new"
    file.write_text("a\nthe secret\n")
    secret = [{"a": "the secret"}]  # DuckDB would take a variable of Python for a table
    with place.open() as catalogue:
        before = sorted(path for path in tmp_path.rglob("*"))
        for text in REFUSED:
            query = text.format(file=file, new=new, folder=tmp_path, base=base)
            with pytest.raises(UsageError) as refused:
                catalogue.user_query(query)
            assert "the secret" not in refused.value.message, text
            assert refused.value.hint, text
        assert catalogue.user_query("SELECT count(*) FROM runs").rows == [(1,)]
    assert sorted(path for path in tmp_path.rglob("*")) == before
    assert secret


ALLOWED = [
    "FROM runs",
    "TABLE runs",
    "VALUES (1, 'a')",
    "DESCRIBE runs",
    "SHOW TABLES",
    "SUMMARIZE SELECT num FROM params",
    "SELECT * FROM v_runs LIMIT 1 -- a remark",
    "SELECT unnest(tags) FROM runs",
    "SELECT * FROM range(3)",
    "SELECT key, value FROM runs, json_each(statepoint)",
    "SELECT * FROM (SELECT key, num FROM params) PIVOT (max(num) FOR key IN ('seed'))",
    "WITH RECURSIVE t(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM t WHERE n < 3) SELECT * FROM t",
    "SELECT * FROM runs WHERE ended_at > now() - INTERVAL 7 DAY",
    "SELECT statepoint->>'seed', metrics->'loss' FROM runs;",
]


def test_every_way_to_select_is_allowed(place: Any) -> None:
    place.entry(1, tags=["a", "b"])
    with place.open() as catalogue:
        for query in ALLOWED:
            catalogue.user_query(query)
        found = catalogue.user_query("SELECT 1 AS a, 2 AS a")
        assert (found.columns, found.types, found.rows) == (["a", "a"], ["INTEGER"] * 2, [(1, 2)])


def test_numbers_and_times_of_every_form(place: Any, tmp_path: Path) -> None:
    """Times are UTC without a zone, decimals are numbers, large sums are exact."""
    query = (
        "SELECT 1.50 AS d, 12345678901234567890.5 AS e, sum(i) AS s, max(TIMESTAMPTZ "
        "'2026-01-02 03:00+02') AS t, [TIMESTAMPTZ '2026-01-02 03:00+02'] AS l, 1 AS a, 2 AS A "
        "FROM (VALUES (9007199254740993), (0)) v(i); -- a remark"
    )
    moment = datetime(2026, 1, 2, 1)
    (row,) = json.loads(place.cli("sql", query, "--json"))
    assert row == {
        "d": 1.5, "e": "12345678901234567890.5", "s": 2**53 + 1, "t": "2026-01-02T01:00:00",
        "l": ["2026-01-02T01:00:00"], "a": 1, "A_2": 2,
    }  # fmt: skip
    assert (
        place.cli("sql", query, "--csv")
        .splitlines()[1]
        .startswith("1.50,12345678901234567890.5,9007199254740993,2026-01-02T01:00:00,")
    )
    path = tmp_path / "found.parquet"
    place.cli("sql", query, "--parquet", str(path))
    import duckdb

    with duckdb.connect() as connection:
        (found,) = connection.from_parquet(str(path)).fetchall()
    assert found[2:] == (2**53 + 1, moment, [moment], 1, 2)
    zoned = "SELECT i, now() FROM range(9) t(i) ORDER BY i DESC"
    with place.open() as catalogue:
        assert [i for i, _ in catalogue.user_query(zoned).rows] == list(range(8, -1, -1))
    place.cli("sql", "FROM range(3)", "--max-rows", "3")
    place.cli("sql", "FROM range(3)", "--max-rows", "2", rc=2)
    assert "more than 2 rows" in place.stderr


def test_limits(place: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aexp.catalogue.connection.memory_bytes", lambda: 128 << 20)
    with place.open() as catalogue:
        with pytest.raises(UsageError, match=r"longer than 0\.3 s"):
            catalogue.user_query(
                "SELECT sum(a.range * b.range) FROM range(10000000) a, range(10000000) b",
                timeout_s=0.3,
            )
        with pytest.raises(UsageError, match="more than 1,000 rows"):
            catalogue.user_query("FROM range(1000000000000)", max_rows=1000)
        with pytest.raises(UsageError, match="more memory"):
            catalogue.user_query("SELECT len(list(range)) FROM range(100000000)")
        # The connection is of use afterwards.
        assert catalogue.user_query("SELECT 1").rows == [(1,)]


def test_the_verb_says_what_is_wrong(place: Any) -> None:
    for query, said in (
        ("SELECT * FORM runs", "syntax error"),
        ("DELETE FROM runs", "only SELECT"),
        ("SELECT nothing FROM runs", "nothing"),
    ):
        place.cli("sql", query, rc=2)
        assert said in place.stderr
        assert "\nhint: " in place.stderr
    assert (
        "exclude each other" in place.cli("sql", "SELECT 1", "--csv", "--md", rc=2) + place.stderr
    )
    assert place.cli("sql", "SELECT 1 AS one WHERE false", "--json") == "[]\n"
    assert place.cli("sql", "SELECT 1 AS one WHERE false", "--csv") == "one\n"
    assert place.stderr == "no rows\n"


def test_a_long_step_of_the_query_is_ended_with_the_process(place: Any) -> None:
    """DuckDB does not look, inside one value, whether it is to end; memory is bounded, too."""
    for query, said in (
        ("SELECT length(repeat('x', 4000000000))", "longer"),
        ("SELECT len(range(4000000000))", "memory"),
    ):
        done = subprocess.run(
            [sys.executable, "-m", "aexp", "sql", query, "--timeout", "0.2"],
            cwd=place.root,
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == 2
        assert said in done.stderr or "memory" in done.stderr
        assert "Traceback" not in done.stderr
