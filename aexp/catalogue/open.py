"""Open the catalogue: what its file knows, and what has changed since."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

from aexp.catalogue import base as files
from aexp.catalogue.base import Base
from aexp.catalogue.connection import connect
from aexp.catalogue.read import Reader
from aexp.catalogue.rows import Rows
from aexp.catalogue.scan import Sources, Unit, changed_paths, racy_paths, scan, unit_of
from aexp.catalogue.schema import FILE, TABLES, VIEWS, create_table, create_view
from aexp.errors import AexpError
from aexp.model import utc_now
from aexp.paths import Repo
from aexp.project import default_slug, project_slug

if TYPE_CHECKING:
    import duckdb

# So many files are read again by every call before a new file is written.
KEEP_FROM = 64
_SHARE = 0.02
_NOTE_WEIGHT = 10  # YAML is slow


class Opened(NamedTuple):
    """A connection that knows everything.

    Attributes
    ----------
    connection : duckdb.DuckDBPyConnection
        Not yet locked.
    base : Base or None
        The file under it.
    reason : str
        Why there is none.
    read : int
        How many files were read.
    sources : int
        How many files there are.
    written : bool
        Whether a new file was written.
    """

    connection: "duckdb.DuckDBPyConnection"
    base: Base | None
    reason: str
    read: int
    sources: int
    written: bool


def open_refreshed(repo: Repo, *, in_memory: bool = False, rebuild: bool = False) -> Opened:
    """Return a connection to all that is known now.

    Parameters
    ----------
    repo : Repo
        The repository.
    in_memory : bool, default False
        Neither read nor write the catalogue's file.
    rebuild : bool, default False
        Read every file, and write a new one if that is possible at all.
    """
    project = _project(repo)
    connection = connect()
    try:
        if in_memory:
            sources = scan(repo)
            _load(connection, repo, sources, set(sources.files), None, project)
            return Opened(connection, None, "memory was asked for", len(sources.files), len(sources.files), False)
        base, reason = (None, "") if rebuild else files.attach(connection, repo, project)
        sources = scan(repo)
        changed = _changed(connection, base, sources)
        if not rebuild and _weight(changed) <= max(KEEP_FROM, _SHARE * len(sources.files)):
            _load(connection, repo, sources, changed, base, project)
            return Opened(connection, base, reason, len(changed), len(sources.files), False)
        with files.writing(repo) as moment:
            if moment is not None:
                if not rebuild:  # another process may just have written one
                    base, reason = _latest(connection, repo, base, reason, project)
                sources = scan(repo)
                changed = _changed(connection, base, sources)
            _load(connection, repo, sources, changed, base, project)
            written = False
            if moment is None:
                reason = reason or "another process writes it, or its folder cannot be written"
            elif rebuild or _weight(changed) > KEEP_FROM:
                fault = files.write(
                    connection,
                    repo,
                    sources,
                    project=project,
                    scanned_ns=moment,
                    built_at=utc_now(),
                )
                written, reason = fault is None, fault or reason
        return Opened(connection, base, reason, len(changed), len(sources.files), written)
    except BaseException:
        connection.close()
        raise


def _project(repo: Repo) -> str:
    try:
        return project_slug(repo)
    except AexpError:  # the verbs that need it say so
        return default_slug(repo.root)


def _latest(
    connection: "duckdb.DuckDBPyConnection",
    repo: Repo,
    base: Base | None,
    reason: str,
    project: str,
) -> tuple[Base | None, str]:
    """Return the file that is the latest now; the one attached before stays if it is none."""
    newer, why = files.attach(connection, repo, project, alias="newer")
    if newer is None:
        return base, why or reason
    if base is not None and newer.name == base.name:
        connection.execute("DETACH newer")
        return base, reason
    return newer, ""


def _weight(changed: set[str]) -> int:
    return sum(_NOTE_WEIGHT if path.endswith(".md") else 1 for path in changed)


def _changed(
    connection: "duckdb.DuckDBPyConnection", base: Base | None, sources: Sources
) -> set[str]:
    """Return the files whose rows the base does not have, or may not have."""
    if base is None:
        return set(sources.files)
    # A file that could not be read is tried again: what was missing may lie in another file.
    faulty = connection.execute(
        f"SELECT path FROM {base.alias}.source_files WHERE error IS NOT NULL"
    ).fetchall()
    changed = {path for (path,) in faulty}
    if sources.pack() == base.packed:
        return changed | racy_paths(sources.files, base.scanned_ns)
    return changed | changed_paths(base.sources.files, sources.files, base.scanned_ns)


def _load(
    connection: "duckdb.DuckDBPyConnection",
    repo: Repo,
    sources: Sources,
    changed: set[str],
    base: Base | None,
    project: str,
) -> None:
    """Read what has changed, and make the views over it and the base."""
    units = sorted({unit_of(repo, path) for path in changed})
    connection.execute("CREATE SCHEMA fresh")
    for table in TABLES:
        connection.execute(create_table(table, "fresh"))
    connection.execute("CREATE TABLE fresh.replaced (unit VARCHAR, key VARCHAR)")
    if base is not None and changed:
        replaced = {*units, *(Unit(FILE, path) for path in changed)}
        with connection.appender("fresh.replaced") as appender:
            appender.append_rows(sorted(replaced))
    with _without_collector():
        rows = Rows(connection)
        Reader(repo, rows, sources, project).read(units, sorted(changed))
    alias = None if base is None else base.alias
    for table in TABLES:
        connection.execute(create_view(table, alias, is_whole=not changed))
    for view in VIEWS:
        connection.execute(f"CREATE VIEW main.{view.name} AS {view.sql}")


@contextmanager
def _without_collector() -> Iterator[None]:
    """Let millions of young objects be: none of them is part of a cycle."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()
