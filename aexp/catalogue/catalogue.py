"""Ask the catalogue."""

from collections.abc import Sequence
from typing import Any, NamedTuple, Self

from aexp.catalogue.connection import lock
from aexp.catalogue.open import Opened, open_refreshed
from aexp.catalogue.untrusted import DamagedFile, Result, query
from aexp.errors import UsageError
from aexp.paths import Repo


class Found(NamedTuple):
    """What a query has found."""

    columns: list[str]
    rows: list[tuple[Any, ...]]


class Catalogue:
    """All runs, notes and campaigns of a repository as tables, as they are at this moment.

    Made by `open_catalogue`; to be closed, or used as a context manager.

    Attributes
    ----------
    repo : Repo
        The repository.
    warnings : list of str
        One line per file that could not be read.
    opened : Opened
        How it was opened.
    """

    def __init__(self, repo: Repo, opened: Opened) -> None:
        self.repo = repo
        self._take(opened)
        self.warnings = [
            f"{path} {error}"
            for path, error in self.rows(
                "SELECT path, error FROM source_files WHERE error IS NOT NULL ORDER BY path"
            ).rows
        ]

    def _take(self, opened: Opened) -> None:
        self.opened = opened
        self._connection = opened.connection
        lock(self._connection)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Give back the memory."""
        self._connection.close()

    def rows(self, sql: str, parameters: Sequence[Any] | dict[str, Any] = ()) -> Found:
        """Return what trusted SQL finds; values of users come in as `parameters` only."""
        import duckdb

        try:
            return self._found(sql, parameters)
        except (duckdb.IOException, duckdb.FatalException, duckdb.InternalException):
            if not self._reopen():
                raise
            return self._found(sql, parameters)

    def user_query(
        self, sql: str, *, timeout_s: float | None = None, max_rows: int | None = None
    ) -> Result:
        """Return what a user's SQL finds: one SELECT, which can change and reach nothing.

        Parameters
        ----------
        sql : str
            One statement.
        timeout_s : float, optional
            After how many seconds it is ended.
        max_rows : int, optional
            With how many rows it is refused.

        Raises
        ------
        UsageError
            If it is not one SELECT, or DuckDB refuses it.
        """
        try:
            return query(self._connection, sql, timeout_s=timeout_s, max_rows=max_rows)
        except DamagedFile as error:
            if not self._reopen():
                raise UsageError(str(error)) from None
            return query(self._connection, sql, timeout_s=timeout_s, max_rows=max_rows)

    def _found(self, sql: str, parameters: Any) -> Found:
        done = self._connection.execute(sql, parameters)
        return Found([item[0] for item in done.description or ()], done.fetchall())

    def _reopen(self) -> bool:
        """Leave a damaged file alone and read everything; False when no file is to blame."""
        if self.opened.base is None:
            return False
        self._connection.close()
        self._take(open_refreshed(self.repo, rebuild=True))
        return True


def open_catalogue(repo: Repo, *, in_memory: bool = False, rebuild: bool = False) -> Catalogue:
    """Open the catalogue of a repository, up to date.

    Parameters
    ----------
    repo : Repo
        The repository.
    in_memory : bool, default False
        Read every source file, and do not touch the catalogue's own.
    rebuild : bool, default False
        Read every source file, and write the catalogue's file anew.
    """
    return Catalogue(repo, open_refreshed(repo, in_memory=in_memory, rebuild=rebuild))
