"""Read ``.aexp/runs-index/<label>.json``: what other machines know, before they promote it.

A transitional layer that the ledger supersedes; files of it are read for as long as
repositories have them.
"""

import os
from collections.abc import Iterator
from typing import Any, NamedTuple

from aexp.errors import CorruptFile
from aexp.files import parse_object, read_bytes
from aexp.model import JOB_ID, TERMINAL_STATUSES
from aexp.paths import Repo

SCHEMA_VERSION = 1
FOLDER = os.path.join(".aexp", "runs-index")
_MAX_BYTES = 64_000_000


class IndexEntry(NamedTuple):
    """One ended run of another machine, in five words.

    Attributes
    ----------
    job_id, status : str
        The run, and how it ended.
    experiment_id, condition : str or None
        All that the index knows of its configuration.
    registered_at : str or None
        When it was created.
    machine_label : str
        Where it is.
    """

    job_id: str
    status: str
    experiment_id: str | None
    condition: Any
    registered_at: str | None
    machine_label: str


class IndexFile(NamedTuple):
    """One file of the index: what could be read of it, and what is wrong with the rest."""

    path: str
    entries: list[IndexEntry]
    fault: str | None


def scan_indexes(repo: Repo) -> Iterator[IndexFile]:
    """Read every index file, in the order of their names; none of them raises."""
    folder = repo.at(FOLDER)
    try:
        with os.scandir(folder) as found:
            files = sorted((item for item in found if item.name.endswith(".json")), key=_name)
    except OSError:
        return
    for item in files:
        if item.name.startswith("."):
            continue
        path = os.path.join(folder, item.name)
        if not item.is_file(follow_symlinks=False):
            yield IndexFile(path, [], "is no plain file")
            continue
        yield _read(path, item.name.removesuffix(".json"))


def _name(item: "os.DirEntry[str]") -> str:
    return item.name


def _read(path: str, stem: str) -> IndexFile:
    try:
        if os.path.getsize(path) > _MAX_BYTES:
            return IndexFile(path, [], f"is over {_MAX_BYTES // 1_000_000} MB")
        data = read_bytes(path)
        content = parse_object(data or b"", path)
    except OSError as error:
        return IndexFile(path, [], f"cannot be read: {error.strerror or error}")
    except CorruptFile as error:
        return IndexFile(path, [], error.message.removeprefix(path).strip())
    label = content.get("machine_label")
    label = label if isinstance(label, str) and label else stem
    raw = content.get("entries")
    if not isinstance(raw, list):
        return IndexFile(path, [], "has no list of entries")
    entries = [entry for item in raw if (entry := _entry(item, label)) is not None]
    lost = len(raw) - len(entries)
    return IndexFile(path, entries, f"has {lost} entries that are none" if lost else None)


def _entry(item: Any, label: str) -> IndexEntry | None:
    if not isinstance(item, dict):
        return None
    job_id, status = item.get("job_id"), item.get("status")
    if not isinstance(job_id, str) or not JOB_ID.fullmatch(job_id):
        return None
    if not isinstance(status, str) or status not in TERMINAL_STATUSES:
        return None
    experiment_id, registered_at = item.get("experiment_id"), item.get("registered_at")
    return IndexEntry(
        job_id,
        status,
        experiment_id if isinstance(experiment_id, str) else None,
        item.get("condition"),
        registered_at if isinstance(registered_at, str) else None,
        label,
    )
