"""Can the file system below the run store do what claims need? Tried, in the store itself."""

import errno
import fcntl
import os
import shutil
from collections.abc import Callable, Iterator

from aexp.doctor.diagnosis import Diagnosis, error, ok, quoted, warn
from aexp.errors import AexpError
from aexp.files import temporary_name
from aexp.paths import Repo

_NETWORK = ("nfs", "lustre", "gpfs", "beegfs", "ceph", "glusterfs", "cifs", "smb", "fuse", "9p")
_LOW_BYTES = 500_000_000


def file_system(repo: Repo) -> Iterator[Diagnosis]:
    """Try hard links, locks, exclusive creation, renames and fsync in the store's folder."""
    if not os.path.isdir(repo.store_dir):
        return
    kind = file_system_type(repo.store_dir)
    folder = temporary_name(os.path.join(repo.store_dir, "doctor"))
    try:
        os.mkdir(folder)
    except OSError as problem:
        what = f"{repo.store} cannot be written: {problem.strerror}"
        full = problem.errno in (errno.ENOSPC, errno.EDQUOT)
        mend = f"df -h {quoted(repo.store)}" if full else f"chmod -R u+rwX {quoted(repo.store)}"
        yield error("file system", what, mend)
        return
    try:
        faults = list(_try_all(folder))
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    yield from faults
    if not faults:
        what = "hard links, locks, exclusive creation, renames and fsync work"
        yield ok("file system", f"{what} ({kind or 'unknown kind'})")
    if kind.startswith(_NETWORK):
        yield ok(
            "file system",
            f"{repo.store} lies on {kind}, a network file system: other hosts may share it; "
            "aexp holds claims by hard links there, and shows a run a little later elsewhere",
        )
    free = shutil.disk_usage(repo.store_dir).free
    if free < _LOW_BYTES:
        what = f"only {free // 1_000_000} MB are free below {repo.store}"
        yield warn("file system", what, f"du -sh {quoted(repo.store)}/workspace/* | sort -h")


def _try_all(folder: str) -> Iterator[Diagnosis]:
    for attempt, level, what, mend in _ATTEMPTS:
        try:
            attempt(folder)
        except (OSError, AexpError) as problem:
            reason = problem.strerror if isinstance(problem, OSError) else str(problem)
            yield level("file system", f"{what}: {reason}", mend)


def _hard_link(folder: str) -> None:
    first, second = os.path.join(folder, "a"), os.path.join(folder, "b")
    _touch(first)
    os.link(first, second)
    try:
        os.link(first, second)
    except FileExistsError:
        return
    raise OSError(errno.EIO, "a link over an existing name is not refused")


def _exclusive(folder: str) -> None:
    path = os.path.join(folder, "c")
    _touch(path)
    try:
        _touch(path)
    except FileExistsError:
        return
    raise OSError(errno.EIO, "a second creation of one name is not refused")


def _rename(folder: str) -> None:
    old, new = os.path.join(folder, "d"), os.path.join(folder, "e")
    _touch(old)
    _touch(new)
    os.replace(old, new)
    if os.path.exists(old):
        raise OSError(errno.EIO, "the old name is still there")


def _lock(folder: str) -> None:
    path = os.path.join(folder, "f")
    first, second = (os.open(path, os.O_RDWR | os.O_CREAT, 0o644) for _ in range(2))
    try:
        fcntl.flock(first, fcntl.LOCK_EX | fcntl.LOCK_NB)
        try:
            fcntl.flock(second, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return
        raise OSError(errno.EIO, "a lock that is held is given a second time")
    finally:
        os.close(first)
        os.close(second)


def _fsync(folder: str) -> None:
    for path, flags in ((os.path.join(folder, "g"), os.O_WRONLY | os.O_CREAT), (folder, 0)):
        descriptor = os.open(path, flags, 0o644)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _touch(path: str) -> None:
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644))


_MOVE = "aexp install --run-store PATH    (a folder on another file system, linked from here)"
_ATTEMPTS: tuple[tuple[Callable[[str], None], Callable[..., Diagnosis], str, str], ...] = (
    (_exclusive, error, "files cannot be created exclusively", _MOVE),
    (_rename, error, "renames are not atomic", _MOVE),
    (_fsync, warn, "fsync does not work, so a power cut can lose what was written", _MOVE),
    (_hard_link, warn, "there are no hard links; claims fall back to exclusive creation", _MOVE),
    (_lock, warn, "flock does not work; documents are locked by files instead", _MOVE),
)


def file_system_type(folder: str) -> str:
    """Return the type of the file system below a folder; empty where the system has no list."""
    real, best, kind = os.path.realpath(folder), -1, ""
    try:
        with open("/proc/self/mountinfo", encoding="utf-8", errors="replace") as file:
            rows = [line.split() for line in file]
    except OSError:
        return ""
    for row in rows:
        point = row[4].encode().decode("unicode_escape")
        inside = real == point or real.startswith(point.rstrip("/") + "/")
        if inside and len(point) >= best and "-" in row:
            best, kind = len(point), row[row.index("-") + 1]
    return kind
