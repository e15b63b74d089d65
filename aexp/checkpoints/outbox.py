"""The outbox of one run: which of its checkpoints are at which remote, in SQLite.

It can be thrown away at any time. What is on disk and not marked as pushed is queued, and
what is queued although it was pushed costs one look at the remote.
"""

import os
import sqlite3
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import NamedTuple

from aexp.checkpoints.store import Checkpoint, checkpoints_dir
from aexp.files import remove
from aexp.paths import Repo
from aexp.remotes.config import Remote

NAME = "outbox.sqlite"
QUEUED, PUSHING, PUSHED, FAILED, DAMAGED = "queued", "pushing", "pushed", "failed", "damaged"
_VERSION = 1
_BUSY_S = 20.0
_FIRST_DELAY_S = 2.0
LAST_DELAY_S = 300.0
_TABLE = """
CREATE TABLE IF NOT EXISTS uploads (
    remote TEXT NOT NULL, url TEXT NOT NULL, id TEXT NOT NULL, folder TEXT NOT NULL,
    bytes INTEGER NOT NULL, state TEXT NOT NULL, tries INTEGER NOT NULL DEFAULT 0,
    next_try REAL NOT NULL DEFAULT 0, error TEXT NOT NULL DEFAULT '',
    hint TEXT NOT NULL DEFAULT '', sent INTEGER NOT NULL DEFAULT 0, at REAL NOT NULL,
    PRIMARY KEY (remote, id)
)
"""
_COLUMNS = "remote, id, folder, bytes, state, tries, next_try, error, hint, sent, at"


class Upload(NamedTuple):
    """One checkpoint on its way to one remote.

    Attributes
    ----------
    remote, id, folder : str
        Where to, which checkpoint, and its folder's name in the run.
    bytes : int
        The sum of its files' sizes.
    state : str
        ``queued``, ``pushing``, ``pushed``, ``failed`` (and tried again), or ``damaged``: its
        files here are not those of its manifest.
    tries : int
        How often it has failed.
    next_try : float
        When it may be tried again by itself, in seconds since 1970.
    error, hint : str
        Why it failed last, and what to do about it.
    sent : int
        The bytes that were really sent; equal files are sent once.
    at : float
        When this was last changed.
    """

    remote: str
    id: str
    folder: str
    bytes: int
    state: str
    tries: int = 0
    next_try: float = 0.0
    error: str = ""
    hint: str = ""
    sent: int = 0
    at: float = 0.0

    @property
    def is_pushed(self) -> bool:
        """Whether it is at the remote, its manifest included."""
        return self.state == PUSHED


