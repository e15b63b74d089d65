"""Every code about claims: what produces it, what it says, and what clears it."""

import json
import sys
from typing import Any

import pytest

from aexp.ledger.digests import batch_digest, entry_digest
from aexp.validation import evidence
from aexp.validation.codes import CODES
from aexp.validation.issue import Issue

FULL = "{type: batch, experiment_id: E001, selector: {condition: full}}"
CLS = "{type: batch, experiment_id: E001, selector: {condition: cls}}"


def only(lab: Any, code: str, **options: Any) -> Issue:
    """Return the one issue there is."""
    (issue,) = lab.issues(**options)
    assert issue.code == code
    assert issue.severity == CODES[code].severity
    assert issue.path == "kb/research/findings/F001-wider.md"
    return issue


def test_a_claim_that_holds_is_silent(lab: Any) -> None:
    lab.sweep(0.92, 0.93, 0.94)
    lab.finding(
        "{metric: accuracy, over: {condition: full}, value: 0.93, n: 3}",
        "{metric: accuracy, stat: median, value: 0.93}",
        "{metric: accuracy, stat: min, value: 0.92}",
        "{metric: accuracy, stat: max, value: 0.94}",
        "{metric: accuracy, stat: sd, value: 0.01}",
        "{stat: count, value: 3}",
        "{metric: accuracy, greater: 0.9, less: 1.0, ci: 0.95, low: 0.905, high: 0.955}",
    )
    assert lab.issues() == []


@pytest.mark.parametrize(
    ("claim", "says"),
    [
        ("value: 0.95", "claimed 0.95 ± 0.005, recomputed 0.93 from 3 runs"),
        ("value: 0.930001, tolerance: 0.0000001", "claimed 0.930001 ± 1e-07, recomputed 0.93"),
        ("value: 1, tolerance: 5%", "claimed 1 ± 0.05, recomputed 0.93"),
        ("value: 1", "claimed 1, recomputed 0.93"),
        ("n: 4", "claimed n=4, found 3"),
        ("greater: 0.93", "claimed > 0.93, recomputed 0.93"),
        ("less: 0.93", "claimed < 0.93, recomputed 0.93"),
        ("greater: 0.92, ci: 0.95", "the 95% interval [0.905"),
        ("less: 0.94, ci: 0.95", "is not below it"),
        ("value: 0.93, ci: 0.95, low: 0.92", "claimed low 0.92 ± 0.005, recomputed 95% interval"),
        ("value: 0.93, ci: 0.95, high: 0.94", "claimed high 0.94"),
        ("value: 0.93, over: {condition: ful}", "no cited run has condition=ful; there is full"),
        ("value: 0.93, over: {lr: 1}", "no cited run has lr=1: none has lr"),
        ("value: 0.93, over: {seed: 7}", "there is 0, 1, 2"),
        ("value: 0.93, over: {seed: 0}, ci: 0.95", "an interval needs two runs"),
        ("value: 0.93, over: {seed: 0}, stat: sd", "needs two runs"),
        ("compare: [full, cls], value: 0.1", "no cited run has condition=cls"),
    ],
)
def test_claim_mismatch_says_both_numbers(lab: Any, claim: str, says: str) -> None:
    lab.sweep(0.92, 0.93, 0.94)
    lab.finding(f"{{metric: accuracy, {claim}}}")
    issue = only(lab, "finding.claim_mismatch")
    assert says in issue.message
    assert issue.line == 6
    assert issue.detail is not None
    lab.finding("{metric: accuracy, value: 0.93}")
    assert lab.issues() == []


def test_a_bound_met_exactly_is_met(lab: Any) -> None:
    lab.sweep(0.935, 0.935)
    lab.finding("{metric: accuracy, value: 0.93}", "{metric: accuracy, value: 0.94}")
    assert lab.issues() == []


def test_comparisons(lab: Any) -> None:
    lab.sweep(0.9, 0.8, 0.7)
    lab.sweep(0.5, 0.5, 0.2, condition="cls")
    lab.finding(
        "{metric: accuracy, compare: [full, cls], value: 0.4, n: 3}",
        "{metric: accuracy, compare: [cls, full], value: -0.4, n: [3, 3]}",
        "{metric: accuracy, compare: [full, cls], stat: median_diff, value: 0.3}",
        "{metric: accuracy, compare: [full, cls], stat: median_diff, paired: seed, value: 0.4}",
        "{metric: accuracy, compare: [full, cls], stat: ratio, value: 2.0}",
        "{metric: accuracy, compare: [full, cls], paired: seed, greater: 0, ci: 0.95, n: 3}",
        "{metric: accuracy, compare: [0, 2], by: seed, over: {condition: full}, value: 0.2}",
        cites=(FULL, CLS),
    )
    assert lab.issues() == []


