"""The runs that this clone knows, newest first: those of its store and those of the ledger."""

import os
from collections.abc import Iterator
from typing import Any, NamedTuple

from aexp.errors import CorruptFile
from aexp.ledger.entries import has_entries, list_ledger_job_ids, load_ledger_entry
from aexp.ledger.projection import RECORD_KEYS, final_metrics
from aexp.model import TERMINAL_STATUSES, Run, section, short
from aexp.paths import STATEPOINT, Repo
from aexp.runs.earlier import ended_elsewhere
from aexp.runs.select import RunFilter
from aexp.runs.store import parse_prefix, read_run, run_ids, scan_runs, scan_status, the_only_one

_DOC_KEYS = ("status", "started_at", "ended_at", "wallclock_s", "tracker")
_QUEUE_KEYS = ("tag", "queued_at")
_RECORD_KEYS = (*RECORD_KEYS, "metrics", "attempts", "resources")


class KnownRun(NamedTuple):
    """A run, and how it is known.

    Attributes
    ----------
    run : Run
        The run. One that only the ledger tells of has the part of a document that the
        ledger keeps.
    machine : str or None
        Of such a run: the machine that registered it.
    """

    run: Run
    machine: str | None = None


class RunRecord(NamedTuple):
    """One run, as this clone knows it.

    Attributes
    ----------
    job_id : str
        The run.
    experiment_id, hypothesis_id : str or None
        What it is linked to.
    status : str
        Its status word.
    sp : dict
        Its state point.
    metrics : dict
        Its final numbers.
    tag : str or None
        Its label.
    started_at, ended_at : str or None
        When.
    machine : str or None
        Of a run that only the ledger tells of: the machine that registered it.
    queued_at : str or None
        When it was queued.
    wallclock_s : float or None
        How long its attempts took.
    cause : str or None
        Why it ended as it did, where that is known.
    outcome : str or None
        What its pre-registration says of the result.
    """

    job_id: str
    experiment_id: str | None
    hypothesis_id: str | None
    status: str
    sp: dict[str, Any]
    metrics: dict[str, Any]
    tag: str | None
    started_at: str | None
    ended_at: str | None
    machine: str | None = None
    queued_at: str | None = None
    wallclock_s: float | None = None
    cause: str | None = None
    outcome: str | None = None


def find_repo() -> Repo:
    """Return the repository around, which has a run store or a ledger to tell of.

    Raises
    ------
    RepoNotFound, NotInstalled
        If there is none, or it was never set up.
    """
    repo = Repo.find()
    return repo if has_entries(repo) else repo.require_store()


def find_known(repo: Repo, chosen: RunFilter, *, since: str | None = None) -> list[KnownRun]:
    """Return the matching runs, the one that something happened to last first.

    Parameters
    ----------
    repo : Repo
        The repository; a store is not needed.
    chosen : RunFilter
        What they must have.
    since : str, optional
        Only runs that were queued, started or ended at that moment or later
        (`aexp.runs.since.since_stamp`).
    """
    found = [
        known
        for known in _scan(repo, chosen.status)
        if chosen.matches(known.run) and (since is None or last_time(known.run) >= since)
    ]
    return sorted(found, key=_newness, reverse=True)


def read_known(repo: Repo, text: str) -> KnownRun:
    """Return the one run, of store or ledger, whose id begins with `text`.

    Raises
    ------
    UsageError
        If `text` is not hexadecimal.
    RunNotFound
        If none, or more than one, does.
    """
    prefix = parse_prefix(text)
    ledger = list_ledger_job_ids(repo)
    ids = {job_id for job_id in (*run_ids(repo), *ledger) if job_id.startswith(prefix)}
    return known_run(repo, the_only_one(repo, prefix, sorted(ids)))


