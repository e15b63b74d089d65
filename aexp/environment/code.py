"""The code that an attempt executes: its commit, and what is not committed as a patch."""

import os
import re
import shutil
import stat
import tempfile
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any, NamedTuple

from aexp.environment.scrub import strip_url
from aexp.environment.secret_files import is_secret_file
from aexp.environment.working_tree import Changes, read_changes
from aexp.errors import GitError
from aexp.git import GitResult, code_pathspec, run_git
from aexp.model import printable
from aexp.paths import Repo

MAX_UNTRACKED_BYTES = 1 << 20
MAX_PATCH_BYTES = 20 << 20
MAX_NAMES = 200
_MAX_EXCLUDED = 1000
_TIMEOUT_S = 20.0
_HEADER = b"diff --git "
_SCP_USER = re.compile(r"^[^/@:]*@(?=[^/]*:)")  # git@host:path
_SUBMODULE_MODE = "160000"
_ESCAPE = re.compile(rb"\\([0-7]{3}|.)", re.DOTALL)
_LETTERS = dict(zip(b"abtnvfr", b"\a\b\t\n\v\f\r", strict=True))
# Of the object formats sha1 and sha256, by the length of an id.
_EMPTY_TREE = {
    40: "4b825dc642cb6eb9a060e54bf8d69288fbee4904",
    64: "6ef19b41225c5369f1c104d45d8d85efa9b057b53b14b4b9b939dd74decc5321",
}
_EMPTY_FILE = {
    40: "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391",
    64: "473a0f4c3be8a93681a267e3b1e9a7dcda1185436fe141f7749120a303721813",
}
# Whatever the user's configuration says: a patch that `git apply` takes.
_DIFF = (
    "diff",
    "--binary",
    "--full-index",
    "--no-color",
    "--no-ext-diff",
    "--no-textconv",
    "--no-renames",
    "--no-relative",
    "--ignore-submodules=all",
    "--unified=3",
    "--src-prefix=a/",
    "--dst-prefix=b/",
)


class LeftOut(NamedTuple):
    """An uncommitted change that the patch does not hold.

    Attributes
    ----------
    name : str
        The file, relative to the repository.
    reason : str
        ``secret`` (named like one), ``large``, ``unreadable``, or ``repository`` (a git
        repository of its own, or a submodule with changes inside).
    """

    name: str
    reason: str


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
        from hashlib import sha256

        return {"sha256": sha256(self.patch).hexdigest(), "size": len(self.patch)}


def code_snapshot(repo: Repo) -> CodeSnapshot:
    """Return what git knows about the code now; what cannot be known is None, with the reason.

    The working tree, the index and the object store are not touched.
    """
    try:
        return _snapshot(repo)
    except (GitError, OSError) as error:
        reason = error.message if isinstance(error, GitError) else error.strerror or str(error)
        return CodeSnapshot(problem=f"the code version is not known: {reason}")


def _snapshot(repo: Repo) -> CodeSnapshot:
    def ask(*arguments: str) -> GitResult:
        return run_git(repo, *arguments, timeout_s=_TIMEOUT_S)

    pathspec = code_pathspec(repo)
    with ThreadPoolExecutor(3) as pool:
        remotes = pool.submit(ask, "config", "-z", "--get-regexp", r"^remote\..*\.url$")
        code = pool.submit(ask, "log", "-1", "--format=%H", *pathspec)
        status = ask(
            *("status", "--porcelain=v2", "--branch", "-z", "--no-renames"),
            *("--untracked-files=all", *pathspec),
        )
        if status.code != 0:
            raise GitError(_reason(repo, status))
        changes = read_changes(status.output)
        modules = _submodules(repo, ask, changes)
        left_out: list[LeftOut] = []
        patch, problem = b"", None
        try:
            patch = _patch(repo, changes, left_out)
        except (GitError, OSError) as error:
            reason = error.message if isinstance(error, GitError) else error.strerror or str(error)
            problem = f"the uncommitted changes could not be kept: {reason}"
    last = code.result()
    return CodeSnapshot(
        commit=changes.commit,
        branch=changes.branch,
        dirty=changes.is_dirty,
        code_commit=last.text if last.code == 0 and changes.commit else None,
        remote=_remote(remotes.result(), changes.upstream),
        submodules=modules,
        left_out=tuple(sorted(left_out)[:MAX_NAMES]),
        left_out_count=len(left_out),
        patch=patch,
        problem=problem,
    )


def _reason(repo: Repo, failed: GitResult) -> str:
    if "dubious ownership" in failed.error:
        return (
            "git does not trust this folder, because it belongs to another user; trust it "
            f"with: git config --global --add safe.directory {repo.root}"
        )
    return failed.reason


def _remote(listed: GitResult, upstream: str | None) -> str | None:
    """Return the address of the branch's own remote, else of origin, else of the first."""
    found: dict[str, str] = {}
    for entry in listed.names:
        key, _, url = entry.partition("\n")
        found.setdefault(key.removeprefix("remote.").removesuffix(".url"), url)
    own = [name for name in found if upstream and upstream.startswith(name + "/")]
    for name in (*sorted(own, key=len, reverse=True), "origin", *found):
        if name in found:
            return _SCP_USER.sub("", strip_url(found[name]))
    return None


def _submodules(repo: Repo, ask: Callable[..., GitResult], changes: Changes) -> dict[str, str]:
    """Return the commit of each submodule as it is checked out."""
    if not changes.submodules and not os.path.exists(repo.at(".gitmodules")):
        return {}
    found = {}
    for entry in ask("ls-files", "--stage", "-z").names:
        facts, _, path = entry.partition("\t")
        if facts.startswith(_SUBMODULE_MODE):
            found[path] = facts.split(" ")[1]
    for path in changes.submodules:
        at = run_git(repo.at(path), "rev-parse", "--verify", "--quiet", "HEAD")
        if at.code == 0:
            found[path] = at.text
    return found


