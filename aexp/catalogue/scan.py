"""Which files the catalogue is made from, and what ``stat`` says of each."""

import os
import stat
from array import array
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from aexp.campaigns.read import CAMPAIGN as CAMPAIGN_FILE
from aexp.campaigns.read import CONCLUSION, campaign_ids
from aexp.campaigns.read import FOLDER as CAMPAIGNS_FOLDER
from aexp.campaigns.read import RUNS as MEMBERS
from aexp.catalogue.schema import CAMPAIGN, FILE, RUN
from aexp.kb.artifacts import KINDS
from aexp.ledger.folders import LEDGER as LEDGER_FOLDER
from aexp.model import JOB_ID
from aexp.paths import DOCUMENT, STATEPOINT, Repo

LEDGER, STORE, RECORD, OF_CAMPAIGN = "ledger", "store", "record", "campaign"
# Size, modification, change of the inode (nanoseconds since 1970), number of the inode.
Stat = tuple[int, int, int, int]
# A link, a folder, or a name that is no Unicode and so cannot be kept: looked at every time.
_NO_FILE: Stat = (-1, 0, 0, 0)
_POSITIVE = (1 << 63) - 1
# A file that changed so shortly before it was read may have changed again, unseen by `stat`.
RACY_NS = 2_000_000_000


class Unit(NamedTuple):
    """What is read again as a whole: a run, a note, a campaign."""

    unit: str
    key: str


class Sources(NamedTuple):
    """All source files, by their paths relative to the repository."""

    files: dict[str, Stat]

    def pack(self) -> tuple[bytes, bytes]:
        """Return the same as bytes, which are quick to keep and to compare."""
        numbers = array("q")
        for found in self.files.values():
            numbers.extend(found)
        names = "\0".join(self.files).encode("utf-8", "surrogateescape")
        return names, numbers.tobytes()

    @classmethod
    def unpack(cls, names: bytes, numbers: bytes) -> "Sources":
        """Return what `pack` has packed."""
        flat = array("q")
        flat.frombytes(numbers)
        four = iter(flat)
        paths = names.decode("utf-8", "surrogateescape").split("\0") if names else []
        return cls(dict(zip(paths, zip(four, four, four, four, strict=True), strict=True)))


def scan(repo: Repo) -> Sources:
    """Look at every source file; nothing is opened."""
    files: dict[str, Stat] = {}
    files.update(_folder(repo, LEDGER_FOLDER))
    for kind in KINDS.values():
        files.update(_notes(repo, kind.folder))
    files.update(_campaigns(repo))
    files.update(_store(repo))
    return Sources(files)


def _stat(found: os.stat_result) -> Stat:
    if not stat.S_ISREG(found.st_mode):
        return _NO_FILE
    return found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino & _POSITIVE


def _is_text(name: str) -> bool:
    try:
        return name.isascii() or bool(name.encode())
    except UnicodeError:
        return False


def _folder(repo: Repo, folder: str) -> Iterator[tuple[str, Stat]]:
    """Return the files of a folder but hidden ones, those of a writer at work."""
    try:
        with os.scandir(repo.at(folder)) as found:
            for item in found:
                if not item.name.startswith("."):
                    try:
                        found_now = _stat(item.stat(follow_symlinks=False))
                        yield (
                            f"{folder}/{item.name}",
                            found_now if _is_text(item.name) else _NO_FILE,
                        )
                    except OSError:
                        continue
    except OSError:
        return


def _notes(repo: Repo, folder: str) -> Iterator[tuple[str, Stat]]:
    for path, found in _folder(repo, folder):
        if path.endswith(".md"):
            yield path, found


def _campaigns(repo: Repo) -> Iterator[tuple[str, Stat]]:
    for campaign_id in campaign_ids(repo):
        top = f"{CAMPAIGNS_FOLDER}/{campaign_id}"
        for path, found in _folder(repo, top):
            if path in (f"{top}/{CAMPAIGN_FILE}", f"{top}/{CONCLUSION}"):
                yield path, found
        yield from _folder(repo, f"{top}/{MEMBERS}")


def _store(repo: Repo) -> Iterator[tuple[str, Stat]]:
    workspace = f"{repo.store}/workspace"
    try:
        names = os.listdir(repo.workspace)
    except OSError:
        return
    for name in names:
        if len(name) == 32 and JOB_ID.fullmatch(name):
            for file in (DOCUMENT, STATEPOINT):
                try:
                    found = os.lstat(f"{repo.workspace}/{name}/{file}")
                except OSError:
                    continue
                yield f"{workspace}/{name}/{file}", _stat(found)


def kind_of(repo: Repo, path: str) -> str:
    """Return which kind of source a path is."""
    if path.startswith(LEDGER_FOLDER + "/"):
        return LEDGER
    if path.startswith(CAMPAIGNS_FOLDER + "/"):
        return OF_CAMPAIGN
    return STORE if path.startswith(f"{repo.store}/workspace/") else RECORD


def unit_of(repo: Repo, path: str) -> Unit:
    """Return what a source file belongs to."""
    kind = kind_of(repo, path)
    if kind == OF_CAMPAIGN:
        return Unit(CAMPAIGN, path[len(CAMPAIGNS_FOLDER) + 1 :].partition("/")[0])
    if kind == STORE:
        return Unit(RUN, os.path.basename(os.path.dirname(path)))
    if kind == LEDGER:
        name = os.path.basename(path)
        if name.endswith(".json") and JOB_ID.fullmatch(name[:-5]):
            return Unit(RUN, name[:-5])
    return Unit(FILE, path)


def ledger_path(job_id: str) -> str:
    """Return where a run's entry lies, relative to the repository."""
    return f"{LEDGER_FOLDER}/{job_id}.json"


def store_path(repo: Repo, job_id: str, name: str = DOCUMENT) -> str:
    """Return where a file of a run lies, relative to the repository."""
    return f"{repo.store}/workspace/{job_id}/{name}"


def campaign_paths(repo: Repo, sources: Sources) -> dict[str, list[str]]:
    """Return the files of each campaign."""
    found: dict[str, list[str]] = {}
    for path in sources.files:
        if path.startswith(CAMPAIGNS_FOLDER + "/"):
            found.setdefault(unit_of(repo, path).key, []).append(path)
    return found


def paths_of(repo: Repo, sources: Sources, units: Iterable[Unit]) -> set[str]:
    """Return all files that some units are read from."""
    campaigns = campaign_paths(repo, sources)
    found: set[str] = set()
    for unit, key in units:
        if unit == RUN:
            found.add(ledger_path(key))
            found.update(store_path(repo, key, name) for name in (DOCUMENT, STATEPOINT))
        elif unit == CAMPAIGN:
            found.update(campaigns.get(key, ()))
        else:
            found.add(key)
    return found & sources.files.keys()


def changed_paths(old: Mapping[str, Stat], new: Mapping[str, Stat], scanned_ns: int) -> set[str]:
    """Return the paths whose content may be another one than it was at `scanned_ns`."""
    changed = {path for path, found in new.items() if old.get(path) != found}
    changed.update(path for path in old if path not in new)
    changed.update(racy_paths(new, scanned_ns))
    return changed


def racy_paths(files: Mapping[str, Stat], scanned_ns: int) -> set[str]:
    """Return the files that changed so late that a look at that time tells nothing."""
    since = scanned_ns - RACY_NS
    return {path for path, found in files.items() if found[2] >= since or found[0] < 0}
