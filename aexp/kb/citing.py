"""Edit the ``supporting_runs:`` of a finding as text: comments and formatting stay.

The places to edit come from the YAML parser; what is written is parsed again, and refused
unless it says exactly what was asked for.
"""

import json
import re
from collections.abc import Sequence
from typing import Any, NamedTuple

from aexp.errors import ArtifactReadError
from aexp.kb.findings import BatchCitation, JobCitation
from aexp.kb.frontmatter import Document

KEY = "supporting_runs"
_LOOKS_LIKE_A_NUMBER = re.compile(r"[0-9]*e?[0-9]*")
_COLON = re.compile(r"\s*:")
_LINE_END = re.compile(r"\r\n|\n|\r|\Z")

Citation = JobCitation | BatchCitation


class Cut(NamedTuple):
    """A part of the text to be replaced."""

    start: int
    end: int
    text: str


def cite(document: Document, wanted: Sequence[Citation]) -> str:
    """Return the text of a finding that cites all of `wanted`.

    A citation that is there already stays as it is; its digest is written, or brought up to
    date, where the one wanted has one.

    Raises
    ------
    ArtifactReadError
        If the frontmatter is written so that this cannot be edited as text.
    """
    items = _items(document)
    places = _places(items)
    expected = [dict(item) if isinstance(item, dict) else item for item in items]
    new: list[Citation] = []
    cuts: list[Cut] = []
    for key, one in {_key(as_item(one)): one for one in wanted}.items():
        if key not in places:
            new.append(one)
        for number in places.get(key, []):
            if one.digest is not None and items[number].get("digest") != one.digest:
                cuts.append(_digest_cut(document, number, one.digest))
                expected[number]["digest"] = one.digest
    if new:
        cuts.append(_insertion(document, new))
        expected += [as_item(one) for one in new]
    return _edited(document, cuts, expected)


def uncite(document: Document, unwanted: Sequence[Citation]) -> str:
    """Return the text of a finding that cites none of `unwanted`.

    Raises
    ------
    ArtifactReadError
        If the frontmatter is written so that this cannot be edited as text.
    """
    items = _items(document)
    places = _places(items)
    keys = {_key(as_item(one)) for one in unwanted}
    gone = sorted(number for key in keys for number in places.get(key, []))
    if not gone:
        return document.text
    expected = [item for number, item in enumerate(items) if number not in set(gone)]
    return _edited(document, _removals(document, gone, len(items)), expected)


def as_item(citation: Citation) -> dict[str, Any]:
    """Return a citation as the frontmatter has it."""
    item: dict[str, Any]
    if isinstance(citation, JobCitation):
        item = {"type": "job", "id": citation.job_id}
    else:
        selector = dict(citation.selector)
        item = {"type": "batch", "experiment_id": citation.experiment_id, "selector": selector}
    return item if citation.digest is None else {**item, "digest": citation.digest}


def rendered(citation: Citation) -> str:
    """Return a citation as it is written: a flow mapping on one line."""
    import yaml

    text: str = yaml.safe_dump(
        as_item(citation),
        default_flow_style=True,
        width=float("inf"),
        allow_unicode=True,
        sort_keys=False,
    ).rstrip("\n")
    if citation.digest is not None:
        text = text.replace(f"'{citation.digest}'", citation.digest)
    if isinstance(citation, JobCitation) and _LOOKS_LIKE_A_NUMBER.fullmatch(citation.job_id):
        # Other YAML parsers than ours read 1e5 as a number.
        text = text.replace(f"id: {citation.job_id}", f"id: '{citation.job_id}'")
    return text


def _key(item: Any) -> str | None:
    """Return a text that is equal for citations of the same runs, pinned or not."""
    if not isinstance(item, dict):
        return None
    rest = {key: value for key, value in item.items() if key != "digest"}
    if item.get("type") == "batch":
        rest["selector"] = rest.get("selector") or {}
    return json.dumps(rest, sort_keys=True, default=repr)


def _places(items: Sequence[Any]) -> dict[str | None, list[int]]:
    places: dict[str | None, list[int]] = {}
    for number, item in enumerate(items):
        places.setdefault(_key(item), []).append(number)
    return places


def _items(document: Document) -> list[Any]:
    items = document.meta.get(KEY)
    if items is None:
        return []
    if not isinstance(items, list):
        raise ArtifactReadError(
            f"{document.path}: {KEY} is not a list", f"write {KEY}: [] and run the command again"
        )
    return items


def _edited(document: Document, cuts: Sequence[Cut], expected: list[Any]) -> str:
    """Apply the cuts, and insist that the result says what was wanted and nothing else."""
    if not cuts:
        return document.text
    parts, position = [], 0
    for cut in sorted(cuts):
        parts += [document.text[position : cut.start], cut.text]
        position = cut.end
    text = "".join([*parts, document.text[position:]])
    try:
        meta = Document(document.path, text).meta
    except ArtifactReadError:
        meta = {}
    # As text: a NaN elsewhere is not equal to itself.
    if repr(meta) != repr({**document.meta, KEY: expected}):
        raise _not_editable(document)
    return text


def _not_editable(document: Document) -> ArtifactReadError:
    return ArtifactReadError(
        f"{document.path}: {KEY} is written so that it cannot be edited as text",
        "write it as a list of lines, - {type: job, id: ...}, and run the command again",
    )


