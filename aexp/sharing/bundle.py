"""Ledger entries as one file, for machines that no git remote reaches.

A bundle is a plain tar archive of entries, ``ledger/<job_id>.json``. The same entries give
the same bytes. It needs no common history on the other side; what it brings is settled
with what is there by the rule of `aexp.ledger.merge`.
"""

import io
import os
import stat
import tarfile
import warnings
from collections.abc import Iterator
from typing import IO, Any, NamedTuple

from aexp.errors import CorruptFile, CorruptFileWarning, GitError, StoreReadOnly, UsageError
from aexp.files import parse_object, pretty_json, read_bytes, write_atomic
from aexp.git import run_git
from aexp.ledger.entries import list_ledger_job_ids
from aexp.ledger.folders import TOP, check_folders
from aexp.ledger.merge import merge_bytes
from aexp.model import JOB_ID, printable, section
from aexp.paths import Repo
from aexp.runs.store import compute_job_id
from aexp.sharing.commits import LEDGER
from aexp.sharing.schema import faults

_FOLDER = "ledger/"
_MAX_ENTRY = 16 * 2**20
_END = 1024  # zeros, the end of every tar archive
_HINT = "nothing was taken from it; make the bundle again: aexp ledger bundle FILE"


class Unbundled(NamedTuple):
    """What a bundle brought.

    Attributes
    ----------
    added : list of str
        Ids of runs that had no entry here.
    renewed : list of str
        Ids of runs whose entry here was superseded.
    kept : list of str
        Ids of runs whose entry here is the same, or the record.
    """

    added: list[str]
    renewed: list[str]
    kept: list[str]


def bundle(
    repo: Repo,
    path: str,
    *,
    since: str | None = None,
    experiment_id: str | None = None,
    force: bool = False,
    dry_run: bool = False,
) -> list[str]:
    """Write entries into one file and return their ids.

    Parameters
    ----------
    repo : Repo
        The repository.
    path : str
        The file to write; an existing bundle is replaced.
    since : str, optional
        A commit: only entries that are new or changed since then, committed or not.
    experiment_id : str, optional
        Only entries of runs of this experiment.
    force : bool, default False
        Replace a file that is something else, too.
    dry_run : bool, default False
        Write nothing.

    Raises
    ------
    UsageError
        If there is nothing to put in, `since` is no commit, or `path` is no place for it.
    """
    _check_place(repo, path, force)
    ids = list_ledger_job_ids(repo) if since is None else _changed(repo, since)
    chosen: dict[str, bytes] = {}
    for job_id in sorted(ids):
        try:
            entry = checked_entry(job_id, read_bytes(repo.ledger_path(job_id)) or b"", LEDGER)
        except CorruptFile as error:
            warnings.warn(f"left out: {error.message}", CorruptFileWarning, stacklevel=2)
            continue
        if experiment_id in (None, _experiment(entry)):
            chosen[job_id] = pretty_json(entry)
    if not chosen:
        raise UsageError(
            "no ledger entry is to be bundled",
            "see what there is: aexp ledger verify; ended runs without an entry: aexp ledger "
            "backfill",
        )
    if not dry_run:
        write_atomic(os.path.abspath(path), _archive(chosen))
    return list(chosen)


def unbundle(repo: Repo, path: str, *, dry_run: bool = False) -> Unbundled:
    """Take the entries of a bundle into the ledger.

    The whole file is checked before anything is written.

    Raises
    ------
    CorruptFile
        If it is not a bundle, or something in it is not a ledger entry.
    UsageError
        If it does not exist, or is no file.
    """
    check_folders(repo, TOP, LEDGER)
    entries = _read(path)
    result = Unbundled([], [], [])
    for job_id, data in sorted(entries.items()):
        target = repo.ledger_path(job_id)
        if os.path.islink(target):
            raise CorruptFile(f"{target} is a link", "remove it, then unbundle again")
        present = read_bytes(target)
        kept = merge_bytes(present, data)
        if present == kept:
            result.kept.append(job_id)
            continue
        (result.added if present is None else result.renewed).append(job_id)
        if not dry_run:
            write_atomic(target, data)
    return result


def _check_place(repo: Repo, path: str, force: bool) -> None:
    """Insist that a bundle may be written there, and replaces nothing that is not one."""
    shown = printable(path)
    folder = os.path.realpath(os.path.dirname(os.path.abspath(path)))
    root = os.path.realpath(repo.root)
    inside = os.path.relpath(folder, root)
    record = any(f"{inside}/".startswith(f"{own}/") for own in (TOP, "kb", repo.store))
    if record or ".git" in folder.split(os.sep):
        raise UsageError(
            f"{shown} lies among the files of git or of the record",
            "write it elsewhere, for instance: aexp ledger bundle ../results.tar",
        )
    try:
        mode = os.lstat(path).st_mode
    except OSError:
        return
    if stat.S_ISDIR(mode) or os.path.isdir(path):
        raise UsageError(f"{shown} is a folder", "name a file to write: aexp ledger bundle FILE")
    if not stat.S_ISREG(mode):
        raise UsageError(f"{shown} is not a plain file", "name another one")
    if not force and not _is_bundle(path):
        raise UsageError(
            f"{shown} exists and is not a bundle of ledger entries",
            "name another file, or replace it: --force",
        )


