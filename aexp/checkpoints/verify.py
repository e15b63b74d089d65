"""Whether a checkpoint's files are those of its manifest."""

import os
import stat
from concurrent.futures import ThreadPoolExecutor

from aexp.checkpoints.manifest import Component
from aexp.checkpoints.objects import hash_file
from aexp.checkpoints.store import Checkpoint
from aexp.errors import UsageError

NONE, SIZE, HASH = "none", "size", "hash"
WAYS = (NONE, SIZE, HASH)
# Up to this size a checkpoint's files are read before it is restored.
HASH_UP_TO = 10 * 10**9
_THREADS = 4


def problems(checkpoint: Checkpoint, by: str = SIZE) -> list[str]:
    """Return what is wrong with a checkpoint's files, in words; nothing when it is whole.

    Parameters
    ----------
    checkpoint : Checkpoint
        What to look at.
    by : str
        ``size``: every file is there, plain, and of its size; ``hash``: and its SHA-256 is
        the manifest's; ``none``: not looked at.
    """
    if by not in WAYS:
        raise UsageError(f"{by!r} is no way to verify", "one of: " + ", ".join(WAYS))
    if by == NONE:
        return []
    folder = os.path.realpath(checkpoint)
    components = checkpoint.manifest.components
    found = [_by_size(folder, component) for component in components]
    if by == HASH:
        whole = [item for item, problem in zip(components, found, strict=True) if not problem]
        if len(whole) == 1:
            found += [_by_hash(folder, whole[0])]
        elif whole:
            with ThreadPoolExecutor(min(_THREADS, os.cpu_count() or 1)) as pool:
                found += pool.map(lambda component: _by_hash(folder, component), whole)
    return [problem for problem in found if problem]


def way_for(checkpoint: Checkpoint) -> str:
    """Return how a checkpoint is verified before it is restored, unless it is asked for."""
    return HASH if checkpoint.manifest.total_bytes <= HASH_UP_TO else SIZE


def _by_size(folder: str, component: Component) -> str:
    path = os.path.join(folder, component.path)
    try:
        state = os.lstat(path)
    except OSError as error:
        return f"{component.path} is missing ({error.strerror})"
    if not stat.S_ISREG(state.st_mode):
        return f"{component.path} is no plain file"
    parent = os.path.dirname(path)
    if "/" in component.path and os.path.realpath(parent) != parent:
        return f"{component.path} is reached over a link to another folder"
    if state.st_size != component.size:
        return f"{component.path} has {state.st_size} bytes instead of {component.size}"
    return ""


def _by_hash(folder: str, component: Component) -> str:
    try:
        digest = hash_file(os.path.join(folder, component.path))
    except OSError as error:
        return f"{component.path} cannot be read: {error.strerror or error}"
    if digest != component.sha256:
        return f"{component.path} has other content: its SHA-256 is not the manifest's"
    return ""
