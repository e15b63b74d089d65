"""Edits as text: what is asked for changes, every other byte stays."""

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aexp.errors import AexpError, ArtifactReadError
from aexp.kb.edit import append_to_section, edit_file, set_field, set_value
from aexp.kb.frontmatter import Document, frontmatter_span
from aexp.kb.links import linked_names, with_link
from aexp.kb.markdown import find_section, headings

NOTE = """---
# who wrote it
id: "H001"   # quoted
status: PROPOSED  # see the plan
tags:
  - a
last_updated: 2026-01-01
---

# H001 — Title

> **Status**: PROPOSED
> **Created**: 2026-01-01

## Statement

Text with **Status**: PROPOSED inside.

## Links

- [[ACTIVE]]
"""


def test_one_value_changes() -> None:
    new = set_value(NOTE, "x", "status", "TESTING")
    assert new == NOTE.replace("status: PROPOSED  #", "status: TESTING  #", 1)
    assert set_field(new, "Status", "TESTING") == new.replace(
        "> **Status**: PROPOSED", "> **Status**: TESTING", 1
    )


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("status: PROPOSED", "status: X"),
        ('status: "PROPOSED"  # c', 'status: "X"  # c'),
        ("status: 'A ''b'' c'", "status: 'X'"),
        ("status:", "status: X"),
        ("status:   # none yet", "status: X   # none yet"),
        ("'status' : A", "'status' : X"),
        ("status: null", "status: X"),
    ],
)
def test_however_the_value_is_written(line: str, expected: str) -> None:
    text = f"---\na: 1\n{line}\nb: 2\n---\nbody\n"
    new = set_value(text, "x", "status", "X")
    assert new == f"---\na: 1\n{expected}\nb: 2\n---\nbody\n"
    emptied = set_value(new, "x", "status", "")
    assert Document("x", emptied).meta == {"a": 1, "status": None, "b": 2}
    again = set_value(emptied, "x", "status", "X")
    assert again == new.replace('"', "").replace("'X'", "X")


@pytest.mark.parametrize(
    "value", ["|\n  PROPOSED", "[A, B]", "{a: 1}", "A\n  B", "*a", "&a A\nc: *a"]
)
def test_what_cannot_be_edited_is_refused(value: str) -> None:
    text = (
        f"---\nb: &a 2\nstatus: {value}\n---\n" if value == "*a" else f"---\nstatus: {value}\n---\n"
    )
    with pytest.raises(ArtifactReadError):
        set_value(text, "x", "status", "X")


@pytest.mark.parametrize("block", ["{id: H001, title: x}", "status: &a PROPOSED\nother: *a"])
def test_an_edit_that_does_not_fit_blames_no_valid_file(block: str) -> None:
    text = f"---\n{block}\n---\nbody\n"
    Document("x", text)
    with pytest.raises(ArtifactReadError, match="status cannot be changed without changing more"):
        set_value(text, "x", "status", "X")


def test_a_missing_key_is_added_and_a_missing_frontmatter_is_not() -> None:
    assert set_value("---\na: 1\n---\n", "x", "status", "X") == "---\na: 1\nstatus: X\n---\n"
    assert set_value("---\r\na: 1\r\n---\r\n", "x", "k", "X") == "---\r\na: 1\r\nk: X\r\n---\r\n"
    assert set_value("---\n---\n", "x", "status", "X") == "---\nstatus: X\n---\n"
    with pytest.raises(ArtifactReadError, match="no frontmatter"):
        set_value("# T\n", "x", "status", "X")


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_links_in_every_kind_of_file(newline: str) -> None:
    def said(text: str) -> str:
        return with_link(text.replace("\n", newline), "E001").replace(newline, "\n")

    assert said(NOTE) == NOTE + "- [[E001]]\n"
    assert said("## Links\n\n- [[A]]") == "## Links\n\n- [[A]]\n- [[E001]]"
    assert said("## Links") == "## Links\n\n- [[E001]]\n"
    assert said("## Links\n") == "## Links\n\n- [[E001]]\n"
    assert said("## Links\n\n## Notes\n") == "## Links\n\n- [[E001]]\n\n## Notes\n"
    assert said("# T\n") == "# T\n\n## Links\n\n- [[E001]]\n"
    assert said("# T") == "# T\n\n## Links\n\n- [[E001]]\n"
    assert said("") == "## Links\n\n- [[E001]]\n"
    assert said("## Links\n\n- [[A]]\n\n\n## More\n") == (
        "## Links\n\n- [[A]]\n- [[E001]]\n\n\n## More\n"
    )
    assert said("## Links\n\nSee below.\n") == "## Links\n\nSee below.\n\n- [[E001]]\n"


def test_a_heading_in_code_or_a_comment_is_none() -> None:
    text = "```\n## Links\n```\n<!--\n## Links\n-->\n\n## Links ##\n\n- [[A]]\n<!-- [[E001]] -->\n"
    assert linked_names(text) == ["A"]
    new = with_link(text, "E001")
    assert new == text + "\n- [[E001]]\n"
    assert with_link(new, "E001") == new


