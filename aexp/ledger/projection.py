"""What of a run goes into its ledger entry: an allowlist, never the whole document."""

import re
from typing import Any

from aexp.errors import StatusError
from aexp.model import Run, section, short
from aexp.numbers import NOT_FINITE, json_number

SCHEMA_VERSION = 1
LINK_KEYS = ("experiment_id", "experiment_path", "hypothesis_id", "sub_hypothesis_id")
TRACKER_KEYS = ("backend", "run_id", "url", "group", "project")
ATTEMPT_KEYS = (
    "attempt",
    "status",
    "started_at",
    "ended_at",
    "wallclock_s",
    "returncode",
    "cause",
    "host",
    "slurm_job_id",
    "resumed_from",
    "max_rss_mb",
    "cpu_s",
)
ENVIRONMENT_KEYS = ("digest", "software")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
RECORD_KEYS = ("cause", "returncode", "after", "aexp_version")


def project_to_ledger_entry(
    run: Run, *, promoted_at: str, registered_machine: str
) -> dict[str, Any]:
    """Return the ledger entry of a terminal run: a pure function of its document.

    Parameters
    ----------
    run : Run
        A run with a terminal status.
    promoted_at : str
        When this content was first promoted (UTC, seconds).
    registered_machine : str
        Label of the machine that promoted it.

    Raises
    ------
    StatusError
        If the run has not ended.
    """
    if not run.is_terminal:
        raise StatusError(
            f"run {short(run.job_id)} is {run.status}; only ended runs have a ledger entry",
            f"wait for it, or see: aexp show-run {short(run.job_id)}",
        )
    doc, record = run.doc, run.record
    entry: dict[str, Any] = {
        "schema_version": SCHEMA_VERSION,
        "job_id": run.job_id,
        "statepoint": run.sp,
        "status": run.status,
        "promoted_at": promoted_at,
        "registered_machine": registered_machine,
    }
    for key in ("started_at", "ended_at"):
        if isinstance(doc.get(key), str):
            entry[key] = doc[key]
    if isinstance(doc.get("wallclock_s"), (int, float)):
        entry["wallclock_s"] = doc["wallclock_s"]
    for key in ("code_commit", "code_dirty"):
        if key in run.sp:
            entry[key] = run.sp[key]
    if run.link:
        entry["run_link"] = {key: run.link.get(key) for key in LINK_KEYS}
    tracker = section(doc, "tracker")
    pointers = {key: tracker[key] for key in TRACKER_KEYS if tracker.get(key) is not None}
    if pointers:
        entry["tracker"] = pointers
    for key in ("tag", "queued_at"):
        if isinstance(run.queue.get(key), str):
            entry[key] = run.queue[key]
    for key in RECORD_KEYS:
        if record.get(key) not in (None, []):
            entry[key] = record[key]
    if record.get("resources"):
        entry["resources"] = _plain(record["resources"])
    metrics = final_metrics(run)
    if metrics:
        entry["metrics"] = metrics
    environment = _digests(run.attempts[-1]) if run.attempts else {}
    if environment:
        entry["environment"] = environment
    if run.attempts:
        entry["attempts"] = [_attempt(attempt) for attempt in run.attempts]
    return entry


def final_metrics(run: Run) -> dict[str, Any]:
    """Return the run's final numbers: ``summary_metrics`` under what its metrics file said."""
    merged = {**section(run.doc, "summary_metrics"), **section(run.record, "metrics")}
    return dict(_numbers(merged))


def flat_numbers(value: dict[str, Any]) -> dict[str, Any]:
    """Return the numbers of nested objects under names with dots; other values are left out."""
    return dict(_numbers(value))


def nested(flat: dict[str, Any]) -> dict[str, Any]:
    """Return the objects whose names with dots are those of `flat`.

    A job document has no keys with dots: signac does not read it then. Where one name is
    the beginning of another, its own value has the key ``""``.
    """
    made: dict[str, Any] = {}
    for name, item in flat.items():
        parts = [part for part in name.split(".") if part] or ["_"]
        at = made
        for part in parts[:-1]:
            inner = at.get(part)
            if not isinstance(inner, dict):
                at[part] = inner = {} if inner is None else {"": inner}
            at = inner
        if isinstance(at.get(parts[-1]), dict):
            at, parts = at[parts[-1]], [""]
        at[parts[-1]] = item
    return made


def _numbers(value: dict[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    found: list[tuple[str, Any]] = []
    for key, item in value.items():
        name = prefix + str(key) if key else prefix[:-1]
        if isinstance(item, dict):
            found += _numbers(item, name + ".")
        elif isinstance(item, bool | int):
            found.append((name, item))
        elif isinstance(item, float):
            found.append((name, json_number(item)))
        elif isinstance(item, str) and item in NOT_FINITE:
            found.append((name, item))
    return found


def _attempt(attempt: dict[str, Any]) -> dict[str, Any]:
    kept = {key: attempt[key] for key in ATTEMPT_KEYS if attempt.get(key) is not None}
    if isinstance(attempt.get("by_hand"), dict):
        kept["by_hand"] = True  # how exactly stays where it was executed
    environment = _digests(attempt)
    if environment:
        kept["environment"] = environment
    metrics = dict(_numbers(section(attempt, "metrics")))
    return {**kept, "metrics": metrics} if metrics else kept


def _digests(attempt: dict[str, Any]) -> dict[str, str]:
    """Return the digests of an attempt's environment: nothing of what it says."""
    told = section(attempt, "environment")
    return {
        key: told[key]
        for key in ENVIRONMENT_KEYS
        if isinstance(told.get(key), str) and _DIGEST.fullmatch(told[key])
    }


def _plain(resources: Any) -> dict[str, Any]:
    if not isinstance(resources, dict):
        return {}
    return {
        str(key): _plain(value) if isinstance(value, dict) else value
        for key, value in resources.items()
        if isinstance(value, (int, float, str, dict))
    }
