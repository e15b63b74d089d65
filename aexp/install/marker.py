"""``.aexp/installed.json``: what this clone, on this machine, has been told."""

import json
import os
import secrets
import time
from typing import Any

from aexp.errors import CorruptFile
from aexp.files import read_object
from aexp.install.scaffold import compute_scaffold_sha
from aexp.install.target import Target
from aexp.model import check_machine_label
from aexp.paths import MARKER, hostname
from aexp.version import __version__


def read_marker(root: str, *, force: bool) -> dict[str, Any]:
    """Return the marker of an earlier install, empty when there is none.

    Raises
    ------
    CorruptFile
        If it cannot be read, and `force` does not allow to begin a new one.
    """
    try:
        return read_object(os.path.join(root, MARKER)) or {}
    except CorruptFile as error:
        if force:
            return {}
        raise CorruptFile(
            error.message,
            "begin a new one: aexp install --force (say --run-store if it was not .runs)",
        ) from None


def new_marker(
    previous: dict[str, Any], store: str, label: str | None, agents: bool
) -> dict[str, Any]:
    """Return the marker's new content; what other tools have put there is kept.

    Raises
    ------
    UsageError
        If the machine label is not one.
    """
    wanted = previous.get("machine_label") or hostname() if label is None else label
    marker = {
        **previous,
        "version": __version__,
        "run_store_path": store,
        "scaffold_sha": compute_scaffold_sha(),
        "machine_label": check_machine_label(str(wanted)),
        "store_id": previous.get("store_id") or secrets.token_hex(8),
    }
    if not agents or "agents" in previous:
        marker["agents"] = agents
    return marker


def write_marker(target: Target, previous: dict[str, Any], marker: dict[str, Any]) -> None:
    """Write the marker, with the time, if it says something new."""
    if marker == previous:
        target.note("unchanged", MARKER)
        return
    if not previous and target.read(MARKER) is not None:
        target.keep(MARKER)  # damaged, or it would have been read
    stamp = time.strftime("%Y-%m-%dT%H:%M:%S+00:00", time.gmtime())
    text = json.dumps({**marker, "installed_at": stamp}, indent=2) + "\n"
    target.note("wrote_marker", MARKER, f"machine label {marker['machine_label']}")
    target.write(MARKER, text.encode())
