"""What a finding or an entry may hold that nobody should write."""

import json
import time
from typing import Any

import pytest

from aexp.kb.claims import MAX_CLAIMS
from aexp.validation import claims
from aexp.validation.validate import validate_repo

NAME = "kb/research/findings/F001-wider.md"


@pytest.mark.parametrize(
    "block",
    [
        "claims: " + "[" * 5000 + "]" * 5000,
        "claims: " + "{a: " * 3000 + "1" + "}" * 3000,
        "a: &a [x, x, x, x, x, x, x, x, x]\nb: &b [*a, *a, *a, *a, *a, *a, *a, *a, *a]\n"
        + "".join(
            f"c{n}: &c{n} [{', '.join([f'*c{n - 1}' if n else '*b'] * 9)}]\n" for n in range(9)
        )
        + "claims: *c8",
        "claims: &x [*x]",
        "claims: []\nclaims: []",
    ],
)
def test_a_frontmatter_that_explodes_is_one_issue_of_its_file(lab: Any, block: str) -> None:
    lab.write(NAME, f"---\nid: F001\n{block}\n---\n# F001\n")
    lab.cli("finding", "check", "F001", rc=1)
    assert lab.stderr.startswith("error: ")
    lab.cli("finding", "cite", "F001", "--pin", rc=1)
    issues = validate_repo(lab.root).issues
    assert [issue.code for issue in issues if issue.path == NAME] == ["kb.frontmatter"]


@pytest.mark.parametrize(
    "claim",
    [
        "{metric: accuracy, over: {seed: [" + "1, " * 20000 + "1]}, value: 1}",
        "{metric: accuracy, compare: [" + "a, " * 20000 + "a], value: 1}",
        "{metric: accuracy, n: [" + "1, " * 20000 + "1], value: 1}",
        "{metric: " + "m" * 50000 + ", value: 1}",
        "{metric: accuracy, value: " + "9" * 4000 + "}",
        "{metric: accuracy, value: 1, tolerance: " + "9" * 4000 + "%}",
        "{metric: accuracy, " + ", ".join(f"k{n}: 1" for n in range(20000)) + "}",
        "[" + "x, " * 20000 + "x]",
    ],
)
def test_a_huge_claim_is_malformed_and_its_message_small(lab: Any, claim: str) -> None:
    lab.sweep(0.9)
    lab.finding(claim)
    found = lab.check()
    assert [issue.code for issue in found.issues] == ["finding.malformed_claim"]
    assert len(found.issues[0].message) < 400


def test_many_claims_are_checked_in_one_pass(lab: Any) -> None:
    lab.sweep(*[0.9] * 300)
    lab.finding(*["{metric: accuracy, over: {condition: full}, value: 0.9, n: 300}"] * MAX_CLAIMS)
    begun = time.process_time()
    assert lab.issues() == []
    assert time.process_time() - begun < 20


def test_ten_thousand_cited_ids(lab: Any) -> None:
    lab.sweep(0.9)
    ids = [f"{n:032x}" for n in range(10_000)]
    lab.finding(
        "{metric: accuracy, value: 0.9}", cites=tuple(f"{{type: job, id: '{i}'}}" for i in ids)
    )
    begun = time.process_time()
    codes = lab.codes()
    assert codes.count("finding.broken_run_citation") == 10_000
    assert codes.count("finding.claim_unchecked") == 1
    lab.cli("finding", "cite", "F001", "--batch", "E001")
    assert time.process_time() - begun < 60


def test_a_hundred_thousand_cited_ids_are_refused_with_a_hint(lab: Any) -> None:
    lab.sweep(0.9)
    path = lab.finding(cites=tuple(f"{{type: job, id: '{n:032x}'}}" for n in range(100_000)))
    before = path.read_bytes()
    for verb in (("check", "F001"), ("cite", "F001", "--batch", "E001")):
        lab.cli("finding", *verb, rc=1)
        assert "over 1 MB" in lab.stderr
        assert "cite batches" in lab.stderr
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    "more",
    [
        {"metrics": [1]},
        {"metrics": {"accuracy": {"a": 1}}},
        {"metrics": {"accuracy": "0.9"}},
        {"attempts": {"a": 1}},
        {"attempts": [1, {"status": "complete", "metrics": 3}, {"status": "complete"}]},
        {"ended_at": 7},
        {"code_commit": ["x"], "code_dirty": "yes"},
        {"tag": {"a": 1}},
        {"run_link": []},
    ],
)
def test_entries_of_the_wrong_shape_cost_themselves(lab: Any, more: dict[str, Any]) -> None:
    lab.entry(0, 0.9)
    lab.entry(1, 0.9, **more)
    lab.entry(1, 0.8, commit="other", ended_at="2027-01-01T00:00:00Z")
    lab.finding("{metric: accuracy, value: 0.9}")
    codes = lab.codes()
    assert "aexp.validator_unavailable" not in codes
    lab.cli("finding", "cite", "F001", "--pin")


