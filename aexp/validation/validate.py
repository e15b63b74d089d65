"""Validate a repository, or single notes of it."""

import os
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Literal

from aexp.errors import UsageError
from aexp.kb.artifacts import KINDS
from aexp.ledger.runs_index import FOLDER as INDEX_FOLDER
from aexp.paths import Repo
from aexp.validation import (
    campaign_checks,
    citations,
    claims,
    kb_checks,
    link_checks,
    run_checks,
    tracker_checks,
)
from aexp.validation.context import STRICT_RUNS, Check, Context, StrictRuns
from aexp.validation.guard import guarded
from aexp.validation.issue import Issue, ValidateResult
from aexp.validation.notes import KB

if TYPE_CHECKING:
    from pathlib import Path

_FINDINGS = KINDS["F"].folder.replace(os.sep, "/") + "/"

Mode = Literal["full", "kb-only", "runs-only"]

KB_CHECKS: tuple[Check, ...] = (
    kb_checks.files,
    kb_checks.identity,
    kb_checks.metadata,
    kb_checks.references,
    kb_checks.experiment_settings,
    kb_checks.preregistrations,
    tracker_checks.tracker_settings,
    kb_checks.headings,
    link_checks.links,
    link_checks.required_links,
    link_checks.backlinks,
    claims.well_formed,
)
RUN_CHECKS: tuple[Check, ...] = (
    run_checks.store,
    run_checks.statuses,
    run_checks.links,
    run_checks.ledger_files,
    run_checks.index_files,
    campaign_checks.files,
    campaign_checks.parents,
    campaign_checks.frozen,
    campaign_checks.edited,
    campaign_checks.runs,
)
# What findings cite and claim; a further check of that kind is added here.
FINDING_CHECKS: tuple[Check, ...] = (
    citations.authority,
    citations.cited_runs,
    claims.evidence,
)
MODES: dict[Mode, tuple[Check, ...]] = {
    "full": (kb_checks.readable, *KB_CHECKS, *RUN_CHECKS, *FINDING_CHECKS),
    "kb-only": (kb_checks.readable, *KB_CHECKS),
    "runs-only": (kb_checks.readable, *RUN_CHECKS, *FINDING_CHECKS),
}


def validate_repo(
    repo_root: "str | Path | Repo | None" = None,
    *,
    mode: Mode = "full",
    strict_runs: StrictRuns = "error",
) -> ValidateResult:
    """Check the research record of a repository.

    Needs git and the ledger at most: no run store, no tracker, no network. Nothing is
    written.

    Parameters
    ----------
    repo_root : str, Path or Repo, optional
        Default: the repository around the current folder.
    mode : str, default "full"
        ``kb-only`` leaves out runs and what findings cite, ``runs-only`` the notes
        themselves.
    strict_runs : str, default "error"
        How bad the citation of a run is that no layer knows: ``error``, ``warn``, or
        ``off`` not to look for cited runs at all.

    Returns
    -------
    ValidateResult
        Its ``ok`` says whether there is no error.

    Raises
    ------
    UsageError
        If `mode` or `strict_runs` is none of the above.
    RepoNotFound
        If there is no repository.
    """
    if mode not in MODES:
        raise UsageError(f"{mode!r} is not a mode", "one of: " + ", ".join(MODES))
    context = _context(repo_root, strict_runs)
    if not _has_anything(context):
        message = (
            f"nothing to check in {context.repo.root}: there is no {KB}/, no run store, "
            "no ledger and no runs index"
        )
        return ValidateResult([Issue.of("aexp.not_installed", message)], _counts(context, mode))
    return ValidateResult(_issues(context, MODES[mode]), _counts(context, mode))


def validate_files(
    paths: "Sequence[str | Path]",
    repo_root: "str | Path | Repo | None" = None,
    *,
    strict_runs: StrictRuns = "error",
) -> ValidateResult:
    """Check single notes of the kb, and report nothing about any other file.

    Parameters
    ----------
    paths : sequence of str or Path
        Markdown files below ``kb/``, relative to the current folder or absolute.
    repo_root, strict_runs
        As in `validate_repo`.

    Raises
    ------
    UsageError
        If `strict_runs` is none of its words.
    """
    context = _context(repo_root, strict_runs)
    known = {note.path for note in context.notes.all}
    wanted, outside = set(), []
    for path in paths:
        relative = _inside(context, path)
        if relative in known:
            wanted.add(relative)
        else:
            message = f"{os.fspath(path)} is no note below {KB}/ of this repository"
            outside.append(Issue.of("kb.scope", message))
    # Only a finding speaks of runs: for any other note the runs are not read.
    of_runs = FINDING_CHECKS if any(path.startswith(_FINDINGS) for path in wanted) else ()
    checks = (kb_checks.readable, *KB_CHECKS, *of_runs)
    found = [
        issue
        for issue in _issues(context, checks)
        if issue.path in wanted
        or (issue.path is None and issue.code == "aexp.validator_unavailable")
    ]
    return ValidateResult([*outside, *found], {"files": len(wanted)})


def validate_file(
    repo: Repo, path: "str | Path", *, strict_runs: StrictRuns = "error"
) -> ValidateResult:
    """Check one note of the kb (`validate_files`)."""
    return validate_files([path], repo, strict_runs=strict_runs)


def _context(repo_root: "str | Path | Repo | None", strict_runs: StrictRuns) -> Context:
    if strict_runs not in STRICT_RUNS:
        raise UsageError(
            f"{strict_runs!r} is no value of --strict-runs", "one of: " + ", ".join(STRICT_RUNS)
        )
    repo = repo_root if isinstance(repo_root, Repo) else Repo.find(repo_root)
    return Context(repo, strict_runs)


def _has_anything(context: Context) -> bool:
    repo = context.repo
    return (
        os.path.isdir(repo.at(KB))
        or os.path.isdir(repo.ledger_dir)
        or os.path.isdir(repo.store_dir)
        or os.path.isdir(repo.at(INDEX_FOLDER))
    )


def _issues(context: Context, checks: Sequence[Check]) -> list[Issue]:
    found = []
    for check in checks:
        found += sorted(_carried_out(check, context), key=_order)
    return found


def _carried_out(check: Check, context: Context) -> Iterator[Issue]:
    name = f"{check.__module__.rpartition('.')[2]}.{check.__name__}"
    return guarded(name, check(context))


def _order(issue: Issue) -> tuple[str, int]:
    return issue.path or "", issue.line or 0


def _counts(context: Context, mode: Mode) -> dict[str, int]:
    counts = {"notes": len(context.notes.all), "findings": len(context.findings)}
    if mode != "kb-only":
        evidence = context.evidence
        counts |= {
            "ledger_entries": len(evidence.ledger),
            "local_runs": len(evidence.local),
            "index_entries": len(evidence.index),
        }
    return counts


def _inside(context: Context, path: "str | Path") -> str:
    root = os.path.realpath(context.repo.root)
    folder, name = os.path.split(os.path.abspath(path))
    # The folder may be reached by a link; the file itself is judged as it lies there.
    return os.path.relpath(os.path.join(os.path.realpath(folder), name), root).replace("\\", "/")
