"""A DuckDB connection that reads what it was given, and nothing else of the machine."""

import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import duckdb

_THREADS = 4
_CONFIG: dict[str, Any] = {
    "autoinstall_known_extensions": False,
    "autoload_known_extensions": False,
    "allow_community_extensions": False,
    "python_enable_replacements": False,
    # What does not fit into memory is refused, never written to a folder.
    "temp_directory": "",
    "preserve_insertion_order": False,
}


def connect() -> "duckdb.DuckDBPyConnection":
    """Return a connection to a database in memory, not yet locked."""
    import duckdb

    config = {
        **_CONFIG,
        "threads": min(_THREADS, len(os.sched_getaffinity(0))),
        "memory_limit": f"{memory_bytes() >> 20}MiB",
    }
    connection = duckdb.connect(":memory:", config=config)
    connection.execute("SET TimeZone = 'UTC'")
    return connection


def memory_bytes() -> int:
    """Return how much memory DuckDB may have: half of the machine's."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2


def lock(connection: "duckdb.DuckDBPyConnection") -> None:
    """Take from a connection all that reaches out of it; there is no way back."""
    connection.execute("SET enable_external_access = false")
    connection.execute("SET lock_configuration = true")


def quoted(text: str) -> str:
    """Return a text as SQL writes one."""
    return "'" + text.replace("'", "''") + "'"
