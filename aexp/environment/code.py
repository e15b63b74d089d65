"""The code that an attempt executes: its commit, and what is not committed as a patch."""

import os
import re
import threading
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, NamedTuple

from aexp.environment.digest import digest
from aexp.environment.patch import LeftOut, git_reason, make_patch
from aexp.environment.scrub import strip_url
from aexp.environment.working_tree import Changes, read_changes
from aexp.errors import AexpError, GitError
from aexp.git import GitResult, code_pathspec, run_git
from aexp.model import printable
from aexp.paths import Repo

MAX_NAMES = 200
_TIMEOUT_S = 20.0
_REMOTES = ("config", "-z", "--get-regexp", r"^remote\..*\.url$")
_SCP_USER = re.compile(r"^[^/@:]*@(?=[^/]*:)")  # git@host:path
_SUBMODULE_MODE = "160000"


class CodeSnapshot(NamedTuple):
    """The state of the repository's code, and what it takes to have it again.

    Attributes
    ----------
    commit : str or None
        ``HEAD``; None before the first commit and when git cannot tell.
    branch : str or None
        None when no branch is checked out.
    dirty : bool or None
        Whether anything outside the run store, ``.aexp/`` and ``kb/`` is not committed.
    code_commit : str or None
        The last commit that touches anything outside those folders.
    remote : str or None
        Where the branch's remote lies, without user name, password and query.
    submodules : mapping
        Their commits by their paths.
    left_out : tuple of LeftOut
        What is missing in `patch`; at most `MAX_NAMES`, see `left_out_count`.
    patch : bytes
        For ``git apply`` at `commit`; empty when there is nothing to apply.
    problem : str or None
        Why something is not known.
    """

    commit: str | None = None
    branch: str | None = None
    dirty: bool | None = None
    code_commit: str | None = None
    remote: str | None = None
    submodules: Mapping[str, str] = {}
    left_out: tuple[LeftOut, ...] = ()
    left_out_count: int = 0
    patch: bytes = b""
    problem: str | None = None

    def record(self) -> dict[str, Any]:
        """Return everything but the patch itself, for a JSON file."""
        content: dict[str, Any] = {
            "commit": self.commit,
            "branch": self.branch and printable(self.branch),
            "dirty": self.dirty,
            "code_commit": self.code_commit,
            "remote": self.remote and printable(self.remote),
            "submodules": {printable(path): at for path, at in sorted(self.submodules.items())},
            "left_out": [{"name": printable(n), "reason": reason} for n, reason in self.left_out],
            "left_out_count": self.left_out_count,
            "patch": self._patch_record(),
        }
        if self.problem:
            content["problem"] = self.problem
        return content

    def _patch_record(self) -> dict[str, Any] | None:
        if not self.patch:
            return None
        sha256 = digest(self.patch).removeprefix("sha256:")
        return {"sha256": sha256, "size": len(self.patch)}


def code_snapshot(repo: Repo) -> CodeSnapshot:
    """Return what git knows about the code now; what cannot be known is None, with the reason.

    The working tree, the index and the object store are not touched.
    """
    try:
        return _snapshot(repo)
    except (AexpError, OSError) as error:
        return CodeSnapshot(problem=f"the code version is not known: {_words(error)}")


def _words(error: Exception) -> str:
    if isinstance(error, OSError):
        return error.strerror or str(error)
    return error.message if isinstance(error, AexpError) else str(error)


class _Question(threading.Thread):
    """A git command that is answered while others are asked."""

    def __init__(self, repo: Repo, *arguments: str) -> None:
        super().__init__(daemon=True)
        self._repo = repo
        self._arguments = arguments
        self._answer: GitResult | None = None
        self.start()

    def run(self) -> None:
        with suppress(AexpError, OSError):  # then the answer is missing
            self._answer = run_git(self._repo, *self._arguments, timeout_s=_TIMEOUT_S)

    @property
    def answer(self) -> GitResult:
        """What git has answered; a failure if it has not."""
        self.join()
        return self._answer or GitResult(-1, b"", "no answer")


def _snapshot(repo: Repo) -> CodeSnapshot:
    pathspec = code_pathspec(repo)
    remotes = _Question(repo, *_REMOTES)
    last = _Question(repo, "log", "-1", "--format=%H", *pathspec)
    status = run_git(
        repo,
        *("status", "--porcelain=v2", "--branch", "-z", "--no-renames", "--untracked-files=all"),
        *pathspec,
        timeout_s=_TIMEOUT_S,
    )
    if status.code != 0:
        raise GitError(git_reason(repo, status))
    changes = read_changes(status.output)
    left_out: list[LeftOut] = []
    patch, problem = b"", None
    try:
        patch = make_patch(repo, changes, left_out)
    except (AexpError, OSError) as error:
        problem = f"the uncommitted changes could not be kept: {_words(error)}"
    return CodeSnapshot(
        commit=changes.commit,
        branch=changes.branch,
        dirty=changes.is_dirty,
        code_commit=(last.answer.text or None) if last.answer.code == 0 else None,
        remote=_remote(_addresses(remotes.answer), changes.upstream),
        submodules=_submodules(repo, changes),
        left_out=tuple(sorted(left_out)[:MAX_NAMES]),
        left_out_count=len(left_out),
        patch=patch,
        problem=problem,
    )


def remote_addresses(repo: Repo) -> dict[str, str]:
    """Return the addresses of the repository's remotes, without user names and passwords."""
    return _addresses(run_git(repo, *_REMOTES, timeout_s=_TIMEOUT_S))


def _addresses(listed: GitResult) -> dict[str, str]:
    found: dict[str, str] = {}
    for entry in listed.names:
        key, _, url = entry.partition("\n")
        name = key.removeprefix("remote.").removesuffix(".url")
        found.setdefault(name, _SCP_USER.sub("", strip_url(url)))
    return found


def _remote(addresses: Mapping[str, str], upstream: str | None) -> str | None:
    """Return the address of the branch's own remote, else of origin, else of the first."""
    own = [name for name in addresses if upstream and upstream.startswith(name + "/")]
    for name in (*sorted(own, key=len, reverse=True), "origin", *addresses):
        if name in addresses:
            return addresses[name]
    return None


def _submodules(repo: Repo, changes: Changes) -> dict[str, str]:
    """Return the commit of each submodule as it is checked out."""
    if not changes.submodules and not os.path.exists(repo.at(".gitmodules")):
        return {}
    found = {}
    for entry in run_git(repo, "ls-files", "--stage", "-z", timeout_s=_TIMEOUT_S).names:
        facts, _, path = entry.partition("\t")
        if facts.startswith(_SUBMODULE_MODE):
            found[path] = facts.split(" ")[1]
    for path in changes.submodules:
        at = run_git(repo.at(path), "rev-parse", "--verify", "--quiet", "HEAD")
        if at.code == 0:
            found[path] = at.text
    return found
