"""The one place that writes files: atomically, durably, one name per writer."""

import errno
import fcntl
import json
import os
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from aexp.errors import CorruptFile, StoreReadOnly

if TYPE_CHECKING:
    from pathlib import Path

_LOCK_TIMEOUT_S = 60.0
_STALE_TRIES = 3
_serial = 0


def temporary_name(path: "str | Path") -> str:
    """Return a sibling name of `path` that no other writer, thread or host uses."""
    global _serial
    _serial += 1
    folder, name = os.path.split(os.fspath(path))
    unique = f"{os.getpid()}-{time.monotonic_ns()}-{_serial}-{os.urandom(4).hex()}"
    return os.path.join(folder, f".{name}.{unique}.tmp")


def write_new(path: str, data: bytes, mode: int | None = None) -> None:
    """Write a file that must not exist yet, whole and to the disk.

    Without `mode` it is what the umask leaves of 0644.
    """
    # Never wider than `mode`, not even for the moment before it is set.
    least = 0o644 if mode is None else 0o600 & mode
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, least)
    try:
        if mode is not None:
            with suppress(OSError):  # a file system without modes
                os.fchmod(descriptor, mode)
        view = memoryview(data)
        while view:
            view = view[os.write(descriptor, view) :]
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def file_mode(path: "str | Path") -> int | None:
    """Return a file's permission bits, None when it does not exist."""
    try:
        found = os.stat(path).st_mode
    except OSError:
        return None
    return found & 0o777 if stat.S_ISREG(found) else None


def write_atomic(path: "str | Path", data: bytes, *, mode: int | None = None) -> None:
    """Replace `path` with `data` so that no reader ever sees half a file.

    Parameters
    ----------
    path : str or pathlib.Path
        The file to write. Its folder is made when it is missing.
    data : bytes
        The whole new content.
    mode : int, optional
        Its permission bits; default those of the file that is replaced (what a user has
        hidden stays hidden), and what the umask leaves of 0644 for a new one.

    Raises
    ------
    StoreReadOnly
        If the folder or file cannot be written (read-only, no space, no permission).
    """
    target = os.fspath(path)
    temporary = temporary_name(target)
    if mode is None:
        mode = file_mode(target)
    try:
        try:
            write_new(temporary, data, mode)
        except FileNotFoundError:
            os.makedirs(os.path.dirname(target), exist_ok=True)
            write_new(temporary, data, mode)
        os.replace(temporary, target)
    except OSError as error:
        remove(temporary)
        raise StoreReadOnly(
            f"cannot write {target}: {error.strerror or error}",
            "check the folder's permissions and the free space, then run the command again",
        ) from error


def create_exclusive(path: "str | Path", data: bytes) -> bool:
    """Create `path` with `data` unless it exists already.

    The content is complete at the moment the name appears (a hard link to a finished
    temporary file), which also holds on NFS.

    Returns
    -------
    bool
        True if this call created the file, False if it was there before.
    """
    target = os.fspath(path)
    temporary = temporary_name(target)
    try:
        try:
            write_new(temporary, data)
        except FileNotFoundError:  # another process may be making the folder just now
            os.makedirs(os.path.dirname(target), exist_ok=True)
            write_new(temporary, data)
        _link(temporary, target, data)
        return True
    except FileExistsError:
        return False
    except OSError as error:
        if os.path.exists(target):
            return False
        raise StoreReadOnly(
            f"cannot create {target}: {error.strerror or error}",
            "check the folder's permissions and the free space, then run the command again",
        ) from error
    finally:
        remove(temporary)


def _link(temporary: str, target: str, data: bytes) -> None:
    """Give a finished file its name; without hard links, create the name and fill it."""
    try:
        os.link(temporary, target)
    except OSError as error:
        if error.errno not in (errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS):
            raise
        write_new(target, data)


def remove(path: "str | Path") -> bool:
    """Remove a file; False when it was not there or cannot be removed."""
    try:
        os.unlink(path)
        return True
    except OSError:
        return False


def read_bytes(path: "str | Path") -> bytes | None:
    """Return a file's content, or None when it does not exist."""
    for attempt in range(1, _STALE_TRIES + 1):
        try:
            with open(path, "rb") as file:
                return file.read()
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            # ESTALE: NFS gave us a handle of a file that has been replaced since.
            if error.errno != errno.ESTALE or attempt == _STALE_TRIES:
                raise CorruptFile(
                    f"cannot read {path}: {error.strerror or error}",
                    "check the file's permissions, and the file system",
                ) from error
    return None


def read_end(path: "str | Path", max_bytes: int) -> tuple[bytes, int]:
    """Return the last bytes of a plain file, and its size.

    Raises
    ------
    OSError
        If it cannot be read or is no plain file: in a folder that others write to, a link
        or a pipe may have taken its place, and neither is followed or waited for.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with open(descriptor, "rb") as file:
        state = os.fstat(descriptor)
        if not stat.S_ISREG(state.st_mode):
            raise OSError(errno.EINVAL, "no plain file", os.fspath(path))
        file.seek(max(0, state.st_size - max_bytes))
        return file.read(max_bytes), state.st_size


def parse_object(data: bytes, path: "str | Path") -> dict[str, Any]:
    """Parse JSON that must be an object.

    Raises
    ------
    CorruptFile
        If `data` is not UTF-8 JSON or not an object. The message names `path`.
    """
    try:
        value = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise CorruptFile(
            f"{path} is not valid JSON: {error}",
            "restore the file from git or a backup, or move it away",
        ) from error
    if not isinstance(value, dict):
        raise CorruptFile(
            f"{path} holds {type(value).__name__}, not a JSON object",
            "restore the file from git or a backup, or move it away",
        )
    return value


def read_object(path: "str | Path") -> dict[str, Any] | None:
    """Read a JSON object, or None when the file does not exist."""
    data = read_bytes(path)
    return None if data is None else parse_object(data, path)


def pretty_json(value: Any) -> bytes:
    """Return the ledger's way of writing JSON: sorted keys, two spaces, one last newline."""
    return (json.dumps(value, indent=2, sort_keys=True, allow_nan=False) + "\n").encode()


@contextmanager
def locked(path: "str | Path") -> Iterator[None]:
    """Hold the advisory lock file `path` for the block (``flock``: gone with its holder).

    Where the file system has no ``flock`` an exclusively created file beside it stands in.
    """
    name = os.fspath(path)
    try:
        descriptor = os.open(name, os.O_RDWR | os.O_CREAT, 0o644)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise StoreReadOnly(
            f"cannot lock {name}: {error.strerror or error}",
            "check the folder's permissions and the free space, then run the command again",
        ) from error
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        except OSError:
            with _locked_by_creation(name + ".held"):
                yield
            return
        try:
            yield
        finally:
            # Closing is not enough: a child forked by another thread meanwhile shares the lock.
            fcntl.flock(descriptor, fcntl.LOCK_UN)
    finally:
        os.close(descriptor)


@contextmanager
def _locked_by_creation(name: str) -> Iterator[None]:
    deadline = time.monotonic() + _LOCK_TIMEOUT_S
    while True:
        try:
            os.close(os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644))
            break
        except FileExistsError:
            if time.monotonic() > deadline:
                raise StoreReadOnly(
                    f"{name} has been held for over {_LOCK_TIMEOUT_S:.0f} s",
                    "remove it if no aexp command is working on this run",
                ) from None
            time.sleep(0.01)
    try:
        yield
    finally:
        remove(name)
