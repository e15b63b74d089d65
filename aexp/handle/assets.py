"""Files that belong to a run: what training code hands over, and what it points at."""

import json
import os
import re
from collections.abc import Mapping
from typing import Any

from aexp.errors import CorruptFile, MetricError, UsageError
from aexp.files import read_bytes, write_atomic
from aexp.handle.place import Place
from aexp.model import check_tag, utc_now
from aexp.paths import ASSET_INDEX, ASSETS
from aexp.runs.document import run_lock
from aexp.runs.logged import asset_row
from aexp.runs.series import plain

ARTIFACT = "artifact"
_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")
_CHUNK = 1 << 20


class AssetIndex:
    """The index of a run's assets; each of its lines is read once.

    Parameters
    ----------
    path : str
        The file, which only ever grows.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._offset = 0
        self._rows: dict[str, dict[str, Any]] = {}

    def add(self, row: dict[str, Any]) -> dict[str, Any]:
        """Append a row, unless there is one that says the same; the run's lock is held."""
        with open(self._path, "ab+", buffering=0) as file:
            size = os.fstat(file.fileno()).st_size
            if size < self._offset:
                self._offset, self._rows = 0, {}  # somebody has shortened it
            file.seek(self._offset)
            data = file.read(size - self._offset) or b""
            for line in data.split(b"\n"):
                self._learn(line)
            known = self._rows.get(_sameness(row))
            if known is not None:
                self._offset = size
                return known
            start = b"\n" if data and not data.endswith(b"\n") else b""
            line = start + json.dumps(row).encode() + b"\n"
            self._offset = size + file.write(line)
            self._rows[_sameness(row)] = row
        return row

    def _learn(self, line: bytes) -> None:
        row = asset_row(line)
        if row is not None:
            self._rows.setdefault(_sameness(row), row)


def _sameness(row: Mapping[str, Any]) -> str:
    keys = ("asset_type", "name", "path", "sha256", "config", "attempt")
    return json.dumps([row.get(key) for key in keys], sort_keys=True)


def upload_asset(
    place: Place, asset_type: str, content: Any, config: Mapping[str, Any] | None, name: str | None
) -> dict[str, Any]:
    """Keep `content` as a file of the run and return its row of the index.

    The same content under the same name is kept once.
    """
    data, ending = _as_bytes(content)
    row = _row(place, asset_type, name or asset_type, config)
    row["size"], row["sha256"] = len(data), _digest(data)
    stem = _UNSAFE.sub("_", row["name"]).strip("._-")[:80] or "asset"
    if stem.endswith(ending):
        stem = stem[: len(stem) - len(ending)]
    row["path"] = f"{ASSETS}/{stem}-{row['sha256'][:12]}{ending}"
    folder = _folder(place)
    path = os.path.join(folder, os.path.basename(row["path"]))
    if not os.path.isfile(path):
        write_atomic(path, data)
    return _add(place, row)


def log_artifact(place: Place, name: str, path: "str | os.PathLike[str]") -> dict[str, Any]:
    """Note a file or folder, wherever it is, with its size and digest; nothing is copied."""
    full = os.path.abspath(os.fspath(path))
    row = _row(place, ARTIFACT, name, None)
    try:
        row["size"], row["sha256"] = _measure(full)
    except OSError as error:
        raise UsageError(
            f"{full} cannot be read: {error.strerror or error}",
            "log an artifact once it is written",
        ) from error
    workspace = os.path.realpath(place.repo.run_dir(place.job_id))
    real = os.path.realpath(full)
    inside = real.startswith(workspace + os.sep)
    row["path"] = os.path.relpath(real, workspace) if inside else full
    _folder(place)
    return _add(place, row)


def _row(
    place: Place, asset_type: str, name: str, config: Mapping[str, Any] | None
) -> dict[str, Any]:
    if config is not None and not isinstance(config, Mapping):
        raise MetricError(
            f"asset_config is {type(config).__name__}, not a mapping", "give a mapping, or none"
        )
    return {
        "asset_type": _check_label("asset_type", asset_type),
        "name": _check_label("name", name),
        "path": "",
        "size": 0,
        "sha256": "",
        "config": plain(dict(config)) if config is not None else None,
        "attempt": place.attempt,
        "at": utc_now(),
    }


def _check_label(what: str, value: object) -> str:
    if not isinstance(value, str):
        raise MetricError(f"{what} is {type(value).__name__}, not text", "give one line of text")
    try:
        return check_tag(value)
    except UsageError:
        raise UsageError(
            f"{what} cannot be {value!r}", "give one line of 1 to 200 printable characters"
        ) from None


def _as_bytes(content: Any) -> tuple[bytes, str]:
    if isinstance(content, (bytes, bytearray, memoryview)):
        return bytes(content), ".bin"
    if isinstance(content, str):
        return content.encode("utf-8", "surrogatepass"), ".txt"
    if isinstance(content, os.PathLike):
        path = os.fspath(content)
        data = read_bytes(path) if os.path.isfile(path) else None
        if data is None:
            raise UsageError(
                f"{path} is no file", "hand over a file, or point at a folder: run.log_artifact"
            )
        return data, os.path.splitext(os.fsdecode(path))[1][:20]
    return (json.dumps(plain(content, "content"), indent=2) + "\n").encode(), ".json"


def _folder(place: Place) -> str:
    """Return the folder of assets, which is made, and is the run's own."""
    folder = place.repo.run_file(place.job_id, ASSETS)
    os.makedirs(folder, exist_ok=True)
    if os.path.islink(folder):
        raise CorruptFile(
            f"{folder} is a link to another folder; nothing was written", "remove the link"
        )
    return folder


def _add(place: Place, row: dict[str, Any]) -> dict[str, Any]:
    """Append a row to the index, unless it has one that says the same."""
    with run_lock(place.repo, place.job_id):
        if place.assets is None:
            place.assets = AssetIndex(place.repo.run_file(place.job_id, ASSET_INDEX))
        return place.assets.add(row)


def _measure(path: str) -> tuple[int, str]:
    """Return size and SHA-256 of a file; of a folder, those of its list of files."""
    from hashlib import sha256

    if not os.path.isdir(path):
        digest, size = sha256(), 0
        with open(path, "rb") as file:
            while chunk := file.read(_CHUNK):
                digest.update(chunk)
                size += len(chunk)
        return size, digest.hexdigest()
    total, listing = 0, sha256()
    for folder, folders, names in os.walk(path):
        folders.sort()
        for name in sorted(names):
            full = os.path.join(folder, name)
            if os.path.isfile(full):
                size, of_file = _measure(full)
                total += size
                listing.update(os.fsencode(os.path.relpath(full, path)) + b"\0")
                listing.update(of_file.encode() + b"\n")
    return total, listing.hexdigest()


def _digest(data: bytes) -> str:
    from hashlib import sha256

    return sha256(data).hexdigest()
