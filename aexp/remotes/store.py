"""What every remote can do: objects by key, put whole or not at all."""

import hashlib
import os
from typing import BinaryIO, Protocol

from aexp.errors import RemoteError
from aexp.remotes.address import FOLDER
from aexp.remotes.config import Remote, takes_checkpoints


class RemoteStore(Protocol):
    """An open remote.

    Keys are paths with ``/``. An object is there whole or not at all, however the process
    that put it has ended. Methods may be called by several threads. They raise
    `RemoteAway`, `RemoteDenied` or `RemoteError`, in which `name` and the URL stand.
    """

    def size(self, key: str) -> int | None:
        """Return an object's size, None when there is no such object."""

    def put(self, key: str, data: bytes) -> None:
        """Put a small object, in place of any that is there."""

    def put_file(self, key: str, path: str, size: int, sha256: str | None = None) -> None:
        """Put a file's content; `Mismatch`, and no object, if it is not of this SHA-256."""

    def settle(self) -> None:
        """Have what this store has put survive a loss of power there."""

    def get(self, key: str) -> bytes | None:
        """Return a small object, None when there is no such object."""

    def get_file(self, key: str, path: str) -> bool:
        """Write an object to a file that does not exist yet; False when there is none."""

    def keys(self, prefix: str) -> list[str]:
        """Return the keys below a folder, sorted."""

    def delete(self, key: str) -> None:
        """Remove an object, if it is there."""


class Mismatch(Exception):
    """A file that was to be put has other content than it should have."""


class CheckedReader:
    """A file that fails at its end if it was not of a size and SHA-256.

    So it is read once, and hashed while what was read before is on its way.
    """

    def __init__(self, file: BinaryIO, size: int, sha256: str) -> None:
        self._file = file
        self._expected = (size, sha256)
        self._read = 0
        self._hash = hashlib.sha256()
        self.is_wrong = False

    def read(self, size: int = -1) -> bytes:
        """Return what comes next; raise `Mismatch` instead of saying that nothing does."""
        data = self._file.read(size)
        self._hash.update(data)
        self._read += len(data)
        if not data and size and (self._read, self._hash.hexdigest()) != self._expected:
            self.is_wrong = True
            raise Mismatch
        return data

    def seek(self, offset: int, whence: int = 0) -> int:
        """Go elsewhere: the library does, to know the size, before it reads."""
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        """Return where the next read begins."""
        return self._file.tell()


def open_store(remote: Remote) -> RemoteStore:
    """Return the store behind a remote; nothing is contacted yet.

    Raises
    ------
    RemoteError
        If the library for it is not installed, or refuses the options.
    """
    check_takes_checkpoints(remote)
    if remote.address.scheme == FOLDER:
        from aexp.remotes.folder import FolderStore

        return FolderStore(remote)
    from aexp.remotes.objects import ObjectStore

    return ObjectStore(remote)


def check_takes_checkpoints(remote: Remote) -> None:
    """Insist that checkpoints can be pushed to a remote.

    Raises
    ------
    RemoteError
        If it is a machine.
    """
    if not takes_checkpoints(remote):
        raise RemoteError(
            f"remote {remote.name} is a machine: push and pull go to buckets and folders",
            f"its checkpoints travel with: aexp sync {remote.name} --files checkpoints",
        )


def fsync_folder(path: str) -> None:
    """Have the names in a folder survive a loss of power, where the file system can."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    except OSError:
        return
    try:
        os.fsync(descriptor)
    except OSError:
        pass
    finally:
        os.close(descriptor)
