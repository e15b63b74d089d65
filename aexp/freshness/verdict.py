"""The words of a judgement: states, reasons, exit codes."""

from typing import Any, NamedTuple

from aexp.model import printable

FRESH = "fresh"
STALE = "stale"
OUTPUT = "output"
UNVERIFIABLE = "unverifiable"
STATES = (FRESH, STALE, OUTPUT, UNVERIFIABLE)

# What can differ, in the order in which it is told.
CODE = "code"
COMMAND = "command"
PARAMETERS = "parameters"
SIDECAR = "sidecar"
INPUT = "input"
ENVIRONMENT = "environment"
UPSTREAM = "upstream"
REASONS = (CODE, COMMAND, PARAMETERS, SIDECAR, INPUT, ENVIRONMENT, UPSTREAM)
_MAX_NAMED = 5


class Reason(NamedTuple):
    """One thing that is not as it was.

    Attributes
    ----------
    state : str
        What it makes of the run: ``stale``, ``output`` or ``unverifiable``.
    kind : str
        One of `REASONS`; of outputs ``missing``, ``changed``, or ``outputs`` where that
        cannot be told.
    detail : str
        Which one, for people.
    """

    state: str
    kind: str
    detail: str

    def __str__(self) -> str:
        return f"{self.kind}: {printable(self.detail)}"


class Verdict(NamedTuple):
    """What is said about one run.

    Attributes
    ----------
    job_id : str
        The run.
    status : str
        How it has ended.
    experiment_id : str or None
        Its experiment.
    reasons : tuple of Reason
        Why it is not fresh; empty when it is.
    """

    job_id: str
    status: str
    experiment_id: str | None
    reasons: tuple[Reason, ...] = ()

    @property
    def state(self) -> str:
        """The worst state of the reasons: stale, output, unverifiable, or fresh without any."""
        found = {reason.state for reason in self.reasons}
        return next((state for state in (STALE, OUTPUT, UNVERIFIABLE) if state in found), FRESH)

    def to_dict(self) -> dict[str, Any]:
        """Return it for ``--json``."""
        return {
            "job_id": self.job_id,
            "experiment_id": self.experiment_id,
            "status": self.status,
            "state": self.state,
            "reasons": [reason._asdict() for reason in self.reasons],
        }


def named(names: list[str], word: str) -> list[str]:
    """Return ``NAME has changed`` of some names, the others of many only counted."""
    shown = [f"{name} {word}" for name in names[:_MAX_NAMED]]
    if len(names) > _MAX_NAMED:
        shown.append(f"{len(names) - _MAX_NAMED} more {word}")
    return shown
