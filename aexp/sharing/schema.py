"""The shape of a ledger entry, as ``docs/architecture.md`` describes it."""

import re
from collections.abc import Callable, Iterator
from typing import Any

from aexp.model import JOB_ID, TERMINAL_STATUSES

_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)")

Check = Callable[[Any], bool]


def _is_time(value: Any) -> bool:
    return isinstance(value, str) and _TIME.fullmatch(value) is not None


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_object(value: Any) -> bool:
    return isinstance(value, dict)


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_list_of_objects(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(item, dict) for item in value)


def _is_files(value: Any) -> bool:
    return _is_object(value) or _is_list_of_objects(value)


def _is_list_of_ids(value: Any) -> bool:
    return isinstance(value, list) and all(
        isinstance(item, str) and JOB_ID.fullmatch(item) for item in value
    )


def _is_list_of_texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)


REQUIRED: dict[str, tuple[Check, str]] = {
    "schema_version": (lambda value: _is_whole(value) and value >= 1, "a positive number"),
    "job_id": (
        lambda value: isinstance(value, str) and JOB_ID.fullmatch(value) is not None,
        "32 hex digits",
    ),
    "statepoint": (_is_object, "an object"),
    "status": (
        lambda value: isinstance(value, str) and value in TERMINAL_STATUSES,
        "a status that ends a run",
    ),
    "promoted_at": (_is_time, "a time"),
    "registered_machine": (
        lambda value: isinstance(value, str) and 0 < len(value) <= 255 and "/" not in value,
        "a machine label",
    ),
}
OPTIONAL: dict[str, tuple[Check, str]] = {
    "run_link": (_is_object, "an object"),
    "started_at": (_is_time, "a time"),
    "ended_at": (_is_time, "a time"),
    "queued_at": (_is_time, "a time"),
    "wallclock_s": (_is_number, "a number"),
    "tracker": (_is_object, "an object"),
    "environment": (_is_object, "an object"),
    "metrics": (_is_object, "an object"),
    "attempts": (_is_list_of_objects, "a list of objects"),
    "returncode": (_is_whole, "a whole number"),
    "cause": (_is_text, "text"),
    "tag": (_is_text, "text"),
    "tags": (_is_list_of_texts, "a list of text"),
    "name": (_is_text, "text"),
    "project": (_is_text, "text"),
    "derived_from": (_is_list_of_ids, "a list of run ids"),
    "after": (_is_list_of_ids, "a list of run ids"),
    "resources": (_is_object, "an object"),
    "aexp_version": (_is_text, "text"),
    "sidecar": (_is_text, "text"),
    "sidecar_sha256": (_is_text, "text"),
    "sidecar_mode": (_is_text, "text"),
    "agent_mode": (_is_text, "text"),
    "outcome": (_is_text, "text"),
    "outcome_residual": (lambda value: isinstance(value, bool), "true or false"),
    "code_files": (_is_files, "a list of files"),
    "inputs": (_is_files, "a list of files"),
    "outputs": (_is_files, "a list of files"),
    "declared": (_is_object, "an object"),
    "upstream": (_is_list_of_objects, "a list of objects"),
    "init_from": (_is_text, "text"),
    "init_run": (_is_text, "text"),
    "checkpoint": (_is_object, "an object"),
}


def faults(entry: dict[str, Any]) -> Iterator[str]:
    """Return what is wrong with the shape of an entry, field by field; unknown ones are kept."""
    for key, (check, what) in REQUIRED.items():
        if key not in entry:
            yield f"{key} is missing"
        elif not check(entry[key]):
            yield f"{key} is not {what}"
    for key, (check, what) in OPTIONAL.items():
        if key in entry and not check(entry[key]):
            yield f"{key} is not {what}"
