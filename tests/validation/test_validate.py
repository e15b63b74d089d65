"""Three layers, three states, modes and the command line around them."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import aexp
from aexp.errors import UsageError
from aexp.validation import kb_checks, validate
from aexp.validation.context import Context
from aexp.validation.issue import Issue

NOBODY = "b" * 32
SHAPE = "{type: job, id: zz}"


def job(job_id: str) -> str:
    return f"{{type: job, id: '{job_id}'}}"


def batch(selector: str, experiment: str = "E001") -> str:
    return f"{{type: batch, experiment_id: {experiment}, selector: {selector}}}"


def test_a_sound_record_has_no_issue(lab: Any) -> None:
    out = lab.cli("validate")
    assert out.splitlines()[-1] == "OK no validation errors (0 warnings)"
    assert "checked: 6 notes, 1 findings, 0 ledger entries, 0 local runs, 0 index entries" in out


def test_every_status_word_is_valid(lab: Any) -> None:
    for seed, status in enumerate(
        ["created", "queued", "running", "complete", "failed", "abandoned", "stopped"]
    ):
        lab.run({"seed": seed}, status=status)
    lab.run({"seed": 99}, status=None)
    assert lab.issues() == []


def test_a_run_of_the_ledger_is_here_whoever_ran_it(lab: Any) -> None:
    lab.cite(job(lab.entry({"seed": 1}, registered_machine="cluster")))
    assert lab.issues() == []


def test_a_clone_needs_git_and_the_ledger_only(lab: Any) -> None:
    lab.cite(job(lab.entry({"seed": 1})), batch("{seed: 1}"))
    shutil.rmtree(lab.root / ".runs")
    (lab.root / ".aexp" / "installed.json").unlink()
    assert lab.issues() == []


def test_a_local_run_is_here_before_it_has_ended(lab: Any) -> None:
    lab.cite(job(lab.run({"seed": 1}, status="running")), batch("{seed: 1}"))
    assert [
        code for code in lab.codes() if "citation" in code or "batch" in code.split(".")[0]
    ] == []


def test_the_ledger_wins_over_the_index(lab: Any) -> None:
    job_id = lab.entry({"seed": 1, "condition": "full"})
    entry = {"job_id": job_id, "status": "failed", "experiment_id": "E001", "condition": "full"}
    lab.index("cluster", entry)
    lab.cite(job(job_id), batch("{condition: full}"))
    assert lab.issues() == []


def test_a_junk_ledger_file_satisfies_nothing(lab: Any) -> None:
    lab.write(f".aexp/ledger/{NOBODY}.json", "{")
    lab.cite(job(NOBODY))
    assert lab.codes() == ["ledger.corrupt_entry", "finding.broken_run_citation"]
    assert "its ledger file is no entry" in lab.issues()[1].message


def test_an_entry_with_the_state_point_of_another_run_satisfies_nothing(lab: Any) -> None:
    job_id = lab.entry({"condition": "cls", "seed": 1})
    lab.cite(job(job_id), batch("{condition: cls}"))
    assert lab.issues() == []
    lab.edit(f".aexp/ledger/{job_id}.json", '"cls"', '"full"')
    lab.cite(job(job_id), batch("{condition: full}"))
    codes = ["ledger.corrupt_entry", "finding.broken_run_citation", "finding.empty_batch"]
    assert lab.codes() == codes
    lab.run({"condition": "cls", "seed": 1})
    assert lab.codes() == ["ledger.corrupt_entry", "finding.empty_batch"]


def test_a_corrupt_run_costs_itself_only(lab: Any) -> None:
    good, bad = lab.run({"seed": 1}), lab.run({"seed": 2})
    lab.write(f".runs/workspace/{bad}/signac_job_document.json", "{")
    lab.cite(job(good), job(bad))
    assert lab.codes() == ["run.unreadable", "finding.broken_run_citation"]
    assert bad in lab.issues()[1].message


@pytest.mark.parametrize(
    ("selector", "matches"),
    [
        ("{model: base}", True),
        ("{model: other}", False),
        ("{model: base, seed: 3}", True),
        ("{model: base, seed: '3'}", True),
        ("{seed: '0.5'}", False),
        ("{lr: '0.5'}", True),
        ("{lr: 0.5}", True),
        ("{condition: full, model: NOPE}", False),
        ("{condition: full}", True),
        ("{missing: 1}", False),
        ("{tools: [a, b]}", True),
        ("{tools: [b, a]}", False),
        ("{deep: {x: 1}}", True),
        ("{flag: true}", True),
        ("{flag: 'True'}", True),
        ("{nothing: null}", True),
        ("{}", True),
    ],
)
@pytest.mark.parametrize("layer", ["entry", "run"])
def test_batches_are_found_by_every_key_in_every_layer(
    lab: Any, layer: str, selector: str, matches: bool
) -> None:
    write = getattr(lab, layer)
    sp = {"model": "base", "seed": 3, "lr": 0.5, "tools": ["a", "b"], "deep": {"x": 1}}
    write({**sp, "condition": "full", "flag": True, "nothing": None})
    write({"seed": 4})  # one without a condition, beside the one that has it
    lab.cite(batch(selector))
    assert ("finding.empty_batch" not in lab.codes()) is matches


def test_a_batch_of_another_experiment_does_not_count(lab: Any) -> None:
    lab.entry({"seed": 1})
    lab.cite(batch("{seed: 1}", "E002"))
    assert "finding.empty_batch" in lab.codes()


@pytest.mark.parametrize(
    ("strict", "severities"),
    [("error", ["error"] * 3), ("warn", ["warning", "warning", "error"]), ("off", ["error"])],
)
def test_strict_runs_is_about_existence_not_form(
    lab: Any, strict: str, severities: list[str]
) -> None:
    lab.cite(job(NOBODY), batch("{seed: 1}"), SHAPE)
    found = lab.issues(strict_runs=strict)
    assert [issue.severity for issue in found] == severities
    out = lab.cli("validate", f"--strict-runs={strict}", rc=1)
    assert out.count("\nERROR") + out.startswith("ERROR") == severities.count("error")
    lab.cite(job(NOBODY), batch("{seed: 1}"))
    lab.cli("validate", f"--strict-runs={strict}", rc=1 if strict == "error" else 0)


def test_absent_runs_are_warnings_whatever_strict_runs_says_but_off(lab: Any) -> None:
    lab.index("cluster", {"job_id": NOBODY, "status": "complete", "experiment_id": "E001"})
    lab.cite(job(NOBODY), batch("{}"))
    for strict in ("error", "warn"):
        found = lab.issues(strict_runs=strict)
        assert [issue.code for issue in found] == [
            "finding.absent_run_citation",
            "finding.absent_batch_runs",
        ]
        assert {issue.severity for issue in found} == {"warning"}
        assert "cluster" in found[0].message
    assert lab.codes(strict_runs="off") == []


def test_an_index_cannot_deny_what_it_does_not_hold(lab: Any) -> None:
    entry = {"job_id": NOBODY, "status": "complete", "experiment_id": "E001", "condition": "full"}
    lab.index("cluster", entry)
    lab.cite(batch("{condition: full, model: base}"))
    assert lab.codes() == ["finding.absent_batch_runs"]
    assert "may be" in lab.issues()[0].message
    lab.cite(batch("{condition: cls, model: base}"))
    assert lab.codes() == ["finding.empty_batch"]


def test_without_any_layer_only_the_form_is_checked_and_that_is_said_once(lab: Any) -> None:
    lab.cite(job(NOBODY), batch("{}"), SHAPE)
    lab.artifact("F002")
    shutil.rmtree(lab.root / ".runs")
    codes = [code for code in lab.codes(mode="runs-only")]
    assert sorted(codes) == ["finding.broken_run_citation", "finding.no_run_store"]


def test_modes_leave_out_what_they_say(lab: Any) -> None:
    lab.cite(job(NOBODY))
    lab.run({"seed": 1}, status="done")
    lab.edit("kb/research/threads/T001-a-title.md", "status: EXPLORING\n", "")
    assert lab.codes(mode="kb-only") == ["kb.metadata"]
    assert lab.codes(mode="runs-only") == ["run.status_invalid", "finding.broken_run_citation"]
    assert lab.codes() == ["kb.metadata", "run.status_invalid", "finding.broken_run_citation"]
    assert "ERROR kb.metadata [kb/research/threads/T001-a-title.md:1]: there is no Status" in (
        lab.cli("validate", "--kb-only", rc=1)
    )


def test_a_finding_that_cannot_be_read_is_no_finding_without_citations(lab: Any) -> None:
    lab.write("kb/research/findings/F001-a-title.md", "---\n[\n---\n")
    assert lab.codes(mode="runs-only") == ["kb.frontmatter"]


@pytest.mark.parametrize(
    "arguments",
    [
        ("--strict-runs=maybe",),
        ("--kb-only", "--runs-only"),
        ("--kb-only", "kb/ACTIVE.md"),
        ("--nonsense",),
    ],
)
def test_a_call_that_is_not_understood_exits_2(lab: Any, arguments: tuple[str, ...]) -> None:
    assert lab.cli("validate", *arguments, rc=2) == ""
    assert "Error: " in lab.stderr or "error: " in lab.stderr


def test_python_refuses_words_it_does_not_know(lab: Any) -> None:
    with pytest.raises(UsageError):
        aexp.validate_repo(lab.root, mode="all")
    with pytest.raises(UsageError):
        aexp.validate_repo(lab.root, strict_runs="maybe")


def test_json_holds_the_same_as_the_lines(lab: Any) -> None:
    lab.cite(job(NOBODY))
    answer = json.loads(lab.cli("validate", "--json", rc=1))
    assert (answer["ok"], answer["errors"], answer["warnings"]) == (False, 1, 0)
    assert answer["checked"]["findings"] == 1
    (issue,) = answer["issues"]
    assert issue["code"] == "finding.broken_run_citation"
    assert issue["severity"] == "error"
    assert issue["path"] == "kb/research/findings/F001-a-title.md"
    assert issue["line"] == 10
    assert issue["detail"] == {"job_id": NOBODY}


def test_validate_finds_the_repository_from_any_folder_and_writes_nothing(lab: Any) -> None:
    lab.cite(job(lab.run({"seed": 1})))
    before = {path: path.stat().st_mtime_ns for path in lab.root.rglob("*")}
    lab.cli("validate", cwd=lab.root / "kb" / "research")
    lab.cli("validate", "--json", cwd=lab.root / "kb")
    assert {path: path.stat().st_mtime_ns for path in lab.root.rglob("*")} == before


def test_an_empty_repository_is_not_ok(tmp_path: Path, lab: Any) -> None:
    for name in ("kb", ".runs", ".aexp"):
        shutil.rmtree(lab.root / name)
    out = lab.cli("validate", rc=1)
    assert "aexp.not_installed" in out
    assert "aexp install" in out or "nothing to check" in out


def test_adhoc_runs_need_no_experiment(lab: Any) -> None:
    lab.run({"seed": 1, "kind": "adhoc"}, aexp=None)
    assert lab.issues() == []


def test_the_old_link_key_is_read(lab: Any) -> None:
    lab.run({"seed": 1}, aexp=None, limina={"experiment_id": "E001"})
    assert lab.issues() == []


def test_a_sub_hypothesis_that_the_experiment_lists_is_fine(lab: Any) -> None:
    lab.artifact("E001", "sub_hypotheses: [H002]")
    lab.run({"s": 1}, aexp={"experiment_id": "E001", "hypothesis_id": "H002"})
    lab.run({"s": 2}, aexp={"experiment_id": "E001", "sub_hypothesis_id": "H002"})
    assert lab.issues() == []


def test_two_files_of_one_experiment_break_the_link(lab: Any) -> None:
    lab.run({"seed": 1})
    shutil.copy(
        lab.root / "kb/research/experiments/E001-a-title.md",
        lab.root / "kb/research/experiments/E001-other.md",
    )
    assert sorted(lab.codes()) == ["kb.duplicate_id", "run.broken_experiment_link"]


def test_fields_may_be_written_below_the_title(lab: Any) -> None:
    name = "kb/research/findings/F001-a-title.md"
    lab.edit(name, "hypothesis: H001\n", "")
    lab.edit(name, "# F001 — A title\n", "# F001 — A title\n\n> **Hypothesis**: [[H001]]\n")
    assert lab.issues() == []


def test_literature_and_reviews_are_notes_like_the_others(lab: Any) -> None:
    text = "---\nid: {0}\naliases: [{0}]\n{1}\n---\n# {0}\n\n## Links\n\n- [[H001]]\n"
    fields = "type: paper\ndate_reviewed: 2026-01-01\nrelevance: HIGH"
    lab.write("kb/research/literature/L001-a.md", text.format("L001", fields))
    review = "target: all\nrequested_by: a\nreviewer: b\ncreated: 2026-01-01"
    lab.write("kb/reports/CR001-a.md", text.format("CR001", review))
    strategic = "scope: all\nchallenge_review: CR001\ncreated: 2026-01-01"
    lab.write("kb/reports/SR001-a.md", text.format("SR001", strategic))
    codes = {(issue.code, issue.path) for issue in lab.issues()}
    assert codes == {
        ("kb.link_required", "kb/reports/SR001-a.md"),
        ("kb.backlink", "kb/reports/CR001-a.md"),
    }
    lab.write("kb/research/literature/L001-a.md", text.format("L001", "type: paper"))
    assert [issue.code for issue in lab.issues()].count("kb.metadata") == 2


def test_a_check_that_breaks_is_reported_and_the_others_go_on(
    lab: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(context: Context) -> Iterator[Issue]:
        yield Issue.of("kb.metadata", "found before the defect")
        raise ZeroDivisionError("division by zero")

    monkeypatch.delenv("AEXP_DEBUG", raising=False)
    checks = (broken, kb_checks.files)
    monkeypatch.setitem(validate.MODES, "full", checks)
    (lab.root / "kb" / "ACTIVE.md").unlink()
    found = lab.issues()
    assert [issue.code for issue in found] == [
        "kb.metadata",
        "aexp.validator_unavailable",
        "kb.missing_file",
    ]
    assert "ZeroDivisionError" in found[1].message
    monkeypatch.setitem(validate.MODES, "full", (kb_checks.identity,))
    assert lab.issues() == []


def test_public_names() -> None:
    assert aexp.validate_repo.__module__ == "aexp.validation.validate"
    assert aexp.ValidateResult.__name__ == "ValidateResult"
    assert aexp.Issue("a", "b").severity == "error"
