"""A part of a note that a command keeps up to date: the lines between two markers."""

from aexp.errors import ArtifactReadError
from aexp.kb.edit import append_to_section
from aexp.kb.frontmatter import frontmatter_span
from aexp.kb.markdown import line_break, lines_of


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
        The first and the last line of the block. In a fenced block of code
        or a comment they are text.
    section : str
        Where a new block goes: the text of a ``## `` heading.
    block : str
        The lines between the markers, without a line break at the end.

    Raises
    ------
    ArtifactReadError
        If there is one marker without the other, or more than one pair, or if a block of code
        or a comment that is never closed would swallow the block.
    """
    begin, end = markers
    whole = f"{begin}\n{block}\n{end}".replace("\n", line_break(text))
    place = _place(text, path, markers)
    if place is None:
        new = append_to_section(text, section, whole.replace(line_break(text), "\n"), apart=True)
    else:
        new = text[: place[0]] + whole + text[place[1] :]
    begins, ends = (_places(new, path, marker) for marker in markers)
    if len(begins) != 1 or len(ends) != 1 or new[begins[0][0] : ends[0][1]] != whole:
        raise ArtifactReadError(
            f"{path}: a block of code or a comment is not closed", "close it, and call again"
        )
    return new


def _place(text: str, path: str, markers: tuple[str, str]) -> tuple[int, int] | None:
    """Return where the block begins and ends; None without one."""
    begins, ends = (_places(text, path, marker) for marker in markers)
    if not begins and not ends:
        return None
    if len(begins) != 1 or len(ends) != 1 or begins[0] > ends[0]:
        raise ArtifactReadError(
            f"{path}: the lines {markers[0]} and {markers[1]} are not one pair",
            "remove them, or keep one of each, in this order",
        )
    return begins[0][0], ends[0][1]


def _places(text: str, path: str, marker: str) -> list[tuple[int, int]]:
    """Return where a marker begins and ends, as a line of its own outside code and comments."""
    found = []
    can_begin = True
    for line in lines_of(text, frontmatter_span(text, path)[2]):
        # A marker is a comment itself: one line, which counts unless something is open above.
        if can_begin and line.text.strip() == marker:
            start = line.start + len(line.text) - len(line.text.lstrip())
            found.append((start, start + len(marker)))
        can_begin = not line.is_open
    return found
