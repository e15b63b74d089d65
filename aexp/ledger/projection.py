"""What of a run goes into its ledger entry: an allowlist, never the whole document."""

import re
from collections.abc import Mapping
from typing import Any

from aexp.errors import StatusError
from aexp.ledger.footprint import footprint_of
from aexp.model import CHECKPOINT_ID, INIT_FROM, INIT_RUN, JOB_ID, Run, section, short
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
    "slurm_array_job_id",
    "slurm_array_task_id",
    "slurm_restarts",
    "resumed_from",
    "resumed_run",
    "max_rss_mb",
    "cpu_s",
    "sidecar_sha256",
)
ENVIRONMENT_KEYS = ("digest", "software")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
RECORD_KEYS = (
    "cause",
    "returncode",
    "after",
    "aexp_version",
    "name",
    "tags",
    "derived_from",
    "project",
    "condition_digest",
    INIT_RUN,
)


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
    return describe(run, promoted_at=promoted_at, registered_machine=registered_machine)


def describe(
    run: Run, *, promoted_at: str | None = None, registered_machine: str | None = None
) -> dict[str, Any]:
    """Return what the ledger would say about a run, whether or not it has ended."""
    doc, record = run.doc, run.record
    entry: dict[str, Any] = {
        "schema_version": SCHEMA_VERSION,
        "job_id": run.job_id,
        "statepoint": run.sp,
        "status": run.status,
    }
    if promoted_at is not None:
        entry["promoted_at"] = promoted_at
    if registered_machine is not None:
        entry["registered_machine"] = registered_machine
    for key in ("started_at", "ended_at"):
        if isinstance(doc.get(key), str):
            entry[key] = doc[key]
    if isinstance(doc.get("wallclock_s"), (int, float)):
        entry["wallclock_s"] = doc["wallclock_s"]
    for key in ("code_commit", "code_dirty"):
        if key in run.sp:
            entry[key] = run.sp[key]
    init_from = run.sp.get(INIT_FROM)
    if isinstance(init_from, str) and CHECKPOINT_ID.fullmatch(init_from):
        entry["init_from"] = init_from
    checkpoint = _checkpoint(section(record, "checkpoint"))
    if checkpoint:
        entry["checkpoint"] = checkpoint
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
    entry.update(_preregistered(record))
    environment = _digests(run.attempts[-1]) if run.attempts else {}
    if environment:
        entry["environment"] = environment
    entry.update(footprint_of(run.attempts[-1]) if run.attempts else {})
    if run.attempts:
        entry["attempts"] = [_attempt(attempt) for attempt in run.attempts]
    return entry


def _preregistered(record: dict[str, Any]) -> dict[str, Any]:
    """Return what was registered before the run, and which outcome it has had."""
    registered, verdict = section(record, "preregistration"), section(record, "verdict")
    found = {
        "sidecar_mode": registered.get("mode"),
        "sidecar": registered.get("sidecar"),
        "sidecar_sha256": registered.get("sha256"),
        "agent_mode": registered.get("agent_mode"),
        "outcome": verdict.get("outcome"),
    }
    kept: dict[str, Any] = {key: value for key, value in found.items() if isinstance(value, str)}
    if "outcome" in kept:
        kept["outcome_residual"] = verdict.get("residual") is True
    return kept


def checkpoint_parents(told: Mapping[str, Any]) -> list[str]:
    """Return the other runs whose checkpoints a run, by its entry, began with or went on from."""
    attempts = told.get("attempts")
    values = [told.get(INIT_RUN)]
    for attempt in attempts if isinstance(attempts, list) else []:
        values.append(attempt.get("resumed_run") if isinstance(attempt, dict) else None)
    found = dict.fromkeys(value for value in values if isinstance(value, str))
    return [run for run in found if JOB_ID.fullmatch(run) and run != told.get("job_id")]


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


def _checkpoint(told: dict[str, Any]) -> dict[str, Any]:
    found, step = told.get("id"), told.get("step")
    is_one = isinstance(found, str) and CHECKPOINT_ID.fullmatch(found)
    return {"id": found, "step": step} if is_one and type(step) is int else {}


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
