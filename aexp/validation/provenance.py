"""Whether the code of the cited runs is known, and whether a later run tells otherwise."""

from collections.abc import Iterator, Sequence
from typing import Any

from aexp.model import COMPLETE, FAILED, TERMINAL_STATUSES, epoch, printable, section, short
from aexp.validation.cited import Cited
from aexp.validation.evidence import Evidence, Record
from aexp.validation.issue import Issue
from aexp.validation.pins import digest_of
from aexp.validation.sweeps import Sweeps

_MOST_NAMED = 5


def dirty_runs(cited: Cited, path: str) -> Iterator[Issue]:
    """Report the cited runs whose code had changes that were not committed."""
    dirty = [record for record in cited.runs.values() if record.code_dirty]
    if dirty:
        yield Issue.of(
            "finding.dirty_run",
            f"{len(dirty)} of {len(cited.runs)} cited runs had uncommitted changes of the code: "
            f"{_named(dirty)}",
            path,
            cited.lines[dirty[0].job_id],
            runs=[record.job_id for record in dirty],
        )


def mixed_commits(cited: Cited, path: str) -> Iterator[Issue]:
    """Report experiments whose cited runs come from several versions of the code."""
    commits: dict[str, dict[str, list[Record]]] = {}
    for record in cited.runs.values():
        if record.experiment_id is not None and record.code_commit is not None:
            of_experiment = commits.setdefault(record.experiment_id, {})
            of_experiment.setdefault(record.code_commit, []).append(record)
    for experiment_id, found in commits.items():
        if len(found) < 2:
            continue
        parts = [
            f"{printable(commit)[:12]} ({len(records)} run{'s' if len(records) > 1 else ''})"
            for commit, records in list(found.items())[:_MOST_NAMED]
        ]
        more = f" and {len(found) - _MOST_NAMED} more" if len(found) > _MOST_NAMED else ""
        second = next(iter(list(found.values())[1]))
        yield Issue.of(
            "finding.mixed_commits",
            f"the cited runs of {experiment_id} come from {len(found)} commits: "
            f"{', '.join(parts)}{more}",
            path,
            cited.lines[second.job_id],
            experiment_id=experiment_id,
            commits={commit: [r.job_id for r in records] for commit, records in found.items()},
        )


def superseded_runs(cited: Cited, sweeps: Sweeps, path: str) -> Iterator[Issue]:
    """Report cited runs that were run again, here or as another run, and tell otherwise."""
    pinned = _pinned(cited)
    for record in cited.runs.values():
        told = _requeued(record, cited.evidence) or _repeated(record, cited, sweeps)
        if told is None and record.job_id not in pinned:
            told = _attempted_again(record)
        if told is not None:
            message, detail = told
            yield Issue.of(
                "finding.superseded_run",
                f"run {short(record.job_id)} {message}",
                path,
                cited.lines[record.job_id],
                run=record.job_id,
                **detail,
            )


_Told = tuple[str, dict[str, Any]]


def _requeued(record: Record, evidence: Evidence) -> _Told | None:
    """Tell of the same run's later life in this machine's store, which the ledger has not."""
    local = evidence.local.get(record.job_id)
    if record.source != "ledger" or local is None or record.job_id in evidence.elsewhere:
        return None
    if local.status not in TERMINAL_STATUSES:
        return (
            f"was queued again after its ledger entry was written: it is {local.status}",
            {"status": local.status},
        )
    # An entry that is newer than the store was made on another machine.
    if epoch(local.ended_at) <= epoch(record.ended_at):
        return None
    difference = _difference(record, local)
    if difference is None:
        return None
    return (
        f"has a later attempt than its ledger entry: {difference}; run aexp ledger promote "
        f"{short(record.job_id)}",
        {"status": local.status, "metrics": section(local.entry, "metrics")},
    )


def _repeated(record: Record, cited: Cited, sweeps: Sweeps) -> _Told | None:
    """Tell of a later run of the same configuration and seed, with other code."""
    if record.experiment_id is None or record.source == "index":
        return None
    place = sweeps.places.of(record)
    twins = sweeps.of(record.experiment_id, None).runs.get(place.configuration, {})
    beside = twins.get(place.seed, [])
    if len(beside) < 2:
        return None
    latest: Record | None = None
    for twin in beside:
        if twin.job_id in cited.runs or twin.status not in (COMPLETE, FAILED):
            continue
        if epoch(twin.ended_at) > epoch((latest or record).ended_at):
            latest = twin
    difference = None if latest is None else _difference(record, latest)
    if latest is None or difference is None:
        return None
    return (
        f"was repeated later as {short(latest.job_id)}, which is not cited: {difference}",
        {"later": latest.job_id, "status": latest.status},
    )


def _attempted_again(record: Record) -> _Told | None:
    """Tell of an earlier attempt that was complete too, with another outcome."""
    earlier = [one for one in record.attempts[:-1] if one.get("status") == COMPLETE]
    if not earlier:
        return None
    number, before = earlier[-1].get("attempt"), _metrics(earlier[-1])
    detail = {"attempt": number, "status": record.status}
    what = f"attempt {number} was complete, and a later attempt tells otherwise"
    if record.status != COMPLETE:
        return f"{what}: it is {record.status} now", detail
    names = before.keys() & record.metrics.keys()
    difference = _changed(before, {name: record.metrics[name] for name in names})
    return None if difference is None else (f"{what}: {difference}", detail)


def _metrics(attempt: dict[str, Any]) -> dict[str, float]:
    """Return an attempt's numbers, read as those of a run are."""
    return Record("", None, {}, "", "", {"metrics": section(attempt, "metrics")}).metrics


def _pinned(cited: Cited) -> set[str]:
    """Return the runs whose entries, attempts and all, the citation has pinned as they are."""
    return {
        record.job_id
        for citation, records in cited.citations
        if citation.digest is not None and citation.digest == digest_of(citation, cited.evidence)
        for record in records
    }


def _difference(cited: Record, later: Record) -> str | None:
    """Say how a later outcome differs, None when it tells the same."""
    if cited.status != later.status:
        return f"{cited.status} then, {later.status} now"
    return _changed(cited.metrics, later.metrics)


def _changed(before: dict[str, float], after: dict[str, float]) -> str | None:
    for name in sorted(before.keys() | after.keys()):
        then, now = before.get(name), after.get(name)
        both_nan = then != then and now != now
        if then != now and not both_nan:
            return f"{printable(name)} {_shown(then)} then, {_shown(now)} now"
    return None


def _shown(value: float | None) -> str:
    return "nothing" if value is None else f"{value:.10g}"


def _named(records: Sequence[Record]) -> str:
    names = ", ".join(short(record.job_id) for record in records[:_MOST_NAMED])
    more = len(records) - _MOST_NAMED
    return f"{names} and {more} more" if more > 0 else names
