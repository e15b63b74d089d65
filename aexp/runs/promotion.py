"""Promote ended runs into the ledger on request: one, or all that have no entry."""

from typing import TYPE_CHECKING

from aexp.errors import AexpError, StoreReadOnly
from aexp.ledger.entries import list_ledger_job_ids, load_ledger_entry
from aexp.ledger.folders import LEDGER, TOP, check_folders
from aexp.model import Run, short
from aexp.paths import Repo
from aexp.runs.document import run_lock
from aexp.runs.publish import entry_of, is_superseded, promote_locked
from aexp.runs.store import read_run, resolve_id, run_ids, scan_runs

if TYPE_CHECKING:
    from pathlib import Path

    from signac.job import Job


def promote(
    repo: Repo, job_id: str, *, machine_label: str | None = None, dry_run: bool = False
) -> bool:
    """Write an ended run's ledger entry; with `dry_run` only tell whether it would change.

    Returns
    -------
    bool
        False when the entry said the same already and was not touched.

    Raises
    ------
    StatusError
        If the run has not ended.
    StoreReadOnly
        If the ledger cannot be written.
    """
    check_folders(repo, TOP, LEDGER)  # before the document says that it was promoted
    if dry_run:
        run = read_run(repo, job_id)
        return load_ledger_entry(repo, job_id) != entry_of(repo, run, machine_label)
    with run_lock(repo, job_id):
        return promote_locked(repo, read_run(repo, job_id), machine_label)


def backfill(
    repo: Repo, *, machine_label: str | None = None, overwrite: bool = False, dry_run: bool = False
) -> tuple[list[str], int, list[str]]:
    """Promote every terminal run that has no ledger entry.

    Parameters
    ----------
    repo : Repo
        An installed repository.
    machine_label : str, optional
        Recorded as ``registered_machine``; default this machine's label.
    overwrite : bool, default False
        Also write entries that exist, where the store says otherwise; but never over the
        later record of another machine.
    dry_run : bool, default False
        Write nothing; with `overwrite` every ended run is named.

    Returns
    -------
    tuple
        Ids promoted, number skipped (their entries are there already), problems.

    Raises
    ------
    CorruptFile
        If the ledger's folder is a link.
    """
    check_folders(repo, TOP, LEDGER)
    present = set() if overwrite else list_ledger_job_ids(repo).intersection(run_ids(repo))
    promoted: list[str] = []
    problems: list[str] = []
    skipped = len(present)
    for run in scan_runs(repo, leave_out=present):
        if not run.is_terminal:
            continue
        if overwrite and _is_superseded(repo, run):
            skipped += 1
            continue
        if dry_run:
            promoted.append(run.job_id)
            continue
        try:
            if promote(repo, run.job_id, machine_label=machine_label):
                promoted.append(run.job_id)
            else:
                skipped += 1
        except AexpError as error:
            problems.append(f"{short(run.job_id)}: {error.message}")
    return promoted, skipped, problems


def _is_superseded(repo: Repo, run: Run) -> bool:
    entry = load_ledger_entry(repo, run.job_id, quiet=True)  # a corrupt one is replaced
    return entry is not None and is_superseded(repo, run, entry)


def promote_to_ledger(
    job: "Job | str",
    repo_root: "str | Path | None" = None,
    machine_label: str | None = None,
) -> bool:
    """Write one ended run's ledger entry; False when it said the same already."""
    repo = Repo.installed(repo_root)
    full_id = resolve_id(repo, job) if isinstance(job, str) else str(job.id)
    return promote(repo, full_id, machine_label=machine_label)


def backfill_ledger(
    repo_root: "str | Path | None" = None,
    *,
    machine_label: str | None = None,
    overwrite: bool = False,
) -> tuple[int, int]:
    """Promote every ended run without an entry; return how many were promoted and skipped.

    Raises
    ------
    StoreReadOnly
        If an entry could not be written; the others are.
    """
    promoted, skipped, problems = backfill(
        Repo.installed(repo_root), machine_label=machine_label, overwrite=overwrite
    )
    if problems:
        raise StoreReadOnly(
            f"{len(problems)} entries could not be written: {problems[0]}",
            "mend that, then run it again",
        )
    return len(promoted), skipped
