"""Ask the catalogue."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from aexp.catalogue.connection import lock
from aexp.catalogue.open import Opened, open_refreshed
from aexp.catalogue.untrusted import Result, query
from aexp.paths import Repo

if TYPE_CHECKING:
    import duckdb


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
        self.opened = opened
        self._connection = opened.connection
        lock(self._connection)
        self.warnings = [
            f"{path} {error}"
            for path, error in self.rows(
                "SELECT path, error FROM source_files WHERE error IS NOT NULL ORDER BY path"
            ).rows
        ]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Give back the memory."""
        self._connection.close()

    def rows(self, sql: str, parameters: Sequence[Any] | dict[str, Any] = ()) -> Found:
        """Return what trusted SQL finds; values of users come in as `parameters` only."""
        done = self._execute(sql, parameters)
        return Found([item[0] for item in done.description or ()], done.fetchall())

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
        return query(self._connection, sql, timeout_s=timeout_s, max_rows=max_rows)

    def _execute(self, sql: str, parameters: Any) -> "duckdb.DuckDBPyConnection":
        return self._connection.execute(sql, parameters)


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