def test_pairs_must_be_pairs(lab: Any) -> None:
    lab.sweep(0.9, 0.8)
    lab.sweep(0.5, 0.5, condition="cls")
    pair = "{metric: accuracy, compare: [full, cls], paired: %s, value: 0.35, tolerance: 0.01}"
    lab.finding(pair % "seed", cites=(FULL, CLS))
    assert lab.issues() == []
    lab.entry(1, 0.5, "cls", status="failed")
    assert "seed 1: complete on one side only" in _message(lab, "finding.claim_mismatch")
    lab.entry(1, 0.5, "cls")
    lab.entry(1, 0.5, "cls", sp={"lr": 1})
    assert "on the same side with the same seed 1" in _message(lab, "finding.claim_mismatch")
    lab.finding(pair % "fold", cites=(FULL, CLS))
    assert "has no fold to pair by" in _message(lab, "finding.claim_mismatch")


def test_a_number_and_its_text_are_no_pair(lab: Any) -> None:
    lab.sweep(0.9, 0.8)
    lab.entry(0, 0.5, "cls")
    lab.entry("1", 0.5, "cls")
    lab.finding(
        "{metric: accuracy, compare: [full, cls], paired: seed, greater: 0}", cites=(FULL, CLS)
    )
    assert "complete on one side only" in _message(lab, "finding.claim_mismatch")


def _message(lab: Any, code: str) -> str:
    return " ".join(issue.message for issue in lab.issues() if issue.code == code)


def test_a_metric_that_some_runs_lack_is_a_mismatch(lab: Any) -> None:
    lab.entry(0, 0.9)
    without = lab.entry(1, None)
    lab.finding("{metric: accuracy, value: 0.9}")
    message = _message(lab, "finding.claim_mismatch")
    assert f"1 of 2 runs have no metric accuracy ({without[:8]})" in message
    lab.entry(1, 0.9)
    assert lab.issues() == []
    lab.finding("{metric: acuracy, value: 0.9}")
    assert "did you mean accuracy?" in _message(lab, "finding.claim_mismatch")


@pytest.mark.parametrize("value", ["NaN", "Infinity", "-Infinity", float("nan"), 10**400])
def test_a_value_that_is_no_number_never_confirms_anything(lab: Any, value: Any) -> None:
    lab.entry(0, 0.9)
    lab.entry(1, value)
    lab.finding("{metric: accuracy, value: 0.9}", "{metric: accuracy, greater: 0, stat: max}")
    assert lab.codes() == ["finding.claim_mismatch"] * 2
    assert "accuracy of run" in _message(lab, "finding.claim_mismatch")
    lab.finding("{metric: accuracy, stat: count, value: 2}")
    assert lab.issues() == []


def test_truth_values_are_one_and_zero(lab: Any) -> None:
    lab.sweep(True, False, True, True)
    lab.finding("{metric: accuracy, value: 0.75}")
    assert lab.issues() == []


def test_a_finding_that_cites_nothing_confirms_nothing(lab: Any) -> None:
    lab.sweep(0.9, 0.9)
    lab.finding("{metric: accuracy, value: 0.9}", cites=())
    assert "cites no run" in only(lab, "finding.claim_mismatch").message


def test_malformed_claim(lab: Any) -> None:
    lab.sweep(0.9, 0.9)
    lab.finding("{metric: accuracy, vaule: 0.9}")
    found = [issue for issue in lab.issues(mode="full") if issue.code == "finding.malformed_claim"]
    assert [issue.line for issue in found] == [6]
    assert found[0].severity == "error"
    assert "finding.malformed_claim" in lab.codes(mode="kb-only")
    lab.finding("{metric: accuracy, value: 0.9}")
    assert "finding.malformed_claim" not in lab.codes(mode="full")


