"""A part of a note that a command keeps up to date: the lines between two markers."""

from aexp.errors import ArtifactReadError
from aexp.kb.edit import append_to_section
from aexp.kb.frontmatter import frontmatter_span
from aexp.kb.markdown import line_break


def managed_block(text: str, path: str, markers: tuple[str, str], section: str, block: str) -> str:
    """Return `text` with the lines between its two markers renewed.

    Where the markers are missing the block is put at the end of a section. Everything
    outside it stays byte for byte.

    Parameters
    ----------
    text : str
        A whole note.
    path : str
        Its file, for messages.
    markers : tuple of str
        The first and the last line of the block. In a fenced block of code they are text.
    section : str
        Where a new block goes: the text of a ``## `` heading.
    block : str
        The lines between the markers, without a line break at the end.

    Raises
    ------
    ArtifactReadError
        If there is one marker without the other, or more than one pair.
    """
    begin, end = markers
    whole = f"{begin}\n{block}\n{end}"
    begins, ends = _places(text, path, begin), _places(text, path, end)
    if not begins and not ends:
        return append_to_section(text, section, whole, apart=True)
    if len(begins) != 1 or len(ends) != 1 or begins[0] > ends[0]:
        raise ArtifactReadError(
            f"{path}: the lines {begin} and {end} are not one pair",
            "remove them, or keep one of each, in this order",
        )
    return text[: begins[0][0]] + whole.replace("\n", line_break(text)) + text[ends[0][1] :]


def _places(text: str, path: str, marker: str) -> list[tuple[int, int]]:
    """Return where a marker begins and ends, as a line of its own outside code."""
    found = []
    fence = ""
    position = frontmatter_span(text, path)[2]
    for line in text[position:].splitlines(keepends=True):
        mark = line.lstrip(" ")[:3]
        if fence:
            fence = "" if mark == fence else fence
        elif mark in ("```", "~~~"):
            fence = mark
        elif line.strip() == marker:
            start = position + len(line) - len(line.lstrip())
            found.append((start, start + len(marker)))
        position += len(line)
    return found
