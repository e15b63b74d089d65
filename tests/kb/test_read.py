"""What is read: frontmatter with its lines, artifacts of every state, citations."""

import os
import warnings
from pathlib import Path
from typing import Any

import pytest

import aexp
from aexp.errors import ArtifactNotFound, ArtifactReadError, CorruptFileWarning, UsageError
from aexp.kb.artifacts import KINDS, list_artifacts, load_artifact
from aexp.kb.findings import BatchCitation, JobCitation, Malformed
from aexp.kb.frontmatter import read_document

JOB = "0123456789abcdef0123456789abcdef"
DIGEST = "sha256:" + "0" * 64


@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_every_key_knows_its_line(tmp_path: Path, newline: str, mark: str) -> None:
    text = "---\n# c\na: 1\nl:\n  - x\n\n  - {k: v,\n     j: [1, 2]}\nm:\n  n: 2\n---\n# T\n"
    path = tmp_path / "x.md"
    path.write_bytes((mark + text.replace("\n", newline)).encode())
    document = read_document(str(path))
    assert document.meta == {"a": 1, "l": ["x", {"k": "v", "j": [1, 2]}], "m": {"n": 2}}
    assert document.lines == {
        ("a",): 3, ("l",): 4, ("l", 0): 5, ("l", 1): 7, ("l", 1, "k"): 7, ("l", 1, "j"): 8,
        ("l", 1, "j", 0): 8, ("l", 1, "j", 1): 8, ("m",): 9, ("m", "n"): 10,
    }  # fmt: skip
    assert document.line("l", 1, "nothing") == 7
    assert document.line("nothing") is None
    assert (document.body, document.body_line) == ("# T" + newline, 12)


BOMB = "a: &a [x,x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"k{n}: &k{n} [{','.join(['*' + ('a' if n == 0 else f'k{n - 1}')] * 10)}]\n" for n in range(12)
)
MERGES = "m0: &m0 {a: 1}\n" + "".join(
    f"m{n}: &m{n} {{<<: [{','.join([f'*m{n - 1}'] * 9)}]}}\n" for n in range(1, 12)
)


@pytest.mark.parametrize(
    ("block", "told"),
    [
        ("a: 1\nb: 2\na: 3", "line 4: the key 'a' is already on line 2"),
        ("x:\n  - {k: 1, 'k': 2}", "line 3: the key 'k' is already on line 3"),
        (BOMB, "over a million"),
        (MERGES, "over a million"),
        ("a: &a [*a]", "contains itself"),
        ("a: " + "[" * 100_000, "line 2: the frontmatter is nested over 60 levels deep"),
        (
            "\n".join(" " * n + "a:" for n in range(80)),
            "line 62: the frontmatter is nested over 60 levels",
        ),
        (
            "a:\n" + "\n".join("  " * n + "- a:" for n in range(40)),
            "line 32: the frontmatter is nested over 60 levels",
        ),
        ("a:\n  " + "-   " * 80 + "x", "line 3: the frontmatter is nested over 60 levels"),
        ("? " * 80 + "x", "levels deep"),
        ('1: a\n"1": b', "line 3: the key '1' is already on line 2"),
        ("x: {true: a, 'True': b}", "line 2: the key 'True' is already on line 2"),
        ("1: a\n0x1: b", "line 3: the key '0x1' is already on line 2"),
        ("- a", "not a mapping"),
        ("a: b: c", "not valid YAML"),
        ("a: !!python/object:os.system x", "not valid YAML"),
        ("a: !!timestamp x", "not valid YAML"),
        ("? [a]\n: b", "not valid YAML"),
        ("a: 2026-99-99", "not valid YAML"),
        ("a: " + "x" * 1_000_001, "over 1 MB"),
    ],
)
def test_frontmatter_that_is_refused(tmp_path: Path, block: str, told: str) -> None:
    path = tmp_path / "x.md"
    path.write_text(f"---\n{block}\n---\n")
    with pytest.raises(ArtifactReadError, match=r"x\.md") as caught:
        read_document(str(path))
    assert told in caught.value.message


