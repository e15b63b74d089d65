"""``aexp sql``."""

import contextlib
import os
import sys
import threading
from collections.abc import Iterator

import click

from aexp.cli.output import note
from aexp.cli.query_options import asked_catalogue
from aexp.cli.rendering import Output, output_options, render

_MEMORY_BYTES = 8 << 30
_GRACE_S = 5.0


@click.command("sql")
@click.argument("query", metavar="SELECT")
@click.option(
    "--timeout",
    type=click.FloatRange(0.1),
    default=60.0,
    show_default=True,
    metavar="SECONDS",
    help="End the query after so long.",
)
@click.option(
    "--max-rows",
    type=click.IntRange(1),
    default=1_000_000,
    show_default=True,
    metavar="N",
    help="Refuse to return more.",
)
@output_options
def sql(query: str, timeout: float, max_rows: int, out: Output) -> None:
    """Ask the catalogue of all runs, notes and campaigns a question in SQL (DuckDB's).

    The query is one SELECT. It can change nothing, and reach no file, no network and no
    setting. What it sees is what the files say now. SELECT is "-" to read it from stdin.

    \b
    Examples:
      aexp sql "SELECT status, count(*) FROM runs GROUP BY status"
      aexp sql "SELECT project_slug, count(*) FROM runs GROUP BY 1" --json
      aexp sql "SELECT * FROM v_runs LIMIT 20" --csv
      aexp sql - --parquet table.parquet < question.sql
    """
    text = sys.stdin.read() if query == "-" else query
    with asked_catalogue() as catalogue, _bounded(timeout + _GRACE_S):
        found = catalogue.user_query(text, timeout_s=timeout, max_rows=max_rows)
    render(out, found.columns, found.rows, types=found.types, none="no rows")


@contextlib.contextmanager
def _bounded(seconds: float) -> Iterator[None]:
    """Bound memory and time of this process while a stranger's query runs in it."""
    import resource

    before = resource.getrlimit(resource.RLIMIT_AS)
    limits = [limit for limit in (_MEMORY_BYTES + _address_space(), *before) if limit >= 0]
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_AS, (min(limits), before[1]))
    # One long step inside DuckDB does not look whether it is to end.
    timer = threading.Timer(seconds, _end)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_AS, before)


def _address_space() -> int:
    try:
        with open("/proc/self/statm") as file:
            return int(file.read().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError):
        return 0


def _end() -> None:
    note("error: the query took longer than it may, and did not end when it was told to")
    note("hint: let it make less at once, or allow more: --timeout SECONDS")
    os._exit(2)
