"""SHA-256 of files, remembered for as long as the file system says that they are the same."""

import errno
import json
import os
import stat
import time
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from aexp.environment.digest import digest
from aexp.errors import AexpError, CorruptFile
from aexp.files import read_object, write_atomic
from aexp.paths import Repo

_REMEMBERED = 1 << 16  # smaller files are read as fast as a cache
_CHUNK = 1 << 20
_SETTLED_S = 2.0  # a file written just now may change again within one tick of its clock
_TRIES = 3


class Cancelled(Exception):
    """Somebody wants this process to end; nothing is hashed any more."""


class FileFact(NamedTuple):
    """One file as it is now."""

    path: str
    size: int
    sha256: str

    def record(self) -> dict[str, Any]:
        """Return it as documents and ledger entries have it."""
        return self._asdict()


class Digests:
    """Digests of the repository's files.

    Parameters
    ----------
    repo : Repo
        The repository.
    cancelled : callable, optional
        Asked between pieces of large files.
    """

    def __init__(self, repo: Repo, cancelled: Callable[[], bool] | None = None) -> None:
        self._repo = repo
        self._cancelled = cancelled or (lambda: False)
        self._folders: dict[str, dict[str, Any]] = {}
        self._changed: set[str] = set()
        self._known: dict[str, FileFact | None] = {}

    def of(self, path: str) -> FileFact | None:
        """Return what a file is, None when it is not there; asked once per object.

        Raises
        ------
        OSError
            If it cannot be read, or is being written all the time.
        Cancelled
            If that is wanted.
        """
        if path not in self._known:
            self._known[path] = self._look(path)
        return self._known[path]

    def of_all(self, paths: Iterable[str]) -> list[FileFact]:
        """Return what files are, those that are not there left out; remembers what it read."""
        try:
            return [fact for fact in map(self.of, paths) if fact is not None]
        finally:
            self.remember()

    def _look(self, path: str) -> FileFact | None:
        full = self._repo.at(path)
        for _ in range(_TRIES):
            try:
                before = os.stat(full)
                if not stat.S_ISREG(before.st_mode):
                    return None
                known = self._recall(path, before)
                if known is not None:
                    return FileFact(path, before.st_size, known)
                value = self._read(full)
                after = os.stat(full)
            except (FileNotFoundError, NotADirectoryError):
                return None
            if _signature(before) == _signature(after):
                self._keep(path, after, value)
                return FileFact(path, after.st_size, value)
        raise OSError(errno.EBUSY, "is being written", full)

    def _read(self, full: str) -> str:
        with open(full, "rb", buffering=0) as file:
            first = file.read(_REMEMBERED)
            rest = file.read(1) if len(first) == _REMEMBERED else b""
            if not rest:
                return digest(first).removeprefix("sha256:")
            from hashlib import sha256

            hasher = sha256(first + rest)
            while piece := file.read(_CHUNK):
                if self._cancelled():
                    raise Cancelled
                hasher.update(piece)
            return hasher.hexdigest()

    def _memory(self, folder: str) -> tuple[str, dict[str, Any]]:
        name = digest(os.fsencode(folder)).removeprefix("sha256:")[:32]
        path = self._repo.cache("digests", name + ".json")
        if folder not in self._folders:
            try:
                content = read_object(path) or {}
            except CorruptFile:
                content = {}
            self._folders[folder] = content if content.get("folder") == folder else {}
        return path, self._folders[folder]

    def _recall(self, path: str, now: os.stat_result) -> str | None:
        if now.st_size < _REMEMBERED:
            return None
        folder, name = os.path.split(path)
        files = self._memory(folder)[1].get("files")
        kept = files.get(name) if isinstance(files, dict) else None
        if isinstance(kept, list) and len(kept) == 5 and kept[:4] == _signature(now):
            return kept[4] if isinstance(kept[4], str) and len(kept[4]) == 64 else None
        return None

    def _keep(self, path: str, now: os.stat_result, value: str) -> None:
        if now.st_size < _REMEMBERED:
            return
        if max(now.st_mtime, now.st_ctime) > time.time() - _SETTLED_S:
            return
        folder, name = os.path.split(path)
        content = self._memory(folder)[1]
        content["folder"] = folder
        if not isinstance(content.get("files"), dict):
            content["files"] = {}
        content["files"][name] = [*_signature(now), value]
        self._changed.add(folder)

    def remember(self) -> None:
        """Write what was read into the cache; one that cannot be written costs time only."""
        for folder in sorted(self._changed):
            path, content = self._memory(folder)
            try:
                write_atomic(path, json.dumps(content).encode())
            except AexpError:
                break
        self._changed.clear()


def _signature(state: os.stat_result) -> list[int]:
    return [state.st_size, state.st_mtime_ns, state.st_ctime_ns, state.st_ino]


def list_digest(files: Iterable[FileFact]) -> str:
    """Return ``sha256:…`` of a list of files: over one line ``<sha256>  <path>`` per file."""
    lines = sorted((fact.path, f"{fact.sha256}  {fact.path}\n") for fact in files)
    return digest("".join(line for _, line in lines).encode("utf-8", "backslashreplace"))
