"""Hypotheses, experiments, findings, threads: their kinds, and how they lie on disk."""

import os
import re
import warnings
from collections.abc import Mapping
from functools import cache
from typing import Any, NamedTuple

from aexp.errors import (
    ArtifactNotFound,
    ArtifactReadError,
    CorruptFile,
    CorruptFileWarning,
    UsageError,
)
from aexp.kb.frontmatter import Document, read_document
from aexp.paths import Repo

TEMPLATES = os.path.join(os.path.dirname(os.path.abspath(__file__)), "templates")
IMPACTS = ("HIGH", "MEDIUM", "LOW")
_ID = re.compile(r"([HEFT])([0-9]{3,9})", re.ASCII)
_FILE = re.compile(r"([HEFT][0-9]{3,9})(-.*)?\.md", re.ASCII | re.DOTALL)
_HEADING = re.compile(r"^## +(.*?) *$", re.MULTILINE)
_TITLE = re.compile(r"^#[ \t]+(.*?)[ \t]*\r?$", re.MULTILINE)


class Kind(NamedTuple):
    """One kind of artifact.

    Attributes
    ----------
    letter, name, plural : str
        ``H``, ``hypothesis``, ``hypotheses``.
    folder : str
        Where its files lie, relative to the repository.
    statuses : tuple of str
        The words its ``status:`` may have, the first one at its creation; empty when it
        has none.
    final_statuses : tuple of str
        Those that end it.
    """

    letter: str
    name: str
    plural: str
    folder: str
    statuses: tuple[str, ...]
    final_statuses: tuple[str, ...]

    @property
    def named(self) -> str:
        """The name with its article: ``an experiment``."""
        return f"{'an' if self.name[0] in 'aeiou' else 'a'} {self.name}"

    @property
    def id_pattern(self) -> re.Pattern[str]:
        """What an id of this kind looks like."""
        return re.compile(self.letter + r"[0-9]{3,9}", re.ASCII)

    @property
    def template(self) -> str:
        """The text that a new file is made from."""
        return _template(self.name)

    @property
    def headings(self) -> tuple[str, ...]:
        """The ``## `` headings that a file must have, in order: those of the template."""
        return tuple(_HEADING.findall(self.template))


@cache
def _template(name: str) -> str:
    with open(os.path.join(TEMPLATES, name + ".md"), encoding="utf-8") as file:
        return file.read()


def _kind(name: str, plural: str, statuses: tuple[str, ...], final: tuple[str, ...]) -> Kind:
    folder = os.path.join("kb", "research", plural)
    return Kind(name[0].upper(), name, plural, folder, statuses, final)


KINDS: Mapping[str, Kind] = {
    kind.letter: kind
    for kind in (
        _kind(
            "hypothesis",
            "hypotheses",
            ("PROPOSED", "TESTING", "CONFIRMED", "REJECTED"),
            ("CONFIRMED", "REJECTED"),
        ),
        _kind(
            "experiment",
            "experiments",
            ("DESIGNED", "RUNNING", "COMPLETED", "FAILED"),
            ("COMPLETED", "FAILED"),
        ),
        _kind("finding", "findings", (), ()),
        _kind(
            "thread",
            "threads",
            ("PROPOSED", "EXPLORING", "PROMOTED", "CLOSED"),
            ("PROMOTED", "CLOSED"),
        ),
    )
}


class Artifact(NamedTuple):
    """An artifact as its file has it.

    Attributes
    ----------
    artifact_id : str
        Its id, as the file name has it.
    kind : Kind
        What it is.
    path : str
        Absolute path of the file.
    title : str
        The text of its ``# `` heading, without the id.
    meta : dict
        The frontmatter.
    text : str
        The whole file.
    document : Document
        The same with the line of every frontmatter key.
    """

    artifact_id: str
    kind: Kind
    path: str
    title: str
    meta: dict[str, Any]
    text: str
    document: Document

    @property
    def status(self) -> str | None:
        """The value of ``status:``, whatever word it is."""
        value = self.meta.get("status")
        return None if value is None else str(value)

    @property
    def tags(self) -> list[str]:
        """The ``tags:``, as text."""
        value = self.meta.get("tags")
        if isinstance(value, str):
            return [value]
        return [str(tag) for tag in value] if isinstance(value, list) else []

    def parent(self, key: str) -> str | None:
        """Return the id that the frontmatter names under ``hypothesis``, ``thread``, …."""
        value = self.meta.get(key)
        return value if isinstance(value, str) and _ID.fullmatch(value) else None


def kind_of(artifact_id: str) -> Kind:
    """Return the kind that an id belongs to.

    Raises
    ------
    UsageError
        If it is not an id.
    """
    match = _ID.fullmatch(artifact_id)
    if match is None:
        raise UsageError(
            f"{artifact_id!r} is not the id of an artifact", "write it like H001, E001, F001, T001"
        )
    return KINDS[match[1]]


