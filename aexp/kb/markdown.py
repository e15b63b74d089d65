"""Find places in a markdown text: lines that count, headings, sections.

What stands in a fenced block of code or an HTML comment is text, not structure.
"""

import re
from collections.abc import Iterator
from typing import NamedTuple

_LINE = re.compile(r"([^\r\n]*)(\r\n|\n|\r|$)")
_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})(.*)")
_COMMENT = re.compile(r" {0,3}<!--")
_HEADING = re.compile(r" {0,3}(#{1,6})(?:[ \t]+(.*?))?(?:[ \t]+#+)?[ \t]*")


class Line(NamedTuple):
    """One line of a text.

    Attributes
    ----------
    start, end : int
        Where it begins, and where its text ends, before the line break.
    next : int
        Where the next line begins.
    text : str
        Without the line break.
    counts : bool
        False in a block of code or a comment.
    is_open : bool
        Whether a block of code or a comment goes on behind this line.
    """

    start: int
    end: int
    next: int
    text: str
    counts: bool
    is_open: bool

    @property
    def heading(self) -> tuple[int, str] | None:
        """Level and text, if this is a heading."""
        match = _HEADING.fullmatch(self.text) if self.counts else None
        return None if match is None else (len(match[1]), match[2] or "")


class Section(NamedTuple):
    """A heading and what follows it, up to the next heading of its level or a higher one.

    Attributes
    ----------
    start, end : int
        Where the first line after the heading begins, and where the section ends.
    lines : list of Line
        Its lines.
    """

    start: int
    end: int
    lines: list[Line]


def lines_of(text: str, start: int = 0) -> Iterator[Line]:
    """Return the lines of `text` from a position on."""
    fence, in_comment = "", False
    position = start
    while position < len(text):
        match = _LINE.match(text, position)
        assert match is not None
        line, following = match[1], match.end()
        mark = _FENCE.fullmatch(line) if not in_comment else None
        counts = not fence and not in_comment
        if mark is not None and not fence and not (mark[1][0] == "`" and "`" in mark[2]):
            fence, counts = mark[1], False
        elif mark is not None and fence and mark[1].startswith(fence) and not mark[2].strip():
            fence = ""
        elif not fence and (in_comment or _COMMENT.match(line)):
            counts = False
            in_comment = "-->" not in line
        yield Line(position, match.end(1), following, line, counts, bool(fence) or in_comment)
        position = following


def headings(text: str, start: int = 0) -> list[tuple[int, str]]:
    """Return level and text of every heading."""
    return [line.heading for line in lines_of(text, start) if line.heading is not None]


def find_section(text: str, title: str, start: int = 0) -> Section | None:
    """Return the first section under ``## title``, None when there is none."""
    inside: list[Line] | None = None
    begin = 0
    for line in lines_of(text, start):
        heading = line.heading
        if inside is not None:
            if heading is not None and heading[0] <= 2:
                return Section(begin, line.start, inside)
            inside.append(line)
        elif heading == (2, title):
            inside, begin = [], line.next
    return None if inside is None else Section(begin, len(text), inside)


def line_break(text: str) -> str:
    """Return the line break that a text uses, judged by its first line."""
    match = _LINE.match(text)
    return (match[2] if match else "") or "\n"
