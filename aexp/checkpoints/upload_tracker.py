"""A user's own list of the folders that were handed over, in SQLite: what a kill has cut short.

A run's checkpoints need no such list: what is on disk is complete. It is of use where the
trainer's folders outlive the process, for one that was killed between handing a folder over and
its publication.
"""

import os
import sqlite3
import time
from contextlib import closing
from typing import Any

from aexp.errors import CorruptFile, UsageError

PENDING, COMPLETE, FAILED = "pending", "complete", "failed"
_TABLE = """
CREATE TABLE IF NOT EXISTS aexp_uploads (
    id INTEGER PRIMARY KEY, job TEXT NOT NULL, directory TEXT NOT NULL,
    asset_type TEXT NOT NULL, step INTEGER, state TEXT NOT NULL,
    output TEXT, error TEXT NOT NULL DEFAULT '', at REAL NOT NULL
)
"""
_COLUMNS = ("id", "job", "directory", "asset_type", "step", "state", "output", "error", "at")


class UploadTracker:
    """Folders given to `ActiveRun.upload_directory_async`, and what became of them.

    The next process that hands a folder over with the same list first takes those of its run
    that were cut short.

    Parameters
    ----------
    db_path : path
        The file; made when it is not there. One may serve many runs.
    """

    def __init__(self, db_path: "str | os.PathLike[str]") -> None:
        self.db_path = os.path.abspath(os.fspath(db_path))
        if not os.path.isdir(os.path.dirname(self.db_path)):
            raise UsageError(
                f"the folder of {self.db_path} is not there", "make it, or give another path"
            )
        self._own: set[tuple[int, int]] = set()
        self._do(_TABLE)

    def __repr__(self) -> str:
        return f"UploadTracker({self.db_path!r})"

    def uploads(self, job: str | None = None) -> list[dict[str, Any]]:
        """Return what is on the list, oldest first; of all runs or of one."""
        found = self._do(f"SELECT {', '.join(_COLUMNS)} FROM aexp_uploads ORDER BY id")
        rows = [dict(zip(_COLUMNS, row, strict=True)) for row in found]
        return [row for row in rows if job is None or row["job"] == job]

    def get_incomplete(self, job: str | None = None) -> list[dict[str, Any]]:
        """Return what was handed over and is not known to have been kept."""
        return [row for row in self.uploads(job) if row["state"] == PENDING]

    def cut_short(self, job: str) -> list[dict[str, Any]]:
        """Return those of a run that another process has handed over and not finished."""
        process = os.getpid()
        return [row for row in self.get_incomplete(job) if (process, row["id"]) not in self._own]

    def begin(self, job: str, directory: str, asset_type: str, step: int | None) -> int:
        """Note a folder; return its number on the list."""
        values = (job, directory, asset_type, step, PENDING, time.time())
        names = "job, directory, asset_type, step, state, at"
        insert = f"INSERT INTO aexp_uploads ({names}) VALUES (?, ?, ?, ?, ?, ?) RETURNING id"
        number = int(self._do(insert, *values)[0][0])
        self._own.add((os.getpid(), number))
        return number

    def end(self, number: int, output: str | None, error: str = "") -> None:
        """Note what became of a folder: the id of the output that it is now, or an error."""
        state = COMPLETE if output is not None else FAILED
        change = "UPDATE aexp_uploads SET state = ?, output = ?, error = ?, at = ? WHERE id = ?"
        self._do(change, state, output, error, time.time(), number)

    def _do(self, statement: str, *values: object) -> list[Any]:
        # A connection for each: several threads and processes may use the list.
        try:
            with closing(sqlite3.connect(self.db_path, timeout=20)) as connection, connection:
                return connection.execute(statement, values).fetchall()
        except sqlite3.Error as error:
            raise CorruptFile(
                f"{self.db_path} cannot be used as a list of uploads: {error}",
                "remove it, or give another path; checkpoints do not depend on it",
            ) from error
