"""Carry the checks out, one after the other; none of them needs the network."""

import os
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from aexp.doctor import (
    engine_checks,
    filesystem_checks,
    git_checks,
    install_checks,
    record_checks,
)
from aexp.doctor.diagnosis import Diagnosis, error
from aexp.errors import AexpError
from aexp.paths import Repo, find_root

if TYPE_CHECKING:
    from pathlib import Path

Check = Callable[[Repo], Iterator[Diagnosis]]

# What can be said before the repository's own settings can be read.
ROOT_CHECKS: tuple[Callable[[str], Iterator[Diagnosis]], ...] = (
    git_checks.git_program,
    install_checks.marker,
)
CHECKS: tuple[Check, ...] = (
    install_checks.scaffold,
    install_checks.agent_files,
    git_checks.ignore_rules,
    record_checks.store,
    record_checks.ledger,
    record_checks.notes,
    filesystem_checks.file_system,
    engine_checks.packages,
    engine_checks.slurm,
    engine_checks.trackers,
)


def examine(start: "str | Path | None" = None) -> list[Diagnosis]:
    """Look for what is wrong around a folder.

    Nothing is changed. A check that fails itself is an error of its own, not the end.

    Parameters
    ----------
    start : str or Path, optional
        Default: the current folder.

    Returns
    -------
    list of Diagnosis
        Everything that was looked at, in a fixed order.
    """
    try:
        root = find_root(start)
    except AexpError as problem:
        return [error("git", problem.message, "git init && aexp install")]
    found: list[Diagnosis] = []
    for check in ROOT_CHECKS:
        found += _carried_out(check.__name__, lambda check=check: check(root))  # type: ignore[misc]
    try:
        repo = Repo(root)
    except AexpError:
        return found  # reported by the check of the marker
    for other in CHECKS:
        found += _carried_out(other.__name__, lambda other=other: other(repo))  # type: ignore[misc]
    return found


def _carried_out(name: str, check: Callable[[], Iterator[Diagnosis]]) -> Iterator[Diagnosis]:
    try:
        yield from check()
    except (AexpError, OSError) as problem:
        yield error(name, f"the check {name} could not be carried out: {problem}")
    except Exception as problem:
        if os.environ.get("AEXP_DEBUG"):
            raise
        what = f"the check {name} failed: {type(problem).__name__}: {problem}"
        yield error(name, what, "this is a defect of aexp; please report it")
