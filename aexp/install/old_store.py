"""The run store's former place: gone if nothing but our own empty store lies there."""

import os
from typing import Any

from aexp.errors import AexpError
from aexp.files import read_bytes, remove
from aexp.install.target import Target
from aexp.paths import MARKER, check_store_path
from aexp.runs.initialize import CONFIG


def remove_old_store(target: Target, previous: dict[str, Any], store: str) -> None:
    """Remove the store of an earlier install that the new one at `store` replaces.

    Whatever holds more than our configuration and an empty workspace stays as it is.
    """
    try:
        old = check_store_path(previous.get("run_store_path"), MARKER)
    except AexpError:
        return
    place = os.path.join(target.root, old)
    if old == store or target.place(old) != place or not _is_empty(place):
        return
    if (store + os.sep).startswith(old + os.sep):
        return
    target.note("removed_runs", old, f"it was empty; the run store is now {store}")
    if target.dry_run:
        return
    remove(os.path.join(place, ".signac", "config"))
    for folder in (".signac", "workspace", ""):
        try:
            os.rmdir(os.path.join(place, folder))
        except OSError:
            continue  # never made, or something has come to lie there this moment


def _is_empty(place: str) -> bool:
    """Return whether only what `init_run_store` makes lies at a place."""
    here = _names(place)
    return (
        ".signac" in here
        and here <= {".signac", "workspace"}
        and _names(os.path.join(place, ".signac")) == {"config"}
        and read_bytes(os.path.join(place, ".signac", "config")) == CONFIG
        and ("workspace" not in here or _names(os.path.join(place, "workspace")) == set())
    )


def _names(folder: str) -> set[str]:
    """Return what lies in a folder; a name that cannot be where it cannot be told."""
    try:
        return {os.sep} if os.path.islink(folder) else set(os.listdir(folder))
    except OSError:
        return {os.sep}