def _insertion(document: Document, new: Sequence[Citation]) -> Cut:
    """Return how to add citations to the list, in the way that it is written."""
    text = document.text
    lines = [rendered(one) for one in new]
    key, value = _pair(document)
    if key is None:
        if not document.block_at:
            raise ArtifactReadError(
                f"{document.path} has no frontmatter", "begin the file with two lines of ---"
            )
        at = document.block_end
        newline = _newline(text, 0)
        return Cut(at, at, f"{KEY}:{newline}" + "".join(f"  - {one}{newline}" for one in lines))
    start, end = _span(document, value)
    if value.id == "sequence" and value.value:
        last = _content_end(document, value.value[-1])
        if value.flow_style:
            return Cut(last, last, "".join(f", {one}" for one in lines))
        indent = _indent(document, value.value[-1])
        at, newline = _line_end(text, last), _newline(text, last)
        return Cut(at, at, "".join(f"{newline}{indent}- {one}" for one in lines))
    if "#" in text[start:end]:  # an empty list with a comment inside
        return Cut(start + 1, start + 1, ", ".join(lines))
    # Nothing, null or []: the lines below take its place, a comment behind it stays.
    colon = _after_colon(document, key)
    stop = _line_end(text, max(colon, end))
    tail = text[max(colon, end) : stop].rstrip()
    newline = _newline(text, stop)
    return Cut(colon, stop, tail + "".join(f"{newline}  - {one}" for one in lines))


def _digest_cut(document: Document, number: int, digest: str) -> Cut:
    """Return how to write a digest into one citation."""
    item = document.node(KEY, number)
    present = document.node(KEY, number, "digest")
    if present is not None and present.start_mark.index < present.end_mark.index:
        start, end = _span(document, present)
        return Cut(start, end, digest)
    last = _content_end(document, item)
    if item.flow_style:
        closing = last - 1  # before the brace, behind the last value
        before = len(document.text[:closing].rstrip())
        separator = " " if document.text[before - 1] == "," else ", "
        return Cut(before, before, f"{separator}digest: {digest}")
    at, newline = _line_end(document.text, last), _newline(document.text, last)
    indent = " " * item.value[0][0].start_mark.column
    return Cut(at, at, f"{newline}{indent}digest: {digest}")


def _removals(document: Document, gone: Sequence[int], count: int) -> list[Cut]:
    text = document.text
    key, value = _pair(document)
    nodes = value.value
    if len(gone) == count:
        if value.flow_style:
            start, end = _span(document, value)
            return [Cut(start, end, "[]")]
        start = _line_start(text, _dash(document, nodes[0]))
        end = _next_line(text, _content_end(document, nodes[-1]))
        colon = _after_colon(document, key)
        return [Cut(colon, colon, " []"), Cut(start, end, "")]
    if not value.flow_style:
        return [
            Cut(
                _line_start(text, _dash(document, nodes[number])),
                _next_line(text, _content_end(document, nodes[number])),
                "",
            )
            for number in gone
        ]
    kept = [number for number in range(count) if number not in set(gone)]
    cuts = []
    for number in gone:
        if number < kept[-1]:  # with the comma behind it
            cuts.append(
                Cut(_span(document, nodes[number])[0], _span(document, nodes[number + 1])[0], "")
            )
    if gone[-1] > kept[-1]:  # the rest of the list, with the comma before it
        cuts.append(
            Cut(_content_end(document, nodes[kept[-1]]), _content_end(document, nodes[-1]), "")
        )
    return cuts


def _pair(document: Document) -> tuple[Any, Any]:
    root = document.node()
    for key, value in root.value if root is not None else ():
        if key.value == KEY:
            return key, value
    return None, None


def _span(document: Document, node: Any) -> tuple[int, int]:
    at = document.block_at
    return at + node.start_mark.index, at + node.end_mark.index


def _content_end(document: Document, node: Any) -> int:
    """Return where a node's own text ends; a block's mark lies behind later comments."""
    if node.id == "scalar" or node.flow_style or not node.value:
        return _span(document, node)[1]
    if node.id == "sequence":
        return _content_end(document, node.value[-1])
    key, value = node.value[-1]
    if value.id == "scalar" and value.start_mark.index == value.end_mark.index:
        return _after_colon(document, key)
    return _content_end(document, value)


def _after_colon(document: Document, key: Any) -> int:
    end = _span(document, key)[1]
    match = _COLON.match(document.text, end)
    return end if match is None else match.end()


def _dash(document: Document, item: Any) -> int:
    start = _span(document, item)[0]
    dash = document.text.rfind("-", document.block_at, start)
    line = _line_start(document.text, dash)
    around = document.text[line:dash] + document.text[dash + 1 : start]
    if dash < 0 or around.strip():
        raise _not_editable(document)
    return dash


def _indent(document: Document, item: Any) -> str:
    dash = _dash(document, item)
    return document.text[_line_start(document.text, dash) : dash]


def _line_start(text: str, position: int) -> int:
    return max(text.rfind("\n", 0, position), text.rfind("\r", 0, position)) + 1


def _line_end(text: str, position: int) -> int:
    match = _LINE_END.search(text, position)
    return len(text) if match is None else match.start()


def _next_line(text: str, position: int) -> int:
    match = _LINE_END.search(text, position)
    return len(text) if match is None else match.end()


def _newline(text: str, position: int) -> str:
    match = _LINE_END.search(text, position)
    return match.group() if match is not None and match.group() else "\n"
