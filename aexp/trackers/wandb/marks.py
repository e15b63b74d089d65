"""Which of W&B's folders in a run's folder may hold less than W&B is to have.

The name of such a folder is known only once the SDK has made it, and opening a run may end
halfway: so what is about to be opened is noted first, beside the folders.
"""

import json
import os
import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from aexp.errors import AexpError
from aexp.files import read_object, write_atomic

FOLDER = "wandb"
RUN_FOLDER = re.compile(r"(offline-)?run-(\d{8}_\d{6})-(.+)")
# In the folder of a run of ours until all that it was given is complete there, or at W&B.
MARK = ".aexp-unfinished"
COMPLETE = ".aexp-complete"  # what the mark becomes
_VOID = ".aexp-not-opened"  # nothing was given to it: another folder of this attempt has it all
_OPENING = ".aexp-opening"  # beside the folders: those that it does not name are being opened


class Mark(NamedTuple):
    """What a folder may have lost.

    Attributes
    ----------
    attempt : int
        Rows of this attempt.
    is_own : bool
        Whether the training code has opened the run itself: its rows are kept as they were
        given, its name and config are its own.
    """

    attempt: int
    is_own: bool = False


def run_id_of(path: str | Path) -> str | None:
    """Return the id of the W&B run that a folder is of, None for another folder.

    Of two that were begun in the same second, the SDK adds a number to the second one's name.
    """
    parts = RUN_FOLDER.fullmatch(os.path.basename(path))
    if parts is None:
        return None
    with suppress(OSError), os.scandir(path) as entries:
        for one in sorted(entry.name for entry in entries):
            if one.startswith("run-") and one.endswith(".wandb"):
                return one.removeprefix("run-").removesuffix(".wandb")
    return parts[3]


def folders(workspace: str | Path, run_id: str) -> Iterator[str]:
    """Yield the folders of a W&B run, by name."""
    base = os.path.join(workspace, FOLDER)
    try:
        names = sorted(os.listdir(base))
    except OSError:
        return
    for name in names:
        if RUN_FOLDER.fullmatch(name) and run_id_of(os.path.join(base, name)) == run_id:
            yield os.path.join(base, name)


def begin(workspace: str | Path, run_id: str, attempt: int) -> None:
    """Note that a run is about to be opened for an attempt.

    Until `opened`, a new folder of that run counts as marked.
    """
    base = os.path.join(workspace, FOLDER)
    os.makedirs(base, exist_ok=True)
    before = _opening(base)
    known = [os.path.basename(path) for path in folders(workspace, run_id)]
    if before is not None and before["run_id"] == run_id:
        half = [name for name in known if name not in before["known"]]
        if before["attempt"] == attempt:  # a second try
            known = [name for name in known if name not in half]
        else:
            for name in half:
                _write(os.path.join(base, name, MARK), Mark(before["attempt"]))
    told = {"run_id": run_id, "attempt": attempt, "known": known}
    write_atomic(os.path.join(base, _OPENING), json.dumps(told).encode())


def opened(path: str, attempt: int, *, is_own: bool = False) -> None:
    """Note in a run's folder whose rows it is to hold, and that tries before it hold none."""
    if not os.path.isdir(path):
        return
    base = os.path.dirname(path)
    before, run_id = _opening(base), run_id_of(path)
    if before is not None and before["run_id"] == run_id and before["attempt"] == attempt:
        for other in folders(os.path.dirname(base), str(run_id)):
            if other != path and os.path.basename(other) not in before["known"]:
                _write(os.path.join(other, _VOID), Mark(attempt))
    _write(os.path.join(path, MARK), Mark(attempt, is_own))
    with suppress(OSError):
        os.unlink(os.path.join(base, _OPENING))


def unmark(path: str | Path) -> None:
    """Note that a folder's run is complete, and that our series has its rows, too."""
    with suppress(OSError):
        os.replace(os.path.join(path, MARK), os.path.join(path, COMPLETE))


def read_mark(path: str | Path) -> Mark | None:
    """Return a folder's mark, None for one that is complete or not ours."""
    try:
        found = read_object(os.path.join(path, MARK))
    except AexpError:
        return None
    if found is not None:
        attempt = found.get("attempt")
        return Mark(attempt, bool(found.get("is_own"))) if isinstance(attempt, int) else None
    if is_void(path) or os.path.exists(os.path.join(path, COMPLETE)):
        return None
    base, name = os.path.split(path)
    before = _opening(base)
    if before is None or name in before["known"] or before["run_id"] != run_id_of(path):
        return None
    return Mark(before["attempt"])


def is_void(path: str | Path) -> bool:
    """Whether opening the run has ended halfway, and another folder has all of its rows."""
    return os.path.exists(os.path.join(path, _VOID))


def marked_folders(workspace: str | Path, run_id: str) -> dict[str, int]:
    """Return the marked folders of a W&B run with their attempts."""
    found = ((path, read_mark(path)) for path in folders(workspace, run_id))
    return {path: known.attempt for path, known in found if known is not None}


def _opening(base: str) -> dict[str, Any] | None:
    try:
        found = read_object(os.path.join(base, _OPENING)) or {}
    except AexpError:
        return None
    kinds = {"run_id": str, "attempt": int, "known": list}
    is_whole = all(isinstance(found.get(key), kind) for key, kind in kinds.items())
    return found if is_whole else None


def _write(path: str, told: Mark) -> None:
    write_atomic(path, json.dumps(told._asdict()).encode())