def known_run(repo: Repo, job_id: str) -> KnownRun:
    """Return the run of an id, of store or ledger, without a look at any other.

    Raises
    ------
    RunNotFound
        If neither knows it.
    CorruptFile
        If what the store has of it cannot be read, or what the ledger alone has.
    """
    entry = load_ledger_entry(repo, job_id)
    if entry is not None and not os.path.exists(repo.run_file(job_id, STATEPOINT)):
        return of_entry(job_id, entry)
    path = repo.ledger_path(job_id)
    if entry is None and os.path.lexists(path) and not os.path.isdir(repo.run_dir(job_id)):
        name = repo.relative(path)
        raise CorruptFile(
            f"all that is known here of run {short(job_id)} is {name}, which is damaged",
            f"what is wrong: aexp ledger verify; as it was committed: git checkout -- {name}",
        )
    return _unless_ended_elsewhere(read_run(repo, job_id), entry)


def record_of(known: KnownRun) -> RunRecord:
    """Return what tables say about a run."""
    run, doc = known.run, known.run.doc
    seconds = doc.get("wallclock_s")
    return RunRecord(
        run.job_id,
        run.experiment_id,
        _text(run.link.get("hypothesis_id")),
        run.status,
        run.sp,
        final_metrics(run),
        run.tag,
        _text(doc.get("started_at")),
        _text(doc.get("ended_at")),
        known.machine,
        _text(run.queue.get("queued_at")),
        seconds if isinstance(seconds, (int, float)) else None,
        _text(run.record.get("cause")),
        _text(section(run.record, "verdict").get("outcome")),
    )


def last_time(run: Run) -> str:
    """Return when something last happened to a run: the newest of its times."""
    times = (run.doc.get("ended_at"), run.doc.get("started_at"), run.queue.get("queued_at"))
    return max((stamp for stamp in times if isinstance(stamp, str)), default="")


def of_entry(job_id: str, entry: dict[str, Any]) -> KnownRun:
    """Return the run of a ledger entry: a document with what the ledger keeps of one."""
    doc = {key: entry[key] for key in _DOC_KEYS if key in entry}
    doc["aexp"] = section(entry, "run_link")
    doc["queue"] = {key: entry[key] for key in _QUEUE_KEYS if key in entry}
    record = {key: entry[key] for key in _RECORD_KEYS if key in entry}
    if "outcome" in entry:
        residual = entry.get("outcome_residual")
        record["verdict"] = {"outcome": entry["outcome"], "residual": residual}
    doc["aexp_run"] = record
    machine = entry.get("registered_machine")
    return KnownRun(
        Run(job_id, section(entry, "statepoint"), doc),
        machine if isinstance(machine, str) and machine else "another machine",
    )


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None


def _scan(repo: Repo, status: str | None) -> Iterator[KnownRun]:
    ledger = list_ledger_job_ids(repo)
    has_ended = status is None or status in TERMINAL_STATUSES
    runs = scan_runs(repo) if has_ended else scan_status(repo, frozenset({str(status)}))
    for run in runs:
        is_known = run.job_id in ledger
        ledger.discard(run.job_id)
        if is_known and not run.is_terminal:
            entry = load_ledger_entry(repo, run.job_id)
            yield _unless_ended_elsewhere(run, entry)
        else:
            yield KnownRun(run)
    # What the ledger alone knows has ended.
    for job_id in sorted(ledger) if has_ended else ():
        entry = load_ledger_entry(repo, job_id)
        if entry is not None:
            yield of_entry(job_id, entry)


def _unless_ended_elsewhere(run: Run, entry: dict[str, Any] | None) -> KnownRun:
    if entry is None or run.is_terminal or not ended_elsewhere(run, entry):
        return KnownRun(run)
    return of_entry(run.job_id, entry)


def _newness(known: KnownRun) -> tuple[str, int, str]:
    sequence = known.run.record.get("sequence")
    return (
        last_time(known.run),
        sequence if isinstance(sequence, int) else 0,
        known.run.job_id,
    )
