"""``aexp ledger verify``: whether each file of the ledger is what its name and run say."""

import os
import stat
import time
from collections.abc import Iterator
from typing import Any, NamedTuple

from aexp.errors import CorruptFile
from aexp.files import parse_object, pretty_json, read_bytes, write_atomic
from aexp.ledger.entries import conflict_mend, has_conflict
from aexp.ledger.folders import linked_folders
from aexp.ledger.projection import SCHEMA_VERSION
from aexp.model import JOB_ID, Run, epoch, short
from aexp.paths import Repo
from aexp.runs.publish import entry_of, is_superseded
from aexp.runs.store import compute_job_id, scan_runs
from aexp.sharing.schema import faults

ERROR, WARNING, INFO = "error", "warning", "info"
_A_DAY_S = 86_400.0
_NOT_EVIDENCE = frozenset({"promoted_at", "registered_machine"})


class Problem(NamedTuple):
    """One thing that is not as it should be.

    Attributes
    ----------
    code : str
        Its name in ``docs/machines.md``.
    severity : str
        ``error``, ``warning`` or ``info``.
    path : str
        The file, relative to the repository.
    message : str
        What is wrong.
    mend : str
        What to do about it.
    """

    code: str
    severity: str
    path: str
    message: str
    mend: str


class VerifyResult(NamedTuple):
    """What a verification found.

    Attributes
    ----------
    entries : int
        Number of files that are entries.
    elsewhere : list of str
        Ids of entries whose run is not in this store: they ran on other machines.
    problems : list of Problem
        In the order of their paths.
    mended : list of str
        Files that were rewritten in the canonical form, because it was asked for.
    """

    entries: int
    elsewhere: list[str]
    problems: list[Problem]
    mended: list[str]

    @property
    def ok(self) -> bool:
        """Whether there is no error."""
        return not any(problem.severity == ERROR for problem in self.problems)


def verify(repo: Repo, *, fix: bool = False) -> VerifyResult:
    """Check every file of the ledger, and every ended run of this store, once.

    Parameters
    ----------
    repo : Repo
        A repository; it need not have a run store.
    fix : bool, default False
        Rewrite entries that differ from the canonical form in their layout only.
    """
    problems = [
        Problem("folder.linked", ERROR, found.folder, found.message, found.mend)
        for found in linked_folders(repo)
    ]
    fix = fix and not problems  # nothing is written through a link
    entries: dict[str, dict[str, Any]] = {}
    mended = []
    for name in _names(repo):
        path = repo.relative(os.path.join(repo.ledger_dir, name))
        found = list(_check_file(repo, name, path, entries))
        if fix and [problem.code for problem in found] == ["entry.not_canonical"]:
            write_atomic(repo.at(path), pretty_json(entries[name[:-5]]))
            mended.append(path)
            found = []
        problems += found
    suspicious = {problem.path for problem in problems if problem.severity == ERROR}
    here = set()
    for run in scan_runs(repo):
        here.add(run.job_id)
        path = repo.relative(repo.ledger_path(run.job_id))
        if path not in suspicious:
            problems += _check_run(repo, run, path, entries.get(run.job_id))
    return VerifyResult(
        entries=len(entries),
        elsewhere=sorted(entries.keys() - here),
        problems=sorted(problems, key=lambda problem: (problem.path, problem.code)),
        mended=mended,
    )


def _names(repo: Repo) -> list[str]:
    try:
        return sorted(os.listdir(repo.ledger_dir))
    except OSError:
        return []