class Outbox:
    """The uploads of one run. Use it in one thread, and close it.

    Parameters
    ----------
    repo : Repo
        The repository.
    job_id : str
        The run.
    """

    def __init__(self, repo: Repo, job_id: str) -> None:
        path = os.path.join(checkpoints_dir(repo, job_id), NAME)
        self._connection = _open(path)

    def __enter__(self) -> "Outbox":
        return self

    def __exit__(self, *ignored: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    def uploads(self, remote: Remote) -> list[Upload]:
        """Return what is known of a remote, the newest change last.

        What was sent to another place under its name is not at this one.
        """
        # The names are this module's own, the values are bound.
        query = f"SELECT {_COLUMNS} FROM uploads WHERE remote = ? AND url = ? ORDER BY at, folder"
        values = (remote.name, remote.place)
        return [Upload(*row) for row in self._connection.execute(query, values)]

    def fill(self, remote: Remote, checkpoints: Iterable[Checkpoint]) -> list[Upload]:
        """Queue what is on disk and not known; forget what is neither here nor there.

        Returns
        -------
        list of Upload
            All of that remote's.
        """
        # Whoever points the name elsewhere has nothing there yet.
        self._run("DELETE FROM uploads WHERE remote = ? AND url != ?", remote.name, remote.place)
        known = {upload.id: upload for upload in self.uploads(remote)}
        here = {checkpoint.id: checkpoint for checkpoint in checkpoints}
        for checkpoint in here.values():
            if checkpoint.id not in known:
                self._run(
                    "INSERT OR IGNORE INTO uploads (remote, url, id, folder, bytes, state, at) "
                    "VALUES (?, ?, ?, ?, ?, ?, ?)",
                    *(remote.name, remote.place, checkpoint.id, checkpoint.path.name),
                    *(checkpoint.manifest.total_bytes, QUEUED, time.time()),
                )
        for upload in known.values():
            if upload.id not in here and upload.state != PUSHED:
                self._run("DELETE FROM uploads WHERE remote = ? AND id = ?", *upload[:2])
        return self.uploads(remote)

    def begin(self, remote: str, checkpoint_id: str) -> None:
        """Note that an upload is under way."""
        self._change(remote, checkpoint_id, "state = ?", PUSHING)

    def end(self, remote: str, checkpoint_id: str, sent: int) -> None:
        """Note that a checkpoint is at the remote, its manifest included."""
        self._change(
            remote,
            checkpoint_id,
            "state = ?, sent = sent + ?, tries = 0, next_try = 0, error = '', hint = ''",
            PUSHED,
            sent,
        )

    def fail(
        self, remote: str, checkpoint_id: str, error: str, hint: str, *, damaged: bool = False
    ) -> None:
        """Note why an upload failed; the next one is due after twice the time of the last."""
        row = self._connection.execute(
            "SELECT tries FROM uploads WHERE remote = ? AND id = ?", (remote, checkpoint_id)
        ).fetchone()
        tries = (row[0] if row else 0) + 1
        self._change(
            remote,
            checkpoint_id,
            "state = ?, tries = ?, next_try = ?, error = ?, hint = ?",
            DAMAGED if damaged else FAILED,
            tries,
            time.time() + delay_after(tries),
            error,
            hint,
        )

    def forget(self, remote: str, checkpoint_id: str) -> None:
        """Drop a row; it is queued again when its checkpoint is on disk."""
        self._run("DELETE FROM uploads WHERE remote = ? AND id = ?", remote, checkpoint_id)

    def _change(self, remote: str, checkpoint_id: str, what: str, *values: object) -> None:
        self._run(
            f"UPDATE uploads SET {what}, at = ? WHERE remote = ? AND id = ?",
            *(*values, time.time(), remote, checkpoint_id),
        )

    def _run(self, statement: str, *values: object) -> None:
        # A disk that is full now, a lock that nobody gives back: uploads go on without notes.
        with suppress(sqlite3.OperationalError):
            self._connection.execute(statement, values)


def delay_after(tries: int) -> float:
    """Return how long to wait after so many failures: doubled each time, up to 5 minutes."""
    return float(min(_FIRST_DELAY_S * 2 ** min(tries - 1, 20), LAST_DELAY_S))


def pushed_ids(repo: Repo, job_id: str, remotes: Sequence[Remote]) -> dict[str, set[str]]:
    """Return the ids of a run's checkpoints that are known to be at each of these remotes."""
    found: dict[str, set[str]] = {remote.name: set() for remote in remotes}
    if found and os.path.isfile(os.path.join(checkpoints_dir(repo, job_id), NAME)):
        with Outbox(repo, job_id) as outbox:
            for remote in remotes:
                found[remote.name] = {item.id for item in outbox.uploads(remote) if item.is_pushed}
    return found


def _open(path: str) -> sqlite3.Connection:
    """Open the file, made anew when it is damaged; where none can be kept, in memory."""
    for _ in range(2):
        try:
            return _prepared(path)
        except sqlite3.OperationalError:
            break  # a read-only folder, a file system without locks
        except sqlite3.DatabaseError:
            for ending in ("", "-journal", "-wal", "-shm"):
                remove(path + ending)
    return _prepared(":memory:")


def _prepared(path: str) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=_BUSY_S, isolation_level=None)
    try:
        # Not WAL, which needs shared memory: runs lie on network file systems, too. Nothing is
        # lost with this file, so the disk need not be waited for.
        connection.execute("PRAGMA journal_mode = DELETE")
        connection.execute("PRAGMA synchronous = OFF")
        version = connection.execute("PRAGMA user_version").fetchone()[0]
        if version not in (0, _VERSION):
            raise sqlite3.DatabaseError("of another version")
        if version == 0:
            connection.execute(_TABLE)
            connection.execute(f"PRAGMA user_version = {_VERSION}")
        connection.execute(f"SELECT {_COLUMNS} FROM uploads LIMIT 1").fetchall()
        # Damage anywhere in it is found now, not by whoever comes to that page.
        if connection.execute("PRAGMA quick_check(1)").fetchone() != ("ok",):
            raise sqlite3.DatabaseError("damaged")
    except BaseException:
        connection.close()
        raise
    return connection
