"""The words of the domain: statuses, ids, labels, times, and one run as read from disk."""

import re
import time
from collections.abc import Mapping
from typing import Any, NamedTuple

from aexp.errors import UsageError

CREATED = "created"
QUEUED = "queued"
RUNNING = "running"
COMPLETE = "complete"
FAILED = "failed"
ABANDONED = "abandoned"
STOPPED = "stopped"

STATUSES = (CREATED, QUEUED, RUNNING, COMPLETE, FAILED, ABANDONED, STOPPED)
TERMINAL_STATUSES = frozenset({COMPLETE, FAILED, ABANDONED, STOPPED})
PROVENANCE_KEYS = frozenset({"code_commit", "code_dirty"})

JOB_ID = re.compile(r"[0-9a-f]{32}")
CHECKPOINT_ID = re.compile(r"ck_[0-9a-f]{32}")
# The state-point key that holds the id of the checkpoint a run was branched from.
INIT_FROM = "init_from"
INIT_RUN = "init_run"  # of a job document and a ledger entry: who saved that checkpoint
_EXPERIMENT_ID = re.compile(r"E[0-9]{3,}", re.ASCII)
_HYPOTHESIS_ID = re.compile(r"H[0-9]{3,}", re.ASCII)
_LABEL_FORBIDDEN = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_MACHINE_LABEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")


class Run(NamedTuple):
    """One run as it lies on disk.

    Attributes
    ----------
    job_id : str
        signac's id: the MD5 of the state point's sorted JSON, 32 hex digits.
    sp : dict
        The state point, frozen when the run was created.
    doc : dict
        The job document, the run's mutable record (its keys: ``docs/architecture.md``).
    """

    job_id: str
    sp: dict[str, Any]
    doc: dict[str, Any]

    @property
    def status(self) -> str:
        """The run's status word; a run without one counts as ``created``."""
        value = self.doc.get("status")
        return value if isinstance(value, str) else CREATED

    @property
    def is_terminal(self) -> bool:
        """Whether the run has ended for good."""
        return self.status in TERMINAL_STATUSES

    @property
    def link(self) -> dict[str, Any]:
        """The run's link to hypothesis and experiment (the peer's old key is read too)."""
        return section(self.doc, "aexp") or section(self.doc, "limina")

    @property
    def queue(self) -> dict[str, Any]:
        """The queue block that seed documents and the peer share with us."""
        return section(self.doc, "queue")

    @property
    def record(self) -> dict[str, Any]:
        """Our own block of the job document."""
        return section(self.doc, "aexp_run")

    @property
    def experiment_id(self) -> str | None:
        """The experiment this run belongs to."""
        value = self.link.get("experiment_id") or self.sp.get("experiment_id")
        return value if isinstance(value, str) else None

    @property
    def tag(self) -> str | None:
        """The caller's label for the batch."""
        value = self.queue.get("tag")
        return value if isinstance(value, str) else None

    @property
    def tags(self) -> list[str]:
        """All labels of the run, the batch's first."""
        more = self.record.get("tags")
        found = [self.tag, *(more if isinstance(more, list) else [])]
        return list(dict.fromkeys(item for item in found if isinstance(item, str)))

    @property
    def after(self) -> list[str]:
        """Ids of the runs that must be complete before this one starts."""
        value = self.record.get("after")
        return [item for item in value if isinstance(item, str)] if isinstance(value, list) else []

    @property
    def attempts(self) -> list[dict[str, Any]]:
        """Every execution of this run, oldest first."""
        value = self.record.get("attempts")
        return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []

    @property
    def is_of_queue(self) -> bool:
        """Whether the queue executes it, or has: its last attempt is not a block by hand alone."""
        if self.status == QUEUED:
            return True
        if self.sp.get("kind") == "adhoc" and "queued_at" not in self.queue:
            return False  # it only has a label there
        last = self.attempts[-1] if self.attempts else {}
        by_hand = "by_hand" in last and last.get("from") != QUEUED
        return bool(self.queue) and not by_hand

    @property
    def order(self) -> tuple[int, int, str]:
        """Sort key of the queue: priority, then the order in which runs were added."""
        record = self.record
        priority = record.get("priority", 0)
        sequence = record.get("sequence")
        if not isinstance(sequence, int):
            sequence = int(epoch(self.queue.get("queued_at")) * 1_000_000)
        return (-priority if isinstance(priority, int) else 0, sequence, self.job_id)


def section(mapping: Mapping[str, Any], key: str) -> dict[str, Any]:
    """Return ``mapping[key]`` when it is an object, else an empty one."""
    value = mapping.get(key)
    return value if isinstance(value, dict) else {}


def utc_now() -> str:
    """Return the time in the store's format: UTC, whole seconds, ``Z``."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


def utc_at(seconds: float) -> str:
    """Return a moment, given in seconds since 1970, in the store's format."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))


def epoch(stamp: object) -> float:
    """Return seconds since 1970 of a stored time, 0.0 when it is not one."""
    if not isinstance(stamp, str):
        return 0.0
    try:
        parsed = time.strptime(stamp[:19], "%Y-%m-%dT%H:%M:%S")
    except ValueError:
        return 0.0
    import calendar

    return float(calendar.timegm(parsed))


def check_experiment_id(value: str) -> str:
    """Return `value` if it is ``E`` and three or more digits, else raise `UsageError`."""
    if not _EXPERIMENT_ID.fullmatch(value):
        raise UsageError(f"{value!r} is not an experiment id", "write it like E001")
    return value


def check_hypothesis_id(value: str) -> str:
    """Return `value` if it is ``H`` and three or more digits, else raise `UsageError`."""
    if not _HYPOTHESIS_ID.fullmatch(value):
        raise UsageError(f"{value!r} is not a hypothesis id", "write it like H001")
    return value


def check_tag(value: str) -> str:
    """Return `value` if it is one printable line of 1 to 200 characters."""
    if not value.strip() or len(value) > 200 or _LABEL_FORBIDDEN.search(value):
        raise UsageError(
            f"{value!r} cannot be a tag",
            "a tag is one line of 1 to 200 printable characters",
        )
    return value


def check_machine_label(value: str) -> str:
    """Return `value` if it can safely be part of a file name."""
    if not _MACHINE_LABEL.fullmatch(value) or ".." in value:
        raise UsageError(
            f"{value!r} cannot be a machine label",
            "use letters, digits, dots, dashes and underscores, at most 63",
        )
    return value


def check_status(value: str) -> str:
    """Return `value` if it is one of the seven status words."""
    if value not in STATUSES:
        raise UsageError(f"{value!r} is not a status", "one of: " + ", ".join(STATUSES))
    return value


def short(job_id: str) -> str:
    """Return the first eight digits of a job id, as shown in tables."""
    return job_id[:8]


def printable(text: object) -> str:
    """Return `text` on one line, with control characters shown instead of obeyed."""
    return _LABEL_FORBIDDEN.sub(lambda m: m.group().encode("unicode_escape").decode(), str(text))
