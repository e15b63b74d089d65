"""Open the catalogue: what its file knows, and what has changed since."""

import gc
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

from aexp.campaigns.read import FOLDER as CAMPAIGNS_FOLDER
from aexp.catalogue.base import Base, attach, write, writing
from aexp.catalogue.connection import connect
from aexp.catalogue.read import Reader
from aexp.catalogue.rows import Rows
from aexp.catalogue.scan import (
    Sources,
    Unit,
    changed_paths,
    paths_of,
    racy_paths,
    scan,
    unit_of,
)
from aexp.catalogue.schema import FILE, TABLES, VIEWS
from aexp.catalogue.shape import create_table, create_view
from aexp.catalogue.values import clean
from aexp.errors import AexpError
from aexp.kb.artifacts import KINDS
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
        Why there is none, or why no new one was written.
    read : int
        How many files were read.
    sources : int
        How many files there are.
    written : str
        Name of the file that was written just now; empty when none was.
    """

    connection: "duckdb.DuckDBPyConnection"
    base: Base | None
    reason: str
    read: int
    sources: int
    written: str


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
    import duckdb

    project = _project(repo)
    connection = connect()
    made: _Opening | None = None
    try:
        made = _Opening(repo, connection, project)
        if in_memory:
            made.look()
            made.load()
            return made.opened("memory was asked for")
        if not rebuild:
            made.attach()
            if made.base is not None:
                made.look()
                if not made.is_much:
                    made.load()
                    return made.opened()
            elif not made.may_be_much:
                made.look()
                made.load()
                return made.opened("there is too little to keep")
        with writing(repo) as moment:
            return made.renew(moment, rebuild=rebuild)
    except duckdb.Error:
        connection.close()
        if made is None or made.base is None:
            raise
        return open_refreshed(repo, rebuild=True)  # the file is damaged
    except BaseException:
        connection.close()
        raise


class _Opening:
    """The steps of opening the catalogue."""

    def __init__(self, repo: Repo, connection: "duckdb.DuckDBPyConnection", project: str) -> None:
        self._repo = repo
        self._connection = connection
        self._project = project
        self._reason = ""
        self.base: Base | None = None
        self.sources = Sources({})
        self.changed: set[str] = set()

    def attach(self) -> None:
        """Take the latest file as the base; the one attached before stays if there is none."""
        alias = "base" if self.base is None else "newer"
        found, reason = attach(self._connection, self._repo, self._project, alias=alias)
        if found is None:
            self._reason = reason
        elif self.base is None or found.name != self.base.name:
            self.base, self._reason = found, ""
        else:
            self._connection.execute(f"DETACH {alias}")

    def look(self) -> None:
        """Find out what has changed since the base."""
        self.sources = scan(self._repo)
        self.changed = _changed(self._connection, self.base, self.sources)

    @property
    def is_much(self) -> bool:
        """Whether so much has changed that a new file is worth it."""
        weight = sum(_NOTE_WEIGHT if path.endswith(".md") else 1 for path in self.changed)
        return weight > max(KEEP_FROM, _SHARE * len(self.sources.files))

    @property
    def may_be_much(self) -> bool:
        """Whether there can be so many files that one to keep them is worth it."""
        folders = [self._repo.ledger_dir, self._repo.workspace, self._repo.at(CAMPAIGNS_FOLDER)]
        folders += [self._repo.at(kind.folder) for kind in KINDS.values()]
        found = 0
        for folder in folders:
            try:
                found += len(os.listdir(folder)) * _NOTE_WEIGHT
            except OSError:
                continue
        return found > KEEP_FROM

    def load(self) -> None:
        """Read what has changed, and make the views over it and the base."""
        _load(self._connection, self._repo, self.sources, self.changed, self.base, self._project)

    def renew(self, moment: int | None, *, rebuild: bool) -> Opened:
        """Load, and write a new file if the right to do so is held (`moment`)."""
        if moment is not None and not rebuild:
            self.attach()  # another process may just have written one
        if moment is not None or self.base is None:
            self.look()
        self.load()
        if moment is None:
            return self.opened("another process writes it now, or its folder cannot be written")
        if not rebuild and not self.is_much:
            return self.opened("there is too little to keep" if self.base is None else "")
        name, fault = write(
            self._connection,
            self._repo,
            self.sources,
            below=None if self.base is None else self.base.alias,
            project=self._project,
            scanned_ns=moment,
            built_at=utc_now(),
        )
        return self.opened(fault, written=name)

    def opened(self, reason: str | None = None, *, written: str = "") -> Opened:
        """Return what has come of it."""
        return Opened(
            self._connection,
            self.base,
            self._reason if reason is None else reason,
            len(self.changed),
            len(self.sources.files),
            written,
        )


def _project(repo: Repo) -> str:
    try:
        return project_slug(repo)
    except AexpError:  # the verbs that need it say so
        return default_slug(repo.root)


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
    units = {unit_of(repo, path) for path in changed}
    # What is wrong with one file of a unit can be found in another.
    paths = paths_of(repo, sources, units) if base is not None else changed
    connection.execute("CREATE SCHEMA fresh")
    for table in TABLES:
        connection.execute(create_table(table, "fresh"))
    connection.execute("CREATE TABLE fresh.replaced (unit VARCHAR, key VARCHAR)")
    if base is not None and changed:
        replaced = {*units, *(Unit(FILE, path) for path in changed | paths)}
        with connection.appender("fresh.replaced") as appender:
            appender.append_rows(sorted({(unit, clean(key)) for unit, key in replaced}))
    with _without_collector():
        rows = Rows(connection)
        Reader(repo, rows, sources, project).read(units, paths)
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
