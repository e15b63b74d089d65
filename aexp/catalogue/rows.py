"""Rows on their way from Python into DuckDB."""

from typing import TYPE_CHECKING, Any

from aexp.catalogue.schema import TABLES
from aexp.catalogue.values import clean

if TYPE_CHECKING:
    import duckdb

Row = tuple[Any, ...]
_AT_ONCE = 2000


class Rows:
    """Rows per table, handed to DuckDB a few thousand at a time.

    Parameters
    ----------
    connection : duckdb.DuckDBPyConnection
        Its schema ``fresh`` has the tables.
    """

    def __init__(self, connection: "duckdb.DuckDBPyConnection") -> None:
        self._connection = connection
        self.runs: list[Row] = []
        self.attempts: list[Row] = []
        self.params: list[Row] = []
        self.metrics: list[Row] = []
        self.artifacts: list[Row] = []
        self.links: list[Row] = []
        self.hypotheses: list[Row] = []
        self.experiments: list[Row] = []
        self.findings: list[Row] = []
        self.threads: list[Row] = []
        self.citations: list[Row] = []
        self.campaigns: list[Row] = []
        self.campaign_runs: list[Row] = []
        self.source_files: list[Row] = []

    def flush(self, *, at_least: int = 1) -> None:
        """Insert what has come together, unless it is less than `at_least` runs and files."""
        if len(self.runs) + len(self.source_files) < at_least:
            return
        for table in TABLES:
            rows: list[Row] = getattr(self, table.name)
            if rows:
                _insert(self._connection, table.name, rows)
                rows.clear()

    def flush_often(self) -> None:
        """Insert when some thousand have come together."""
        self.flush(at_least=_AT_ONCE)


def _insert(connection: "duckdb.DuckDBPyConnection", name: str, rows: list[Row]) -> None:
    import duckdb

    appender = connection.appender(f"fresh.{name}")
    try:
        appender.append_rows(rows)
    except (UnicodeError, duckdb.Error):
        # Half a surrogate pair in one of them: JSON can escape it, but it is no text.
        appender.clear()
        appender.append_rows([tuple(clean(value) for value in row) for row in rows])
    appender.flush()
