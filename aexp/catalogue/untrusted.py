"""SQL that somebody else has written: it may read the tables, and nothing else.

The connection that it runs on is locked already: no files, no network, no extensions, no
settings. On top of that only one SELECT is let through, without a COPY or DELETE in a WITH, in
a transaction that only reads; and of DuckDB's table functions only those that make rows out of
values: others take addresses of memory, or change DuckDB itself.
"""

import json
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

from aexp.errors import UsageError

if TYPE_CHECKING:
    import duckdb

TIMEOUT_S = 60.0
MAX_ROWS = 1_000_000
TABLE_FUNCTIONS = frozenset(
    {
        "unnest",
        "range",
        "generate_series",
        "json_each",
        "json_tree",
        "histogram",
        "histogram_values",
    }
)
# A CTE can also be an INSERT, UPDATE, DELETE or COPY TO.
_QUERY_NODES = frozenset({"SELECT_NODE", "SET_OPERATION_NODE", "RECURSIVE_CTE_NODE", "CTE_NODE"})
_ZONED = "TIMESTAMP WITH TIME ZONE"
_AT_ONCE = 10_000
_MAX_SQL = 100_000
_HINT = "tables and columns: aexp catalog schema; examples: docs/questions.md"


class DamagedFile(Exception):
    """DuckDB cannot read its own file."""


class Result(NamedTuple):
    """What a query has found.

    Attributes
    ----------
    columns, types : list of str
        Names of the columns, and DuckDB's types.
    rows : list of tuples
        The rows.
    """

    columns: list[str]
    types: list[str]
    rows: list[tuple[Any, ...]]


def query(
    connection: "duckdb.DuckDBPyConnection",
    sql: str,
    *,
    timeout_s: float | None = None,
    max_rows: int | None = None,
) -> Result:
    """Return what one SELECT finds, on a connection that is locked already.

    Raises
    ------
    UsageError
        If it is anything else, is wrong, or takes more than it may.
    DamagedFile
        If the catalogue's file cannot be read.
    """
    import duckdb

    limit = MAX_ROWS if max_rows is None else max_rows
    seconds = TIMEOUT_S if timeout_s is None else timeout_s
    cursor = connection.cursor()
    timer = threading.Timer(seconds, cursor.interrupt)
    timer.daemon = True
    timer.start()
    try:
        cursor.execute("BEGIN TRANSACTION READ ONLY")
        _check(cursor, sql)
        cursor.execute(sql)
        described = _without_zones(cursor, sql)
        rows: list[tuple[Any, ...]] = []
        while found := cursor.fetchmany(_AT_ONCE):
            rows += found
            if len(rows) > limit:
                raise UsageError(f"the query finds more than {limit:,} rows", "add LIMIT to it")
    except duckdb.InterruptException:
        raise took_too_long(seconds) from None
    except (duckdb.OutOfMemoryException, MemoryError):
        raise UsageError(
            "the query needs more memory than it may have", "let it select less"
        ) from None
    except (duckdb.IOException, duckdb.FatalException, duckdb.InternalException) as error:
        raise DamagedFile(_reason(error)) from None
    except (duckdb.Error, UnicodeError, OverflowError, ValueError, RuntimeError) as error:
        # DuckDB's own, and values that Python has no type for (a year beyond 9999).
        raise UsageError(_reason(error), _HINT) from None
    finally:
        timer.cancel()
        timer.join()
        cursor.close()
    return Result([name for name, _ in described], [kind for _, kind in described], rows)


def took_too_long(seconds: float) -> UsageError:
    """Return the error of a query that was ended."""
    return UsageError(f"the query took longer than {seconds:g} s", "allow more: --timeout SECONDS")


def _check(cursor: "duckdb.DuckDBPyConnection", sql: str) -> None:
    import duckdb

    if len(sql) > _MAX_SQL or "\0" in sql:
        raise UsageError(f"the query is longer than {_MAX_SQL:,} characters, or no text", _HINT)
    statements = cursor.extract_statements(sql)
    if len(statements) != 1:
        raise UsageError(f"these are {len(statements)} statements, not one", _HINT)
    if statements[0].type == duckdb.StatementType.MULTI:
        raise UsageError(
            "PIVOT does not look for its values here: name them",
            "for instance: PIVOT params ON key IN ('lr', 'seed') USING max(num)",
        )
    if statements[0].type != duckdb.StatementType.SELECT:
        word = str(statements[0].type).rpartition(".")[2]
        raise UsageError(f"only SELECT is allowed here, not {word}", _HINT)
    told = cursor.execute("SELECT json_serialize_sql(?::VARCHAR)", [sql]).fetchone()
    tree = json.loads(told[0]) if told else {"error": True}
    if tree.get("error"):
        raise UsageError(str(tree.get("error_message") or "the query cannot be checked"), _HINT)
    for node in _objects(tree):
        kind = str(node.get("type"))
        if kind.endswith("_NODE") and kind not in _QUERY_NODES:
            word = kind.removesuffix("_NODE").removesuffix("_QUERY")
            raise UsageError(f"only SELECT is allowed here, not {word}", _HINT)
        if kind == "TABLE_FUNCTION":
            name = str((node.get("function") or {}).get("function_name"))
            if name.lower() not in TABLE_FUNCTIONS:
                raise UsageError(f"the table function {name} is not allowed here", _HINT)


def _without_zones(cursor: "duckdb.DuckDBPyConnection", sql: str) -> list[tuple[str, str]]:
    """Return names and types of the columns; times with a zone become what all times are: UTC.

    DuckDB needs a further package to hand them to Python.
    """
    described = [(str(item[0]), str(item[1])) for item in cursor.description or []]
    types = [kind.replace(_ZONED, "TIMESTAMP") for _, kind in described]
    if any(_ZONED in kind for _, kind in described):
        chosen = [
            f"#{number}" if kind == before else f"#{number}::{kind}"
            for number, (kind, (_, before)) in enumerate(zip(types, described, strict=True), 1)
        ]
        # Written anew by DuckDB: without semicolons and remarks.
        again = "SELECT json_deserialize_sql(json_serialize_sql(?::VARCHAR))"
        (inner,) = cursor.execute(again, [sql]).fetchone() or ("",)
        cursor.execute(f"SELECT {', '.join(chosen)} FROM ({inner})")
    return [(name, kind) for (name, _), kind in zip(described, types, strict=True)]


def _objects(tree: Any) -> Iterator[dict[str, Any]]:
    waiting = [tree]
    while waiting:
        node = waiting.pop()
        if isinstance(node, dict):
            yield node
            waiting += node.values()
        elif isinstance(node, list):
            waiting += node


def _reason(error: Exception) -> str:
    lines = [line for line in str(error).splitlines() if line.strip()]
    return lines[0] if lines else type(error).__name__
