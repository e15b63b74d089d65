"""The ``[[links]]`` between notes, patched as text into ``## Links``."""

import os
import re
from collections.abc import Iterable
from functools import partial
from typing import NamedTuple

from aexp.errors import ArtifactNotFound, ArtifactReadError, UsageError
from aexp.kb.artifacts import find_artifact
from aexp.kb.edit import append_to_section, edit_file
from aexp.kb.frontmatter import frontmatter_span
from aexp.kb.markdown import find_section
from aexp.paths import Repo

SECTION = "Links"
FIXED = ("ACTIVE", "CHALLENGE")
_ARTIFACT_ID = re.compile(r"[HEFT][0-9]{3,9}", re.ASCII)
_REVIEW_ID = re.compile(r"(?:L|CR|SR)[0-9]{3,9}", re.ASCII)
_LINK = re.compile(r"\[\[([^\[\]|#]+)[^\[\]]*\]\]")
_NAME = re.compile(r"[^\[\]|#^/\\\x00-\x1f\x7f-\x9f\u2028\u2029]{1,200}")


class Backlinks(NamedTuple):
    """Which parents got a link to their child, and which had one."""

    patched: list[str]
    present: list[str]


def check_link(name: str) -> str:
    """Return the name of a note as it can stand between ``[[`` and ``]]``.

    Raises
    ------
    UsageError
        If it cannot.
    """
    plain = name.strip().removeprefix("[[").removesuffix("]]").strip()
    if not _NAME.fullmatch(plain) or plain.endswith(".md"):
        raise UsageError(
            f"{name!r} cannot be linked", "give the id or the file name of a note, like E001"
        )
    return plain


def check_target(repo: Repo, name: str) -> None:
    """Refuse a link that leads nowhere: `name` is the id or file name of no note.

    Raises
    ------
    ArtifactNotFound
        If it is.
    """
    if name in FIXED or name == "DASHBOARD":
        return
    if _ARTIFACT_ID.fullmatch(name):
        find_artifact(repo, name)
        return
    is_id = _REVIEW_ID.fullmatch(name)
    for _, folders, files in os.walk(repo.at("kb")):
        folders[:] = [folder for folder in folders if not folder.startswith(".")]
        if f"{name}.md" in files:
            return
        if is_id and any(file.startswith(name + "-") and file.endswith(".md") for file in files):
            return
    raise ArtifactNotFound(
        f"no note is called {name!r}", "give the id or the file name of a note, like E001"
    )


def links_block(names: Iterable[str]) -> str:
    """Return one list item per name, each once."""
    return "\n".join(f"- [[{name}]]" for name in dict.fromkeys(names))


def linked_names(text: str) -> list[str]:
    """Return what ``## Links`` names, in its order."""
    section = find_section(text, SECTION, frontmatter_span(text, "")[2])
    if section is None:
        return []
    return [
        name.strip() for line in section.lines if line.counts for name in _LINK.findall(line.text)
    ]


def with_link(text: str, name: str, path: str = "the note") -> str:
    """Return `text` with ``- [[name]]`` in ``## Links``; the same text if it is there.

    A link by file name, ``[[E001-sweep]]``, is a link to E001.

    Raises
    ------
    ArtifactReadError
        If a block of code or a comment that is never closed would swallow the link.
    """
    if _has(text, name):
        return text
    new = append_to_section(text, SECTION, f"- [[{name}]]")
    if not _has(new, name):
        raise ArtifactReadError(
            f"{path}: a block of code or a comment is not closed", "close it, and call again"
        )
    return new


def _has(text: str, name: str) -> bool:
    return any(found == name or found.startswith(name + "-") for found in linked_names(text))


def add_backlinks(
    repo: Repo, child_id: str, parent_ids: Iterable[str], *, dry_run: bool = False
) -> Backlinks:
    """Make each parent link its child; the record's lock must be held.

    Raises
    ------
    ArtifactNotFound
        If a parent does not exist.
    ArtifactReadError
        If a parent cannot be read.
    """
    result = Backlinks([], [])
    for parent_id in dict.fromkeys(parent_ids):
        path = find_artifact(repo, parent_id)
        shown = repo.relative(path)
        changed = edit_file(
            repo, path, partial(with_link, name=child_id, path=shown), dry_run=dry_run
        )
        (result.patched if changed else result.present).append(parent_id)
    return result
