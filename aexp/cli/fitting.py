"""Tables that fit a terminal: columns are cut to what they need, or left out."""

import unicodedata
from collections.abc import Sequence
from typing import NamedTuple

from aexp.model import printable

_GAP = 2


class Column(NamedTuple):
    """A column of a table.

    Attributes
    ----------
    name : str
        Its header.
    least : int or None
        The width to which it may be cut; None when it must be shown whole.
    leave_out : int
        Columns with the highest number go first where there is no room; 0 stays.
    """

    name: str
    least: int | None = None
    leave_out: int = 0


def fit(
    columns: Sequence[Column], rows: Sequence[Sequence[object]], width: int | None
) -> list[str]:
    """Return a header and one line per row, none wider than `width` cells.

    A column that is empty throughout is left out.
    """
    cells = [["" if cell is None else printable(cell) for cell in row] for row in rows]
    shown = [i for i, _ in enumerate(columns) if any(row[i] for row in cells)]
    while True:
        widths = {
            i: max(cell_width(columns[i].name), *(cell_width(row[i]) for row in cells))
            for i in shown
        }
        if width is None or _shrink(columns, widths, width):
            break
        last = max(shown, key=lambda i: columns[i].leave_out)
        if columns[last].leave_out == 0:
            break
        shown.remove(last)
    lines = [[column.name for column in columns], *cells]
    texts = ["  ".join(_padded(row[i], widths[i]) for i in shown).rstrip() for row in lines]
    return texts if width is None else [cut(text, width) for text in texts]


def _shrink(columns: Sequence[Column], widths: dict[int, int], width: int) -> bool:
    """Make the widest columns narrower until all fit; False when they cannot."""
    too_wide = sum(widths.values()) + _GAP * (len(widths) - 1) - width
    while too_wide > 0:
        room = {i: found for i, found in widths.items() if found > (columns[i].least or found)}
        if not room:
            return False
        widest = max(room, key=lambda i: room[i])
        widths[widest] -= 1
        too_wide -= 1
    return True


def cell_width(text: str) -> int:
    """Return how many cells of a terminal a text takes."""
    if text.isascii():
        return len(text)
    return sum(map(_width, text))


def _width(character: str) -> int:
    if unicodedata.combining(character) or unicodedata.category(character) in ("Cf", "Me", "Mn"):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def cut(text: str, width: int) -> str:
    """Return `text`, or as much of its beginning as fits, with a mark that there was more."""
    if cell_width(text) <= width:
        return text
    kept, room = "", width - 1
    for character in text:
        room -= _width(character)
        if room < 0:
            break
        kept += character
    return kept + "…" if width > 0 else ""


def _padded(text: str, width: int) -> str:
    text = cut(text, width)
    return text + " " * (width - cell_width(text))
