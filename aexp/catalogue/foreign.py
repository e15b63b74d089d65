"""Rows of Parquet files that another tool has written."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from aexp.catalogue.connection import connect
from aexp.catalogue.parquet import quoted

if TYPE_CHECKING:
    import duckdb

_AT_ONCE = 500
FILE = "__file"


class Unreadable(NamedTuple):
    """A file that is no Parquet, and why."""

    path: str
    reason: str


def read_foreign(paths: Sequence[str]) -> Iterator[dict[str, Any] | Unreadable]:
    """Return the rows of files by column name, each with its file's path under `FILE`.

    Moments are microseconds since 1970. A column that a file does not have is missing in its
    rows, or None. A file that cannot be read costs itself only.
    """
    import duckdb

    connection = connect()
    try:
        for start in range(0, len(paths), _AT_ONCE):
            chunk = list(paths[start : start + _AT_ONCE])
            try:
                yield from _rows(connection, chunk)
            except duckdb.Error:
                for path in chunk:
                    try:
                        yield from _rows(connection, [path])
                    except duckdb.Error as error:
                        yield Unreadable(path, str(error).splitlines()[0])
    finally:
        connection.close()


def _rows(
    connection: "duckdb.DuckDBPyConnection", paths: list[str]
) -> list[dict[str, Any] | Unreadable]:
    source = "read_parquet(?, union_by_name = true, hive_partitioning = false, filename = ?)"
    described = connection.execute(f"DESCRIBE SELECT * FROM {source}", [paths, FILE]).fetchall()
    columns = [str(row[0]) for row in described]
    chosen = ", ".join(
        f"epoch_us({quoted(name)})" if str(row[1]).startswith("TIMESTAMP") else quoted(name)
        for name, row in zip(columns, described, strict=True)
    )
    found = connection.execute(f"SELECT {chosen} FROM {source}", [paths, FILE]).fetchall()
    return [dict(zip(columns, row, strict=True)) for row in found]
