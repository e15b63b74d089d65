"""The one place that prints: JSON, tables, notes."""

import json
import shutil
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import click

from aexp.model import PROVENANCE_KEYS, printable

STATUS_COLORS = {
    "complete": "green",
    "running": "cyan",
    "queued": "yellow",
    "failed": "red",
    "abandoned": "magenta",
    "stopped": "magenta",
}
_IMPLIED = frozenset({"experiment_id", "hypothesis_id", "sub_hypothesis_id", *PROVENANCE_KEYS})


def print_json(value: Any) -> None:
    """Print data for programs: one JSON document."""
    text = json.dumps(value, indent=2, ensure_ascii=False, default=str)
    # Half a surrogate pair, of a name that is not UTF-8, has no bytes; JSON can escape it.
    click.echo(text.encode(errors="backslashreplace").decode())


def print_table(
    columns: Sequence[str], rows: Sequence[Sequence[object]], *, wrap_last: bool = False
) -> None:
    """Print rows under a header; a column that is empty throughout is left out.

    Parameters
    ----------
    columns : sequence of str
        Header.
    rows : sequence of sequences
        One cell per column; None is empty. Control characters are shown, never obeyed.
    wrap_last : bool, default False
        Cut the last column to the width of a terminal.
    """
    cells = [["" if cell is None else printable(cell) for cell in row] for row in rows]
    keep = [
        index for index, _ in enumerate(columns) if not cells or any(row[index] for row in cells)
    ]
    widths = [max([len(columns[i]), *(len(row[i]) for row in cells)]) for i in keep]
    limit = _terminal_width() if wrap_last else None
    lines = [_line([columns[i] for i in keep], widths, limit)]
    lines += [_line([row[i] for i in keep], widths, limit) for row in cells]
    out = sys.stdout
    colored = out.isatty()
    click.echo(click.style(lines[0], bold=True) if colored else lines[0])
    for line, row in zip(lines[1:], cells, strict=True):
        color = next((STATUS_COLORS[cell] for cell in row if cell in STATUS_COLORS), None)
        click.echo(click.style(line, fg=color) if colored and color else line)


def _line(cells: Sequence[str], widths: Sequence[int], limit: int | None) -> str:
    line = "  ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)).rstrip()
    return line if limit is None or len(line) <= limit else line[: limit - 1] + "…"


def _terminal_width() -> int | None:
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def configuration(sp: Mapping[str, Any]) -> str:
    """Return a state point's own keys on one line."""
    return " ".join(
        f"{key}={value if isinstance(value, str) else json.dumps(value)}"
        for key, value in sp.items()
        if key not in _IMPLIED
    )


def number(value: object) -> str:
    """Return a metric as tables show it."""
    if isinstance(value, float):
        return f"{value:.6g}"
    return str(value)


def note(text: str) -> None:
    """Print a remark for people, on stderr."""
    click.echo(text, err=True)
