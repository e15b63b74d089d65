"""``aexp remote test``: what a run will need of a remote, tried there."""

import os
import tempfile
import time
from typing import NamedTuple

from aexp.errors import RemoteError
from aexp.remotes.config import Remote
from aexp.remotes.store import RemoteStore, open_store

_SMALL = b"aexp\n"
_LARGE = 12 << 20  # more than one part


class RemoteCheck(NamedTuple):
    """What a test has found.

    Attributes
    ----------
    steps : tuple of str
        What has worked, in order.
    put_mb_s, get_mb_s : float
        Speed with one file of 12 MB.
    seconds : float
        How long all of it took.
    """

    steps: tuple[str, ...]
    put_mb_s: float
    get_mb_s: float
    seconds: float


def check_remote(remote: Remote) -> RemoteCheck:
    """Write, look for, list, read and remove objects below ``test/`` at a remote.

    Raises
    ------
    RemoteError
        At the first thing that does not work.
    """
    began = time.monotonic()
    store = open_store(remote)
    prefix = f"test/{os.urandom(8).hex()}"
    small, large = f"{prefix}/small", f"{prefix}/large"
    try:
        return _check(store, remote, began, prefix, small, large)
    finally:
        for key in (small, large):
            _remove(store, key)


def _check(
    store: RemoteStore, remote: Remote, began: float, prefix: str, small: str, large: str
) -> RemoteCheck:
    def insist(right: bool, what: str) -> None:
        if not right:
            raise RemoteError(
                f"remote {remote.name}: {what}", "it does not keep what it is given; use another"
            )

    store.put(small, _SMALL)
    insist(store.size(small) == len(_SMALL), "an object that was written is not there")
    insist(store.size(f"{prefix}/none") is None, "an object that was never written is there")
    insist(store.keys(prefix) == [small], "a listing lacks what was written")
    insist(store.get(small) == _SMALL, "an object is read otherwise than it was written")
    with tempfile.TemporaryDirectory(prefix="aexp-remote-") as folder:
        there, back = os.path.join(folder, "there"), os.path.join(folder, "back")
        with open(there, "wb") as file:
            file.write(os.urandom(_LARGE))
        start = time.monotonic()
        store.put_file(large, there, _LARGE)
        put = time.monotonic() - start
        start = time.monotonic()
        insist(store.get_file(large, back), "a large object that was written is not there")
        get = time.monotonic() - start
        with open(there, "rb") as one, open(back, "rb") as other:
            insist(one.read() == other.read(), "a large object is read otherwise than written")
    store.delete(small)
    insist(store.size(small) is None, "an object that was removed is still there")
    steps = ("write", "look", "list", "read", "write large", "read large", "remove")
    return RemoteCheck(
        steps, _LARGE / 1e6 / put, _LARGE / 1e6 / get, round(time.monotonic() - began, 3)
    )


def _remove(store: RemoteStore, key: str) -> None:
    import contextlib

    with contextlib.suppress(RemoteError):
        store.delete(key)
