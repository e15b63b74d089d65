"""Select runs: by experiment, hypothesis, tag, status and state-point values."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from aexp.kb.values import same_value, spelling
from aexp.model import TERMINAL_STATUSES, Run
from aexp.paths import Repo
from aexp.runs.store import scan_runs, scan_status


class RunFilter(NamedTuple):
    """What runs must have; a field that is None asks for nothing.

    Attributes
    ----------
    experiment_id, hypothesis_id, status : str or None
        Equal to the run's own.
    tag : str or None
        One of the run's labels.
    sp : mapping
        State-point keys and values; a value given as text also matches what it spells
        (`aexp.kb.values.same_value`).
    """

    experiment_id: str | None = None
    hypothesis_id: str | None = None
    tag: str | None = None
    status: str | None = None
    sp: Mapping[str, Any] = {}

    def matches(self, run: Run) -> bool:
        """Return whether `run` has all that is asked for."""
        return (
            (self.experiment_id is None or run.experiment_id == self.experiment_id)
            and (self.hypothesis_id is None or run.link.get("hypothesis_id") == self.hypothesis_id)
            and (self.tag is None or run.tag == self.tag or self.tag in run.tags)
            and (self.status is None or run.status == self.status)
            and has_values(run.sp, self.sp)
        )

    def __str__(self) -> str:
        """Say the filter in words, as messages do."""
        parts = [
            f"{name} {value}"
            for name, value in (
                ("experiment", self.experiment_id),
                ("hypothesis", self.hypothesis_id),
                ("tag", self.tag),
                ("status", self.status),
            )
            if value is not None
        ]
        parts += [f"{key}={spelling(value)}" for key, value in self.sp.items()]
        return ", ".join(parts) or "no filter"

    def none(self, what: str = "run") -> str:
        """Say that nothing was found: ``no run matches tag paper``, or ``there is no run``."""
        return f"there is no {what}" if self == RunFilter() else f"no {what} matches {self}"


def has_values(sp: Mapping[str, Any], wanted: Mapping[str, Any]) -> bool:
    """Return whether a state point has all the values that are wanted.

    Values are compared as `aexp.kb.values.same_value` says.
    """
    return all(key in sp and same_value(sp[key], value) for key, value in wanted.items())


def find_matching(repo: Repo, chosen: RunFilter) -> list[Run]:
    """Return the matching runs in queue order: priority, then the order of their adding."""
    if chosen.status is not None and chosen.status not in TERMINAL_STATUSES:
        runs = scan_status(repo, frozenset({chosen.status}))
    else:
        runs = scan_runs(repo)
    return sorted((run for run in runs if chosen.matches(run)), key=lambda run: run.order)
