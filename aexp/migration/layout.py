"""``aexp migrate``: what older versions and layouts have written, in the present form."""

import json
import os
import time
from typing import Any, NamedTuple

from aexp.errors import CorruptFile
from aexp.files import pretty_json, read_bytes, read_object, write_atomic
from aexp.install import gitignore
from aexp.ledger.entries import (
    list_ledger_job_ids,
    load_ledger_entry,
    scan_ledger,
    write_entry,
)
from aexp.ledger.projection import SCHEMA_VERSION
from aexp.ledger.runs_index import scan_indexes
from aexp.model import Run, section
from aexp.paths import DOCUMENT, MARKER, Repo
from aexp.runs.document import edit_document
from aexp.runs.promotion import promote
from aexp.runs.publish import entry_of, is_superseded
from aexp.runs.store import compute_job_id, scan_runs

_OLD_LINK, _LINK = "limina", "aexp"
_OLD_SHA, _SHA = "limina_vendor_sha", "scaffold_sha"
_NOT_EVIDENCE = frozenset({"promoted_at", "registered_machine", "schema_version"})


class Change(NamedTuple):
    """One file that is changed.

    Attributes
    ----------
    what : str
        What is done to it.
    path : str
        Relative to the repository.
    folder : str
        Under which such files lie.
    """

    what: str
    path: str
    folder: str


class Migration(NamedTuple):
    """What a migration has done, or would do.

    Attributes
    ----------
    changes : list of Change
        Files, each once per thing that is done to it.
    remarks : list of str
        What a person has to decide.
    backup : str or None
        The folder with the files as they were, relative to the repository.
    """

    changes: list[Change]
    remarks: list[str]
    backup: str | None


class _Work:
    """One call: what has been done, and the copies of what was there."""

    def __init__(self, repo: Repo, dry_run: bool) -> None:
        self.repo = repo
        self.dry_run = dry_run
        self.changes: list[Change] = []
        self.remarks: list[str] = []
        stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
        self._backup = repo.cache("migrate", f"{stamp}-{os.getpid()}")

    @property
    def backup(self) -> str | None:
        return self.repo.relative(self._backup) if os.path.isdir(self._backup) else None

    def begin(self, what: str, path: str) -> bool:
        """Note a change and keep the file as it is; False when nothing is to be written."""
        name = self.repo.relative(path)
        self.changes.append(Change(what, name, name.split(os.sep)[0]))
        if self.dry_run:
            return False
        data, copy = read_bytes(path), os.path.join(self._backup, name)
        if data is not None and not os.path.exists(copy):
            write_atomic(copy, data)
        return True


def migrate(repo: Repo, *, dry_run: bool = False) -> Migration:
    """Bring every file of an older layout to the present one; safe to call at any time.

    Parameters
    ----------
    repo : Repo
        The repository; it need not have a run store.
    dry_run : bool, default False
        Write nothing.
    """
    work = _Work(repo, dry_run)
    _marker(work)
    _ignored(work)
    _documents(work)
    _entries(work)
    _index(work)
    return Migration(work.changes, work.remarks, work.backup)


def _marker(work: _Work) -> None:
    path = work.repo.at(MARKER)
    try:
        content = read_object(path)
    except CorruptFile as error:
        work.remarks.append(f"{error.message}: aexp install --force")
        return
    if not content:
        work.remarks.append("aexp is not installed in this clone: aexp install")
        return
    if "store_id" not in content:
        work.remarks.append("the marker is of another tool, or an older one: aexp install --yes")
    if _OLD_SHA not in content:
        return
    if work.begin(f"{MARKER}: {_OLD_SHA} renamed", path):
        sha = content.pop(_OLD_SHA)
        content.setdefault(_SHA, sha)
        write_atomic(path, (json.dumps(content, indent=2) + "\n").encode())


def _ignored(work: _Work) -> None:
    """Take lines out of ``.gitignore`` that hide the ledger, and renew our block."""
    path = work.repo.at(gitignore.NAME)
    data = read_bytes(path)
    if data is None or os.path.islink(path):
        return
    text = data.decode("utf-8", errors="surrogateescape")
    new = gitignore.without_hiding_lines(text)
    if new != text and work.begin("a line that hides the ledger removed", path):
        write_atomic(path, new.encode("utf-8", errors="surrogateescape"))


def _documents(work: _Work) -> None:
    repo = work.repo
    for run in scan_runs(repo):
        if not section(run.doc, _OLD_LINK):
            continue
        if work.begin("link renamed", repo.run_file(run.job_id, DOCUMENT)):
            with edit_document(repo, run.job_id) as fresh:
                link = fresh.doc.pop(_OLD_LINK, None)
                if isinstance(link, dict) and not section(fresh.doc, _LINK):
                    fresh.doc[_LINK] = link


def _entries(work: _Work) -> None:
    """Give entries the schema's version and layout, and what their runs' documents know."""
    repo = work.repo
    for file in scan_ledger(repo):
        if file.job_id is None:
            continue
        path = repo.ledger_path(file.job_id)
        entry = file.entry
        if entry is None or compute_job_id(entry["statepoint"]) != file.job_id:
            name = repo.relative(path)
            work.remarks.append(f"{name} is damaged, and left alone: aexp ledger verify")
            continue
        version = entry.get("schema_version")
        if version not in (None, SCHEMA_VERSION):
            continue  # of a later version
        if version is not None and read_bytes(path) == pretty_json(entry):
            continue
        if work.begin("entry rewritten in the present schema", path):
            write_entry(repo, {**entry, "schema_version": SCHEMA_VERSION})
    for run in scan_runs(repo):
        if not run.is_terminal or not _is_incomplete(repo, run):
            continue
        if work.begin("entry completed from its run", repo.ledger_path(run.job_id)):
            promote(repo, run.job_id)


def _is_incomplete(repo: Repo, run: Run) -> bool:
    entry = load_ledger_entry(repo, run.job_id, quiet=True)
    if entry is None:
        data = read_bytes(repo.ledger_path(run.job_id))
        return data is None
    if entry.get("schema_version", SCHEMA_VERSION) != SCHEMA_VERSION:
        return False  # of a later version
    own = entry_of(repo, run)
    return _evidence(own) != _evidence(entry) and not is_superseded(repo, run, entry)


def _evidence(entry: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in entry.items() if key not in _NOT_EVIDENCE}


def _index(work: _Work) -> None:
    """Say of each index file of earlier versions whether the ledger has all that it lists."""
    known = list_ledger_job_ids(work.repo)
    for file in scan_indexes(work.repo):
        if file.fault is not None:
            continue  # aexp validate names it
        name = work.repo.relative(file.path)
        missing = sum(entry.job_id not in known for entry in file.entries)
        if missing:
            work.remarks.append(
                f"{name} lists {missing} run(s) that have no ledger entry: on that machine "
                "aexp ledger backfill && aexp ledger sync"
            )
        else:
            work.remarks.append(f"the ledger has all that {name} lists: git rm {name}")