def _check_file(
    repo: Repo, name: str, path: str, entries: dict[str, dict[str, Any]]
) -> Iterator[Problem]:
    job_id = name.removesuffix(".json")
    if name.startswith("."):
        return  # a writer's temporary file, or one of another program
    if not name.endswith(".json") or not JOB_ID.fullmatch(job_id):
        severity = ERROR if name.endswith(".json") else WARNING
        message = "its name is not a run's id; only entries belong into this folder"
        yield Problem("entry.name", severity, path, message, f"move it away: git mv {path} …")
        return
    again = f"aexp ledger promote {short(job_id)} where the run is, or git checkout -- {path}"
    try:
        if not stat.S_ISREG(os.lstat(repo.at(path)).st_mode):
            message = "it is not a regular file"
            yield Problem("entry.unreadable", ERROR, path, message, f"remove it; then: {again}")
            return
        data = read_bytes(repo.at(path)) or b""
        if has_conflict(data):
            message, mend = "git has left a merge conflict in it", conflict_mend(path)
            yield Problem("entry.unreadable", ERROR, path, message, mend)
            return
        entry = parse_object(data, path)
    except (CorruptFile, OSError) as error:
        yield Problem("entry.unreadable", ERROR, path, str(error), again)
        return
    wrong = list(faults(entry))
    if wrong:
        yield Problem("entry.schema", ERROR, path, "; ".join(wrong), again)
        return
    if entry["job_id"] != job_id:
        message = f"it is the entry of run {short(entry['job_id'])}"
        yield Problem("entry.name", ERROR, path, message, again)
        return
    entries[job_id] = entry
    yield from _check_content(entry, data, path, again)


def _check_content(entry: dict[str, Any], data: bytes, path: str, again: str) -> Iterator[Problem]:
    sp = entry["statepoint"]
    if compute_job_id(sp) != entry["job_id"]:
        message = "its state point is not the one that its id was made from"
        yield Problem("entry.identity", ERROR, path, message, again)
    for key in ("code_commit", "code_dirty"):
        if key in entry and key in sp and entry[key] != sp[key]:
            message = f"{key} differs from the state point's"
            yield Problem("entry.identity", ERROR, path, message, again)
    if epoch(entry.get("ended_at")) > time.time() + _A_DAY_S:
        message = f"it ended at {entry['ended_at']}, which is to come: a clock was wrong"
        mend = "set that machine's clock; no retry on another machine supersedes this entry"
        yield Problem("entry.future", WARNING, path, message, mend)
    if entry["schema_version"] > SCHEMA_VERSION:
        message = f"schema_version {entry['schema_version']} is newer than this aexp knows"
        yield Problem("entry.version", WARNING, path, message, "update aexp")
    elif not _is_canonical(entry, data):
        message = "its layout is not the one that aexp writes, so git shows needless changes"
        mend = "aexp ledger verify --fix"
        yield Problem("entry.not_canonical", WARNING, path, message, mend)


def _is_canonical(entry: dict[str, Any], data: bytes) -> bool:
    try:
        return pretty_json(entry) == data
    except (ValueError, RecursionError):
        return False


def _check_run(repo: Repo, run: Run, path: str, entry: dict[str, Any] | None) -> Iterator[Problem]:
    if not run.is_terminal:
        return
    if entry is None:
        message = f"run {short(run.job_id)} is {run.status} and has no entry"
        yield Problem("run.no_entry", ERROR, path, message, "aexp ledger backfill")
        return
    own = entry_of(repo, run)
    if entry["schema_version"] > SCHEMA_VERSION or _evidence(own) == _evidence(entry):
        return
    if is_superseded(repo, run, entry):
        message = f"run {short(run.job_id)} has a later record, of {entry['registered_machine']}"
        mend = "nothing to do: the later record counts, on every machine"
        yield Problem("entry.elsewhere", INFO, path, message, mend)
        return
    own, entry = _evidence(own), _evidence(entry)
    missing = ", ".join(sorted(own.keys() - entry.keys()))
    wrong = sorted(key for key in entry if own.get(key, ...) != entry[key])
    if not wrong:
        message = f"it lacks what the run's document knows: {missing}"
        yield Problem(
            "entry.incomplete", WARNING, path, message, "aexp ledger backfill --overwrite"
        )
        return
    message = f"it differs from the run's document in {', '.join(wrong)}"
    mend = f"aexp ledger promote {short(run.job_id)}"
    yield Problem("entry.differs", ERROR, path, message, mend)


def _evidence(entry: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in entry.items() if key not in _NOT_EVIDENCE}
