"""``aexp lint``: every problem of one repository, file by file."""

from collections.abc import Iterator

from aexp.kb.artifacts import KINDS
from aexp.lint.problem import ERROR, LintProblem
from aexp.lint.scripts import check_scripts
from aexp.paths import Repo
from aexp.sharing.verify import verify
from aexp.validation.validate import validate_repo

_EXPERIMENTS = KINDS["E"].folder.replace("\\", "/") + "/"


def lint(repo: Repo) -> list[LintProblem]:
    """Check scripts, sidecars, experiment files and the ledger; nothing is written.

    Parameters
    ----------
    repo : Repo
        The repository; it need not be set up.

    Returns
    -------
    list of LintProblem
        By file and line. An error among them means that something has to be mended.
    """
    found = [*check_scripts(repo), *_experiments(repo), *_ledger(repo)]
    return sorted(found, key=lambda item: (item.path, item.line or 0, item.code, item.message))


def has_errors(problems: list[LintProblem]) -> bool:
    """Return whether one of them is an error."""
    return any(problem.severity == ERROR for problem in problems)


def _experiments(repo: Repo) -> Iterator[LintProblem]:
    for issue in validate_repo(repo, mode="kb-only").issues:
        if issue.path is not None and issue.path.startswith(_EXPERIMENTS):
            yield LintProblem(issue.path, issue.line, issue.severity, issue.code, issue.message)


def _ledger(repo: Repo) -> Iterator[LintProblem]:
    for problem in verify(repo).problems:
        if problem.severity != "info":
            message = f"{problem.message}; {problem.mend}" if problem.mend else problem.message
            yield LintProblem(problem.path, None, problem.severity, problem.code, message)
