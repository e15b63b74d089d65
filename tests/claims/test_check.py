"""``aexp finding check``: the table, the exit code, the block that it writes."""

import json
from typing import Any

import pytest

from aexp.errors import ArtifactReadError
from aexp.kb.managed import managed_block
from aexp.validation.finding import BEGIN, END

FULL = "{type: batch, experiment_id: E001, selector: {condition: full}}"
GOOD = "{metric: accuracy, value: 0.93, ci: 0.95, n: 3}"


def test_the_table(lab: Any) -> None:
    lab.sweep(0.92, 0.93, 0.94)
    lab.finding(GOOD, "{metric: accuracy, value: 0.5}", "{metric: accuracy}")
    lines = lab.cli("finding", "check", "F001", rc=1).splitlines()
    assert lines[0].split() == ["#", "CLAIM", "CLAIMED", "RECOMPUTED", "N", "INTERVAL", "VERDICT"]
    assert lines[1].startswith("1  mean accuracy")
    assert "0.93 ± 0.005, 95%, n=3" in lines[1]
    assert "[0.905159, 0.954841]  ok" in lines[1]
    assert lines[2].endswith("mismatch")
    assert lines[3].endswith("malformed")
    assert any(
        "ERROR finding.claim_mismatch" in line and "F001-wider.md:7" in line for line in lines
    )
    lab.finding(GOOD)
    (row,) = lab.cli("finding", "check", "F001").splitlines()[1:]
    assert row.endswith("[0.905159, 0.954841]  ok")


def test_the_same_for_programs(lab: Any) -> None:
    lab.sweep(0.92, 0.93, 0.94)
    lab.finding(GOOD, "{metric: accuracy, value: 0.5}")
    out = json.loads(lab.cli("finding", "check", "F001", "--json", rc=1))
    good, bad = out["claims"]
    assert out["ok"] is False
    assert (good["verdict"], good["n"], good["reasons"]) == ("ok", [3], [])
    assert good["recomputed"] == pytest.approx(0.93)
    assert good["interval"] == pytest.approx([0.905159, 0.954841], abs=1e-6)
    assert bad["verdict"] == "mismatch"
    assert [issue["code"] for issue in out["issues"]] == ["finding.claim_mismatch"]


def test_warnings_do_not_fail_it(lab: Any) -> None:
    lab.sweep(0.9, 0.9, dirty=True)
    lab.finding("{metric: accuracy, value: 0.9}")
    assert "WARNING finding.dirty_run" in lab.cli("finding", "check", "F001")


def test_a_finding_that_claims_nothing(lab: Any) -> None:
    lab.sweep(0.9)
    lab.finding()
    assert lab.cli("finding", "check", "F001") == ""
    assert "claims nothing" in lab.stderr
    lab.cli("finding", "check", "F001", "--write", rc=2)
    lab.cli("finding", "check", "F001", "--dry-run", rc=2)


@pytest.mark.parametrize("claimed", [(), ("{metric: accuracy, value: 0.9}",)])
def test_a_broken_citation_fails_it_with_claims_and_without(
    lab: Any, claimed: tuple[str, ...]
) -> None:
    lab.sweep(0.9)
    lab.finding(*claimed, cites=(FULL, "{type: job, id: %s}" % ("a" * 32), "{type: jbo}"))
    out = lab.cli("finding", "check", "F001", rc=1)
    assert out.count("ERROR finding.broken_run_citation") == 2
    assert "F001-wider.md:5" in out
    assert json.loads(lab.cli("finding", "check", "F001", "--json", rc=1))["ok"] is False
    lab.finding(cites=("{type: batch, experiment_id: E404}",))
    assert "ERROR finding.empty_batch" in lab.cli("finding", "check", "F001", rc=1)


