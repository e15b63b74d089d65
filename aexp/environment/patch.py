"""What is not committed, as one patch: of tracked files and of those that git does not know."""

import os
import re
import stat
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import NamedTuple

from aexp.environment.secret_files import is_secret_file
from aexp.environment.working_tree import Changes
from aexp.errors import GitError
from aexp.files import read_bytes, remove
from aexp.git import GitResult, code_pathspec, run_git
from aexp.paths import Repo

MAX_UNTRACKED_BYTES = 1 << 20
MAX_PATCH_BYTES = 20 << 20
_MAX_EXCLUDED = 1000
_TIMEOUT_S = 20.0
_HEADER = b"diff --git "
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


def git_reason(repo: Repo, failed: GitResult) -> str:
    """Return why git failed, with what to type where that is known."""
    if "dubious ownership" in failed.error:
        return (
            "git does not trust this folder, because it belongs to another user; trust it "
            f"with: git config --global --add safe.directory {repo.root}"
        )
    return failed.reason


def make_patch(repo: Repo, changes: Changes, left_out: list[LeftOut]) -> bytes:
    """Return the patch from `HEAD` to the working tree, without what must not be in it."""
    left_out += (LeftOut(path, "repository") for path in changes.dirty_submodules)
    new = _choose_untracked(repo, changes.untracked, left_out)
    large = _too_large(repo, changes.tracked, left_out)
    if not new and not changes.unmerged and len(large) == len(changes.tracked):
        return b""
    if len(large) > _MAX_EXCLUDED:
        raise GitError(f"{len(large)} changed files are too large")
    index = None
    if new or changes.unmerged:
        index = os.path.join(os.environ.get("TMPDIR") or "/tmp", f"aexp-{os.urandom(8).hex()}")
    try:
        if index is not None:
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
    finally:
        if index is not None:
            remove(index)
    if done.code != 0:
        raise GitError(git_reason(repo, done))
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
    known = read_bytes(_index_of(repo))
    if known is not None:  # something has been added before
        with open(os.open(index, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as copy:
            copy.write(known)
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


def _index_of(repo: Repo) -> str:
    """Return the path of the repository's index; of a worktree or submodule it is elsewhere."""
    folder = repo.at(".git")
    if not os.path.isdir(folder):
        place = run_git(repo, "rev-parse", "--git-path", "index")
        if place.code != 0:
            raise GitError(place.reason)
        return repo.at(place.text)
    return os.path.join(folder, "index")


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