def _is_bundle(path: str) -> bool:
    try:
        with tarfile.open(path, mode="r:") as archive:
            first = archive.next()
    except (OSError, tarfile.TarError):
        return False
    name = first.name if first else ""
    return name.startswith(_FOLDER) and bool(JOB_ID.fullmatch(name[len(_FOLDER) : -len(".json")]))


def _experiment(entry: dict[str, Any]) -> Any:
    linked = section(entry, "run_link").get("experiment_id")
    return linked or entry["statepoint"].get("experiment_id")


def _changed(repo: Repo, since: str) -> set[str]:
    words = ("rev-parse", "--verify", "--quiet", "--end-of-options", f"{since}^{{commit}}")
    commit = run_git(repo, *words)
    if commit.code != 0:
        raise UsageError(f"{since!r} is not a commit here", "see: git log --oneline")
    listing = ("diff", "--name-only", "-z", "--relative", "--no-renames", "--diff-filter=d")
    changed = run_git(repo, *listing, commit.text, "--", LEDGER)
    new = run_git(repo, "ls-files", "-z", "--others", "--exclude-standard", "--", LEDGER)
    for done in (changed, new):
        if done.code != 0:
            raise GitError(f"git cannot tell what has changed: {done.reason}", "see: git status")
    names = (os.path.basename(name) for name in [*changed.names, *new.names])
    return {name[:-5] for name in names if name.endswith(".json") and JOB_ID.fullmatch(name[:-5])}


def _archive(entries: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for job_id, data in sorted(entries.items()):
            member = tarfile.TarInfo(f"{_FOLDER}{job_id}.json")
            member.size = len(data)  # owner, mode and time are those of a new TarInfo: fixed
            archive.addfile(member, io.BytesIO(data))
    return buffer.getvalue()


def _read(path: str) -> dict[str, bytes]:
    entries: dict[str, bytes] = {}
    if os.path.exists(path) and not os.path.isfile(path):
        # Whoever opened a pipe would wait for its writer, maybe for ever.
        what = "a folder" if os.path.isdir(path) else "a pipe or a device"
        raise UsageError(
            f"{printable(path)} is {what}, not a file", "give the file: aexp ledger unbundle FILE"
        )
    try:
        with open(path, "rb") as file:
            file.seek(-min(_END, os.fstat(file.fileno()).st_size), os.SEEK_END)
            if file.read() != bytes(_END):
                raise _refused(path, "its end is missing")
            file.seek(0)
            for name, data in _members(file, path):
                job_id = name.removeprefix(_FOLDER).removesuffix(".json")
                entries[job_id] = pretty_json(checked_entry(job_id, data, path))
    except FileNotFoundError:
        raise UsageError(f"there is no file {path}", "make one: aexp ledger bundle FILE") from None
    except OSError as error:
        raise StoreReadOnly(f"cannot read {path}: {error.strerror or error}") from error
    if not entries:
        raise _refused(path, "it holds no entry")
    return entries


def _members(file: IO[bytes], path: str) -> Iterator[tuple[str, bytes]]:
    """Return name and content of an archive's members, all of which must be plain entries."""
    try:
        # "r:", not "r:*": a compressed archive can be small and have no end.
        with tarfile.open(fileobj=file, mode="r:") as archive:
            seen = set()
            for member in archive:
                name = member.name
                inner = name.removeprefix(_FOLDER).removesuffix(".json")
                if name != f"{_FOLDER}{inner}.json" or not JOB_ID.fullmatch(inner):
                    raise _refused(path, f"{name!r} is not the name of an entry")
                if not member.isreg() or member.issparse() or name in seen:
                    raise _refused(path, f"{name} is not a plain file, or there twice")
                if member.size > _MAX_ENTRY:
                    raise _refused(path, f"{name} has {member.size} bytes")
                seen.add(name)
                content = archive.extractfile(member)
                data = content.read() if content else b""
                if len(data) != member.size:
                    raise _refused(path, f"{name} is cut off")
                yield name, data
    except tarfile.TarError as error:
        raise _refused(path, str(error)) from error


def checked_entry(job_id: str, data: bytes, where: str) -> dict[str, Any]:
    """Return the entry of that run in `data`; it has a canonical form."""
    name = f"{where}: {job_id}.json"
    entry = parse_object(data, name)
    wrong = list(faults(entry))
    if wrong:
        raise CorruptFile(f"{name}: {'; '.join(wrong)}", _HINT)
    if entry["job_id"] != job_id or compute_job_id(entry["statepoint"]) != job_id:
        raise CorruptFile(f"{name} is not the entry of that run", _HINT)
    try:
        pretty_json(entry)
    except (ValueError, RecursionError) as error:
        raise CorruptFile(f"{name}: {error}", _HINT) from None
    return entry


def _refused(path: str, reason: str) -> CorruptFile:
    return CorruptFile(f"{path} is not a bundle of ledger entries: {reason}", _HINT)
