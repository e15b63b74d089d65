"""Arms, duplicates and gaps: what the runs of a campaign have in common, and what differs.

What differs between runs, seeds aside, makes the arms. A key that another one decides
(``model`` where each condition has its own) is no axis of its own.
"""

import itertools
import json
import math
from collections.abc import Sequence
from typing import Any, NamedTuple

from aexp.kb.values import spelling
from aexp.model import QUEUED, RUNNING
from aexp.review.rows import SEED, Row
from aexp.runs.batches import value_order

MAX_CELLS = 10_000
ABSENT = "absent"
PENDING = frozenset({"created", QUEUED, RUNNING})


class Arm(NamedTuple):
    """Runs that differ in their seeds only.

    Attributes
    ----------
    values : dict
        What tells it from the other arms; empty where there is only one.
    runs : list of Row
        Its runs.
    """

    values: dict[str, Any]
    runs: list[Row]

    @property
    def name(self) -> str:
        """The arm in one line."""
        words = (f"{key}={spelling(value)}" for key, value in self.values.items())
        return " ".join(words) or "all runs"


class Gap(NamedTuple):
    """A cell of the grid without a result.

    Attributes
    ----------
    values : dict
        Where it is.
    state : str
        ``no run``, or ``no complete run`` where all that there are have ended otherwise.
    """

    values: dict[str, Any]
    state: str


class Grid(NamedTuple):
    """The grid that the runs span, as far as it is one.

    Attributes
    ----------
    axes : dict
        Key to its values. Empty where nothing varies, or where at most half of the cells
        have runs: then the runs are no grid.
    cells : int
        How many cells it has.
    gaps : list of Gap
        Cells without a result; what still waits or runs is none.
    """

    axes: dict[str, list[Any]]
    cells: int
    gaps: list[Gap]


def find_arms(rows: Sequence[Row]) -> list[Arm]:
    """Return the arms, sorted by what tells them apart."""
    keys = [key for key in varied(rows) if key != SEED]
    groups: dict[tuple[str, ...], list[Row]] = {}
    for row in rows:
        groups.setdefault(_cell(row, keys), []).append(row)
    arms = [
        Arm({key: runs[0].params[key] for key in keys if key in runs[0].params}, runs)
        for runs in groups.values()
    ]
    return sorted(arms, key=lambda arm: [value_order(arm.values.get(key)) for key in keys])


def find_duplicates(rows: Sequence[Row]) -> list[list[Row]]:
    """Return groups of runs with one and the same configuration, seed included."""
    groups: dict[str, list[Row]] = {}
    for row in rows:
        if row.params:
            groups.setdefault(_text(row.params), []).append(row)
    return [group for group in groups.values() if len(group) > 1]


def find_grid(rows: Sequence[Row]) -> Grid:
    """Return the grid that the varied keys span, with its gaps."""
    keys = varied(rows)
    values: dict[str, dict[str, Any]] = {key: {} for key in keys}
    there: dict[tuple[str, ...], list[Row]] = {}
    for row in rows:
        there.setdefault(_cell(row, keys), []).append(row)
        for key in keys:
            if key in row.params:
                values[key].setdefault(_text(row.params[key]), row.params[key])
    cells = math.prod(len(found) for found in values.values()) if keys else 0
    is_whole = all(key in row.params for row in rows for key in keys)
    if not is_whole or not cells or cells > MAX_CELLS or 2 * len(there) <= cells:
        return Grid({}, 0, [])
    axes = {key: sorted(found.values(), key=value_order) for key, found in values.items()}
    gaps = []
    for cell in itertools.product(*axes.values()):
        runs = there.get(tuple(_text(value) for value in cell), [])
        if any(row.is_complete or row.status in PENDING for row in runs):
            continue
        state = "no complete run" if runs else "no run"
        gaps.append(Gap(dict(zip(axes, cell, strict=True)), state))
    return Grid(axes, cells, gaps)


def varied(rows: Sequence[Row]) -> list[str]:
    """Return the keys that vary and that no other one decides; the seed decides nothing."""
    columns = {
        key: [_text(row.params[key]) if key in row.params else ABSENT for row in rows]
        for key in {key for row in rows for key in row.params}
    }
    levels = {key: len(set(column)) for key, column in columns.items()}
    # Those with more values first; of those with as many, the condition first, the seed last.
    candidates = sorted(
        (key for key in columns if levels[key] > 1),
        key=lambda key: (-levels[key], key == SEED, key != "condition", key),
    )
    kept: list[str] = []
    for key in candidates:
        deciding = (one for one in kept if one != SEED)
        if not any(
            len(set(zip(columns[one], columns[key], strict=True))) == levels[one]
            for one in deciding
        ):
            kept.append(key)
    return sorted(kept, key=lambda key: (key == SEED, key))


def _cell(row: Row, keys: Sequence[str]) -> tuple[str, ...]:
    return tuple(_text(row.params[key]) if key in row.params else ABSENT for key in keys)


def _text(value: Any) -> str:
    return json.dumps(value, sort_keys=True, default=str)
