"""A page of headings, facts, tables and lists, as Markdown or as HTML.

Whatever is in a value, it is text on the page: nothing of it becomes markup.
"""

import html
import re
from collections.abc import Sequence
from typing import NamedTuple

from aexp.model import printable

_MARKUP = re.compile(r"[\\`*_{}\[\]<>()#!|~&$@:]")
# What begins a list, a heading or a rule where it begins a line.
_AT_START = re.compile(r"^(\s*)(\d{0,9})([-+=.)])")
_STYLE = """
body{font:15px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:70rem;padding:0 1rem;color:#222}
table{border-collapse:collapse;margin:.5rem 0 1.5rem;display:block;overflow-x:auto}
th,td{border-bottom:1px solid #ddd;padding:.25rem .75rem;text-align:left}
th{border-bottom:2px solid #888}
td.n{text-align:right;font-variant-numeric:tabular-nums}
dt{font-weight:600}dd{margin:0 0 .4rem;white-space:pre-wrap}
.alarm{color:#a40000;font-weight:600}
"""


class Heading(NamedTuple):
    """A heading; level 1 is the page's title."""

    level: int
    text: str


class Facts(NamedTuple):
    """Names with what they are."""

    items: Sequence[tuple[str, str]]


class Table(NamedTuple):
    """Rows under a header; numbers come as text, too."""

    columns: Sequence[str]
    rows: Sequence[Sequence[str]]


class Items(NamedTuple):
    """A list; what is an alarm stands out."""

    items: Sequence[tuple[bool, str]]


Block = Heading | Facts | Table | Items


def markdown(blocks: Sequence[Block]) -> str:
    """Return the page as Markdown (CommonMark with tables)."""
    return "\n\n".join(_markdown(block) for block in blocks) + "\n"


def _markdown(block: Block) -> str:
    if isinstance(block, Heading):
        return "#" * block.level + " " + _line(block.text)
    if isinstance(block, Facts):
        return "\n".join(f"- **{_line(name)}**: {_lines(text)}" for name, text in block.items)
    if isinstance(block, Items):
        return "\n".join(
            "- " + ("**alarm**: " if is_alarm else "") + _line(text)
            for is_alarm, text in block.items
        )
    lines = [block.columns, ["---"] * len(block.columns)]
    body = [[_line(cell) for cell in row] for row in block.rows]
    header = [_line(name) for name in lines[0]]
    return "\n".join("| " + " | ".join(row) + " |" for row in [header, lines[1], *body])


def _line(text: str) -> str:
    """Return a text as one line of Markdown that shows it and nothing else."""
    escaped = _MARKUP.sub(lambda match: "\\" + match.group(), printable(text).strip())
    return _AT_START.sub(r"\1\2\\\3", escaped)


def _lines(text: str) -> str:
    return "\\\n  ".join(_line(line) for line in text.splitlines() if line.strip())


def page(title: str, blocks: Sequence[Block]) -> str:
    """Return the page as one HTML file that needs nothing else."""
    body = "\n".join(_html(block) for block in blocks)
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width">\n'
        f"<title>{_text(title)}</title>\n<style>{_STYLE}</style>\n</head>\n"
        f"<body>\n{body}\n</body>\n</html>\n"
    )


def _html(block: Block) -> str:
    if isinstance(block, Heading):
        return f"<h{block.level}>{_text(block.text)}</h{block.level}>"
    if isinstance(block, Facts):
        items = (f"<dt>{_text(name)}</dt><dd>{_text(said)}</dd>" for name, said in block.items)
        return "<dl>\n" + "\n".join(items) + "\n</dl>"
    if isinstance(block, Items):
        rows = (
            f'<li class="alarm">{_text(text)}</li>' if is_alarm else f"<li>{_text(text)}</li>"
            for is_alarm, text in block.items
        )
        return "<ul>\n" + "\n".join(rows) + "\n</ul>"
    header = "".join(f"<th>{_text(name)}</th>" for name in block.columns)
    rows = ("<tr>" + "".join(_cell(cell) for cell in row) + "</tr>" for row in block.rows)
    return (
        f"<table>\n<thead><tr>{header}</tr></thead>\n<tbody>\n" + "\n".join(rows)
    ) + "\n</tbody>\n</table>"


def _cell(text: str) -> str:
    try:
        float(text.rstrip(" %"))
    except ValueError:
        return f"<td>{_text(text)}</td>"
    return f'<td class="n">{_text(text)}</td>'


def _text(text: str) -> str:
    """Return a text for HTML: control characters shown, line breaks kept."""
    return "\n".join(html.escape(printable(line)) for line in text.split("\n"))
