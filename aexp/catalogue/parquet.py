"""Write a table as a Parquet file."""

import json
import os
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from aexp.errors import AexpError, UsageError
from aexp.files import temporary_name

_MAGIC = b"PAR1"
_BIGINT = 1 << 63
_WIDE = ("HUGEINT", "UHUGEINT")  # a sum of integers; in Parquet these would be floats


def write_parquet(
    path: str,
    columns: Sequence[str],
    rows: Sequence[Sequence[Any]],
    types: Sequence[str] | None = None,
) -> None:
    """Write rows to a Parquet file, whole or not at all.

    Parameters
    ----------
    path : str
        The file. An earlier Parquet file is replaced, any other file is left alone.
    columns : sequence of str
        Names, each once.
    rows : sequence of sequences
        One value per column.
    types : sequence of str, optional
        DuckDB's names of the columns' types; default: the one that holds all values of the
        column, text where numbers and text are mixed.

    Raises
    ------
    UsageError
        If `path` names no file that may be written.
    """
    import duckdb

    check_path(path)
    by_column = [[row[index] for row in rows] for index, _ in enumerate(columns)]
    declared_types: Sequence[str | None] = types or [None] * len(columns)
    types = [
        column_type(values) if kind is None or kind in _WIDE else kind
        for values, kind in zip(by_column, declared_types, strict=True)
    ]
    by_column = [
        values if kind == told else [_value(value, kind) for value in values]
        for values, kind, told in zip(by_column, types, declared_types, strict=True)
    ]
    declared = ", ".join(
        f"{quoted(name)} {kind}" for name, kind in zip(columns, types, strict=True)
    )
    unnested = ", ".join(f"unnest(?::{kind}[])" for kind in types)
    temporary = temporary_name(os.path.abspath(path))
    try:
        with duckdb.connect() as connection:
            connection.execute(f"CREATE TABLE found ({declared})")
            if rows:
                connection.execute(f"INSERT INTO found SELECT {unnested}", by_column)
            connection.table("found").write_parquet(temporary)
        os.replace(temporary, path)
    except (OSError, duckdb.Error) as error:
        reason = getattr(error, "strerror", None) or str(error).splitlines()[0]
        raise AexpError(
            f"{path} cannot be written: {reason}", "does its folder exist, and may you write there?"
        ) from None
    finally:
        with suppress(OSError):
            os.unlink(temporary)


def check_path(path: str) -> None:
    """Refuse to write over what is no Parquet file.

    Raises
    ------
    UsageError
        If `path` is empty, a folder, or another kind of file.
    """
    if path in ("", "-") or "\0" in path or os.path.isdir(path):
        raise UsageError(f"{path!r} is no file to write to", "for instance: --parquet runs.parquet")
    try:
        with open(path, "rb") as file:
            begin = file.read(len(_MAGIC))
    except FileNotFoundError:
        return
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror or error}") from None
    if begin not in (b"", _MAGIC):
        raise UsageError(
            f"{path} exists and is no Parquet file", "choose another name, or remove it first"
        )


def quoted(name: str) -> str:
    """Return a name as SQL writes one."""
    return '"' + name.replace('"', '""') + '"'


def column_type(values: Sequence[Any]) -> str:
    """Return the DuckDB type that holds all of some values of Python."""
    kinds = {type(value) for value in values if value is not None}
    if kinds == {bool}:
        return "BOOLEAN"
    if kinds == {int} and all(-_BIGINT <= value < _BIGINT for value in values if value is not None):
        return "BIGINT"
    return "DOUBLE" if kinds and kinds <= {int, float} else "VARCHAR"


def _value(value: Any, kind: str) -> Any:
    if value is None or kind in ("BOOLEAN", "BIGINT"):
        return value
    if kind == "DOUBLE":
        try:
            return float(value)
        except OverflowError:
            return float("inf") if value > 0 else float("-inf")
    if isinstance(value, str):
        return value.encode(errors="backslashreplace").decode()
    return json.dumps(value, ensure_ascii=False, default=str)
