"""The notes of the kb, read once: artifacts, reviews, literature, and the three fixed pages."""

import os
import re
from collections.abc import Iterator
from functools import cached_property
from typing import Any, NamedTuple

from aexp.errors import AexpError, ArtifactReadError
from aexp.kb.artifacts import KINDS, Artifact, check_inside, id_in_name, read_artifact
from aexp.kb.frontmatter import Document, read_document
from aexp.kb.markdown import lines_of
from aexp.paths import Repo

KB = "kb"
RESEARCH = "kb/research"
ACTIVE, CHALLENGE, DASHBOARD = "kb/ACTIVE.md", "kb/mission/CHALLENGE.md", "kb/DASHBOARD.md"
FIXED_HEADINGS = {
    ACTIVE: ("Current Objective", "Next Step", "Blocker", "Links"),
    CHALLENGE: ("Objective", "Context", "Success Criteria", "Constraints", "Links"),
    DASHBOARD: ("Entry Points", "Links"),
}
_REVIEW = re.compile(r"((?:L|CR|SR)[0-9]{3,9})-.*\.md", re.ASCII)
FOLDERS = {kind.folder.replace(os.sep, "/"): (kind.letter,) for kind in KINDS.values()} | {
    "kb/research/literature": ("L",),
    "kb/reports": ("CR", "SR"),
}
_UNCHECKED = ("kb/research/data/", "kb/lessons/")
_LINK = re.compile(r"\[\[([^\[\]|#]+)[^\[\]]*\]\]")
_FIELD = re.compile(r"> *\*\*([^*]+)\*\*: *(.*)$")


class Link(NamedTuple):
    """One ``[[target]]`` and its line."""

    target: str
    line: int


class Note:
    """A markdown file below ``kb/``.

    Attributes
    ----------
    path : str
        Relative to the repository, with forward slashes.
    note_id : str or None
        The id that its name begins with, if its folder is one of artifacts.
    document : Document or None
        None when the file cannot be read.
    fault : ArtifactReadError or None
        Why it cannot.
    artifact : Artifact or None
        For hypotheses, experiments, findings and threads.
    """

    def __init__(self, path: str, note_id: str | None) -> None:
        self.path = path
        self.note_id = note_id
        self.document: Document | None = None
        self.fault: AexpError | None = None
        self.artifact: Artifact | None = None

    @property
    def stem(self) -> str:
        """The file name without its ending."""
        return os.path.basename(self.path).removesuffix(".md")

    @property
    def letter(self) -> str:
        """``H``, ``E``, ``F``, ``T``, ``L``, ``CR``, ``SR``, or nothing."""
        return (self.note_id or "").rstrip("0123456789")

    @property
    def is_part_of_record(self) -> bool:
        """Whether it has an id or is one of the fixed pages."""
        return self.note_id is not None or self.path in FIXED_HEADINGS

    @property
    def meta(self) -> dict[str, Any]:
        """The frontmatter; empty when the note cannot be read."""
        return self.document.meta if self.document is not None else {}

    @property
    def aliases(self) -> list[str]:
        """The names that the frontmatter claims."""
        value = self.meta.get("aliases")
        if isinstance(value, str):
            return [value]
        return [item for item in value if isinstance(item, str)] if isinstance(value, list) else []

    def line(self, *key: str | int) -> int | None:
        """Return the line of a frontmatter key; 1 when there is none."""
        return (self.document.line(*key) or 1) if self.document is not None else None

    def field(self, name: str, *keys: str) -> Any:
        """Return a field: by its frontmatter keys, else as ``> **Name**: value``."""
        for key in keys or (name.lower().replace(" ", "_"),):
            value = self.meta.get(key)
            if value not in (None, "", [], {}):
                return value
        shown = self._body.fields.get(name.lower(), "")
        match = _LINK.fullmatch(shown)
        return match[1] if match else shown or None

    @property
    def headings(self) -> dict[str, int]:
        """The ``## `` headings with their lines."""
        return self._body.headings

    @property
    def links(self) -> list[Link] | None:
        """The links of ``## Links``; None when there is no such section."""
        return self._body.links

    @cached_property
    def _body(self) -> "_Body":
        if self.document is None:
            return _Body("", 1)
        return _Body(self.document.body, self.document.body_line)


class _Body:
    """What is found below a note's frontmatter, outside blocks of code and comments."""

    def __init__(self, text: str, first_line: int) -> None:
        self.headings: dict[str, int] = {}
        self.fields: dict[str, str] = {}
        self.links: list[Link] | None = None
        heading = ""
        for number, line in enumerate(lines_of(text), start=first_line):
            if not line.counts:
                continue
            if line.heading is not None and line.heading[0] == 2:
                heading = line.heading[1]
                self.headings.setdefault(heading, number)
                if heading == "Links" and self.links is None:
                    self.links = []
            elif heading == "Links" and self.links is not None:
                self.links += [Link(found.strip(), number) for found in _LINK.findall(line.text)]
            elif not self.headings and (match := _FIELD.match(line.text)):
                self.fields.setdefault(match[1].strip().lower(), match[2].strip())


class Notes:
    """All notes of a repository.

    Attributes
    ----------
    all : list of Note
        Sorted by path.
    by_id : dict
        Artifact id to the notes whose names carry it.
    by_name : dict
        Every name that a link may use (file name, id, alias) to the notes that claim it.
    """

    def __init__(self, repo: Repo) -> None:
        self.all = [_read(repo, path) for path in _paths(repo)]
        self.by_id: dict[str, list[Note]] = {}
        self.by_name: dict[str, list[Note]] = {}
        for note in self.all:
            if note.note_id is not None:
                self.by_id.setdefault(note.note_id, []).append(note)
            names = {note.stem, *note.aliases, *([note.note_id] if note.note_id else [])}
            for name in names:
                self.by_name.setdefault(name, []).append(note)

    def one(self, artifact_id: str) -> Note | None:
        """Return the note with an id, None when there is none or more than one."""
        found = self.by_id.get(artifact_id, [])
        return found[0] if len(found) == 1 else None

    @cached_property
    def artifacts(self) -> list[Artifact]:
        """Hypotheses, experiments, findings and threads that can be read."""
        return [note.artifact for note in self.all if note.artifact is not None]


def folder_letters(path: str) -> tuple[str, ...]:
    """Return the letters of the ids that belong into the folder of a file."""
    return FOLDERS.get(os.path.dirname(path), ())


def _paths(repo: Repo) -> Iterator[str]:
    found = []
    for folder, folders, names in os.walk(repo.at(KB)):
        folders[:] = [name for name in folders if not name.startswith(".")]
        relative = os.path.relpath(folder, repo.root).replace(os.sep, "/")
        found += [f"{relative}/{name}" for name in names if name.endswith(".md") and name[0] != "."]
    return iter(sorted(found))


def _read(repo: Repo, path: str) -> Note:
    name = os.path.basename(path)
    letters = folder_letters(path)
    note_id = id_in_name(name)
    if note_id is None and (match := _REVIEW.fullmatch(name)):
        note_id = match[1]
    if note_id is not None and note_id.rstrip("0123456789") not in letters:
        note_id = None
    note = Note(path, note_id)
    whole = repo.at(path)
    try:
        if note.letter in KINDS:
            note.artifact = read_artifact(repo, whole)
            note.document = note.artifact.document
        else:
            check_inside(repo, whole)
            note.document = read_document(whole)
    except AexpError as error:
        if path.startswith(_UNCHECKED) and isinstance(error, ArtifactReadError):
            return note  # free text of the user's; only its name counts
        note.fault = error
    return note
