"""One problem that validation has found, and the sum of them."""

from typing import Any, Literal, NamedTuple

from aexp.validation.codes import CODES

Severity = Literal["error", "warning"]


class Issue(NamedTuple):
    """One problem, where it is, and how bad.

    Attributes
    ----------
    code : str
        A key of `aexp.validation.codes.CODES`.
    message : str
        What is wrong, in one sentence.
    severity : str
        ``error`` or ``warning``.
    path : str or None
        The file, relative to the repository, with forward slashes.
    line : int or None
        The line of the file, from 1.
    detail : dict or None
        The same facts for programs.
    """

    code: str
    message: str
    severity: Severity = "error"
    path: str | None = None
    line: int | None = None
    detail: dict[str, Any] | None = None

    @classmethod
    def of(
        cls,
        code: str,
        message: str,
        path: str | None = None,
        line: int | None = None,
        *,
        severity: Severity | None = None,
        **detail: Any,
    ) -> "Issue":
        """Make an issue with the severity that the table gives its code.

        Parameters
        ----------
        code, message, path, line
            As the attributes.
        severity : str, optional
            In place of the table's, for a code that follows ``--strict-runs``.
        **detail
            The facts for programs.
        """
        return cls(code, message, severity or CODES[code].severity, path, line, detail or None)

    @property
    def where(self) -> str:
        """``path:line``, ``path``, or nothing."""
        if self.path is None:
            return ""
        return self.path if self.line is None else f"{self.path}:{self.line}"


class ValidateResult(NamedTuple):
    """What a validation has found.

    Attributes
    ----------
    issues : list of Issue
        All problems, sorted by file and line within each group of checks.
    checked : dict
        How many of each kind of thing were looked at.
    """

    issues: list[Issue]
    checked: dict[str, int]

    @property
    def errors(self) -> list[Issue]:
        """The issues that make validation fail."""
        return [issue for issue in self.issues if issue.severity == "error"]

    @property
    def warnings(self) -> list[Issue]:
        """The issues that do not."""
        return [issue for issue in self.issues if issue.severity == "warning"]

    @property
    def ok(self) -> bool:
        """Whether there is no error."""
        return not self.errors
