"""Ask git, for a limited time."""

from aexp.errors import GitError
from aexp.git import GitResult, run_git
from aexp.paths import Repo

_TIMEOUT_S = 20.0


def ask_git(place: Repo | str, *arguments: str) -> GitResult | None:
    """Ask git about a repository, None when git is missing or does not end."""
    try:
        return run_git(place, *arguments, timeout_s=_TIMEOUT_S)
    except GitError:
        return None
