"""What git knows about the code that a run will execute."""

import subprocess
from typing import Any, NamedTuple

from aexp.errors import GitError
from aexp.paths import Repo

_TIMEOUT_S = 60.0


class CodeState(NamedTuple):
    """The code a run was queued with.

    Attributes
    ----------
    commit : str
        Last commit that touches anything outside the run store, ``.aexp/`` and ``kb/``;
        empty before the first commit.
    dirty : bool
        Whether a file outside those folders differs from the commit or is untracked.
    """

    commit: str
    dirty: bool


def _pathspec(repo: Repo) -> list[str]:
    ours = (repo.store, ".aexp", "kb", ".snakemake")
    return ["--", ".", *(f":(exclude,top,literal){folder}" for folder in ours)]


def _git(repo: Repo, *arguments: str) -> str:
    command = ["git", "-C", repo.root, "--no-optional-locks", *arguments]
    try:
        done = subprocess.run(
            command, capture_output=True, timeout=_TIMEOUT_S, stdin=subprocess.DEVNULL, check=False
        )
    except FileNotFoundError:
        raise GitError(
            "git is not installed, so the code version of a run cannot be recorded",
            "install git, or pass --no-commit to queue without a code version",
        ) from None
    except subprocess.TimeoutExpired:
        raise GitError(
            f"git {arguments[0]} took longer than {_TIMEOUT_S:.0f} s",
            "try again, or pass --no-commit to queue without a code version",
        ) from None
    if done.returncode != 0:
        reason = done.stderr.decode(errors="replace").strip().splitlines()
        raise GitError(
            f"git {arguments[0]} failed: {reason[-1] if reason else done.returncode}",
            "mend the repository, or pass --no-commit to queue without a code version",
        )
    return done.stdout.decode(errors="surrogateescape")


def code_state(repo: Repo) -> CodeState:
    """Return commit and dirtiness of the code, leaving out what aexp itself writes.

    Raises
    ------
    GitError
        If git is missing, fails, or does not answer in time.
    """
    status = _git(repo, "status", "--porcelain", "--untracked-files=normal", *_pathspec(repo))
    try:
        _git(repo, "rev-parse", "--verify", "--quiet", "HEAD")
    except GitError:
        return CodeState("", bool(status))
    commit = _git(repo, "log", "-1", "--format=%H", *_pathspec(repo)).strip()
    return CodeState(commit, bool(status))


def diff_summary(repo: Repo) -> dict[str, Any] | None:
    """Return a short description of the uncommitted changes, None when git cannot tell."""
    try:
        status = _git(repo, "status", "--porcelain", "--untracked-files=normal", *_pathspec(repo))
        stat = _git(repo, "diff", "--stat", "HEAD", *_pathspec(repo))
    except GitError:
        return None
    lines = status.splitlines()
    untracked = sum(line.startswith("??") for line in lines)
    return {
        "diff_stat": stat.strip().encode(errors="replace").decode(errors="replace")[:4000],
        "modified_count": len(lines) - untracked,
        "untracked_count": untracked,
    }


def working_tree_patch(repo: Repo) -> bytes | None:
    """Return the uncommitted changes of tracked files as a patch, None when there are none."""
    try:
        patch = _git(repo, "diff", "--binary", "HEAD", *_pathspec(repo))
    except GitError:
        return None
    return patch.encode(errors="surrogateescape") or None
