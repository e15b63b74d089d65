"""The file that keeps the catalogue between two calls, and how it is replaced.

Files are written once, under a name of their own, and never changed. A pointer says which one
is the latest; it is replaced in one rename, so that readers have the old file or the new one.
Nothing depends on the file: whoever cannot read it, or write it, works in memory.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, NamedTuple

from aexp.catalogue.connection import quoted
from aexp.catalogue.scan import Sources
from aexp.catalogue.schema import TABLES, VERSION
from aexp.catalogue.shape import create_table, stored_rows
from aexp.errors import AexpError
from aexp.files import read_object, remove, write_atomic
from aexp.paths import Repo
from aexp.version import __version__

if TYPE_CHECKING:
    import duckdb

FOLDER = "catalogue"
POINTER = "current.json"
_PREFIX, _SUFFIX = "catalogue-", ".duckdb"
_TRIES = 3


class Base(NamedTuple):
    """A file of the catalogue that is attached to a connection.

    Attributes
    ----------
    name : str
        The file's name.
    alias : str
        What the connection calls it.
    scanned_ns : int
        When its sources were looked at, by the clock of the file system.
    built_at : str
        When it was written.
    packed : tuple of bytes
        Its sources, packed.
    """

    name: str
    alias: str
    scanned_ns: int
    built_at: str
    packed: tuple[bytes, bytes]

    @property
    def sources(self) -> Sources:
        """Its sources."""
        return Sources.unpack(*self.packed)


def folder(repo: Repo) -> str:
    """Return the folder of the catalogue's files."""
    return repo.cache(FOLDER)


def identity(repo: Repo, project: str) -> dict[str, Any]:
    """Return what a file must have been made for and by to be of use here."""
    return {
        "schema_version": VERSION,
        "aexp_version": __version__,
        "project_slug": project,
        "store": repo.store,
        "machine_label": repo.machine_label,
    }


def attach(
    connection: "duckdb.DuckDBPyConnection", repo: Repo, project: str, *, alias: str = "base"
) -> tuple[Base | None, str]:
    """Attach the latest file, read-only.

    Returns
    -------
    Base or None, str
        None when there is none that is of use, and why.
    """
    import duckdb

    reason = "there is no file yet"
    for _ in range(_TRIES):
        try:
            pointer = read_object(os.path.join(folder(repo), POINTER))
        except AexpError:
            return None, "the pointer to its file is damaged"
        if pointer is None:
            return None, reason
        wanted = identity(repo, project)
        if {key: pointer.get(key) for key in wanted} != wanted:
            return None, "its file was written by another version, or for another project"
        name = str(pointer.get("file"))
        path = os.path.join(folder(repo), name)
        if name != os.path.basename(name) or not os.path.isfile(path):
            reason = "its file is gone"  # replaced just now, unless it stays like that
            continue
        try:
            connection.execute(f"ATTACH {quoted(path)} AS {alias} (READ_ONLY)")
            packed = connection.execute(f"SELECT names, numbers FROM {alias}.packed").fetchone()
        except duckdb.Error as error:
            reason = f"its file cannot be read: {str(error).splitlines()[0]}"
            with suppress(duckdb.Error):
                connection.execute(f"DETACH {alias}")
            continue
        scanned_ns = pointer.get("scanned_ns")
        if packed is None or not isinstance(scanned_ns, int):
            return None, "the pointer to its file is damaged"
        return Base(name, alias, scanned_ns, str(pointer.get("built_at")), packed), ""
    return None, reason


@contextmanager
def writing(repo: Repo) -> Iterator[int | None]:
    """Hold the right to replace the file, if nobody else has it and the folder can be written.

    The value is the file system's time in nanoseconds, None without the right.
    """
    top = folder(repo)
    try:
        os.makedirs(top, exist_ok=True)
        descriptor = os.open(
            os.path.join(top, "lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644
        )
    except OSError:
        yield None
        return
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.utime(descriptor)
            moment = os.fstat(descriptor).st_ctime_ns
        except OSError:  # somebody else writes it now; or no locks here, as on some NFS
            yield None
            return
        yield moment
    finally:
        os.close(descriptor)


def write(
    connection: "duckdb.DuckDBPyConnection",
    repo: Repo,
    sources: Sources,
    *,
    below: str | None,
    project: str,
    scanned_ns: int,
    built_at: str,
) -> tuple[str, str]:
    """Write what the connection knows as the latest file; the right to do so must be held.

    `below` is what it calls the file that it has read from, if there is one.

    Returns
    -------
    str, str
        Its name, or why it could not be written.
    """
    import duckdb

    top = folder(repo)
    name = f"{_PREFIX}{os.getpid()}-{os.urandom(4).hex()}{_SUFFIX}"
    path = os.path.join(top, name)
    try:
        connection.execute(f"ATTACH {quoted(path)} AS next")
        try:
            connection.execute("BEGIN")
            for table in TABLES:
                connection.execute(create_table(table, "next"))
                rows = stored_rows(table, below)
                connection.execute(f"INSERT INTO next.{table.name} {rows}")
            connection.execute("CREATE TABLE next.packed (names BLOB, numbers BLOB)")
            connection.execute("INSERT INTO next.packed VALUES (?, ?)", list(sources.pack()))
            connection.execute("COMMIT")
        finally:
            connection.execute("DETACH next")
        pointer = identity(repo, project)
        pointer |= {"file": name, "scanned_ns": scanned_ns, "built_at": built_at}
        import json

        write_atomic(os.path.join(top, POINTER), json.dumps(pointer, indent=2).encode() + b"\n")
    except (duckdb.Error, AexpError, OSError) as error:
        remove(path)
        return "", str(error).splitlines()[0]
    _remove_others(top, name)
    return name, ""


def _remove_others(top: str, keep: str) -> None:
    """Remove the earlier files; who has one open keeps it until it is closed."""
    with suppress(FileNotFoundError):  # somebody has removed the folder
        for name in os.listdir(top):
            if name.startswith(_PREFIX) and not name.startswith(keep):
                remove(os.path.join(top, name))


def size(repo: Repo, name: str) -> int:
    """Return the size of a file of the catalogue in bytes, 0 when it is gone."""
    try:
        return os.path.getsize(os.path.join(folder(repo), name))
    except OSError:
        return 0
