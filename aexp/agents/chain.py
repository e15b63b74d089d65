"""Before a file is written: nothing without what it stands on.

An experiment needs a hypothesis, a finding an experiment; a hypothesis that names a thread
needs that thread. And none of them is written so that its frontmatter cannot be read.
"""

import os
import re
from typing import Any

from aexp.agents.payload import Answer, Payload, relative
from aexp.errors import AexpError
from aexp.files import read_bytes
from aexp.kb.artifacts import KINDS, Kind, artifact_names, id_in_name
from aexp.kb.frontmatter import Document
from aexp.model import printable
from aexp.paths import Repo

# Kind of the note: key of the parent, the parent's kind, whether there must be one.
_PARENTS = {
    "E": ("hypothesis", "H", True),
    "F": ("experiment", "E", True),
    "H": ("thread", "T", False),
}
_MAKE = {
    "H": 'aexp new-hypothesis --title "..."',
    "E": 'aexp new-experiment --title "..." --hypothesis H###',
    "T": 'aexp new-thread --title "..."',
}


def chain(payload: Payload) -> Answer:
    """Block an artifact whose parent does not exist, or whose frontmatter cannot be read."""
    path = payload.file_path
    repo = payload.repo() if path else None
    if path is None or repo is None:
        return Answer()
    name = relative(repo.root, path)
    kind = _kind(name)
    if name is None or kind is None:
        return Answer()
    key, letter, is_required = _PARENTS.get(kind.letter, ("", "", False))
    before = _current(path)
    after = _result(payload.tool_input, before)
    if after is None:
        return Answer()
    was = None if before is None else _parent(name, before, key)
    value = _parent(name, after, key)
    if isinstance(value, AexpError):
        if isinstance(was, AexpError):
            return Answer()  # one of several edits that mend it; the check after it says the rest
        return Answer(
            True,
            f"{printable(name)} was not written: "
            f"{printable(value.message.removeprefix(f'{name}: '))}.\n"
            f"{printable(value.hint or 'Mend its frontmatter')}.",
        )
    if not letter or (before is not None and value == was):
        return Answer()  # the check after the write says what is wrong with the file
    problem = _problem(repo, value, key, KINDS[letter], is_required)
    if problem is None:
        return Answer()
    return Answer(
        True,
        f"{printable(name)} was not written: {problem}.\n"
        f"Make that first: {_MAKE[letter]}\n"
        f'then write {key}: "{letter}###" with its id into this file\'s frontmatter.',
    )


def _kind(name: str | None) -> Kind | None:
    """Return the kind of artifact that belongs at a path, None for any other file."""
    if name is None or not name.endswith(".md") or os.path.basename(name) == "README.md":
        return None
    folder = os.path.dirname(name)
    return next((kind for kind in KINDS.values() if kind.folder == folder), None)


def _problem(repo: Repo, value: Any, key: str, parent: Kind, is_required: bool) -> str | None:
    if value in (None, "", []):
        return f"its frontmatter names no {key}" if is_required else None
    if not isinstance(value, str) or not parent.id_pattern.fullmatch(value):
        return f"its {key} is {printable(value)[:80]}, not the id of {parent.named}"
    if any(id_in_name(name) == value for name in artifact_names(repo, parent)):
        return None
    return f"its {key} {value} does not exist in {parent.folder}"


def _current(path: str) -> str | None:
    try:
        data = read_bytes(path)
    except AexpError:
        return None
    return None if data is None else data.decode("utf-8-sig", errors="replace")


def _result(tool_input: dict[str, Any], before: str | None) -> str | None:
    """Return the file as the tool would leave it, None when that cannot be told."""
    content = tool_input.get("content")
    if isinstance(content, str):
        return content
    edits = tool_input.get("edits")
    text = before or ""
    for edit in edits if isinstance(edits, list) else [tool_input]:
        old = edit.get("old_string") if isinstance(edit, dict) else None
        new = edit.get("new_string") if isinstance(edit, dict) else None
        if not isinstance(old, str) or not isinstance(new, str):
            return None
        if not old:
            text = text or new
        elif edit.get("replace_all") is True:
            text = text.replace(old, new)
        else:
            text = text.replace(old, new, 1)
    return text


def _parent(name: str, text: str, key: str) -> Any:
    """Return the id that a note gives its parent, in the frontmatter or below its title.

    Where the frontmatter cannot be read it is the error that says why.
    """
    try:
        value = Document(name, text).meta.get(key)
    except AexpError as error:
        return error
    if value in (None, "", []):
        line = re.search(rf"^> *\*\*{key}\*\*: *(?:\[\[)?([^\[\]\n|#]*)", text, re.M | re.I)
        value = line[1].strip() if line else None
    return value or None