def test_a_number_beyond_all_floats_costs_no_check(lab: Any) -> None:
    """JSON has no end of its integers; Python's floats have."""
    huge = 10**400
    attempts = [{"attempt": 1, "status": "complete", "metrics": {"accuracy": huge}}, {}]
    lab.entry(0, 0.9, attempts=attempts)
    lab.entry(1, huge, "cls")
    lab.entry(1, 0.9, "cls", commit="other", ended_at="2027-01-01T00:00:00Z")
    lab.finding("{metric: accuracy, value: 0.5}")
    text = lab.text.replace("F001", "F002").replace("condition: full", "condition: cls")
    lab.write(NAME.replace("F001", "F002"), text)
    codes = lab.codes()
    assert "aexp.validator_unavailable" not in codes
    assert codes.count("finding.claim_mismatch") == 2
    assert "finding.superseded_run" in codes


def test_a_defect_costs_one_finding(lab: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    lab.sweep(0.9)
    lab.finding("{metric: accuracy, value: 0.5}")
    other = NAME.replace("F001", "F002")
    lab.write(other, lab.text.replace("F001", "F002").replace("0.5", "0.6"))
    sound = claims.recompute

    def broken(claim: Any, cited: Any) -> Any:
        if cited.artifact.artifact_id == "F001":
            raise OverflowError("too large")
        return sound(claim, cited)

    monkeypatch.delenv("AEXP_DEBUG", raising=False)
    monkeypatch.setattr(claims, "recompute", broken)
    found = [(issue.code, issue.path) for issue in lab.issues()]
    assert found == [
        ("aexp.validator_unavailable", NAME),
        ("finding.claim_mismatch", other),
    ]


def test_state_points_of_every_shape(lab: Any) -> None:
    deep: Any = 1
    for _ in range(200):
        deep = {"a": deep}
    for seed in (None, "x", 1, 1.5, True, [1], {"a": 1}, "\u001b[31m", deep):
        lab.entry(seed, 0.9)
    lab.finding("{metric: accuracy, value: 0.9, n: 9}")
    assert lab.issues() == []
    out = lab.cli("finding", "check", "F001")
    assert "\x1b" not in out


def test_an_entry_nested_without_end_costs_itself(lab: Any) -> None:
    job_id = lab.entry(0, 0.9)
    lab.entry(1, 0.9)
    path = lab.root / f".aexp/ledger/{job_id}.json"
    entry = json.loads(path.read_text())
    for depth in (500, 900, 5000, 100_000):
        nested = "[" * depth + "]" * depth
        text = json.dumps({**entry, "statepoint": {**entry["statepoint"], "x": "@"}})
        path.write_text(text.replace('"@"', nested))
        lab.finding("{metric: accuracy, value: 0.9}")
        assert "aexp.validator_unavailable" not in lab.codes(), depth
        lab.check()


def test_control_characters_never_reach_the_terminal(lab: Any) -> None:
    lab.entry(0, None, "\u001b[2J", metrics={"\u001b[31m": 1})
    lab.finding(
        '{metric: "\\e[31m", value: 2}',
        '{metric: "\\e[32m", value: 2}',
        '{metric: a, over: {"\\e[1m": "\\e[2J"}, value: 2}',
        '{metric: a, "\\e[1m": 2}',
        cites=("{type: batch, experiment_id: E001}",),
    )
    out = lab.cli("finding", "check", "F001", rc=1)
    assert "\x1b" not in out + lab.stderr
    assert "\\x1b" in out
