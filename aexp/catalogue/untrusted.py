"""SQL that somebody else has written: it may read the tables, and nothing else."""

import threading
from typing import TYPE_CHECKING, Any, NamedTuple

from aexp.errors import UsageError

if TYPE_CHECKING:
    import duckdb

TIMEOUT_S = 60.0
MAX_ROWS = 1_000_000
_AT_ONCE = 10_000
_HINT = "aexp catalog schema shows the tables; examples: docs/catalogue.md"


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
    """
    import duckdb

    limit = MAX_ROWS if max_rows is None else max_rows
    seconds = TIMEOUT_S if timeout_s is None else timeout_s
    cursor = connection.cursor()
    timer = threading.Timer(seconds, cursor.interrupt)
    timer.daemon = True
    try:
        _check(cursor, sql)
        timer.start()
        cursor.execute(sql)
        described = cursor.description or []
        rows: list[tuple[Any, ...]] = []
        while found := cursor.fetchmany(_AT_ONCE):
            rows += found
            if len(rows) > limit:
                raise UsageError(f"the query finds more than {limit:,} rows", "add LIMIT to it")
    except duckdb.InterruptException:
        raise UsageError(
            f"the query took longer than {seconds:g} s and was ended", "allow more: --timeout"
        ) from None
    except duckdb.OutOfMemoryException:
        raise UsageError("the query needs more memory than it may have", "ask for less") from None
    except duckdb.Error as error:
        raise UsageError(_reason(error), _HINT) from None
    finally:
        timer.cancel()
        cursor.close()
    return Result([item[0] for item in described], [str(item[1]) for item in described], rows)


def _check(cursor: "duckdb.DuckDBPyConnection", sql: str) -> None:
    import duckdb

    statements = cursor.extract_statements(sql)
    if len(statements) != 1:
        raise UsageError(f"these are {len(statements)} statements, not one", _HINT)
    if statements[0].type != duckdb.StatementType.SELECT:
        word = str(statements[0].type).rpartition(".")[2]
        raise UsageError(f"only SELECT is allowed here, not {word}", _HINT)


def _reason(error: Exception) -> str:
    lines = [line for line in str(error).splitlines() if line.strip()]
    return lines[0] if lines else type(error).__name__