def test_write_fills_a_block_and_leaves_the_rest(lab: Any) -> None:
    lab.sweep(0.92, 0.93, 0.94)
    lab.finding(GOOD)
    before = lab.text
    lab.cli("finding", "check", "F001", "--write", "--dry-run")
    assert lab.text == before
    lab.cli("finding", "check", "F001", "--write")
    first = lab.text
    start, end = first.index(BEGIN), first.index(END) + len(END)
    assert first[:start].rstrip() + first[end:] == before
    assert "See below." in first[:start]
    assert "| 1 | mean accuracy | 0.93 ± 0.005, 95%, n=3 | 0.93 | 3 |" in first
    lab.cli("finding", "check", "F001", "--write")
    assert "unchanged" in lab.stderr
    assert lab.text == first
    lab.entry(2, 0.91)
    lab.cli("finding", "check", "F001", "--write", rc=1)
    second = lab.text
    assert "| 0.92 | 3 |" in second
    assert second[: second.index(BEGIN)] == first[:start]
    assert second[second.index(END) :] == first[first.index(END) :]


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_the_block_has_the_line_ends_of_the_file(lab: Any, newline: str) -> None:
    lab.sweep(0.92, 0.93, 0.94)
    path = lab.finding(GOOD)
    path.write_bytes(path.read_bytes().replace(b"\n", newline.encode()))
    lab.cli("finding", "check", "F001", "--write")
    assert lab.text.count("\n") == lab.text.count(newline)
    once = lab.text
    lab.cli("finding", "check", "F001", "--write")
    assert lab.text == once


@pytest.mark.parametrize(
    "body",
    [BEGIN, END, f"{END}\n{BEGIN}", f"{BEGIN}\n{BEGIN}\n{END}", f"{BEGIN}\n{END}\n{BEGIN}\n{END}"],
)
def test_damaged_markers_are_refused(lab: Any, body: str) -> None:
    lab.sweep(0.92, 0.93, 0.94)
    path = lab.finding(GOOD)
    path.write_text(path.read_text() + f"\n{body}\n")
    before = lab.text
    lab.cli("finding", "check", "F001", "--write", rc=1)
    assert "not one pair" in lab.stderr
    assert lab.text == before


def test_markers_in_code_are_text() -> None:
    text = f"# F\n\n## Evidence\n\n```\n{BEGIN}\n{END}\n```\n\n## Links\n"
    made = managed_block(text, "F.md", (BEGIN, END), "Evidence", "x")
    assert f"```\n{BEGIN}\n{END}\n```\n" in made
    assert made.count(f"{BEGIN}\nx\n{END}") == 1
    with pytest.raises(ArtifactReadError):
        managed_block(text + BEGIN + "\n", "F.md", (BEGIN, END), "Evidence", "x")


def test_names_cannot_break_the_table(lab: Any) -> None:
    name = "a|b `c` [[H001]] <!-- aexp:claims:end --> \u001b[31m"
    lab.entry(0, None, metrics={name: 1.0})
    lab.finding(json.dumps({"metric": name, "value": 1}))
    lab.cli("finding", "check", "F001", "--write")
    once = lab.text
    lab.cli("finding", "check", "F001", "--write")
    assert lab.text == once
    row = next(line for line in once.splitlines() if line.startswith("| 1 |"))
    assert row.replace("\\|", "").count("|") == 8
    assert "\x1b" not in row
    assert "[[H001]]" not in row
    assert "<!--" not in row


def test_from_the_queue_to_a_checked_finding(research: Any) -> None:
    research.experiment("sh run.sh {seed}")
    (research.root / "run.sh").write_text('cat "acc$1" > "$AEXP_METRICS_PATH"\n')
    for seed in range(3):
        (research.root / f"acc{seed}").write_text(f'{{"accuracy": 0.9{seed}}}')
    research.git("add", "-A")
    research.git("commit", "-qm", "code")
    ids = research.add("condition=full, seed=0..2")
    research.aexp("queue", "run")
    folder = research.root / "kb" / "research" / "findings"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "F001-it-works.md"
    path.write_text(
        "---\nid: F001\nclaims:\n  - {metric: accuracy, value: 0.91, n: 3, ci: 0.9}\n---\n# F001\n"
    )
    batch = ("--batch", "E001", "--select", "condition=full")
    research.aexp("finding", "cite", "F001", *batch)
    out = research.json("finding", "check", "F001")
    assert out["ok"]
    assert out["issues"] == []
    assert out["claims"][0]["recomputed"] == pytest.approx(0.91)
    # A retry gives another number.
    (research.root / "acc2").write_text('{"accuracy": 0.5}')
    research.aexp("queue", "retry", ids[2])
    codes = [issue["code"] for issue in research.json("finding", "check", "F001")["issues"]]
    assert codes == ["finding.superseded_run"]
    research.aexp("queue", "run")
    out = research.json("finding", "check", "F001", rc=1)
    codes = [issue["code"] for issue in out["issues"]]
    assert codes == ["finding.claim_mismatch", "finding.superseded_run"]
    assert "attempt 1 was complete" in out["issues"][1]["message"]
