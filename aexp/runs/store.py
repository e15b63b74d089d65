"""Read runs straight from the signac workspace: one file for one run, one scan for all."""

import json
import os
import warnings
from collections.abc import Iterator, Set
from typing import Any

from aexp.errors import CorruptFile, CorruptFileWarning, RunNotFound, UsageError
from aexp.files import parse_object, read_bytes, read_object
from aexp.ledger.entries import list_ledger_job_ids
from aexp.model import JOB_ID, Run, short
from aexp.paths import DOCUMENT, STATEPOINT, Repo


def compute_job_id(sp: dict[str, Any]) -> str:
    """Return signac's id of a state point: the MD5 of its JSON with sorted keys."""
    try:
        # hashlib would load OpenSSL, for every run that is executed.
        from _md5 import md5  # type: ignore[import-not-found]
    except ImportError:
        from hashlib import md5

    digest = md5(json.dumps(sp, sort_keys=True).encode(), usedforsecurity=False)
    return str(digest.hexdigest())


def run_ids(repo: Repo) -> list[str]:
    """Return the ids of all runs in the store, sorted."""
    try:
        names = os.listdir(repo.workspace)
    except FileNotFoundError:
        return []
    return sorted(name for name in names if JOB_ID.fullmatch(name))


def read_run(repo: Repo, job_id: str) -> Run:
    """Read one run.

    Raises
    ------
    RunNotFound
        If the store has no such run.
    CorruptFile
        If its state point or document cannot be read.
    """
    folder = repo.run_dir(job_id)
    sp = read_object(os.path.join(folder, STATEPOINT))
    if sp is None:
        raise _unknown(repo, job_id)
    return Run(job_id, sp, read_object(os.path.join(folder, DOCUMENT)) or {})


def read_run_to_edit(repo: Repo, job_id: str) -> Run:
    """Read one run whose document is about to be written back.

    Raises
    ------
    CorruptFile
        If the document is not there (git may be changing the folder): written back, an
        empty one would replace all that the run has recorded.
    """
    run = read_run(repo, job_id)
    if not run.doc:
        raise CorruptFile(
            f"{repo.run_file(job_id, DOCUMENT)} is missing or empty",
            "restore it from git or a backup; nothing was written",
        )
    return run


def read_intact_run(repo: Repo, job_id: str) -> Run:
    """Read one run and insist that its state point is still the one it was created with."""
    run = read_run(repo, job_id)
    if compute_job_id(run.sp) != job_id:
        path = repo.run_file(job_id, STATEPOINT)
        raise CorruptFile(
            f"{path} was changed after the run was created",
            "restore it, or queue the new configuration as a run of its own: aexp queue add",
        )
    return run


def scan_runs(repo: Repo, *, leave_out: Set[str] = frozenset()) -> Iterator[Run]:
    """Read the runs of the store but those of some ids, in the order of their ids.

    A run that cannot be read costs a `CorruptFileWarning` naming the file, and itself.
    """
    for job_id in run_ids(repo):
        run = _read_or_warn(repo, job_id) if job_id not in leave_out else None
        if run is not None:
            yield run


def scan_status(repo: Repo, statuses: frozenset[str]) -> Iterator[Run]:
    """Read the runs whose status is one of `statuses`, skipping the others cheaply."""
    # As signac and we write it, and as a compact writer does; attempts have other statuses.
    words = [json.dumps(status).encode() for status in sorted(statuses)]
    needles = [b'"status":' + blank + word for word in words for blank in (b" ", b"")]
    for job_id in run_ids(repo):
        data = _read_bytes_or_warn(os.path.join(repo.workspace, job_id, DOCUMENT))
        if data is None:
            continue
        is_whole = data[-3:].rstrip().endswith(b"}")  # else it is named, not passed over
        if is_whole and not any(needle in data for needle in needles):
            continue
        run = _read_or_warn(repo, job_id, data)
        if run is not None and run.status in statuses:
            yield run


def _read_bytes_or_warn(path: str) -> bytes | None:
    try:
        return read_bytes(path)
    except CorruptFile as error:
        warnings.warn(error.message, CorruptFileWarning, stacklevel=3)
        return None


def _read_or_warn(repo: Repo, job_id: str, document: bytes | None = None) -> Run | None:
    folder = os.path.join(repo.workspace, job_id)
    sp_path, doc_path = os.path.join(folder, STATEPOINT), os.path.join(folder, DOCUMENT)
    try:
        sp = read_object(sp_path)
        if sp is None:
            if os.path.isdir(folder):
                warnings.warn(f"{sp_path} is missing", CorruptFileWarning, stacklevel=3)
            return None
        doc = parse_object(document, doc_path) if document else read_object(doc_path)
    except CorruptFile as error:
        warnings.warn(error.message, CorruptFileWarning, stacklevel=3)
        return None
    return Run(job_id, sp, doc or {})


def resolve_id(repo: Repo, text: str) -> str:
    """Return the full id of the one run that begins with `text`.

    Raises
    ------
    UsageError
        If `text` is not hexadecimal.
    RunNotFound
        If no run, or more than one, begins with it.
    """
    prefix = parse_prefix(text)
    if len(prefix) == 32:
        if os.path.isdir(os.path.join(repo.workspace, prefix)):
            return prefix
        raise _unknown(repo, prefix)
    return the_only_one(repo, prefix, [name for name in run_ids(repo) if name.startswith(prefix)])


def parse_prefix(text: str) -> str:
    """Return the beginning of a run id that a user has typed, else raise `UsageError`."""
    prefix = text.strip().lower()
    if not prefix or len(prefix) > 32 or any(c not in "0123456789abcdef" for c in prefix):
        raise UsageError(f"{text!r} is not a run id", "give a run id or the beginning of one")
    return prefix


def the_only_one(repo: Repo, prefix: str, found: list[str]) -> str:
    """Return the one id that was found for a beginning, else raise `RunNotFound`."""
    if not found:
        raise _unknown(repo, prefix)
    if len(found) > 1:
        shown = ", ".join(job_id[:12] for job_id in found[:5])
        raise RunNotFound(f"{len(found)} runs begin with {prefix}: {shown}", "give more digits")
    return found[0]


def _unknown(repo: Repo, job_id: str) -> RunNotFound:
    if any(entry.startswith(job_id) for entry in list_ledger_job_ids(repo)):
        return RunNotFound(
            f"run {short(job_id)} is not in this store; by its ledger entry it ran elsewhere",
            f"what the ledger has of it: aexp show {short(job_id)}",
        )
    return RunNotFound(f"no run begins with {job_id}", "see: aexp list-runs")
