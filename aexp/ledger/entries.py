"""Read and write ``.aexp/ledger/<job_id>.json``."""

import os
import warnings
from collections.abc import Iterator
from typing import Any, NamedTuple

from aexp.errors import CorruptFile, CorruptFileWarning, RunNotFound
from aexp.files import parse_object, pretty_json, read_bytes, read_object, write_atomic
from aexp.ledger.folders import LEDGER, TOP, check_folders
from aexp.model import JOB_ID, TERMINAL_STATUSES
from aexp.paths import Repo

_CONFLICT = b"<<<<<<< "
_MAX_BYTES = 16_000_000


def list_ledger_job_ids(repo: Repo) -> set[str]:
    """Return the ids that have a ledger file, whether or not it can be read."""
    try:
        names = os.listdir(repo.ledger_dir)
    except OSError:
        return set()
    return {name[:-5] for name in names if name.endswith(".json") and JOB_ID.fullmatch(name[:-5])}


def has_entries(repo: Repo) -> bool:
    """Return whether the ledger has any file that is called like an entry."""
    return bool(list_ledger_job_ids(repo))


def resolve_entry_id(repo: Repo, text: str) -> str:
    """Return the full id of the one ledger entry whose run begins with `text`.

    Raises
    ------
    RunNotFound
        If there is none, or more than one.
    """
    found = sorted(job_id for job_id in list_ledger_job_ids(repo) if job_id.startswith(text))
    if len(found) == 1:
        return found[0]
    if found:
        shown = ", ".join(job_id[:12] for job_id in found[:5])
        raise RunNotFound(f"{len(found)} entries begin with {text}: {shown}", "give more digits")
    raise RunNotFound(
        f"no ledger entry begins with {text}",
        "git pull brings those of other machines; aexp ledger backfill writes those of this one",
    )


def load_ledger_entry(repo: Repo, job_id: str, *, quiet: bool = False) -> dict[str, Any] | None:
    """Return a run's ledger entry; None when there is none or it cannot be read.

    A file that is there but corrupt costs a `CorruptFileWarning` that names it, unless the
    caller wants it `quiet`. (Filtering the warning instead would not be safe among threads.)
    """
    path = repo.ledger_path(job_id)
    try:
        entry = read_object(path)
    except CorruptFile as error:
        if not quiet:
            warnings.warn(error.message, CorruptFileWarning, stacklevel=2)
        return None
    if entry is None:
        return None
    fault = entry_fault(entry, job_id)
    if fault is not None and quiet:
        return None
    if fault is not None:
        warnings.warn(
            f"{path} is not a ledger entry of {job_id}: it {fault}",
            CorruptFileWarning,
            stacklevel=2,
        )
        return None
    return entry


def check_no_conflict(repo: Repo, job_id: str) -> None:
    """Refuse a ledger file in which git has left a merge conflict: it holds two records.

    Raises
    ------
    CorruptFile
        Saying how to resolve it.
    """
    path = repo.ledger_path(job_id)
    if has_conflict(read_bytes(path) or b""):
        name = repo.relative(path)
        raise CorruptFile(f"{name} has a merge conflict of git", conflict_mend(name))


def has_conflict(data: bytes) -> bool:
    """Return whether git has left the marks of a merge conflict in a file's content."""
    return data.startswith(_CONFLICT) or b"\n" + _CONFLICT in data


def conflict_mend(name: str) -> str:
    """Return what to type to take one side of a conflict."""
    return f"take one side: git checkout --theirs {name} (or --ours), then: git add {name}"


def entry_fault(entry: dict[str, Any], job_id: str) -> str | None:
    """Return why a JSON object is not the ledger entry of a run, None when it is."""
    if entry.get("job_id") != job_id:
        return "names another run"
    status = entry.get("status")
    if not isinstance(status, str) or status not in TERMINAL_STATUSES:
        return "has no status of an ended run"
    if not isinstance(entry.get("statepoint"), dict):
        return "has no state point"
    return None


class LedgerFile(NamedTuple):
    """One file of the ledger's folder.

    Attributes
    ----------
    name : str
        File name.
    job_id : str or None
        The run whose entry it should be; None when it is not called like an entry.
    entry : dict or None
        The entry, when it is one.
    fault : str
        Why it is none.
    """

    name: str
    job_id: str | None
    entry: dict[str, Any] | None
    fault: str = ""


def scan_ledger(repo: Repo) -> Iterator[LedgerFile]:
    """Read every file of the ledger, in the order of their names; none of them raises.

    Links are not followed: what they lead to is not what git has. Hidden files (those of a
    writer at work) and folders are passed over.
    """
    try:
        with os.scandir(repo.ledger_dir) as found:
            files = sorted((item.name, item.is_file(follow_symlinks=False)) for item in found)
    except OSError:
        return
    for name, is_plain in files:
        if name.startswith("."):
            continue
        job_id = name[:-5] if name.endswith(".json") and JOB_ID.fullmatch(name[:-5]) else None
        if job_id is None:
            yield LedgerFile(name, None, None, "is not called <run id>.json")
        elif not is_plain:
            yield LedgerFile(name, job_id, None, "is a link or a folder")
        else:
            yield _scanned(os.path.join(repo.ledger_dir, name), name, job_id)


def _scanned(path: str, name: str, job_id: str) -> LedgerFile:
    try:
        if os.path.getsize(path) > _MAX_BYTES:
            return LedgerFile(name, job_id, None, f"is over {_MAX_BYTES // 1_000_000} MB")
        entry = parse_object(read_bytes(path) or b"", path)
    except OSError as error:
        return LedgerFile(name, job_id, None, f"cannot be read: {error.strerror or error}")
    except CorruptFile as error:
        return LedgerFile(name, job_id, None, error.message.removeprefix(path).strip())
    fault = entry_fault(entry, job_id)
    return LedgerFile(name, job_id, None, fault) if fault else LedgerFile(name, job_id, entry)


def write_entry(repo: Repo, entry: dict[str, Any]) -> bool:
    """Write a ledger entry; False when the file already said the same.

    Raises
    ------
    CorruptFile
        If the ledger's folder is a link: what is written there would never travel.
    """
    check_folders(repo, TOP, LEDGER)
    path = repo.ledger_path(entry["job_id"])
    data = pretty_json(entry)
    if read_bytes(path) == data:
        return False
    write_atomic(path, data)
    return True
