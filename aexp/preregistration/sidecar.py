"""What a pre-registration says, read from a script's sidecar or an experiment's frontmatter."""

import hashlib
import json
import os
import re
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from aexp.errors import ArtifactReadError
from aexp.kb.frontmatter import Document, read_document, read_text
from aexp.paths import Repo
from aexp.preregistration.meaning import Preregistration, Problem, read_meaning

KEY = "preregistration"
_MAX_BYTES = 1_000_000
_TOML_PLACE = re.compile(r"\(at line (\d+), column \d+\)")


class Sidecar(NamedTuple):
    """A pre-registration as it lies in a file.

    Attributes
    ----------
    path : str
        The file, relative to the repository: a sidecar, or an experiment's note.
    sha256 : str or None
        ``sha256:…`` of the sidecar's bytes, or of the note's ``preregistration`` alone, so
        that other edits of the note do not count; None when it cannot be read.
    meaning : Preregistration or None
        What it says; None when there is a problem.
    problems : list of Problem
        What is wrong with it.
    """

    path: str
    sha256: str | None
    meaning: Preregistration | None
    problems: list[Problem]


def read_sidecar(repo: Repo, path: str) -> Sidecar:
    """Read the sidecar at a path relative to the repository; it may be missing or broken."""
    import tomllib

    from aexp.preregistration.toml_lines import line_of, lines_of

    try:
        text = read_text(repo.at(path))
    except ArtifactReadError as error:
        message = error.message.replace(repo.at(path), "the file")
        return Sidecar(path, None, None, [Problem((), 1, message)])
    digest = digest_of(text.encode())
    if len(text) > _MAX_BYTES:
        return Sidecar(path, digest, None, [Problem((), 1, "the file is over 1 MB")])
    text = text.removeprefix("\ufeff")
    try:
        content = tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        place = _TOML_PLACE.search(str(error))
        line = int(place[1]) if place else text.count("\n") + 1
        message = _TOML_PLACE.sub("", str(error)).strip()
        return Sidecar(path, digest, None, [Problem((), line, f"it is not TOML: {message}")])
    lines = lines_of(text)
    return _read(path, digest, content, lambda key: line_of(lines, key) or 1)


def read_note(repo: Repo, path: str) -> Sidecar | None:
    """Read the ``preregistration`` of an experiment's note (a full path); None without one.

    Raises
    ------
    ArtifactReadError
        If the note cannot be read at all.
    """
    return of_note(repo, read_document(path))


def of_note(repo: Repo, note: Document) -> Sidecar | None:
    """Return the ``preregistration`` of an experiment's note, None without one."""
    if KEY not in note.meta:
        return None
    path = repo.relative(note.path).replace(os.sep, "/")
    block = note.meta[KEY]
    digest = digest_of(_canonical(block))
    top = note.line(KEY) or 1
    if not isinstance(block, dict):
        wrong = Problem((KEY,), top, "it is not a mapping")
        return Sidecar(path, digest, None, [wrong])
    own = {key: block[key] for key in ("metrics", "outcomes") if key in block}
    rest = {key: value for key, value in block.items() if key not in own}

    def line(key: tuple[str, ...]) -> int:
        inner = key[1:] if key[:1] == (KEY,) else key
        return note.line(KEY, *inner) or top

    return _read(path, digest, {KEY: rest, **own}, line)


def present_digest(repo: Repo, path: str) -> str | None:
    """Return the digest that `Sidecar.sha256` would have now; None when nothing is there.

    Parameters
    ----------
    repo : Repo
        The repository.
    path : str
        As a run has recorded it: a sidecar's, or an experiment's note's.
    """
    try:
        if path.endswith(".md"):
            found = read_note(repo, repo.at(path))
            return found.sha256 if found else None
        return digest_of(read_text(repo.at(path)).encode())
    except ArtifactReadError:
        return None


def digest_of(data: bytes) -> str:
    """Return ``sha256:`` and the digest of some bytes."""
    return "sha256:" + hashlib.sha256(data).hexdigest()


def _canonical(block: Any) -> bytes:
    try:
        return json.dumps(block, sort_keys=True, default=str).encode()
    except (TypeError, ValueError, RecursionError):  # keys of several types: a problem anyway
        return repr(block).encode("utf-8", "backslashreplace")


def _read(
    path: str,
    digest: str,
    content: Mapping[str, Any],
    line: Callable[[tuple[str, ...]], int],
) -> Sidecar:
    meaning, faults = read_meaning(content)
    problems = [Problem(key, line(key), message) for key, message in faults]
    problems.sort(key=lambda problem: problem.line)
    return Sidecar(path, digest, None if problems else meaning, problems)
