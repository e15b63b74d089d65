"""Statuses and conclusions, written as text."""

import re
from typing import Any

import pytest

import aexp
from aexp.errors import ArtifactNotFound, ArtifactReadError, UsageError
from aexp.kb.markdown import find_section


def conclusion(text: str) -> str:
    section = find_section(text, "Conclusion")
    assert section is not None
    return text[section.start : section.end].strip()


def test_only_status_and_date_change(chain: Any) -> None:
    path = chain.file("H001")
    before = path.read_text().replace("status: PROPOSED", "status: PROPOSED  # since May")
    before = re.sub(r"last_updated: .*", "last_updated: 2020-01-01", before)
    path.write_bytes(before.replace("\n", "\r\n").encode())
    done = aexp.set_status("H001", "testing", repo_root=chain.root)
    assert (done.old_status, done.new_status, done.changed) == ("PROPOSED", "TESTING", True)
    after = chain.text("H001")
    assert after.count("\r\n") == before.count("\n")
    today = str(aexp.load_hypothesis("H001", repo_root=chain.root).meta["last_updated"])
    assert today > "2020-01-01"
    assert after.replace("\r\n", "\n") == before.replace(
        "status: PROPOSED  # since May", "status: TESTING  # since May"
    ).replace("> **Status**: PROPOSED", "> **Status**: TESTING").replace("2020-01-01", today)
    assert aexp.set_status("H001", "TESTING", repo_root=chain.root).changed is False
    assert chain.text("H001") == after


def test_an_experiment_knows_when_it_was_completed(chain: Any) -> None:
    before = chain.text("E001")
    aexp.set_status("E001", "COMPLETED", repo_root=chain.root)
    assert re.search(r"^completed: \d{4}-\d\d-\d\d$", chain.text("E001"), re.MULTILINE)
    aexp.set_status("E001", "DESIGNED", repo_root=chain.root)
    assert chain.text("E001") == before


@pytest.mark.parametrize(
    ("artifact_id", "status", "told"),
    [
        ("H001", "DONE", "PROPOSED, TESTING, CONFIRMED, REJECTED"),
        ("E001", "CONFIRMED", "DESIGNED, RUNNING, COMPLETED, FAILED"),
        ("T001", "", "PROPOSED, EXPLORING, PROMOTED, CLOSED"),
        ("F001", "PROPOSED", ""),
        ("../T001", "CLOSED", ""),
    ],
)
def test_unknown_words_are_refused_with_the_known(
    chain: Any, artifact_id: str, status: str, told: str
) -> None:
    before = chain.files()
    with pytest.raises(UsageError) as caught:
        aexp.set_status(artifact_id, status, repo_root=chain.root)
    assert told in str(caught.value.hint)
    assert chain.files() == before


def test_the_quotes_of_a_status_stay(chain: Any) -> None:
    path = chain.file("H001")
    text = path.read_text()
    path.write_text(text.replace("status: PROPOSED", 'status: "PROPOSED"'))
    aexp.set_status("H001", "TESTING", repo_root=chain.root)
    assert '\nstatus: "TESTING"\n' in chain.text("H001")


def test_frontmatter_that_an_edit_would_break_is_not_blamed(chain: Any) -> None:
    path = chain.write("H002", "---\n{id: H002, title: x}\n---\n# H002 — x\n")
    before = chain.files()
    with pytest.raises(ArtifactReadError, match="without changing more") as caught:
        aexp.set_status("H002", "TESTING", repo_root=chain.root)
    assert str(path) in caught.value.message
    assert caught.value.hint == "edit the line by hand"
    assert chain.files() == before


def test_a_thread_is_closed_with_its_conclusion(chain: Any) -> None:
    done = aexp.close_thread("T001", conclusion="It holds.\n\n- twice", repo_root=chain.root)
    assert done.conclusion_written
    text = chain.text("T001")
    assert conclusion(text) == "It holds.\n\n- twice"
    assert aexp.load_thread("T001", repo_root=chain.root).status == "CLOSED"
    assert "> **Status**: CLOSED" in text
    again = aexp.close_thread("T001", conclusion="It holds.\n\n- twice", repo_root=chain.root)
    assert not again.conclusion_written
    assert chain.text("T001") == text
    aexp.close_thread("T001", conclusion="More.", new_status="PROMOTED", repo_root=chain.root)
    assert conclusion(chain.text("T001")) == "It holds.\n\n- twice\n\nMore."


def test_what_stands_in_the_conclusion_stays(chain: Any) -> None:
    path = chain.file("T001")
    text = path.read_text()
    path.write_text(text.replace("## Conclusion\n", "## Conclusion\n\nMine. <!-- a note -->\n"))
    aexp.close_thread("T001", conclusion="Theirs.", repo_root=chain.root)
    said = conclusion(chain.text("T001"))
    assert said.startswith("Mine. <!-- a note -->")
    assert said.endswith("\n\nTheirs.")


@pytest.mark.parametrize(
    "said",
    ["## Links", "x\n# y", "```\nopen", "<!-- open", "a\x1b[1m", "Title\n===", "a\n\nT\n  --"],
)
def test_a_conclusion_cannot_change_the_structure(chain: Any, said: str) -> None:
    before = chain.files()
    with pytest.raises(UsageError):
        aexp.close_thread("T001", conclusion=said, repo_root=chain.root)
    assert chain.files() == before


def test_rules_and_code_are_no_headings(chain: Any) -> None:
    said = "above\n\n---\n\n===\n\n```\nx\n---\n```"
    aexp.close_thread("T001", conclusion=said, repo_root=chain.root)
    assert conclusion(chain.text("T001")) == said


def test_what_cannot_be_closed(chain: Any) -> None:
    with pytest.raises(UsageError, match="not a thread id"):
        aexp.close_thread("H001", repo_root=chain.root)
    with pytest.raises(ArtifactNotFound):
        aexp.close_thread("T009", repo_root=chain.root)
    with pytest.raises(UsageError, match="does not end"):
        aexp.close_thread("T001", new_status="EXPLORING", repo_root=chain.root)


def test_the_verbs(research: Any) -> None:
    research.aexp("new-thread", "--title", "Why")
    assert (
        "is now EXPLORING (was PROPOSED)" in research.aexp("set-status", "T001", "exploring").stdout
    )
    assert "already" in research.aexp("set-status", "T001", "EXPLORING").stdout
    done = research.json("close-thread", "T001", "--conclusion", "So.", "--promoted")
    assert (done["new_status"], done["conclusion_written"]) == ("PROMOTED", True)
    told = research.aexp("set-status", "T001", "FINE", rc=2).stderr
    assert "one of: PROPOSED, EXPLORING, PROMOTED, CLOSED" in told
    # A file without the key: it is added, nothing else changes.
    path = research.root / "kb" / "research" / "experiments" / "E001-test.md"
    before = path.read_text()
    assert "was unset" in research.aexp("set-status", "E001", "RUNNING").stdout
    assert path.read_text() == before.replace(
        "\n---\n# E", "\nstatus: RUNNING\ncompleted:\n---\n# E"
    )
