"""Change a note as text: one value, one line, one section; every other byte stays."""

import os
import re
from collections.abc import Callable
from contextlib import AbstractContextManager

from aexp.errors import ArtifactReadError, StoreReadOnly
from aexp.files import locked, write_atomic
from aexp.kb.artifacts import check_inside
from aexp.kb.frontmatter import Document, frontmatter_span, read_text
from aexp.kb.markdown import find_section, line_break, lines_of
from aexp.paths import Repo

_BOM = "\ufeff"
_PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")


def record_lock(repo: Repo) -> AbstractContextManager[None]:
    """Hold the lock of the research record: one writer creates or edits notes at a time.

    Raises
    ------
    StoreReadOnly
        If the lock cannot be made.
    """
    try:
        os.makedirs(repo.cache_dir, exist_ok=True)
    except OSError as error:
        raise StoreReadOnly(
            f"cannot make {repo.cache_dir}: {error.strerror or error}",
            "check the folder's permissions and the free space, then run the command again",
        ) from error
    return locked(repo.cache("kb.lock"))


def edit_file(
    repo: Repo, path: str, change: Callable[[str], str], *, dry_run: bool = False
) -> bool:
    """Replace a file's text by what `change` makes of it; the record's lock must be held.

    Returns
    -------
    bool
        Whether anything is different.

    Raises
    ------
    ArtifactReadError
        If the file is missing, not UTF-8, or a link that leaves the repository.
    """
    check_inside(repo, path)
    text = read_text(path)
    mark = _BOM if text.startswith(_BOM) else ""
    new = change(text[len(mark) :])
    if mark + new == text:
        return False
    if not dry_run:
        write_atomic(os.path.realpath(path), (mark + new).encode("utf-8"))
    return True


def set_value(text: str, path: str, key: str, value: str) -> str:
    """Return `text` with another value of a top-level frontmatter key.

    Comments, quotes, order and line breaks stay. A key that is missing is
    added as the last one.

    Parameters
    ----------
    text : str
        A whole note.
    path : str
        Its file, for messages.
    key, value : str
        The key, and its value as YAML; empty for none.

    Raises
    ------
    ArtifactReadError
        If there is no frontmatter, or the present value is not a word or a text on one line.
    """
    assert _PLAIN.fullmatch(key)
    assert value == "" or _PLAIN.fullmatch(value)
    more = ArtifactReadError(
        f"{path}: {key} cannot be changed without changing more", "edit the line by hand"
    )
    before = Document(path, text)
    if before.block_at == 0:
        raise ArtifactReadError(f"{path} has no frontmatter", "begin it with --- lines")
    span = _value_span(before, key)
    if span is None:
        end = before.block_end
        new = text[:end] + f"{key}: {value}".rstrip() + line_break(text) + text[end:]
    else:
        here, there, quote = span
        while not value and text[here - 1] in " \t":
            here -= 1
        gap = " " if value and text[here - 1] == ":" else ""
        new = text[:here] + gap + (f"{quote}{value}{quote}" if value else "") + text[there:]
    try:
        after = Document(path, new)
    except ArtifactReadError:
        raise more from None  # the file itself is in order: it is this edit that does not fit
    # As text: a NaN elsewhere is not equal to itself.
    rest = [repr({**document.meta, key: None}) for document in (before, after)]
    if rest[0] != rest[1] or after.body != before.body:
        raise more
    return new


def _value_span(document: Document, key: str) -> tuple[int, int, str] | None:
    """Return where the value of a top-level key is written, and its quotes; None without it."""
    root = document.node()
    for name, node in root.value if root is not None else ():
        if name.value != key:
            continue
        start = document.block_at + int(node.start_mark.index)
        end = document.block_at + int(node.end_mark.index)
        if node.id != "scalar" or node.style in ("|", ">") or "\n" in document.text[start:end]:
            raise ArtifactReadError(
                f"{document.path}: the value of {key} is not a text on one line",
                "change it in an editor",
            )
        if start == end:
            start = end = document.text.index(":", document.block_at + name.end_mark.index) + 1
        return start, end, node.style if node.style in ("'", '"') else ""
    return None


def set_field(text: str, name: str, value: str) -> str:
    """Return `text` with another value in its line ``> **name**: value``, where it has one."""
    pattern = re.compile(rf"> *\*\*{re.escape(name)}\*\*:[ \t]*(.*?)[ \t]*")
    for line in lines_of(text, frontmatter_span(text, "")[2]):
        if line.heading is not None and line.heading[0] >= 2:
            break
        match = pattern.fullmatch(line.text) if line.counts else None
        if match is not None:
            here, there = line.start + match.start(1), line.start + match.end(1)
            gap = "" if text[here - 1] in " \t" else " "
            return text[:here] + gap + value + text[there:]
    return text


def append_to_section(text: str, title: str, content: str, *, apart: bool = False) -> str:
    """Return `text` with lines at the end of its section ``## title``, made if it is missing.

    Parameters
    ----------
    text : str
        A whole note.
    title : str
        Of the section.
    content : str
        Lines, without the last line break.
    apart : bool, default False
        Leave an empty line above, as between paragraphs.
    """
    new_line = line_break(text)
    content = new_line.join(content.split("\n"))
    section = find_section(text, title, frontmatter_span(text, "")[2])
    if section is None:
        blank = "" if not text else new_line if text.endswith(("\n", "\r")) else new_line * 2
        return f"{text}{blank}## {title}{new_line}{new_line}{content}{new_line}"
    filled = [line for line in section.lines if line.text.strip()]
    if not filled:
        return _into_empty(text, section.start, section.end, content, new_line)
    at = filled[-1].end
    # Below a list, a line of the list; below anything else, a paragraph or list of its own.
    is_list = filled[-1].counts and re.match(r"\s*[-*+] ", filled[-1].text)
    gap = new_line if is_list and not apart else new_line * 2
    return text[:at] + gap + content + text[at:]


def _into_empty(text: str, start: int, end: int, content: str, new_line: str) -> str:
    """Return `text` with the first lines of a section that holds blank lines at most."""
    above = "" if text[:start].endswith(("\n", "\r")) else new_line
    rest = text[start:end]
    first = _first_break(rest)
    below = rest[first:] or ("" if end == len(text) else new_line)
    return (
        text[:start] + above + (rest[:first] or new_line) + content + new_line + below + text[end:]
    )


def _first_break(blank: str) -> int:
    match = re.match(r"[^\r\n]*(\r\n|\n|\r)", blank)
    return match.end() if match else len(blank)
