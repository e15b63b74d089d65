"""Ask git or another program, for a limited time."""

import subprocess
from typing import NamedTuple

from aexp.errors import GitError
from aexp.git import GitResult, run_git
from aexp.paths import Repo

_TIMEOUT_S = 20.0


class Reply(NamedTuple):
    """What a program has answered."""

    code: int
    out: str
    err: str


def ask(*command: str) -> Reply | None:
    """Run a program and return its answer, None when it is missing or does not end."""
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_TIMEOUT_S,
            stdin=subprocess.DEVNULL,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return Reply(done.returncode, done.stdout, done.stderr)


def ask_git(place: Repo | str, *arguments: str) -> GitResult | None:
    """Ask git about a repository, None when git is missing or does not end."""
    try:
        return run_git(place, *arguments, timeout_s=_TIMEOUT_S)
    except GitError:
        return None
