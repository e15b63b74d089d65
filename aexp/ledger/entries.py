"""Read and write ``.aexp/ledger/<job_id>.json``."""

import os
import warnings
from typing import Any

from aexp.errors import CorruptFile, CorruptFileWarning
from aexp.files import pretty_json, read_bytes, read_object, write_atomic
from aexp.model import JOB_ID, TERMINAL_STATUSES
from aexp.paths import Repo

_CONFLICT = b"<<<<<<< "


def list_ledger_job_ids(repo: Repo) -> set[str]:
    """Return the ids that have a ledger file, whether or not it can be read."""
    try:
        names = os.listdir(repo.ledger_dir)
    except OSError:
        return set()
    return {name[:-5] for name in names if name.endswith(".json") and JOB_ID.fullmatch(name[:-5])}


def load_ledger_entry(repo: Repo, job_id: str) -> dict[str, Any] | None:
    """Return a run's ledger entry; None when there is none or it cannot be read.

    A file that is there but corrupt costs a `CorruptFileWarning` that names it.
    """
    path = repo.ledger_path(job_id)
    try:
        entry = read_object(path)
    except CorruptFile as error:
        warnings.warn(error.message, CorruptFileWarning, stacklevel=2)
        return None
    if entry is None:
        return None
    if entry.get("job_id") != job_id or entry.get("status") not in TERMINAL_STATUSES:
        warnings.warn(f"{path} is not a ledger entry of {job_id}", CorruptFileWarning, stacklevel=2)
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
    data = read_bytes(path) or b""
    if data.startswith(_CONFLICT) or b"\n" + _CONFLICT in data:
        name = repo.relative(path)
        raise CorruptFile(
            f"{name} has a merge conflict of git",
            f"take one side: git checkout --theirs {name} (or --ours), then: git add {name}",
        )


def write_entry(repo: Repo, entry: dict[str, Any]) -> bool:
    """Write a ledger entry; False when the file already said the same."""
    path = repo.ledger_path(entry["job_id"])
    data = pretty_json(entry)
    if read_bytes(path) == data:
        return False
    write_atomic(path, data)
    return True
