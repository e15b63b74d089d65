"""Rows of the one table that the benchmarks print, and how it is printed."""

import json
from collections.abc import Sequence
from typing import Any, NamedTuple

from benchmarks.timing import Cost


class Row(NamedTuple):
    """One line: what was measured, against what, and the bound if there is one.

    Attributes
    ----------
    what, against : str
        In words; `against` is empty for a figure that stands alone.
    cost, other : Cost or None
        CPU, wall and memory of both sides.
    ratio : float or None
        The figure that the bound is about; CPU over CPU where both sides are given.
    bound : str
        ``<= 4`` or ``>= 100``; empty when nothing is demanded.
    note : str
        What a reader must know.
    """

    what: str
    against: str = ""
    cost: Cost | None = None
    other: Cost | None = None
    ratio: float | None = None
    bound: str = ""
    note: str = ""

    @property
    def ok(self) -> bool | None:
        """Whether the bound holds; None when there is none."""
        if not self.bound or self.ratio is None:
            return None
        sign, _, limit = self.bound.partition(" ")
        return self.ratio <= float(limit) if sign == "<=" else self.ratio >= float(limit)


def compare(
    what: str, cost: Cost, against: str, other: Cost, bound: str = "", note: str = ""
) -> Row:
    """Return a row with the ratio of CPU seconds; for a ``>=`` bound, of the other to ours."""
    inverse = bound.startswith(">=")
    ratio = other.cpu_s / cost.cpu_s if inverse else cost.cpu_s / other.cpu_s
    return Row(what, against, cost, other, ratio, bound, note)


_COLUMNS = ("what", "CPU s", "wall s", "MB", "against", "CPU s", "wall s", "ratio", "bound", "ok")


def table(rows: Sequence[Row]) -> str:
    """Return the rows as a Markdown table."""
    cells = [_COLUMNS, *(_cells(row) for row in rows)]
    widths = [max(len(row[i]) for row in cells) for i in range(len(_COLUMNS))]
    lines = [_line(row, widths) for row in cells]
    lines.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    notes = [f"- {row.what}: {row.note}" for row in rows if row.note]
    return "\n".join([*lines, *([""] if notes else []), *notes])


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    padded = (cell.ljust(width) for cell, width in zip(cells, widths, strict=True))
    return "| " + " | ".join(padded) + " |"


def _cells(row: Row) -> tuple[str, ...]:
    cost, other = row.cost, row.other
    return (
        row.what,
        _seconds(cost.cpu_s) if cost else "",
        _seconds(cost.wall_s) if cost else "",
        f"{cost.rss_mb:.0f}" if cost and cost.rss_mb else "",
        row.against,
        _seconds(other.cpu_s) if other else "",
        _seconds(other.wall_s) if other else "",
        "" if row.ratio is None else f"{row.ratio:.3g}",
        row.bound,
        {True: "yes", False: "NO", None: ""}[row.ok],
    )


def _seconds(value: float) -> str:
    if value == 0:  # not measured
        return ""
    return f"{value:.3f}" if value < 1 else f"{value:.2f}" if value < 10 else f"{value:.0f}"


def as_json(rows: Sequence[Row], about: dict[str, Any]) -> str:
    """Return the rows for programs."""
    return json.dumps(
        {
            **about,
            "rows": [
                {
                    **row._asdict(),
                    "cost": row.cost._asdict() if row.cost else None,
                    "other": row.other._asdict() if row.other else None,
                    "ok": row.ok,
                }
                for row in rows
            ],
        },
        indent=2,
    )
