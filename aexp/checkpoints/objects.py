"""The content store of a repository: equal files of checkpoints are one file on disk.

An object is a hard link, ``.aexp/objects/ab/<sha256>``, to a file that also has a name in
every checkpoint that holds it. So a checkpoint never depends on the content store: an object
that goes away costs the next save some space, nothing else, and one with a single link is
not needed by anyone here. Where there are no hard links, there are no objects.
"""

import contextlib
import errno
import os
import re
import stat
from collections.abc import Iterator
from typing import NamedTuple

from aexp.files import remove, temporary_name
from aexp.paths import OBJECTS, Repo

_CHUNK = 1 << 20
_SHA256 = re.compile(r"[0-9a-f]{64}")
_TRIES = 5
# Objects that this process has read and found whole: inode to size and time of last change.
_whole: dict[tuple[int, int], tuple[int, int]] = {}


class Object(NamedTuple):
    """One file of the content store."""

    sha256: str
    path: str
    size: int
    links: int
    mtime: float


class Objects:
    """The content store of `repo`."""

    def __init__(self, repo: Repo) -> None:
        self.folder = repo.at(OBJECTS)

    def path(self, sha256: str) -> str:
        """Return where an object is, or would be."""
        if not _SHA256.fullmatch(sha256):
            raise ValueError(f"{sha256!r} is no SHA-256")
        return os.path.join(self.folder, sha256[:2], sha256)

    def has(self, sha256: str, size: int | None = None) -> bool:
        """Return whether an object is there, of this size; its content is not read."""
        try:
            found = os.lstat(self.path(sha256))
        except OSError:
            return False
        return stat.S_ISREG(found.st_mode) and (size is None or found.st_size == size)

    def is_whole(self, sha256: str) -> bool:
        """Return whether an object is there and its content is what its name says.

        It is read once per process, as long as it is not changed.
        """
        try:
            path = self.path(sha256)
            found = os.lstat(path)
            if not stat.S_ISREG(found.st_mode):
                return False
            key, state = (found.st_dev, found.st_ino), (found.st_size, found.st_mtime_ns)
            if _whole.get(key) == state:
                return True
            if hash_file(path) != sha256:
                return False
        except OSError:
            return False
        _whole[key] = state
        return True

    def put(self, file: str, sha256: str) -> bool:
        """Make a file of ours and the object of its content one file.

        Parameters
        ----------
        file : str
            A file with this SHA-256 that nobody writes to any more. When the object is there
            already, the file's name becomes a link to it, and its own content is dropped.
        sha256 : str
            Its digest.

        Returns
        -------
        bool
            Whether the object was there, so that the file takes no space of its own.
        """
        target = self.path(sha256)
        for _ in range(_TRIES):  # others may put or remove the same object meanwhile
            try:
                if not self.has(sha256):
                    _link_new(file, target)
                    self._remember(target)
                    return False
                if _same_file(file, target):
                    return True
                if not self.is_whole(sha256):
                    _replace_by_link(file, target)
                    self._remember(target)
                    return False
                _replace_by_link(target, file)
                return True
            except (FileExistsError, FileNotFoundError):
                continue
            except OSError as error:
                if error.errno == errno.EMLINK:
                    # As many names as the file system gives a file: ours takes its place.
                    with contextlib.suppress(OSError):
                        _replace_by_link(file, target)
                    return False
                if error.errno in _NO_LINKS:
                    return False
                raise
        return False

    def take(self, sha256: str, target: str) -> bool:
        """Give an object a further name, `target`; False when it is not there or damaged.

        Where it cannot be linked, it is copied.
        """
        if not self.is_whole(sha256):
            return False
        try:
            os.link(self.path(sha256), target)
        except FileNotFoundError:
            return False
        except OSError as error:
            if error.errno not in _NO_LINKS:
                raise
            copy_file(self.path(sha256), target)
        return True

    def all(self) -> Iterator[Object]:
        """Return every object, by name; what is being put meanwhile may be among them."""
        for folder in _sorted_names(self.folder):
            for name in _sorted_names(os.path.join(self.folder, folder)):
                path = os.path.join(self.folder, folder, name)
                if not _SHA256.fullmatch(name) or name[:2] != folder:
                    continue
                with contextlib.suppress(OSError):
                    found = os.lstat(path)
                    yield Object(name, path, found.st_size, found.st_nlink, found.st_mtime)

    def _remember(self, path: str) -> None:
        found = os.lstat(path)
        _whole[found.st_dev, found.st_ino] = (found.st_size, found.st_mtime_ns)