def test_frontmatter_that_is_nested_enough(tmp_path: Path) -> None:
    path = tmp_path / "x.md"
    path.write_text("---\n" + "\n".join(" " * n + "a:" for n in range(60)) + "\n---\n")
    assert read_document(str(path)).lines[("a",) * 60] == 61
    path.write_text("---\nm: &m {a: 1}\nx: {<<: *m, b: 2}\n---\n")
    assert read_document(str(path)).meta["x"] == {"a": 1, "b": 2}


def test_a_corrupt_file_costs_itself(chain: Any, tmp_path: Path) -> None:
    outside = tmp_path / "secret.md"
    outside.write_text("---\nid: H008\n---\n# H008 — secret\n")
    chain.write("H007", "---\na: [\n---\n")
    (chain.root / "kb" / "research" / "hypotheses" / "H008-x.md").symlink_to(outside)
    (chain.root / "kb" / "research" / "hypotheses" / "H009-x.md").mkdir()
    (chain.root / "kb" / "research" / "hypotheses" / "notes.md").write_text("mine")
    with pytest.warns(CorruptFileWarning) as said:
        found = list_artifacts(chain.repo, "H")
    assert [one.artifact_id for one in found] == ["H001"]
    told = " ".join(str(one.message) for one in said)
    assert all(name in told for name in ("H007-x.md", "H008-x.md", "H009-x.md"))
    assert "notes" not in told
    for artifact_id in ("H007", "H008", "H009"):
        with pytest.raises(ArtifactReadError):
            load_artifact(chain.repo, artifact_id)


def test_only_files_are_read(chain: Any) -> None:
    folder = chain.root / "kb" / "research" / "hypotheses"
    os.mkfifo(folder / "H002-pipe.md")
    (folder / "H003-linked.md").symlink_to("H002-pipe.md")
    (folder / "H004-loop.md").symlink_to("H004-loop.md")
    (folder / "H005-folder.md").mkdir()
    (folder / "H006-dangling.md").symlink_to("nothing")
    with pytest.warns(CorruptFileWarning) as said:
        found = list_artifacts(chain.repo)
    assert [one.artifact_id for one in found] == ["H001", "E001", "F001", "T001"]
    told = [str(one.message) for one in said]
    for name, reason in (
        ("H002-pipe.md", "is not a file"),
        ("H003-linked.md", "is not a file"),
        ("H004-loop.md", "Too many levels of symbolic links"),
        ("H005-folder.md", "is not a file"),
        ("H006-dangling.md", "does not exist"),
    ):
        assert [reason in line for line in told if name in line] == [True]
        with pytest.raises(ArtifactReadError, match=f"{name}.*{reason}|{reason}.*{name}"):
            aexp.set_status(name[:4], "TESTING", repo_root=chain.root)


def test_an_id_of_two_files_is_named_with_both(chain: Any) -> None:
    chain.write("H001", "---\nid: H001\n---\n")
    with pytest.raises(ArtifactNotFound, match=r"H001-claim\.md, H001-x\.md"):
        load_artifact(chain.repo, "H001")


@pytest.mark.parametrize("artifact_id", ["../H001", "X001", "H1", "", "H001/..", "h001", "H001 "])
def test_what_is_no_id(chain: Any, artifact_id: str) -> None:
    with pytest.raises(UsageError):
        aexp.load_artifact(artifact_id, repo_root=chain.root)


def test_titles_and_tags_however_they_are_written(kb: Any) -> None:
    kb.write("H001", "---\ntags: one\n---\n# H001: With a colon\n")
    kb.write("H002", "---\ntitle: In the frontmatter\n---\nno heading\n")
    kb.write("H003", "no frontmatter\n")
    kb.write("H010", "---\ntags: [a, 1]\n---\n\n#  H010 - Dash  \n")
    found = aexp.list_kb_artifacts(kb.root)
    assert [(one.artifact_id, one.title, one.tags) for one in found] == [
        ("H001", "With a colon", ["one"]),
        ("H002", "In the frontmatter", []),
        ("H003", "", []),
        ("H010", "Dash", ["a", "1"]),
    ]


