"""Citations are edited as text: what is not a citation stays byte for byte."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aexp.errors import ArtifactReadError
from aexp.kb.citing import KEY, cite, uncite
from aexp.kb.findings import BatchCitation, JobCitation
from aexp.kb.frontmatter import Document

A, B, C = (JobCitation(letter * 32, None, None) for letter in "abc")
FULL = BatchCitation("E001", {"condition": "full"}, None, None)
DIGEST = "sha256:" + "0" * 64
OTHER = "sha256:" + "1" * 64
LINE_A, LINE_B = (f"{{type: job, id: {one.job_id}}}" for one in (A, B))


def document(block: str, newline: str = "\n") -> Document:
    text = f"---\nid: F001\n{block}---\n# F001: a title — ü\n\nBody.\n"
    return Document("F001.md", text.replace("\n", newline))


def block(text: str) -> str:
    return text.replace("\r\n", "\n").split("---")[1].removeprefix("\nid: F001\n")


CASES = {
    "absent": ("tags: [a] # mine\n", f"tags: [a] # mine\n{KEY}:\n  - {LINE_B}\n"),
    "empty": (f"{KEY}:\nz: 1\n", f"{KEY}:\n  - {LINE_B}\nz: 1\n"),
    "empty, comment": (f"{KEY}:  # none\nz: 1\n", f"{KEY}:  # none\n  - {LINE_B}\nz: 1\n"),
    "null": (f"{KEY}: null\n", f"{KEY}:\n  - {LINE_B}\n"),
    "brackets": (f"{KEY}: [] # none yet\n", f"{KEY}: # none yet\n  - {LINE_B}\n"),
    "lines": (
        f"{KEY}:\n    # the full one\n    - {LINE_A} # good\n# end\n\nz: 1\n",
        f"{KEY}:\n    # the full one\n    - {LINE_A} # good\n    - {LINE_B}\n# end\n\nz: 1\n",
    ),
    "no indent": (f"{KEY}:\n- {LINE_A}\nz: 1\n", f"{KEY}:\n- {LINE_A}\n- {LINE_B}\nz: 1\n"),
    "block items": (
        f"{KEY}:\n  - type: job\n    id: {A.job_id}  # one\nz: 1\n",
        f"{KEY}:\n  - type: job\n    id: {A.job_id}  # one\n  - {LINE_B}\nz: 1\n",
    ),
    "flow": (f"{KEY}: [{LINE_A}] # x\n", f"{KEY}: [{LINE_A}, {LINE_B}] # x\n"),
    "flow, comma": (f"{KEY}: [{LINE_A},]\n", f"{KEY}: [{LINE_A}, {LINE_B},]\n"),
    "flow, lines": (
        f"{KEY}: [\n  {LINE_A}, # one\n  ]\n",
        f"{KEY}: [\n  {LINE_A}, {LINE_B}, # one\n  ]\n",
    ),
}


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
@pytest.mark.parametrize("case", CASES)
def test_a_citation_is_added_in_the_way_of_the_list(case: str, newline: str) -> None:
    before, after = CASES[case]
    text = cite(document(before, newline), [B])
    assert block(text) == after
    assert text.count(newline) == text.count("\n")
    assert cite(Document("F001.md", text), [B]) == text


@pytest.mark.parametrize("case", CASES)
def test_removing_it_again_leaves_the_rest(case: str) -> None:
    before, after = CASES[case]
    text = uncite(document(after), [B])
    again = Document("F001.md", text).meta
    assert (again[KEY] or []) == (document(before).meta.get(KEY) or [])
    assert text.endswith("# F001: a title — ü\n\nBody.\n")
    assert "# mine" in text or "# mine" not in before
    assert uncite(Document("F001.md", text), [B]) == text


PINS = {
    "flow": (f"{KEY}: [{LINE_A}]\n", f"{KEY}: [{LINE_A[:-1]}, digest: {DIGEST}}}]\n"),
    "spaces": (
        f"{KEY}:\n  - {{ type: job, id: {A.job_id} }} # ok\n",
        f"{KEY}:\n  - {{ type: job, id: {A.job_id}, digest: {DIGEST} }} # ok\n",
    ),
    "block": (
        f"{KEY}:\n  - type: job\n    id: {A.job_id} # one\n",
        f"{KEY}:\n  - type: job\n    id: {A.job_id} # one\n    digest: {DIGEST}\n",
    ),
    "old": (
        f"{KEY}:\n  - type: job\n    digest: '{OTHER}' # seen\n    id: {A.job_id}\n",
        f"{KEY}:\n  - type: job\n    digest: {DIGEST} # seen\n    id: {A.job_id}\n",
    ),
}


@pytest.mark.parametrize("case", PINS)
def test_a_pin_is_written_into_the_citation(case: str) -> None:
    before, after = PINS[case]
    text = cite(document(before), [A._replace(digest=DIGEST)])
    assert block(text) == after
    assert cite(Document("F001.md", text), [A]) == text


def test_a_batch_is_found_whatever_its_form() -> None:
    for selector in ("{condition: full}", "{'condition': \"full\"}"):
        before = f"{KEY}:\n  - {{type: batch, selector: {selector}, experiment_id: E001}}\n"
        assert cite(document(before), [FULL]) == document(before).text
    whole = BatchCitation("E001", {}, None, None)
    for form in (
        "{type: batch, experiment_id: E001}",
        "{type: batch, experiment_id: E001, selector: }",
    ):
        before = f"{KEY}:\n  - {form}\n"
        assert cite(document(before), [whole]) == document(before).text


@pytest.mark.parametrize(
    "before",
    [f"{KEY}: run 7\n", f"{KEY}: &x\n  - {LINE_A}\nother: *x\n", "{id: F001}\n"],
)
def test_what_cannot_be_edited_safely_is_refused(before: str) -> None:
    made = Document("F001.md", f"---\n{before}---\n# F001\n")
    with pytest.raises(ArtifactReadError) as caught:
        cite(made, [B])
    assert caught.value.hint


def test_without_frontmatter_there_is_no_place() -> None:
    with pytest.raises(ArtifactReadError, match="no frontmatter"):
        cite(Document("F001.md", "# F001\n"), [B])


def test_an_id_of_digits_stays_text() -> None:
    for job_id in ("1" * 32, "1" * 15 + "e" + "2" * 16, "0" * 32):
        one = JobCitation(job_id, None, None)
        text = cite(document(""), [one])
        assert f"'{job_id}'" in text
        assert Document("F001.md", text).meta[KEY] == [{"type": "job", "id": job_id}]


_scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()
_batches = st.builds(
    BatchCitation,
    st.from_regex(r"E[0-9]{3}", fullmatch=True),
    st.dictionaries(st.text(min_size=1), _scalars, max_size=3),
    st.sampled_from([None, DIGEST, OTHER]),
    st.none(),
)
_jobs = st.builds(
    JobCitation,
    st.text("0123456789abcdef", min_size=32, max_size=32),
    st.sampled_from([None, DIGEST]),
    st.none(),
)
_lists = st.lists(
    _jobs | _batches, max_size=5, unique_by=lambda one: repr(one._replace(digest=None))
)


@settings(deadline=None)
@given(st.sampled_from(list(CASES)), _lists, st.data())
def test_any_citations_can_be_added_and_removed(case: str, some: list[Any], data: Any) -> None:
    start = document(CASES[case][0])
    try:
        text = cite(start, some)
    except ArtifactReadError:
        return  # a value that YAML cannot hold on one line is refused, nothing is written
    made = Document("F001.md", text)
    assert cite(made, some) == text
    assert {k: v for k, v in made.meta.items() if k != KEY} == {
        k: v for k, v in start.meta.items() if k != KEY
    }
    assert made.body == start.body
    gone = data.draw(st.lists(st.sampled_from(some), unique_by=repr)) if some else []
    rest = Document("F001.md", uncite(made, gone))
    assert len(rest.meta.get(KEY) or []) == len(made.meta.get(KEY) or []) - len(gone)
    assert rest.body == start.body
