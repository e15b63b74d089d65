"""What nobody needs any more: objects without a checkpoint, leftovers of dead processes.

It may run beside anything. A checkpoint has a name of its own of each of its files, so no
removal here can take a byte from one; what is being saved, and what was used within the last
hour, stays in the content store all the same.
"""

import contextlib
import json
import os
import time
from collections.abc import Iterator
from typing import NamedTuple

from aexp.checkpoints.discard import discard
from aexp.checkpoints.manifest import MANIFEST
from aexp.checkpoints.objects import Objects
from aexp.checkpoints.staging import leftovers, remove_tree
from aexp.checkpoints.store import checkpoints_dir, staging_dir
from aexp.files import remove
from aexp.paths import Repo
from aexp.runs.heartbeat import file_clock
from aexp.runs.store import run_ids

OBJECT, STAGED, TEMPORARY = "object", "staged", "temporary"
MIN_AGE_S = 3600.0


class Garbage(NamedTuple):
    """Something that can go.

    Attributes
    ----------
    kind : str
        ``object``: of no checkpoint; ``staged``: of a save or a removal whose process has
        ended; ``temporary``: of a write to the content store that did not end.
    path : str
        Where it is.
    bytes : int
        What the disk gets back.
    """

    kind: str
    path: str
    bytes: int


class Collected(NamedTuple):
    """What there is, and what was removed of it.

    Attributes
    ----------
    garbage : list of Garbage
        What can go; after a removal, what has gone.
    objects, object_bytes : int
        What is left in the content store.
    young : int
        Objects that nobody refers to and that are too young to go.
    """

    garbage: list[Garbage]
    objects: int
    object_bytes: int
    young: int

    @property
    def bytes(self) -> int:
        """What the disk gets back in all."""
        return sum(item.bytes for item in self.garbage)


def collect(repo: Repo, *, delete: bool = False, min_age_s: float = MIN_AGE_S) -> Collected:
    """Find what nobody needs any more, and remove it if that is wanted.

    Parameters
    ----------
    repo : Repo
        The repository.
    delete : bool, default False
        Whether it is removed.
    min_age_s : float, default 3600
        Objects and temporary files stay for so long after they were last used.
    """
    garbage = list(_staged(repo, delete))
    objects = Objects(repo)
    now = _clock(objects.folder, delete)
    kept = size = young = 0
    referenced = references(repo)
    for item in objects.all():
        is_free = item.links == 1 and item.sha256 not in referenced
        if is_free and now - _last_used(item.path) >= min_age_s:
            freed = discard(objects, item.sha256) if delete else item.size
            if freed is not None:
                garbage.append(Garbage(OBJECT, item.path, freed))
                continue
            is_free = False  # somebody has taken it meanwhile
        young += is_free
        kept, size = kept + 1, size + item.size
    garbage += _temporaries(objects.folder, now, min_age_s, delete)
    return Collected(garbage, kept, size, young)


def references(repo: Repo) -> set[str]:
    """Return the digests that any manifest here names, also damaged ones and staged ones."""
    found: set[str] = set()
    for job_id in run_ids(repo):
        for parent in (checkpoints_dir(repo, job_id), staging_dir(repo, job_id)):
            for name in _names(parent):
                found |= _digests(os.path.join(parent, name, MANIFEST))
    return found


def _digests(path: str) -> set[str]:
    try:
        with open(path, "rb") as file:
            components = json.load(file)["components"]
        return {str(item["sha256"]) for item in components}
    except (OSError, ValueError, TypeError, KeyError, RecursionError):
        return set()  # what it named has further names in its folder


def _staged(repo: Repo, delete: bool) -> Iterator[Garbage]:
    for job_id in run_ids(repo):
        for path in leftovers(repo, job_id):
            size = _own_bytes(path)
            if delete:
                remove_tree(path)
            yield Garbage(STAGED, path, size)


def _temporaries(folder: str, now: float, min_age_s: float, delete: bool) -> Iterator[Garbage]:
    for inner in _names(folder):
        for name in _names(os.path.join(folder, inner)):
            path = os.path.join(folder, inner, name)
            if not (name.startswith(".") and name.endswith(".tmp")):
                continue
            if now - _last_used(path) < min_age_s:
                continue
            size = _own_bytes(path)
            if not delete or remove(path):
                yield Garbage(TEMPORARY, path, size)


def _own_bytes(path: str) -> int:
    """Return the size of the files at a path that have no name elsewhere."""
    total = 0
    paths = [path]
    if os.path.isdir(path) and not os.path.islink(path):
        paths = [os.path.join(folder, name) for folder, _, names in os.walk(path) for name in names]
    for item in paths:
        with contextlib.suppress(OSError):
            state = os.lstat(item)
            total += state.st_size if state.st_nlink == 1 else 0
    return total


def _last_used(path: str) -> float:
    """Return when a file's content or the number of its names last changed."""
    try:
        return os.lstat(path).st_ctime
    except OSError:
        return time.time()  # gone


def _clock(folder: str, may_write: bool) -> float:
    if may_write and os.path.isdir(folder):
        return file_clock(os.path.join(folder, "clock"))
    return time.time()


def _names(folder: str) -> list[str]:
    try:
        return sorted(os.listdir(folder))
    except OSError:
        return []
