"""Write this machine's runs index, for clones whose aexp does not know the ledger yet."""

import json
import os
from typing import Any, NamedTuple

from aexp.errors import CorruptFile, UsageError
from aexp.files import read_object, write_atomic
from aexp.ledger.runs_index import FOLDER, SCHEMA_VERSION
from aexp.model import Run, check_machine_label, utc_now
from aexp.paths import Repo
from aexp.runs.store import scan_runs


class IndexExport(NamedTuple):
    """What an export wrote, or would write.

    Attributes
    ----------
    path : str
        The file, absolute.
    machine_label : str
        The machine it speaks for.
    entries : int
        How many ended runs it holds.
    changed : bool
        False when the file said the same already and was not touched.
    """

    path: str
    machine_label: str
    entries: int
    changed: bool


def export_index(
    repo: Repo, *, machine_label: str | None = None, out: str | None = None, dry_run: bool = False
) -> IndexExport:
    """Write the ended runs of this store to ``.aexp/runs-index/<label>.json``.

    Parameters
    ----------
    repo : Repo
        An installed repository.
    machine_label : str, optional
        Default: this machine's.
    out : str, optional
        Another file: inside the repository, or given by an absolute path.
    dry_run : bool, default False
        Write nothing.

    Raises
    ------
    UsageError
        If the label cannot be part of a file name, or `out` is not a place for this.
    StoreReadOnly
        If the file cannot be written.
    """
    label = repo.machine_label if machine_label is None else check_machine_label(machine_label)
    path = _usual(repo, label) if out is None else _checked(repo, out)
    content: dict[str, Any] = {
        "schema_version": SCHEMA_VERSION,
        "machine_label": label,
        "exported_at": utc_now(),
        "entries": [_entry(run) for run in scan_runs(repo) if run.is_terminal],
    }
    changed = not _says_the_same(path, content)
    if changed and not dry_run:
        write_atomic(path, (json.dumps(content, indent=2) + "\n").encode())
    return IndexExport(path, label, len(content["entries"]), changed)


def _entry(run: Run) -> dict[str, Any]:
    return {
        "job_id": run.job_id,
        "status": run.status,
        "experiment_id": run.experiment_id,
        "condition": run.sp.get("condition"),
        "registered_at": run.doc.get("created_at") or run.doc.get("started_at"),
    }


def _says_the_same(path: str, content: dict[str, Any]) -> bool:
    """Return whether the file differs in nothing but the time: then git is left in peace."""
    try:
        present = read_object(path)
    except CorruptFile:
        return False
    return present is not None and {**present, "exported_at": None} == {
        **content,
        "exported_at": None,
    }


def _usual(repo: Repo, label: str) -> str:
    folder = os.path.realpath(repo.at(FOLDER))
    if not folder.startswith(os.path.realpath(repo.root) + os.sep):
        raise UsageError(f"{FOLDER} is a link that leaves the repository", "replace it by a folder")
    return repo.at(FOLDER, label + ".json")


def _checked(repo: Repo, out: str) -> str:
    """Return where `out` lies, if an index may be written there."""
    path = os.path.join(os.path.realpath(os.path.dirname(os.path.abspath(out))), _name(out))
    root = os.path.realpath(repo.root)
    inside = path.startswith(root + os.sep)
    if not inside and not os.path.isabs(out):
        raise UsageError(
            f"--out {out} leads out of the repository",
            "give an absolute path to write elsewhere",
        )
    top = os.path.relpath(path, root)
    kept = (".git", os.path.join(".aexp", "ledger"), repo.store, "kb")
    if inside and any(top == place or top.startswith(place + os.sep) for place in kept):
        raise UsageError(
            f"--out {out} lies in a folder where an index does not belong",
            f"the usual place is {FOLDER}/<label>.json; leave --out away",
        )
    if os.path.isdir(path):
        raise UsageError(f"--out {out} is a folder", "name a file")
    return path


def _name(out: str) -> str:
    name = os.path.basename(out)
    if name in ("", ".", ".."):
        raise UsageError(f"--out {out} names no file", "name a file")
    return name