def test_claim_unchecked_without_scipy(lab: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    lab.sweep(0.9, 0.92)
    good = "{metric: accuracy, value: 0.91, ci: 0.95}"
    lab.finding(good, good, "{metric: accuracy, value: 0.91}")
    assert lab.issues() == []
    monkeypatch.setitem(sys.modules, "scipy", None)
    issue = only(lab, "finding.claim_unchecked")
    assert "claims 1, 2" in issue.message
    assert "pip install 'aexp[stats]'" in issue.message
    lab.finding("{metric: accuracy, value: 0.99, ci: 0.95}")
    assert set(lab.codes()) == {"finding.claim_mismatch", "finding.claim_unchecked"}


def test_claim_unchecked_where_runs_are_not_known_here(lab: Any) -> None:
    lab.sweep(0.9, 0.92)
    nobody = "{type: job, id: %s}" % ("a" * 32)
    lab.finding("{metric: accuracy, value: 0.5}", cites=(FULL, nobody))
    assert lab.codes() == ["finding.broken_run_citation", "finding.claim_unchecked"]
    assert lab.codes(strict_runs="off") == ["finding.claim_unchecked"]
    assert "could not be checked" in lab.cli("validate", "--strict-runs=off", rc=1)
    index = {"job_id": "a" * 32, "status": "complete", "experiment_id": "E001"}
    content = json.dumps({"schema_version": 1, "entries": [index]})
    lab.write(".aexp/runs-index/far.json", content)
    assert "finding.claim_unchecked" in lab.codes()
    assert lab.codes(strict_runs="off") == ["finding.claim_unchecked"]
    assert "without numbers" in _message(lab, "finding.claim_unchecked")
    lab.finding("{metric: accuracy, value: 0.91}")
    assert lab.codes(strict_runs="off") == []


def test_incomplete_batch_names_the_seeds(lab: Any) -> None:
    ids = lab.sweep(0.9, 0.9, 0.9, 0.9)
    cites = [f"{{type: job, id: {job_id}}}" for job_id in ids]
    lab.finding(cites=tuple(cites))
    assert lab.issues() == []
    lab.finding(cites=tuple(cites[:2]))
    issue = only(lab, "finding.incomplete_batch")
    assert "E001 condition=full: seeds 2, 3 complete but left out" in issue.message
    assert issue.line == 4
    assert issue.detail
    assert issue.detail["left_out"] == ["2", "3"]
    lab.entry(2, 0.9, status="failed")
    assert "seed 3 complete but left out" in only(lab, "finding.incomplete_batch").message
    assert "seed 2 failed" in only(lab, "finding.incomplete_batch").message
    lab.finding(cites=(FULL,))
    assert "seed 2 failed" in only(lab, "finding.incomplete_batch").message
    lab.entry(2, 0.9)
    assert lab.issues() == []


def test_incomplete_batch_knows_the_grid(lab: Any) -> None:
    lab.sweep(0.9, 0.9, 0.9, sp={"model": "base"})
    lab.sweep(0.5, 0.5, condition="cls", sp={"model": "small"})
    lab.finding(cites=(CLS,))
    issue = only(lab, "finding.incomplete_batch")
    assert "condition=cls" in issue.message
    assert "seed 2 missing, though other conditions have it" in issue.message
    lab.entry(2, 0.5, "cls", sp={"model": "small"})
    assert lab.issues() == []


def test_the_grid_is_condition_times_seed_and_no_other(lab: Any) -> None:
    for seed in range(5):
        lab.entry(seed, 0.9, sp={"lr": 0.1})
    lab.entry(0, 0.9, sp={"lr": 0.2})
    lab.finding(cites=("{type: batch, experiment_id: E001, selector: {lr: 0.2}}",))
    assert lab.issues() == []


def test_a_tag_that_all_cited_runs_share_is_the_sweep(lab: Any) -> None:
    cites = [f"{{type: job, id: {one}}}" for one in lab.sweep(0.9, 0.9, tag="paper")]
    lab.entry(7, 0.1, tag="pilot")
    lab.finding(cites=tuple(cites))
    assert lab.issues() == []
    lab.entry(7, 0.1, tag="paper")
    assert "seed 7 complete but left out" in only(lab, "finding.incomplete_batch").message


def test_incomplete_batch_sees_what_is_still_queued(lab: Any) -> None:
    lab.sweep(0.9, 0.9, tag="paper")
    last = lab.entry(2, 0.9, tag="paper")
    lab.local(last, "queued", queue={"tag": "paper"})
    (lab.root / f".aexp/ledger/{last}.json").unlink()
    lab.finding(cites=("{type: batch, experiment_id: E001, selector: {seed: 0}}",))
    message = _message(lab, "finding.incomplete_batch")
    assert "seed 1 complete but left out" in message
    assert "seed 2 queued still" in message
    lab.finding(cites=(FULL,))
    assert "seed 2 queued" in _message(lab, "finding.incomplete_batch")


def test_a_run_without_a_seed_stands_alone(lab: Any) -> None:
    one = lab.entry(None, 0.9)
    lab.entry(None, 0.9, sp={"lr": 3})
    lab.finding(cites=(f"{{type: job, id: {one}}}",))
    assert lab.issues() == []
    lab.entry(None, 0.9, status="failed")
    assert f"run {one[:8]} is failed" in only(lab, "finding.incomplete_batch").message


def test_dirty_run(lab: Any) -> None:
    lab.sweep(0.9, 0.9)
    lab.finding()
    assert lab.issues() == []
    lab.sweep(0.9, 0.9, dirty=True, condition="cls")
    lab.finding(cites=(CLS,))
    issue = only(lab, "finding.dirty_run")
    assert "2 of 2 cited runs had uncommitted changes" in issue.message
    assert issue.detail
    assert len(issue.detail["runs"]) == 2


def test_mixed_commits(lab: Any) -> None:
    lab.entry(0, 0.9, commit="a" * 40)
    lab.entry(1, 0.9, commit="b" * 40)
    lab.finding()
    issue = only(lab, "finding.mixed_commits")
    assert "come from 2 commits" in issue.message
    assert "a" * 12 in issue.message
    lab.entry(1, 0.9, commit="a" * 40)
    lab.finding(
        cites=("{type: batch, experiment_id: E001, selector: {code_commit: %s}}" % ("a" * 40),)
    )
    assert lab.issues() == []


def test_superseded_by_a_later_run_that_tells_otherwise(lab: Any) -> None:
    first = lab.entry(0, 0.9)
    cite = f"{{type: job, id: {first}}}"
    lab.finding(cites=(cite,))
    second = lab.entry(0, 0.9, commit="later", ended_at="2026-02-01T00:00:00Z")
    assert lab.issues() == []  # it tells the same
    lab.entry(0, 0.7, commit="later", ended_at="2026-02-01T00:00:00Z")
    issue = only(lab, "finding.superseded_run")
    assert f"run {first[:8]} was repeated later as {second[:8]}" in issue.message
    assert "accuracy 0.9 then, 0.7 now" in issue.message
    lab.entry(0, 0.7, commit="later", ended_at="2025-02-01T00:00:00Z")
    assert lab.issues() == []  # it is older
    lab.entry(0, 0.7, commit="later", ended_at="2026-02-01T00:00:00Z")
    lab.finding(cites=(f"{{type: job, id: {second}}}",))
    assert lab.issues() == []


def test_superseded_by_a_retry_that_is_queued(lab: Any) -> None:
    (job_id,) = lab.sweep(0.9)
    lab.finding()
    lab.local(job_id, "queued", queue={"queued_at": "2026-02-01T00:00:00Z"})
    assert "queued again" in only(lab, "finding.superseded_run").message
    # Queued here first, and then run on another machine: nothing supersedes its entry.
    lab.local(job_id, "queued", queue={"queued_at": "2025-12-01T00:00:00Z"})
    assert lab.issues() == []
    ended = {"ended_at": "2026-03-01T00:00:00Z", "summary_metrics": {"accuracy": 0.2}}
    lab.local(job_id, "complete", **ended)
    message = only(lab, "finding.superseded_run").message
    assert "accuracy 0.9 then, 0.2 now" in message
    assert "aexp ledger promote" in message
    lab.local(job_id, "complete", **{**ended, "summary_metrics": {"accuracy": 0.9}})
    assert lab.issues() == []


def test_superseded_by_a_later_attempt_until_it_is_pinned(lab: Any) -> None:
    attempts = [
        {"attempt": 1, "status": "complete", "metrics": {"accuracy": 0.9}},
        {"attempt": 2, "status": "complete", "metrics": {"accuracy": 0.7}},
    ]
    lab.entry(0, 0.7, attempts=attempts)
    lab.finding()
    message = only(lab, "finding.superseded_run").message
    assert "attempt 1 was complete, and a later attempt tells otherwise: accuracy 0.9" in message
    lab.cli("finding", "cite", "F001", "--pin")
    assert lab.issues() == []
    attempts[0]["metrics"] = {"accuracy": 0.7}
    lab.entry(0, 0.7, attempts=attempts)
    lab.finding()
    assert lab.issues() == []


def test_entry_changed(lab: Any) -> None:
    ids = lab.sweep(0.9, 0.8)
    entries = [json.loads((lab.root / f".aexp/ledger/{i}.json").read_text()) for i in ids]
    job = f"{{type: job, id: {ids[0]}, digest: {entry_digest(entries[0])}}}"
    batch = FULL[:-1] + f", digest: {batch_digest(entries)}}}"
    lab.finding(cites=(job, batch))
    assert lab.issues() == []
    lab.entry(0, 0.9, promoted_at="2027-01-01T00:00:00Z", registered_machine="elsewhere")
    assert lab.issues() == []  # who promoted it is no evidence
    lab.entry(0, 0.91)
    assert lab.codes() == ["finding.entry_changed"] * 2
    assert "pinned sha256:" in _message(lab, "finding.entry_changed")
    lab.entry(0, 0.9)
    lab.entry(2, 0.9)  # joins the batch
    assert "batch E001" in only(lab, "finding.entry_changed").message
    (lab.root / f".aexp/ledger/{ids[0]}.json").unlink()
    lab.finding(cites=(FULL,))
    assert lab.issues() == []


def test_every_code_of_claims_is_in_the_table() -> None:
    wanted = {
        "finding.malformed_claim": "error",
        "finding.claim_mismatch": "error",
        "finding.claim_unchecked": "warning",
        "finding.incomplete_batch": "warning",
        "finding.dirty_run": "warning",
        "finding.mixed_commits": "warning",
        "finding.superseded_run": "warning",
        "finding.entry_changed": "error",
    }
    assert {code: CODES[code].severity for code in wanted} == wanted


def test_an_entry_is_digested_once_however_often_it_is_pinned(
    lab: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = lab.sweep(0.9, 0.9, 0.9)
    batch = FULL[:-1] + f", digest: 'sha256:{'0' * 64}'}}"
    job = f"{{type: job, id: '{ids[0]}', digest: 'sha256:{'0' * 64}'}}"
    lab.finding(cites=(batch, job, batch.replace("full", "'full'")))
    for number in range(2, 6):
        name = f"kb/research/findings/F{number:03}-wider.md"
        lab.write(name, lab.text.replace("F001", f"F{number:03}"))
    sound, digested = evidence.entry_digest, []

    def counted(entry: Any) -> str:
        digested.append(entry["job_id"])
        return sound(entry)

    monkeypatch.setattr(evidence, "entry_digest", counted)
    assert lab.codes().count("finding.entry_changed") == 15
    assert sorted(digested) == sorted(ids)


@pytest.mark.parametrize(
    ("full", "cls", "claim", "holds"),
    [
        # 0.1 + 0.2 - 0.3 is 5.6e-17 in binary, and no difference.
        ([0.1 + 0.2, 0.5], [0.3, 0.5], "compare: [full, cls], greater: 0", False),
        ([0.3, 0.5], [0.1 + 0.2, 0.5], "compare: [full, cls], less: 0", False),
        ([0.1 + 0.2], [0.3], "compare: [full, cls], value: 0", True),
        ([0.1 + 0.2], [0.3], "compare: [full, cls], paired: seed, greater: 0", False),
        ([0.1 + 0.2], [0.3], "compare: [full, cls], stat: ratio, greater: 1", False),
        ([0.31], [0.3], "compare: [full, cls], greater: 0", True),
        ([0.31], [0.3], "compare: [full, cls], stat: ratio, greater: 1", True),
        ([1e-20, 3e-20], [], "over: {condition: full}, greater: 0", True),
        ([1e-20, 1e6], [], "over: {condition: full}, stat: min, greater: 0", True),
        ([0.1 + 0.2 - 0.3, 0.0], [], "over: {condition: full}, stat: max, greater: 0", True),
        ([1e300], [1e-5], "compare: [full, cls], stat: ratio, greater: 0", True),
    ],
)
def test_binary_rounding_is_no_evidence(
    lab: Any, full: list[float], cls: list[float], claim: str, holds: bool
) -> None:
    lab.sweep(*full)
    lab.sweep(*cls, condition="cls")
    lab.finding(f"{{metric: accuracy, {claim}}}", cites=("{type: batch, experiment_id: E001}",))
    assert ("finding.claim_mismatch" not in lab.codes()) is holds
