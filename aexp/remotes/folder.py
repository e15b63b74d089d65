"""A folder as a remote: another disk, an archive, a share.

Of the standard library alone, and with fsync: a manifest there must not be more durable
than the files it names.
"""

import errno
import hashlib
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from aexp.errors import RemoteAway, RemoteDenied, RemoteError
from aexp.files import remove, temporary_name
from aexp.remotes.config import Remote
from aexp.remotes.store import Mismatch, fsync_folder

_INCOMING = ".incoming"
_CHUNK = 1 << 20
_STALE_S = 86_400.0


class FolderStore:
    """A remote with a ``file://`` address."""

    def __init__(self, remote: Remote) -> None:
        self._remote = remote
        self._root = remote.address.path
        self._swept = False
        # Folders in which names were made since the last `settle`.
        self._unsettled: set[str] = set()
        self._lock = threading.Lock()

    def size(self, key: str) -> int | None:
        """Return an object's size, None when there is no such object."""
        with self._translated(key):
            try:
                return os.stat(self._path(key)).st_size
            except FileNotFoundError:
                self._require_root()
                return None

    def put(self, key: str, data: bytes) -> None:
        """Put a small object."""
        self._write(key, data)
        self.settle()

    def put_file(self, key: str, path: str, size: int, sha256: str | None = None) -> None:
        """Put a file's content; its name is safe only after `settle`."""
        source = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            if size <= _CHUNK:
                with open(source, "rb", closefd=False) as file:
                    data = file.read()
                if sha256 is not None and hashlib.sha256(data).hexdigest() != sha256:
                    raise Mismatch
                self._write(key, data)
                return
            if sha256 is not None:
                with open(source, "rb", closefd=False) as file:
                    if hashlib.file_digest(file, "sha256").hexdigest() != sha256:
                        raise Mismatch
                os.lseek(source, 0, os.SEEK_SET)
            with self._translated(key), self._incoming(key) as descriptor:
                _copy(source, descriptor)
        finally:
            os.close(source)

    def settle(self) -> None:
        """Have the names of what was put survive a loss of power: each folder is flushed once."""
        with self._lock:
            folders, self._unsettled = self._unsettled, set()
        for folder in sorted(folders):
            fsync_folder(folder)

    def _write(self, key: str, data: bytes) -> None:
        with self._translated(key), self._incoming(key) as descriptor:
            view = memoryview(data)
            while view:
                view = view[os.write(descriptor, view) :]

    def get(self, key: str) -> bytes | None:
        """Return a small object, None when there is no such object."""
        with self._translated(key):
            try:
                with open(self._path(key), "rb") as file:
                    return file.read()
            except FileNotFoundError:
                self._require_root()
                return None

    def get_file(self, key: str, path: str) -> bool:
        """Write an object to a file that does not exist yet; False when there is none."""
        with self._translated(key):
            try:
                source = os.open(self._path(key), os.O_RDONLY | os.O_CLOEXEC)
            except FileNotFoundError:
                self._require_root()
                return False
        try:
            target = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
            try:
                _copy(source, target)
            finally:
                os.close(target)
        finally:
            os.close(source)
        return True

    def keys(self, prefix: str) -> list[str]:
        """Return the keys below a folder, sorted."""
        found = []
        with self._translated(prefix):
            self._require_root()
            for folder, _, names in os.walk(self._path(prefix)):
                below = os.path.relpath(folder, self._root)
                found += [f"{below}/{name}" for name in names if not name.startswith(".")]
        return sorted(found)

    def delete(self, key: str) -> None:
        """Remove an object, if it is there."""
        with self._translated(key), suppress(FileNotFoundError):
            os.unlink(self._path(key))

    def _path(self, key: str) -> str:
        return os.path.join(self._root, *key.split("/"))

    def _require_root(self) -> None:
        # Never made here: an archive that is not mounted looks like an empty folder's name.
        if not os.path.isdir(self._root):
            raise RemoteAway(
                f"remote {self._remote.name}: there is no folder {self._root}",
                f"mount it, or make it: mkdir -p {self._root}",
            )

    @contextmanager
    def _incoming(self, key: str) -> Iterator[int]:
        """Yield a file that becomes the object when the block has ended well."""
        self._require_root()
        waiting = os.path.join(self._root, _INCOMING)
        if not self._swept:
            self._swept = True
            _sweep(waiting)
        target = self._path(key)
        os.makedirs(waiting, exist_ok=True)
        temporary = temporary_name(os.path.join(waiting, os.path.basename(target)))
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        descriptor = os.open(temporary, flags, 0o644)
        try:
            try:
                yield descriptor
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
            folder = os.path.dirname(target)
            made = []
            if not os.path.isdir(folder):
                os.makedirs(folder, exist_ok=True)
                made = [os.path.dirname(folder)]
            os.replace(temporary, target)
            with self._lock:
                self._unsettled.update([folder, *made])
        except BaseException:
            remove(temporary)
            raise

    @contextmanager
    def _translated(self, key: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            self._require_root()
            what = f"remote {self._remote.name}: {key}: {error.strerror or error}"
            where = f"check the folder {self._root}"
            if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
                raise RemoteDenied(what, f"{where}: you need to read and write it") from error
            if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.ESTALE):
                raise RemoteAway(what, f"{where}: space, quota, disk; then: aexp push") from error
            raise RemoteError(what, where) from error


def _copy(source: int, target: int) -> None:
    """Copy all that is left of a file: by the kernel (a reflink, where it can), else by hand."""
    try:
        while os.copy_file_range(source, target, 1 << 30):
            pass
        if os.lseek(target, 0, os.SEEK_CUR) or not os.fstat(source).st_size:
            return
    except (OSError, AttributeError) as error:
        if getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT, errno.EIO):
            raise
    os.lseek(source, os.lseek(target, 0, os.SEEK_CUR), os.SEEK_SET)
    while chunk := os.read(source, _CHUNK):
        view = memoryview(chunk)
        while view:
            view = view[os.write(target, view) :]


def _sweep(folder: str) -> None:
    """Remove what writers that were killed have left."""
    with suppress(OSError):
        for entry in os.scandir(folder):
            if time.time() - entry.stat().st_mtime > _STALE_S:
                remove(entry.path)