def check_id(artifact_id: str, kind: Kind) -> str:
    """Return `artifact_id` if it is one of this kind, else raise `UsageError`."""
    if not kind.id_pattern.fullmatch(artifact_id):
        raise UsageError(
            f"{artifact_id!r} is not {kind.named} id", f"write it like {kind.letter}001"
        )
    return artifact_id


def id_in_name(name: str) -> str | None:
    """Return the id that a file name begins with, None when it names no artifact."""
    match = _FILE.fullmatch(name)
    return None if match is None else match[1]


def artifact_names(repo: Repo, kind: Kind) -> list[str]:
    """Return the names of all markdown files in a kind's folder, sorted.

    Some may name no artifact (`id_in_name`).

    Raises
    ------
    ArtifactReadError
        If the folder is a link that leaves the repository.
    """
    folder = repo.at(kind.folder)
    check_inside(repo, folder)
    try:
        names = os.listdir(folder)
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise ArtifactReadError(
            f"cannot read {folder}: {error.strerror or error}", "check its permissions"
        ) from error
    return sorted(name for name in names if name.endswith(".md") and not name.startswith("."))


def check_inside(repo: Repo, path: str) -> None:
    """Refuse a path that symbolic links lead out of the repository.

    Raises
    ------
    ArtifactReadError
        If they do.
    """
    root = os.path.realpath(repo.root)
    real = os.path.realpath(path)
    if real != root and not real.startswith(root + os.sep):
        raise ArtifactReadError(
            f"{repo.relative(path)} is a link that leaves the repository",
            "replace it by a file or folder of the repository",
        )


def find_artifact(repo: Repo, artifact_id: str) -> str:
    """Return the path of the file that carries an id.

    Raises
    ------
    ArtifactNotFound
        If no file does, or more than one.
    ArtifactReadError
        If the file is a link that leaves the repository.
    """
    kind = kind_of(artifact_id)
    found = [name for name in artifact_names(repo, kind) if id_in_name(name) == artifact_id]
    if not found:
        raise ArtifactNotFound(
            f"no {kind.name} {artifact_id} in {kind.folder}", f"see: aexp list-{kind.plural}"
        )
    if len(found) > 1:
        raise ArtifactNotFound(
            f"{artifact_id} is claimed by {', '.join(found)}", "give one of them another id"
        )
    path = repo.at(kind.folder, found[0])
    if os.path.islink(path):
        check_inside(repo, path)
    return path


def read_artifact(repo: Repo, path: str) -> Artifact:
    """Read the artifact in the file at `path`.

    Raises
    ------
    ArtifactReadError
        If it cannot be read, is a link that leaves the repository, or its name has no id.
    """
    artifact_id = id_in_name(os.path.basename(path))
    if artifact_id is None:
        raise ArtifactReadError(
            f"{repo.relative(path)}: the name does not begin with an id", "call it like H001-name"
        )
    if os.path.islink(path):
        check_inside(repo, path)
    try:
        document = read_document(path)
    except CorruptFile as error:
        raise ArtifactReadError(error.message, error.hint) from error
    return Artifact(
        artifact_id,
        kind_of(artifact_id),
        path,
        _title(document, artifact_id),
        document.meta,
        document.text,
        document,
    )


def _title(document: Document, artifact_id: str) -> str:
    match = _TITLE.search(document.body)
    if match is None:
        value = document.meta.get("title")
        return value if isinstance(value, str) else ""
    return re.sub(rf"^{artifact_id}\s*[—\u2013:-]*\s*", "", match[1])


def load_artifact(repo: Repo, artifact_id: str) -> Artifact:
    """Read one artifact by its id.

    Raises
    ------
    ArtifactNotFound
        If there is no such artifact.
    ArtifactReadError
        If its file cannot be read.
    """
    return read_artifact(repo, find_artifact(repo, artifact_id))


def list_artifacts(repo: Repo, kind: str | None = None) -> list[Artifact]:
    """Read all artifacts, or those of one kind, sorted by kind and id.

    A file that cannot be read, or a link that leaves the repository, costs a
    `CorruptFileWarning` and itself.

    Parameters
    ----------
    repo : Repo
        The repository.
    kind : str, optional
        ``H``, ``E``, ``F`` or ``T``.
    """
    found = []
    for chosen in [KINDS[kind]] if kind else KINDS.values():
        found += _list_kind(repo, chosen)
    return found


def _list_kind(repo: Repo, kind: Kind) -> list[Artifact]:
    try:
        names = artifact_names(repo, kind)
    except ArtifactReadError as error:
        warnings.warn(error.message, CorruptFileWarning, stacklevel=3)
        return []
    found = []
    for name in names:
        artifact_id = id_in_name(name)
        if artifact_id is None or not kind.id_pattern.fullmatch(artifact_id):
            continue
        try:
            found.append(read_artifact(repo, repo.at(kind.folder, name)))
        except ArtifactReadError as error:
            warnings.warn(error.message, CorruptFileWarning, stacklevel=3)
    return sorted(found, key=lambda item: (int(item.artifact_id[1:]), item.artifact_id, item.path))
