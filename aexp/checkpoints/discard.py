"""Take an object out of the content store, unless somebody has a further name of it."""

import contextlib
import os

from aexp.checkpoints.objects import Objects
from aexp.files import remove, temporary_name


def discard(objects: Objects, sha256: str) -> int | None:
    """Remove an object that has no name but its own; return the bytes that this frees.

    None: it stays, or was not there.

    Whoever saves the same content at this moment loses nothing: he either has a second name
    by now, and the object is put back, or finds none and puts his own file there.
    """
    path = objects.path(sha256)
    aside = temporary_name(path)
    try:
        if os.lstat(path).st_nlink != 1:
            return None
        os.rename(path, aside)
    except OSError:
        return None
    try:
        found = os.lstat(aside)
        if found.st_nlink == 1:
            return found.st_size
        with contextlib.suppress(OSError):  # there is a new one already
            os.link(aside, path, follow_symlinks=False)
        return None
    except OSError:
        return None
    finally:
        remove(aside)