@pytest.mark.parametrize(
    "link", ["[[E001]]", "[[E001-sweep]]", "[[E001|the sweep]]", "[[E001#Setup]]"]
)
def test_a_link_of_any_form_counts(link: str) -> None:
    text = f"## Links\n\n- {link}\n"
    assert with_link(text, "E001") == text
    assert with_link(text, "E0011") != text


@pytest.mark.parametrize("opening", ["```", "~~~~", "<!--"])
def test_a_link_that_would_be_swallowed_is_refused(opening: str) -> None:
    with pytest.raises(ArtifactReadError, match="not closed"):
        with_link(f"## Links\n{opening}\n", "E001")


def test_a_mark_and_line_breaks_of_the_file_stay(kb: Any) -> None:
    path = kb.write("H001", "\ufeff" + NOTE.replace("\n", "\r\n"))
    edit_file(kb.repo, str(path), lambda text: with_link(text, "E001"))
    assert path.read_bytes().decode() == "\ufeff" + (NOTE + "- [[E001]]\n").replace("\n", "\r\n")
    before = path.stat().st_mtime_ns
    assert not edit_file(kb.repo, str(path), lambda text: with_link(text, "E001"))
    assert path.stat().st_mtime_ns == before


BITS = st.sampled_from(
    ["# T", "## Links", "## Notes", "- [[A]]", "- [[E001]]", "text", "", "  ", "```", "~~~", "<!--",
     "-->", "<!-- one -->", "### Links", "> **Status**: A", "    ## Links", "---"]
)  # fmt: skip
BREAKS = st.sampled_from(["\n", "\r\n", "\r"])


@st.composite
def bodies(draw: Any) -> str:
    lines = draw(st.lists(BITS, max_size=14))
    newline = draw(BREAKS)
    return newline.join(lines) + draw(st.sampled_from(["", newline]))


@settings(max_examples=600, deadline=None)
@given(body=bodies())
def test_a_link_is_inserted_and_nothing_else_changes(body: str) -> None:
    try:
        new = with_link(body, "E001")
    except AexpError:
        return  # an opening --- without a closing one, or so a block of code
    if new == body:
        assert "E001" in linked_names(body)
        return
    at = next((n for n, (a, b) in enumerate(zip(body, new, strict=False)) if a != b), len(body))
    added = len(new) - len(body)
    # Some way of taking one stretch out of the new text gives the old one.
    assert any(
        new[:start] + new[start + added :] == body for start in range(max(0, at - added), at + 1)
    )
    assert "E001" in linked_names(new)
    assert with_link(new, "E001") == new


KEYS = st.sampled_from(["a", "status", "created", "tags", "x"])
SCALARS = st.sampled_from(
    ["1", "word", '"quoted # text"', "'single'", "", "2026-01-01", "[a, b]", "{k: v}", "null",
     ".nan", "\n  - a\n  # c\n  - b", "|\n  two\n  lines"]
)  # fmt: skip
COMMENTS = st.sampled_from(["", "  # c", " # status: no"])


@settings(max_examples=600, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    pairs=st.lists(st.tuples(KEYS, SCALARS, COMMENTS), max_size=5, unique_by=lambda p: p[0]),
    body=bodies(),
    newline=st.sampled_from(["\n", "\r\n"]),
    value=st.sampled_from(["", "TESTING", "2026-02-02"]),
)
def test_a_value_is_replaced_and_nothing_else_changes(
    pairs: list[tuple[str, str, str]], body: str, newline: str, value: str
) -> None:
    lines = [
        f"{key}: {scalar}{'' if chr(10) in scalar else comment}" for key, scalar, comment in pairs
    ]
    text = "\n".join(["---", "# top", *lines, "---", ""]).replace("\n", newline) + body
    before = Document("x", text)
    try:
        new = set_value(text, "x", "status", value)
    except ArtifactReadError:
        written = dict((key, scalar) for key, scalar, _ in pairs)["status"]
        assert written[:1] in ("[", "{", "\n", "|")
        return
    after = Document("x", new)
    assert after.body == before.body
    old, now = ({**d.meta, "status": 0} for d in (before, after))
    assert repr(old) == repr(now)
    shown = after.meta["status"]
    assert (str(shown) if shown is not None else "") == value
    others = [line for line in text.splitlines() if not line.startswith("status:")]
    assert [line for line in new.splitlines() if not line.startswith("status:")] == others
    assert set_value(new, "x", "status", value) == new


@settings(max_examples=300, deadline=None)
@given(body=bodies(), content=st.sampled_from(["one", "one\n\ntwo", "- a\n- b"]))
def test_a_paragraph_is_added_below_its_heading(body: str, content: str) -> None:
    try:
        new = append_to_section(body, "Links", content, apart=True)
    except AexpError:
        return
    start = frontmatter_span(body, "x")[2]  # what looks like a heading there is a comment
    if find_section(body, "Links", start) is None:
        assert new.startswith(body)
    else:
        assert headings(new, start) == headings(body, start)
    assert len(new) > len(body)
