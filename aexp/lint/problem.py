"""One problem that lint has found, and the table of their codes."""

from collections.abc import Mapping
from typing import NamedTuple

ERROR, WARNING = "error", "warning"

# Codes of lint's own; those of experiments and the ledger are the validators'.
CODES: Mapping[str, tuple[str, str]] = {
    "script.name": (ERROR, "a script is not named as its folder says, or has another suffix"),
    "script.ignored": (ERROR, "git ignores a script of a folder that git is to keep"),
    "script.tracked": (WARNING, "git keeps a script of a folder that is not shared"),
    "script.folder": (WARNING, "a script lies in a folder of `scripts/` that is none of the nine"),
    "sidecar.missing": (ERROR, "a script of `experiments/` or `benchmarks/` has no sidecar"),
    "sidecar.expected": (WARNING, "a script of `validation/` has no sidecar"),
    "sidecar.invalid": (ERROR, "a key of a sidecar says nothing that can be understood"),
    "sidecar.orphan": (WARNING, "there is no script beside a sidecar"),
}


class LintProblem(NamedTuple):
    """One problem.

    Attributes
    ----------
    path : str
        The file, relative to the repository.
    line : int or None
        The line, from 1.
    severity : str
        ``error`` or ``warning``.
    code : str
        A key of `CODES`, or of the table of `aexp validate` or `aexp ledger verify`.
    message : str
        What is wrong.
    """

    path: str
    line: int | None
    severity: str
    code: str
    message: str

    @classmethod
    def of(cls, code: str, path: str, message: str, line: int | None = None) -> "LintProblem":
        """Make one with the severity that the table gives its code."""
        return cls(path, line, CODES[code][0], code, message)
