"""Which offline runs have been synced: one small file in each run's workspace."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from aexp.errors import CorruptFile
from aexp.files import locked, pretty_json, read_object, write_atomic
from aexp.model import section, utc_now
from aexp.paths import TRACKER
from aexp.trackers.contract import OfflineRun

MARKS = "synced.json"
LOG = "sync.log"
_LOCK = "sync.lock"
_MARKS_LOCK = "synced.lock"


def marks(workspace: str) -> dict[str, Any]:
    """Return what is known of a workspace's synced runs, by their place in it.

    A file that cannot be read counts as none: what it told is synced once more.
    """
    try:
        return section(read_object(_path(workspace, MARKS)) or {}, "synced")
    except CorruptFile:
        return {}


def key(workspace: str, run: OfflineRun) -> str:
    """Return the name under which an offline run is marked."""
    return os.path.relpath(run.path, workspace)


def mark(workspace: str, run: OfflineRun, url: str | None) -> None:
    """Write down that an offline run is where it belongs."""
    entry = {"backend": run.backend, "run_id": run.run_id, "url": url, "at": utc_now()}
    os.makedirs(os.path.join(workspace, TRACKER), exist_ok=True)
    # A lock for this moment only: a follower marks, too, and must not wait for a whole sync.
    with locked(_path(workspace, _MARKS_LOCK)):
        known = {**marks(workspace), key(workspace, run): entry}
        write_atomic(_path(workspace, MARKS), pretty_json({"schema_version": 1, "synced": known}))


def keep_log(workspace: str, text: str) -> None:
    """Keep what the last sync that failed has said."""
    write_atomic(_path(workspace, LOG), text.encode(errors="replace"))


@contextmanager
def sync_lock(workspace: str) -> Iterator[None]:
    """Let one process at a time sync the runs of a workspace; gone with the process."""
    os.makedirs(os.path.join(workspace, TRACKER), exist_ok=True)
    with locked(_path(workspace, _LOCK)):
        yield


def _path(workspace: str, name: str) -> str:
    return os.path.join(workspace, TRACKER, name)