def test_lists_are_filtered(chain: Any) -> None:
    aexp.new_hypothesis(title="Second", tags=["t"], repo_root=chain.root)

    def ids(**filters: Any) -> list[str]:
        return [one.artifact_id for one in aexp.list_kb_artifacts(chain.root, **filters)]

    assert ids() == ["H001", "H002", "E001", "F001", "T001"]
    assert ids(kind="H") == ["H001", "H002"]
    assert ids(tag="t") == ["H002"]
    assert ids(status="designed") == ["E001"]
    assert ids(parent="H001") == ["E001", "F001"]
    assert ids(parent="T001") == ["H001"]
    with pytest.raises(UsageError):
        ids(kind="X")


def finding(kb: Any, runs: str) -> Any:
    kb.write("F001", f"---\nid: F001\n{runs}\n---\n# F001 — x\n")
    return aexp.load_finding("F001", repo_root=kb.root)


def test_citations_of_both_shapes(kb: Any) -> None:
    text = f"""supporting_runs:
  - {{type: job, id: {JOB}}}
  - type: job
    id: {JOB}
    digest: {DIGEST}
  # why these
  - {{type: batch, experiment_id: E001, selector: {{condition: full, lr: 0.1, day: 2026-01-02}}}}
  - {{type: batch, experiment_id: E002, digest: {DIGEST}}}"""
    assert aexp.citations(finding(kb, text)) == [
        JobCitation(JOB, None, 4),
        JobCitation(JOB, DIGEST, 5),
        BatchCitation("E001", {"condition": "full", "lr": 0.1, "day": "2026-01-02"}, None, 9),
        BatchCitation("E002", {}, DIGEST, 10),
    ]
    assert aexp.citations(finding(kb, "supporting_runs:")) == []
    assert aexp.citations(finding(kb, "impact: HIGH")) == []


@pytest.mark.parametrize(
    ("item", "told"),
    [
        (JOB, "not a citation"),
        ("{type: run, id: x}", "neither job nor batch"),
        ("{type: job}", "id is None"),
        ("{type: job, id: 9f3a}", "32 hex digits"),
        (f"{{type: job, id: {JOB.upper()}}}", "32 hex digits"),
        ("{type: job, id: 12345678901234567890123456789012}", "in quotes"),
        (f"{{type: job, id: {JOB}, digest: abc}}", "digest is 'abc'"),
        (f"{{type: job, id: {JOB}, pin: 1}}", "has no 'pin'"),
        ("{type: batch, experiment_id: E1}", "not like E001"),
        ("{type: batch, experiment_id: E001, selecter: {a: 1}}", "has no 'selecter'"),
        ("{type: batch, experiment_id: E001, selector: [a]}", "not a mapping"),
        ("{type: batch, experiment_id: E001, selector: {a: .nan}}", "JSON cannot hold"),
        ('{type: "a\\u001b[31m"}', "neither job nor batch"),
    ],
)
def test_what_is_no_citation(kb: Any, item: str, told: str) -> None:
    (found,) = aexp.citations(finding(kb, f"supporting_runs:\n  - {item}"))
    assert isinstance(found, Malformed)
    assert found.line == 4
    assert told in found.reason
    assert "\x1b" not in found.reason


def test_a_hundred_thousand_citations_are_refused_or_read_in_bounded_time(kb: Any) -> None:
    few = finding(kb, "supporting_runs:\n" + f"  - {{type: job, id: {JOB}}}\n" * 10_000)
    assert len(aexp.citations(few)) == 10_000
    with pytest.raises(ArtifactReadError, match="over 1 MB"):
        finding(kb, "supporting_runs:\n" + f"  - {{type: job, id: {JOB}}}\n" * 100_000)


