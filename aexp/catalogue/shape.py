"""What a table is, and the SQL that makes it.

Every table exists twice while it is read: in the file that was written at an earlier refresh,
and in memory, with what has changed since. The name that people use is a view over both.
"""

from typing import NamedTuple


class Column(NamedTuple):
    """One column of a table."""

    name: str
    type: str
    about: str

    @property
    def stored(self) -> str:
        """The type in the file: JSON is checked when it is read, not when it is written."""
        return "VARCHAR" if self.type == "JSON" else self.type


class Table(NamedTuple):
    """One table.

    Attributes
    ----------
    name : str
        Its name.
    about : str
        What one row is.
    unit : str
        ``run``, ``file`` or ``campaign``: with what its rows are replaced.
    key : str
        The column that names the unit.
    columns : tuple of Column
        Stored columns, in order.
    derived : tuple of (Column, str)
        Columns that the view computes, each with its SQL.
    """

    name: str
    about: str
    unit: str
    key: str
    columns: tuple[Column, ...]
    derived: tuple[tuple[Column, str], ...] = ()

    @property
    def shown(self) -> tuple[Column, ...]:
        """All columns, in the order that people see."""
        return (*self.columns, *(column for column, _ in self.derived))


class View(NamedTuple):
    """A further view over the tables."""

    name: str
    about: str
    sql: str


def create_table(table: Table, where: str) -> str:
    """Return the SQL that makes a table in a schema or database."""
    columns = ", ".join(f'"{column.name}" {column.stored}' for column in table.columns)
    return f"CREATE TABLE {where}.{table.name} ({columns})"


def stored_rows(table: Table, base: str | None) -> str:
    """Return the SQL of all rows as they are stored: in memory, and in the file `base`."""
    stored = ", ".join(f'"{column.name}"' for column in table.columns)
    found = f"SELECT {stored} FROM fresh.{table.name}"
    if base is None:
        return found
    return (
        f"{found} UNION ALL SELECT {stored} FROM {base}.{table.name} WHERE {table.key} NOT IN"
        f" (SELECT key FROM fresh.replaced WHERE unit = '{table.unit}')"
    )


def create_view(table: Table, base: str | None, *, is_whole: bool = False) -> str:
    """Return the SQL of the view that people read.

    `is_whole` says that nothing is in memory, and the file has it all.
    """
    whole = f"{base}.{table.name}" if base is not None and is_whole else None
    shown = [
        f'"{column.name}"::JSON AS "{column.name}"' if column.type == "JSON" else f'"{column.name}"'
        for column in table.columns
    ]
    shown += [f'{sql} AS "{column.name}"' for column, sql in table.derived]
    source = whole or f"({stored_rows(table, base)})"
    return f"CREATE VIEW main.{table.name} AS SELECT {', '.join(shown)} FROM {source}"
