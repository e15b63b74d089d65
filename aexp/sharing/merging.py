"""Merge what a remote has, outside of the working tree, and take the result in at once.

The merged commit is built from git's objects in an index of its own. Only when it is
complete does the branch move, with git's own fast-forward, which keeps what a person has
staged and changed and refuses, before anything is written, if that is in the way. So a
conflict, a crash or Ctrl-C at any point leaves the repository as it was.
"""

import os
from collections.abc import Iterable, Iterator
from tempfile import TemporaryDirectory
from typing import NamedTuple

from aexp.errors import GitError, MergeConflict
from aexp.git import GitResult, run_git
from aexp.ledger.merge import merge_bytes
from aexp.paths import Repo
from aexp.sharing.commits import LEDGER

_FILE_MODES = ("100644", "100755")
_BASE, _OURS, _THEIRS = "1", "2", "3"


class Version(NamedTuple):
    """One side's version of a file."""

    mode: str
    blob: str


Versions = dict[str, Version]


def is_ancestor(repo: Repo, commit: str, of: str) -> bool:
    """Return whether a commit is here and `of` contains it."""
    return run_git(repo, "merge-base", "--is-ancestor", commit, of).code == 0


def head(repo: Repo) -> str:
    """Return the present commit."""
    return _must(run_git(repo, "rev-parse", "--verify", "HEAD^{commit}")).text


def merge_in(repo: Repo, theirs: str, message: str) -> None:
    """Bring a commit into the branch that is checked out.

    Entries of one run on both sides are settled by `aexp.ledger.merge`; other files that
    both sides have changed are merged line by line.

    Raises
    ------
    MergeConflict
        If a person must decide, or uncommitted changes are in the way. Nothing was changed.
    """
    ours = head(repo)
    if is_ancestor(repo, theirs, ours):
        return
    merged = theirs if is_ancestor(repo, ours, theirs) else _merge(repo, ours, theirs, message)
    # autoStash would put a person's changes aside and might not get them back.
    words = ("-c", "merge.autoStash=false", "merge", "--ff-only", "--quiet")
    # Of itself git overwrites ignored files without a word; they may be all there is of them.
    done = run_git(repo, *words, "--no-overwrite-ignore", merged)
    if done.code != 0:
        names = [line.strip() for line in done.error.splitlines() if line.startswith("\t")]
        raise MergeConflict(
            f"what was fetched cannot be taken in: {', '.join(names[:5]) or done.reason}",
            "what these files hold here is not in git: commit it, or put them aside, then call "
            "sync again (git check-ignore --verbose FILE tells why git status is silent on one)"
            if names
            else "mend that, then call sync again",
        )


def entries_between(repo: Repo, before: str, after: str) -> list[str]:
    """Return the ids of the runs whose entries differ between two commits."""
    words = ("diff-tree", "-r", "-z", "--name-only", "--relative", "--no-renames")
    names = _must(run_git(repo, *words, before, after, "--", LEDGER)).names
    return sorted(os.path.basename(name).removesuffix(".json") for name in names)


def _merge(repo: Repo, ours: str, theirs: str, message: str) -> str:
    bases = run_git(repo, "merge-base", "--all", ours, theirs).text.split()
    if len(bases) != 1:
        why = "have several common ancestors" if bases else "have no common history"
        raise MergeConflict(
            f"this branch and the remote's {why}", "merge them yourself: git pull --no-rebase"
        )
    with TemporaryDirectory(prefix="aexp-merge-") as folder:
        index = os.path.join(folder, "index")
        words = ("read-tree", "-i", "-m", "--aggressive", bases[0], ours, theirs)
        _must(run_git(repo, *words, index=index))
        listing = ("ls-files", "--unmerged", "-z", "--full-name", "--", ":/")
        both = _by_file(_must(run_git(repo, *listing, index=index)).names)
        lines = b"".join(_index_lines(_settle(repo, both, folder), len(ours)))
        _must(run_git(repo, "update-index", "-z", "--index-info", data=lines, index=index))
        tree = _must(run_git(repo, "write-tree", index=index)).text
    signed = run_git(repo, "config", "--type=bool", "commit.gpgSign").text == "true"
    how = ["-S"] if signed else []
    parents = ("-p", ours, "-p", theirs)
    return _must(run_git(repo, "commit-tree", *how, *parents, "-m", message, tree)).text


