"""What an ended run shows: its ledger entry and its sentinel, made from its document."""

import json
import warnings
from typing import Any

from aexp.errors import AexpError, LedgerWarning
from aexp.files import read_bytes, write_atomic
from aexp.ledger.entries import check_no_conflict, load_ledger_entry, write_entry
from aexp.ledger.merge import merge
from aexp.ledger.projection import project_to_ledger_entry
from aexp.model import ABANDONED, COMPLETE, Run, epoch, short, utc_now
from aexp.paths import GATE, SENTINEL, Repo
from aexp.runs.document import block_of, run_lock, write_document
from aexp.runs.store import read_run


def publish(repo: Repo, run: Run) -> bool:
    """Make a terminal run's ledger entry and sentinel say what its document says.

    The run's lock must be held. A ledger that cannot be written is warned about, never an
    error: the record is complete without it and the next reconcile repairs it.

    Returns
    -------
    bool
        Whether the ledger file was changed.
    """
    changed = False
    try:
        changed = promote_locked(repo, run)
    except AexpError as error:
        warnings.warn(
            f"run {short(run.job_id)} is {run.status}, but its ledger entry was not written: "
            f"{error.message}; mend that, then: aexp ledger promote {short(run.job_id)}",
            LedgerWarning,
            stacklevel=3,
        )
    path = repo.run_file(run.job_id, SENTINEL)
    data = sentinel_bytes(run)
    if read_bytes(path) != data:
        write_atomic(path, data)
    if run.status == COMPLETE and run.record.get("attempts_before"):
        # What a user's own rules made of the earlier result is older than this one: say so.
        gate = repo.run_file(run.job_id, GATE)
        if read_bytes(gate) != data:
            write_atomic(gate, data)
    return changed


def promote_locked(repo: Repo, run: Run, machine_label: str | None = None) -> bool:
    """Write the ledger entry of an ended run whose lock is held; False if nothing changed."""
    record = block_of(run.doc, "aexp_run")
    entry = entry_of(repo, run, machine_label)
    machine = entry["registered_machine"]
    check_no_conflict(repo, run.job_id)
    # A corrupt entry is about to be replaced.
    existing = load_ledger_entry(repo, run.job_id, quiet=True)
    if _was_never_executed(run):
        # It may have run elsewhere, or before its folder was lost: giving it up is no result.
        superseded = record.get("superseded")
        if existing is not None and existing["status"] != ABANDONED:
            return False
        if existing is None and isinstance(superseded, dict):
            return write_entry(repo, superseded)
    if existing is not None and existing != entry and record.get("promoted_at"):
        without = {key: value for key, value in existing.items() if key != "promoted_at"}
        if without != {key: value for key, value in entry.items() if key != "promoted_at"}:
            entry["promoted_at"] = utc_now()
    if (record.get("promoted_at"), record.get("registered_machine")) != (
        entry["promoted_at"],
        machine,
    ):
        # First into the document: from it the entry can be made again, byte for byte.
        record["promoted_at"], record["registered_machine"] = entry["promoted_at"], machine
        write_document(repo, run)
    return write_entry(repo, entry)


def _was_never_executed(run: Run) -> bool:
    return run.status == ABANDONED and not run.attempts


def entry_of(repo: Repo, run: Run, machine_label: str | None = None) -> dict[str, Any]:
    """Return the ledger entry that an ended run's document makes."""
    return project_to_ledger_entry(
        run,
        promoted_at=run.record.get("promoted_at") or run.doc.get("ended_at") or utc_now(),
        registered_machine=machine_label
        or run.record.get("registered_machine")
        or repo.machine_label,
    )


def sentinel_bytes(run: Run) -> bytes:
    """Return the content of ``terminal.json``: a pure function of the document."""
    content = {
        "job_id": run.job_id,
        "status": run.status,
        "ended_at": run.doc.get("ended_at"),
        "cause": run.record.get("cause"),
        "attempts": len(run.attempts),
    }
    return (json.dumps(content, sort_keys=True) + "\n").encode()


def is_stale(repo: Repo, run: Run, entry: dict[str, Any]) -> bool:
    """Return whether a ledger entry says something older than the run's document.

    So after a ledger that could not be written, or an old entry that git has brought back.
    An entry that this store has never promoted, or another machine's that supersedes the
    run's own by the rule of `aexp.ledger.merge`, is not: else two clones that share the
    ledger would write over each other's entry for ever.
    """
    if not run.record.get("promoted_at") or entry == entry_of(repo, run):
        return False
    if is_superseded(repo, run, entry):
        return False
    return epoch(entry.get("ended_at")) <= epoch(run.doc.get("ended_at"))


def is_superseded(repo: Repo, run: Run, entry: dict[str, Any]) -> bool:
    """Return whether another machine's entry is the record of a run that has ended here, too."""
    own = entry_of(repo, run)
    elsewhere = entry.get("registered_machine") != own["registered_machine"]
    return elsewhere and merge(own, entry) is entry


def restore_outputs(repo: Repo, run: Run, *, dry_run: bool = False) -> bool:
    """Make a terminal run's sentinel and ledger entry again if one is missing or stale.

    For a run that was queued again, its last ledger entry is put back: a cited entry stays
    until a new record supersedes it.

    Parameters
    ----------
    repo : Repo
        The repository.
    run : Run
        The run, as it was read.
    dry_run : bool, default False
        Make nothing.

    Returns
    -------
    bool
        Whether anything had to be made.
    """
    if not run.is_terminal:
        superseded = run.record.get("superseded")
        if isinstance(superseded, dict) and read_bytes(repo.ledger_path(run.job_id)) is None:
            return dry_run or _put_back(repo, run, superseded)
        return False
    has_sentinel = read_bytes(repo.run_file(run.job_id, SENTINEL)) == sentinel_bytes(run)
    # A corrupt entry counts as missing.
    entry = load_ledger_entry(repo, run.job_id, quiet=True)
    if has_sentinel and entry is not None and not is_stale(repo, run, entry):
        return False
    if dry_run:
        return True
    with run_lock(repo, run.job_id):
        fresh = read_run(repo, run.job_id)
        if fresh.is_terminal:
            publish(repo, fresh)
    return True


def _put_back(repo: Repo, run: Run, entry: dict[str, Any]) -> bool:
    try:
        return write_entry(repo, entry)
    except AexpError as error:
        warnings.warn(
            f"run {short(run.job_id)}: its last ledger entry cannot be put back: {error.message}",
            LedgerWarning,
            stacklevel=3,
        )
        return False


def keep_entry(repo: Repo, run: Run) -> bool:
    """Keep a queued run's present ledger entry in its document.

    Snakemake deletes the file before it starts the run: from the document it can be made
    again. The entry may have come from another machine, after this run was queued or before.

    Returns
    -------
    bool
        Whether the document did not have it yet.
    """
    entry = load_ledger_entry(repo, run.job_id, quiet=True)  # a corrupt one is no evidence
    if entry is None or entry == run.record.get("superseded"):
        return False
    with run_lock(repo, run.job_id):
        fresh = read_run(repo, run.job_id)
        if fresh.is_terminal:
            return False
        block_of(fresh.doc, "aexp_run")["superseded"] = entry
        write_document(repo, fresh)
    return True
