"""What ``git status`` says of a working tree, read from its porcelain format, version 2."""

import os
from typing import NamedTuple

_ID_LENGTH = 40
# Number of fields before the name, by the kind of entry.
_FIELDS = {"1": 8, "u": 10}
_NO_SUBMODULE = "N..."


class Changes(NamedTuple):
    """The state of a working tree.

    Attributes
    ----------
    commit : str or None
        ``HEAD``; None before the first commit.
    branch, upstream : str or None
        The branch, None when none is checked out; what it follows.
    tracked, unmerged, untracked : list of str
        Files that differ; a folder (it ends with ``/``) is a repository of its own.
    submodules, dirty_submodules : list of str
        Those at another commit; those with changes inside.
    is_dirty : bool
        Whether there is any of these.
    """

    commit: str | None
    branch: str | None
    upstream: str | None
    tracked: list[str]
    unmerged: list[str]
    untracked: list[str]
    submodules: list[str]
    dirty_submodules: list[str]
    is_dirty: bool

    @property
    def id_length(self) -> int:
        """How many digits an object's id has."""
        return len(self.commit or "") or _ID_LENGTH


def read_changes(output: bytes) -> Changes:
    """Read ``git status --porcelain=v2 --branch -z --no-renames``."""
    heads: dict[str, str] = {}
    changes = Changes(None, None, None, [], [], [], [], [], False)
    is_dirty = False
    for line in filter(None, os.fsdecode(output).split("\0")):
        kind, _, rest = line.partition(" ")
        if kind == "#":
            key, _, value = rest.partition(" ")
            heads[key] = value
            continue
        is_dirty = True
        if kind == "?":
            changes.untracked.append(rest)
        elif kind in _FIELDS:
            *facts, name = line.split(" ", _FIELDS[kind])
            _sort_in(changes, kind, facts[2], name)
    commit, branch = heads.get("branch.oid"), heads.get("branch.head")
    return changes._replace(
        commit=None if commit == "(initial)" else commit,
        branch=None if branch == "(detached)" else branch,
        upstream=heads.get("branch.upstream"),
        is_dirty=is_dirty,
    )


def _sort_in(changes: Changes, kind: str, submodule: str, name: str) -> None:
    if submodule != _NO_SUBMODULE:
        if submodule[1] == "C":
            changes.submodules.append(name)
        if submodule[2:] != "..":
            changes.dirty_submodules.append(name)
        return
    (changes.unmerged if kind == "u" else changes.tracked).append(name)