def _patch(repo: Repo, changes: Changes, left_out: list[LeftOut]) -> bytes:
    """Return the patch from `HEAD` to the working tree, without what must not be in it."""
    left_out += (LeftOut(path, "repository") for path in changes.dirty_submodules)
    new = _choose_untracked(repo, changes.untracked, left_out)
    large = _too_large(repo, changes.tracked, left_out)
    if not new and not changes.unmerged and len(large) == len(changes.tracked):
        return b""
    if len(large) > _MAX_EXCLUDED:
        raise GitError(f"{len(large)} changed files are too large")
    with tempfile.TemporaryDirectory(prefix="aexp-index-") as folder:
        index = None
        if new or changes.unmerged:
            index = os.path.join(folder, "index")
            _write_index(repo, index, new, changes)
        done = run_git(
            repo,
            *_DIFF,
            changes.commit or _EMPTY_TREE[changes.id_length],
            *code_pathspec(repo),
            *(f":(exclude,top,literal){path}" for path in large),
            index=index,
            timeout_s=_TIMEOUT_S,
        )
    if done.code != 0:
        raise GitError(_reason(repo, done))
    return _within_limits(done.output, left_out)


def _choose_untracked(repo: Repo, names: Iterable[str], left_out: list[LeftOut]) -> dict[str, str]:
    """Return the untracked files to keep, with git's modes of them."""
    found: list[tuple[int, str, str]] = []
    for name in names:
        path = repo.at(name)
        try:
            status = os.lstat(path)
        except OSError:
            continue  # gone since
        is_link = stat.S_ISLNK(status.st_mode)
        if name.endswith("/"):
            left_out.append(LeftOut(name, "repository"))
        elif is_secret_file(name):
            left_out.append(LeftOut(name, "secret"))
        elif status.st_size > MAX_UNTRACKED_BYTES:
            left_out.append(LeftOut(name, "large"))
        elif not is_link and not os.access(path, os.R_OK):
            left_out.append(LeftOut(name, "unreadable"))
        else:
            found.append((status.st_size, name, "120000" if is_link else "100644"))
    room = MAX_PATCH_BYTES
    kept = {}
    for size, name, mode in sorted(found):  # code is small
        room -= size
        if room >= 0:
            kept[name] = mode
        else:
            left_out.append(LeftOut(name, "large"))
    return kept


def _too_large(repo: Repo, names: Iterable[str], left_out: list[LeftOut]) -> list[str]:
    """Return the changed tracked files that git had better not look into."""
    found = []
    for name in names:
        with suppress(OSError):  # deleted: a change that the patch can hold
            if os.lstat(repo.at(name)).st_size > MAX_PATCH_BYTES:
                found.append(name)
    left_out += (LeftOut(name, "large") for name in found)
    return found


def _write_index(repo: Repo, index: str, new: Mapping[str, str], changes: Changes) -> None:
    """Make a copy of the index that knows the untracked files; their content is not stored."""
    place = run_git(repo, "rev-parse", "--git-path", "index")
    if place.code != 0:
        raise GitError(place.reason)
    with suppress(FileNotFoundError):  # nothing has ever been added
        shutil.copyfile(repo.at(place.text), index)
    blank = _EMPTY_FILE[changes.id_length]
    entries = [f"{mode} {blank} 0\t{name}\0" for name, mode in new.items()]
    # Without conflicting versions the working tree's file is compared like any other.
    entries += [f"100644 {blank} 0\t{name}\0" for name in changes.unmerged]
    done = run_git(
        repo,
        *("-c", "core.splitIndex=false", "update-index", "-z", "--index-info"),
        data=os.fsencode("".join(entries)),
        index=index,
        timeout_s=_TIMEOUT_S,
    )
    if done.code != 0:
        raise GitError(done.reason)


def _within_limits(diff: bytes, left_out: list[LeftOut]) -> bytes:
    """Drop the parts of secret files, and the largest ones of a patch that is too large."""
    # A line of a file's content never begins like a header: it has a sign, or is base 85.
    pieces = (b"\n" + diff.removesuffix(b"\n")).split(b"\n" + _HEADER)[1:]
    parts = {number: _HEADER + piece + b"\n" for number, piece in enumerate(pieces)}
    total = 0
    for number, part in list(parts.items()):
        name = _changed_file(part)
        if is_secret_file(name):
            left_out.append(LeftOut(name, "secret"))
            del parts[number]
        else:
            total += len(part)
    for number in sorted(parts, key=lambda number: -len(parts[number])):
        if total <= MAX_PATCH_BYTES:
            break
        part = parts.pop(number)
        total -= len(part)
        left_out.append(LeftOut(_changed_file(part), "large"))
    return b"".join(parts.values())


def _changed_file(part: bytes) -> str:
    """Return the name in a header: ``diff --git a/NAME b/NAME``, in quotes when it is odd."""
    header = part[len(_HEADER) : part.index(b"\n")]
    name = header[: len(header) // 2]
    if name.startswith(b'"'):
        name = _ESCAPE.sub(_unescape, name[1:-1])
    return os.fsdecode(name.removeprefix(b"a/"))


def _unescape(escape: re.Match[bytes]) -> bytes:
    value = escape[1]
    return bytes([int(value, 8)]) if value.isdigit() else bytes([_LETTERS.get(value[0], value[0])])