def _by_file(listing: Iterable[str]) -> dict[str, Versions]:
    found: dict[str, Versions] = {}
    for line in listing:
        facts, _, name = line.partition("\t")
        mode, blob, stage = facts.split()
        found.setdefault(name, {})[stage] = Version(mode, blob)
    return found


def _settle(repo: Repo, both: dict[str, Versions], folder: str) -> dict[str, Version]:
    """Return the version that stays of every file that both sides have changed."""
    prefix = run_git(repo, "rev-parse", "--show-prefix").text
    entries = {name: v for name, v in both.items() if _is_entry_file(name, v, prefix)}
    settled = dict(_settle_entries(repo, entries))
    conflicts = []
    for name in sorted(both.keys() - entries.keys()):
        here = os.path.relpath(name, prefix or ".")
        version = _merge_lines(repo, here, both[name], folder)
        if version is None:
            conflicts.append(name)
        else:
            settled[name] = version
    if conflicts:
        shown = ", ".join(conflicts[:5]) + (", …" if len(conflicts) > 5 else "")
        raise MergeConflict(
            f"{len(conflicts)} file(s) outside the ledger were changed on both sides: {shown}",
            "merge them yourself: git pull --no-rebase; then call sync again (nothing was "
            "changed here, your entries are committed)",
        )
    return settled


def _is_entry_file(name: str, versions: Versions, prefix: str) -> bool:
    sides = [version for stage, version in versions.items() if stage != _BASE]
    regular = all(version.mode in _FILE_MODES for version in sides)
    return name.startswith(f"{prefix}{LEDGER}/") and name.endswith(".json") and regular


def _settle_entries(repo: Repo, both: dict[str, Versions]) -> Iterator[tuple[str, Version]]:
    sides = (_OURS, _THEIRS)
    wanted = sorted({v[side].blob for v in both.values() for side in sides if side in v})
    content = dict(_blobs(repo, wanted))
    for name, versions in both.items():
        blobs = [versions[side].blob for side in sides if side in versions]
        pair = [content[blob] for blob in blobs] + [None]
        winner = merge_bytes(pair[0], pair[1])
        yield name, Version("100644", next(blob for blob in blobs if content[blob] == winner))


def _blobs(repo: Repo, blobs: list[str]) -> Iterator[tuple[str, bytes]]:
    asked = "".join(blob + "\n" for blob in blobs).encode()
    answer = _must(run_git(repo, "cat-file", "--batch", data=asked)).output
    position = 0
    for blob in blobs:
        end = answer.index(b"\n", position)
        size = int(answer[position:end].split()[2])
        yield blob, answer[end + 1 : end + 1 + size]
        position = end + size + 2


def _merge_lines(repo: Repo, name: str, versions: Versions, folder: str) -> Version | None:
    """Return a text file with the changes of both sides; None when they touch each other."""
    stages = (_OURS, _BASE, _THEIRS)
    modes = {version.mode for version in versions.values()}
    attribute = run_git(repo, "check-attr", "-z", "merge", "--", name).names
    plain = attribute[-1:] == ["unspecified"]
    if set(versions) != set(stages) or len(modes) != 1 or not modes < set(_FILE_MODES) or not plain:
        return None
    content = dict(_blobs(repo, [versions[stage].blob for stage in stages]))
    paths = []
    for stage in stages:
        paths.append(os.path.join(folder, stage))
        with open(paths[-1], "wb") as file:
            file.write(content[versions[stage].blob])
    merged = run_git(repo, "merge-file", "--stdout", "--quiet", *paths)
    if merged.code != 0:
        return None
    written = run_git(repo, "hash-object", "-w", "--stdin", data=merged.output)
    return Version(modes.pop(), _must(written).text)


def _index_lines(settled: dict[str, Version], width: int) -> Iterator[bytes]:
    for name, version in settled.items():
        path = name.encode(errors="surrogateescape") + b"\0"
        yield b"0 " + b"0" * width + b"\t" + path
        yield f"{version.mode} {version.blob}\t".encode() + path


def _must(done: GitResult) -> GitResult:
    if done.code != 0:
        raise GitError(
            f"git could not merge: {done.reason}", "see: git status; then call sync again"
        )
    return done