def test_templates_have_the_headings_that_are_required() -> None:
    assert KINDS["H"].headings == (
        "Statement", "Mechanism", "Why This Might Generalize", "Shortcut Risks", "Test Plan",
        "Evidence", "Conclusion", "Links",
    )  # fmt: skip
    assert KINDS["E"].headings == (
        "Objective", "Setup", "Procedure", "Caveats", "Intent", "Progress", "Results",
        "Outcome Summary", "Decision", "Links",
    )  # fmt: skip
    assert KINDS["F"].headings == (
        "Finding", "Evidence", "Caveats", "What Improved For Real", "Remaining Debt", "Next Move",
        "Links",
    )  # fmt: skip
    assert KINDS["T"].headings == (
        "Statement", "Sub-questions", "Promotion criteria", "Open links", "Notes", "Conclusion",
        "Links",
    )  # fmt: skip


def test_the_verbs_show_what_is_there(research: Any) -> None:
    experiment = research.root / "kb" / "research" / "experiments" / "E001-test.md"
    experiment.unlink()
    research.aexp("new-thread", "--title", "Why", "--tag", "t")
    research.aexp("new-hypothesis", "--title", "Claim", "--thread", "T001")
    research.aexp(
        "new-experiment", "--title", "Sweep", "--hypothesis", "H001",
        "--runner-command", "echo {seed}", "--condition", 'full={"lr": 0.1}',
    )  # fmt: skip
    research.aexp("new-finding", "--title", "Result", "--experiment", "E001", "--impact", "HIGH")
    done, queued = research.add("condition=full,seed=0|1")
    research.aexp("run-queued", done)
    research.aexp("finding", "cite", "F001", "--job", done[:8])

    assert [one["artifact_id"] for one in research.json("list-hypotheses")] == ["H001"]
    assert research.json("list-experiments", "--hypothesis", "H001", "--status", "designed")
    assert research.json("list-experiments", "--hypothesis", "H002") == []
    assert research.json("list-findings", "--experiment", "E001", "--hypothesis", "H001")
    assert "no hypothesis matches" in research.aexp("list-hypotheses", "--tag", "x").stderr
    assert "not a status" in research.aexp("list-threads", "--status", "x", rc=2).stderr

    shown = research.json("show-experiment", "E001")
    assert shown["runs"] == {"queued": 1, "complete": 1}
    assert shown["hypothesis"] == "H001"
    assert [one["artifact_id"] for one in shown["children"]] == ["F001"]
    assert shown["batches"][0]["job_ids"] == sorted([done, queued])
    text = research.aexp("show-experiment", "E001").stdout
    assert "1 queued, 1 complete" in text
    assert "full:  lr=0.1" in text or "full: lr=0.1" in text
    (citation,) = research.json("show-finding", "F001")["citations"]
    assert (citation["job_ids"], citation["state"]) == ([done], "1 complete")
    assert done[:8] in research.aexp("show-finding", "F001").stdout
    assert "Claim" in research.aexp("show-thread", "T001").stdout
    assert "Sweep" in research.aexp("show-hypothesis", "H001").stdout
    assert "not a finding id" in research.aexp("show-finding", "E001", rc=2).stderr
    assert "no thread T009" in research.aexp("show-thread", "T009", rc=1).stderr


def test_they_work_with_git_and_the_record_alone(chain: Any) -> None:
    """No store, no installation: as in a fresh clone."""
    import subprocess
    import sys

    for words in (
        ("list-hypotheses",), ("show-experiment", "E001"), ("show-finding", "F001"),
        ("list-batches",), ("show-batch", "--experiment", "E001"),
    ):  # fmt: skip
        done = subprocess.run(
            [sys.executable, "-P", "-m", "aexp", *words],
            cwd=chain.root, capture_output=True, text=True,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert aexp.list_batches(repo_root=chain.root) == []
