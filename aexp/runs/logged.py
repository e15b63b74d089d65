"""All that a run has logged and kept, as its folder has it: for what hands on the whole of it."""

import os
from collections.abc import Iterator
from typing import Any, NamedTuple

from aexp.errors import CorruptFile
from aexp.files import parse_object, read_bytes
from aexp.paths import ASSET_INDEX, METRICS, SERIES
from aexp.runs.series import Row, SeriesReader

_BATCH = 2000


class Asset(NamedTuple):
    """A file or folder that belongs to a run.

    Attributes
    ----------
    name : str
        What the code has called it.
    path : str
        Where it is.
    attempt : int
        The attempt that has logged it; 0 where the row does not say.
    """

    name: str
    path: str
    attempt: int


def logged_rows(workspace: str, file_of: int | None) -> Iterator[Row]:
    """Return the rows of a run's series, and those of its metrics file as attempt `file_of`'s.

    Without `file_of` the metrics file is left out.
    """
    reader = SeriesReader(os.path.join(workspace, SERIES))
    while rows := reader.read(_BATCH):
        yield from rows
    if file_of is not None:
        reader = SeriesReader(os.path.join(workspace, METRICS), flat=True)
        while rows := reader.read(_BATCH):
            yield from (row._replace(attempt=file_of) for row in rows)


def kept_assets(workspace: str) -> Iterator[Asset]:
    """Return what a run has kept or pointed at, and is still there."""
    for line in (read_bytes(os.path.join(workspace, ASSET_INDEX)) or b"").splitlines():
        asset = read_asset(line, workspace)
        if asset is not None and os.path.exists(asset.path):
            yield asset


def read_asset(line: bytes, workspace: str) -> Asset | None:
    """Return the asset that a line of the index tells of; None of what is no such line."""
    row = asset_row(line) or {}
    path, attempt = row.get("path"), row.get("attempt", 0)
    if not isinstance(path, str) or not path or not isinstance(attempt, int):
        return None
    name = row.get("name") or os.path.basename(path)
    return Asset(str(name), os.path.join(workspace, path), attempt)


def asset_row(line: bytes) -> dict[str, Any] | None:
    """Return a line of the index as it is, None if it is empty or was torn by a kill."""
    try:
        return parse_object(line, ASSET_INDEX)
    except CorruptFile:
        return None
