"""The one place that calls git; and what git knows about the code that a run will execute."""

import os
import subprocess
import sys
from typing import IO, Any, NamedTuple

from aexp.errors import GitError
from aexp.paths import Repo

_TIMEOUT_S = 60.0
_GRACE_S = 10.0
# Ended half-way, these leave half a tree behind; with many files they may well take minutes.
_WRITING = frozenset({"add", "apply", "commit", "merge", "reset", "update-index", "worktree"})
# A person's hooks may move files of the working tree aside while runs execute.
_WITH_HOOKS = ("push",)
_WITH_VALUE = ("-c", "-C")
_FAULT = ("fatal: ", "error: ")
# After it comes only advice; what ssh or the other side has said stands before it.
_NO_ACCESS = "Could not read from remote repository"
_OF_A_CALLER = frozenset(
    {"GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_COMMON_DIR", "GIT_PREFIX", "GIT_NAMESPACE"}
)


class GitTimeout(GitError):
    """Git did not answer in time."""


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


def code_pathspec(repo: Repo) -> list[str]:
    """Return the arguments that limit a git command to code: not what aexp itself writes."""
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
        """The line of standard error that says what is wrong."""
        lines = [line.strip() for line in self.error.splitlines() if line.strip()]
        for number, line in enumerate(lines):
            if line.startswith(_FAULT):
                return lines[number - 1] if number and _NO_ACCESS in line else line
        return lines[-1] if lines else f"exit code {self.code}"

    @property
    def names(self) -> list[str]:
        """The file names of a ``-z`` listing."""
        return [name for name in self.output.decode(errors="surrogateescape").split("\0") if name]


def run_git(
    repo: Repo | str,
    *arguments: str,
    data: bytes = b"",
    index: str | None = None,
    timeout_s: float | None = None,
) -> GitResult:
    """Run a git command in the repository and return what it answered, whatever that is.

    No hook of the repository runs, but for ``pre-push``.

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
    timeout_s : float, optional
        How long to wait; default a minute, and for commands that write the working tree or
        the index as long as they take.

    Raises
    ------
    GitError
        If git is missing.
    GitTimeout
        If it does not answer in time. It was asked to end, and has tidied up.
    """
    root = repo if isinstance(repo, str) else repo.root
    verb = _verb(arguments)
    if timeout_s is None and verb not in _WRITING:
        timeout_s = _TIMEOUT_S
    command = ["git", "-C", root, "--no-optional-locks", *arguments]
    if verb not in _WITH_HOOKS:
        command[3:3] = ["-c", "core.hooksPath=/dev/null"]
    # Called from a git hook, these would point to the hook's index or to another repository.
    environment = {k: v for k, v in os.environ.items() if k not in _OF_A_CALLER}
    environment["LC_ALL"] = "C"
    if index is not None:
        environment["GIT_INDEX_FILE"] = index
    if sys.stdin is None or not sys.stdin.isatty():
        environment["GIT_TERMINAL_PROMPT"] = "0"
    try:
        # Files, not pipes: a helper that outlives git (ssh) would keep a pipe open.
        with _memory() as given, _memory() as out, _memory() as err:
            given.write(data)
            given.seek(0)
            process = subprocess.Popen(
                command, env=environment, stdin=given, stdout=out, stderr=err
            )
            code = _wait(process, timeout_s)
            out.seek(0)
            err.seek(0)
            error = err.read().decode(errors="replace").strip()
            return GitResult(code, out.read(), error)
    except FileNotFoundError:
        raise GitError("git is not installed", "install git") from None
    except subprocess.TimeoutExpired:
        raise GitTimeout(f"git {verb} took longer than {timeout_s:.0f} s", "try again") from None


def _verb(arguments: tuple[str, ...]) -> str:
    """Return git's subcommand, which stands behind git's own options."""
    rest = iter(arguments)
    for word in rest:
        if word in _WITH_VALUE:
            next(rest, None)
        elif not word.startswith("-"):
            return word
    return ""


def _wait(process: "subprocess.Popen[bytes]", timeout_s: float | None) -> int:
    try:
        return process.wait(timeout_s)
    except BaseException:
        # Not killed: git takes its locks and half-written files away when it is asked to end.
        process.terminate()
        try:
            process.wait(_GRACE_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        raise


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
            f"git {_verb(arguments)} failed: {done.reason}",
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
    status = _git(repo, "status", "--porcelain", "--untracked-files=normal", *code_pathspec(repo))
    try:
        _git(repo, "rev-parse", "--verify", "--quiet", "HEAD")
    except GitError:
        return CodeState("", bool(status))
    commit = _git(repo, "log", "-1", "--format=%H", *code_pathspec(repo)).strip()
    return CodeState(commit, bool(status))


def diff_summary(repo: Repo) -> dict[str, Any] | None:
    """Return a short description of the uncommitted changes, None when git cannot tell."""
    try:
        status = _git(
            repo, "status", "--porcelain", "--untracked-files=normal", *code_pathspec(repo)
        )
        stat = _git(repo, "diff", "--stat", "HEAD", *code_pathspec(repo))
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
        patch = _git(repo, "diff", "--binary", "HEAD", *code_pathspec(repo))
    except GitError:
        return None
    return patch.encode(errors="surrogateescape") or None
