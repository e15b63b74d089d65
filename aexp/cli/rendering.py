"""The one renderer of tables: for people, and as JSON, CSV, Markdown and Parquet."""

import functools
import json
import math
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any, NamedTuple, TypeVar

import click

from aexp.cli.output import note, number, print_json, print_table
from aexp.model import printable
from aexp.numbers import json_number

F = TypeVar("F", bound=Callable[..., Any])
TEXT, JSON, CSV, MARKDOWN, PARQUET = "text", "json", "csv", "md", "parquet"
_QUOTED_IN_CSV = re.compile(r'[",\r\n]|^\s|\s$')
_MARKUP = re.compile(r"[\\`*\[\]<>|~&#]|(?<![^\W_])_|_(?![^\W_])")


class Output(NamedTuple):
    """How a verb prints its table.

    Attributes
    ----------
    form : str
        ``text``, ``json``, ``csv``, ``md`` or ``parquet``.
    path : str
        The file that ``parquet`` is written to.
    """

    form: str = TEXT
    path: str = ""

    @property
    def is_text(self) -> bool:
        """Whether people read it."""
        return self.form == TEXT


def output_options(function: F) -> F:
    """Add ``--json``, ``--csv``, ``--md``, ``--parquet FILE``, which the verb gets as `out`."""

    @functools.wraps(function)
    def verb(
        *args: Any, as_json: bool, as_csv: bool, as_md: bool, parquet: str | None, **kwargs: Any
    ) -> Any:
        asked = {JSON: as_json, CSV: as_csv, MARKDOWN: as_md, PARQUET: parquet is not None}
        chosen = [form for form, is_asked in asked.items() if is_asked]
        if len(chosen) > 1:
            both = " and ".join("--" + form for form in chosen)
            raise click.UsageError(f"{both} exclude each other; choose one")
        if parquet is not None:
            from aexp.catalogue.parquet import check_path

            check_path(parquet)
        return function(*args, out=Output(chosen[0] if chosen else TEXT, parquet or ""), **kwargs)

    for decorate in (
        click.option("--parquet", metavar="FILE", help="Write a Parquet file instead."),
        click.option("--md", "as_md", is_flag=True, help="Print a Markdown table."),
        click.option("--csv", "as_csv", is_flag=True, help="Print CSV with a header."),
        click.option("--json", "as_json", is_flag=True, help="Print JSON for programs."),
    ):
        verb = decorate(verb)
    return verb  # type: ignore[return-value]


def render(
    out: Output,
    columns: Sequence[str],
    rows: Sequence[Sequence[Any]],
    *,
    text: Callable[[], None] | None = None,
    facts: Any = None,
    types: Sequence[str] | None = None,
    none: str = "nothing was found",
) -> None:
    """Print a table in the form that was asked for.

    Parameters
    ----------
    out : Output
        The form.
    columns : sequence of str
        Names of the columns; one that occurs again gets a number.
    rows : sequence of sequences
        One value of Python per column, as exact as it is known.
    text : callable, optional
        Prints it for people; default: the table itself.
    facts : optional
        What ``--json`` prints; default: one object per row.
    types : sequence of str, optional
        DuckDB's types of the columns, for Parquet; default: what the values are.
    none : str
        What was looked for, said when there are no rows.
    """
    names = unique_names(columns)
    if not rows:
        note(none)
    if out.form == JSON:
        print_json(plain(as_objects(names, rows) if facts is None else facts))
    elif out.form == CSV:
        lines = [names, *rows]
        _echo("\n".join(",".join(map(_csv_cell, line)) for line in lines))
    elif out.form == MARKDOWN:
        lines = [names, ["---"] * len(names)]
        body = [[_markdown_cell(value) for value in row] for row in rows]
        lines = [[_markdown_cell(name) for name in names], lines[1], *body]
        _echo("\n".join("| " + " | ".join(line) + " |" for line in lines))
    elif out.form == PARQUET:
        from aexp.catalogue.parquet import write_parquet

        write_parquet(out.path, names, rows, types)
        note(f"{len(rows)} row(s) in {printable(out.path)}")
    elif rows and text is not None:
        text()
    elif rows:
        shown = [["" if value is None else cell(value) for value in row] for row in rows]
        print_table([printable(name) for name in names], shown)


def unique_names(columns: Sequence[str]) -> list[str]:
    """Return the names, with a number behind one that another column has already.

    Names that differ in case alone are the same to a database.
    """
    names: list[str] = []
    taken: set[str] = set()
    for name in columns:
        count, new = 1, name
        while new.lower() in taken:
            count += 1
            new = f"{name}_{count}"
        names.append(new)
        taken.add(new.lower())
    return names


def as_objects(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> list[dict[str, Any]]:
    """Return one object per row."""
    return [dict(zip(columns, row, strict=True)) for row in rows]


def plain(value: Any) -> Any:
    """Return a value in JSON's types: names for numbers that it does not know, times as text."""
    if isinstance(value, float):
        return json_number(value)
    if isinstance(value, Decimal):
        # As a number where a number says the same, else as exact text.
        near = (int(value), float(value)) if value.is_finite() else ()
        return next((one for one in near if Decimal(str(one)) == value), str(value))
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    return value.hex() if isinstance(value, bytes) else value


def cell(value: Any) -> str:
    """Return a value as people read it in a table."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return number(value)
    return exact(value)


def exact(value: Any) -> str:
    """Return a value as text that loses nothing of it; nothing is the empty text."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return repr(value) if math.isfinite(value) else str(json_number(value))
    if isinstance(value, Decimal):
        return str(value)
    found = plain(value)
    return json.dumps(found, ensure_ascii=False, default=str) if _is_nested(found) else str(found)


def _is_nested(value: Any) -> bool:
    return isinstance(value, dict | list)


def _csv_cell(value: Any) -> str:
    text = exact(value)
    # An empty text is not the same as no value.
    if _QUOTED_IN_CSV.search(text) or (not text and value is not None):
        return '"' + text.replace('"', '""') + '"'
    return text


def _markdown_cell(value: Any) -> str:
    return _MARKUP.sub(r"\\\g<0>", printable("" if value is None else cell(value)))


def _echo(text: str) -> None:
    if sys.stdout.isatty():
        text = "\n".join(map(printable, text.split("\n")))
    # click takes colors out of what it prints to a file; here they are part of a value.
    click.echo(text.encode(errors="backslashreplace").decode(), color=True)