# Where there is no object, a checkpoint has a copy of its own: no reason not to save it.
_NO_LINKS = frozenset(
    {
        errno.EXDEV,
        errno.EPERM,
        errno.EMLINK,
        errno.ENOTSUP,
        errno.EOPNOTSUPP,
        errno.ENOSYS,
        errno.EACCES,
        errno.EROFS,
        errno.ENOTDIR,
        errno.EDQUOT,
        errno.ENOSPC,
    }
)


def hash_file(path: str) -> str:
    """Return the SHA-256 of a plain file, which is not reached over a link."""
    from hashlib import sha256

    digest = sha256()
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with open(descriptor, "rb", buffering=0) as file:
        buffer = memoryview(bytearray(_CHUNK))
        while count := file.readinto(buffer):
            digest.update(buffer[:count])
    return digest.hexdigest()


def copy_file(source: str, target: str) -> os.stat_result:
    """Copy a plain file to a new name, sharing its blocks where the file system can.

    Returns
    -------
    os.stat_result
        Of the source, as it was at the end.
    """
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    reading = os.open(source, flags)
    try:
        if not stat.S_ISREG(os.fstat(reading).st_mode):
            raise OSError(errno.EINVAL, "no plain file", source)
        writing = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
        try:
            if not _clone(reading, writing):
                _copy_bytes(reading, writing)
        finally:
            os.close(writing)
        return os.fstat(reading)
    finally:
        os.close(reading)


_FICLONE = 0x40049409  # of Linux; elsewhere the call fails


def _clone(reading: int, writing: int) -> bool:
    import fcntl

    try:
        fcntl.ioctl(writing, _FICLONE, reading)
    except OSError:
        return False
    return True


def _copy_bytes(reading: int, writing: int) -> None:
    if hasattr(os, "copy_file_range"):
        with contextlib.suppress(OSError):
            while os.copy_file_range(reading, writing, 1 << 30):
                pass
    # What the kernel could not copy by itself, and what has been added meanwhile.
    os.lseek(reading, os.lseek(writing, 0, os.SEEK_CUR), os.SEEK_SET)
    while data := os.read(reading, _CHUNK):
        view = memoryview(data)
        while view:
            view = view[os.write(writing, view) :]


def _link_new(file: str, target: str) -> None:
    try:
        os.link(file, target)
    except FileNotFoundError:
        os.makedirs(os.path.dirname(target), exist_ok=True)
        os.link(file, target)


def _replace_by_link(source: str, target: str) -> None:
    """Make `target` a name of `source`, in one step."""
    temporary = short_temporary(target)
    try:
        os.link(source, temporary)
        os.replace(temporary, target)
    finally:
        remove(temporary)  # when nothing was replaced, or both were one file already


def short_temporary(path: str) -> str:
    """Return a sibling name that is no longer than a file system allows, as `path` may be."""
    return temporary_name(os.path.join(os.path.dirname(path), "file"))


def _same_file(one: str, other: str) -> bool:
    a, b = os.lstat(one), os.lstat(other)
    return (a.st_dev, a.st_ino) == (b.st_dev, b.st_ino)


def _sorted_names(folder: str) -> list[str]:
    try:
        return sorted(os.listdir(folder))
    except (FileNotFoundError, NotADirectoryError):
        return []
