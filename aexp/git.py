"""The one place that calls git; and what git knows about the code that a run will execute."""

import os
import subprocess
import sys
from typing import IO, Any, NamedTuple

from aexp.errors import GitError
from aexp.paths import Repo

_TIMEOUT_S = 60.0
_OF_A_CALLER = frozenset(
    {"GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_COMMON_DIR", "GIT_PREFIX", "GIT_NAMESPACE"}
)


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


class GitResult(NamedTuple):
    """What a git command answered.

    Attributes
    ----------
    code : int
        Exit code.
    output : bytes
        Standard output.
    error : str
        Standard error.
    """

    code: int
    output: bytes
    error: str

    @property
    def text(self) -> str:
        """Standard output as text, without the last line's end."""
        return self.output.decode(errors="surrogateescape").rstrip("\n")

    @property
    def reason(self) -> str:
        """The last words of standard error."""
        return self.error.splitlines()[-1] if self.error else f"exit code {self.code}"

    @property
    def names(self) -> list[str]:
        """The file names of a ``-z`` listing."""
        return [name for name in self.output.decode(errors="surrogateescape").split("\0") if name]


def run_git(
    repo: Repo | str,
    *arguments: str,
    data: bytes = b"",
    index: str | None = None,
    timeout_s: float = _TIMEOUT_S,
) -> GitResult:
    """Run a git command in the repository and return what it answered, whatever that is.

    Parameters
    ----------
    repo : Repo or str
        The repository, or its top folder.
    *arguments : str
        The command and its arguments; names of files are literal.
    data : bytes, default empty
        Its standard input.
    index : str, optional
        A file to use in place of the repository's index.
    timeout_s : float, default 60
        How long to wait.

    Raises
    ------
    GitError
        If git is missing or does not answer in time.
    """
    root = repo if isinstance(repo, str) else repo.root
    command = ["git", "-C", root, "--no-optional-locks", *arguments]
    # Called from a git hook, these would point to the hook's index or to another repository.
    environment = {k: v for k, v in os.environ.items() if k not in _OF_A_CALLER}
    environment["LC_ALL"] = "C"
    if index is not None:
        environment["GIT_INDEX_FILE"] = index
    if not sys.stdin.isatty():
        environment["GIT_TERMINAL_PROMPT"] = "0"
    try:
        # Files, not pipes: a helper that outlives git (ssh) would keep a pipe open.
        with _memory() as given, _memory() as out, _memory() as err:
            given.write(data)
            given.seek(0)
            done = subprocess.run(
                command,
                env=environment,
                stdin=given,
                stdout=out,
                stderr=err,
                timeout=timeout_s,
                check=False,
            )
            out.seek(0)
            err.seek(0)
            error = err.read().decode(errors="replace").strip()
            return GitResult(done.returncode, out.read(), error)
    except FileNotFoundError:
        raise GitError("git is not installed", "install git") from None
    except subprocess.TimeoutExpired:
        raise GitError(
            f"git {arguments[0]} took longer than {timeout_s:.0f} s", "try again"
        ) from None


def _memory() -> IO[bytes]:
    return open(os.memfd_create("git"), "w+b")


def _git(repo: Repo, *arguments: str) -> str:
    try:
        done = run_git(repo, *arguments)
    except GitError as error:
        raise GitError(
            f"{error.message}, so the code version of a run cannot be recorded",
            f"{error.hint}, or pass --no-commit to queue without a code version",
        ) from None
    if done.code != 0:
        raise GitError(
            f"git {arguments[0]} failed: {done.reason}",
            "mend the repository, or pass --no-commit to queue without a code version",
        )
    return done.output.decode(errors="surrogateescape")


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
