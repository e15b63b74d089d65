"""One thing that the doctor has looked at."""

import shlex
from typing import Literal, NamedTuple

Level = Literal["ok", "warn", "error"]


class Diagnosis(NamedTuple):
    """What one check has found.

    Attributes
    ----------
    check : str
        What was looked at: ``git``, ``store``, ``ledger``.
    level : str
        ``ok``; ``warn`` for what works less well than it could; ``error`` for what makes
        commands fail or results wrong.
    what : str
        In one sentence. Never a secret.
    mend : str or None
        The command that mends it, or what to do where no command can.
    """

    check: str
    level: Level
    what: str
    mend: str | None = None


def ok(check: str, what: str) -> Diagnosis:
    """Return what is as it should be."""
    return Diagnosis(check, "ok", what)


def warn(check: str, what: str, mend: str | None = None) -> Diagnosis:
    """Return what works less well than it could."""
    return Diagnosis(check, "warn", what, mend)


def error(check: str, what: str, mend: str | None = None) -> Diagnosis:
    """Return what makes commands fail or results wrong."""
    return Diagnosis(check, "error", what, mend)


def quoted(path: str) -> str:
    """Return a path as it can be typed."""
    return shlex.quote(path)
