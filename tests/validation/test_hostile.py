"""What nobody writes by hand: bombs, floods, control characters, links that lead away."""

import os
import time
from typing import Any

import pytest

F = "kb/research/findings/F001-a-title.md"


def test_a_flood_of_citations_is_one_issue_each_and_no_more_work(lab: Any) -> None:
    lab.entry({"seed": 1})
    lab.cite(*(f"{{type: job, id: '{number:032x}'}}" for number in range(2_000)))
    found = lab.issues()
    assert [issue.code for issue in found] == ["finding.broken_run_citation"] * 2_000
    assert [issue.line for issue in found] == list(range(10, 2_010))


def test_a_hundred_thousand_ids_are_refused_in_one_line(lab: Any) -> None:
    lab.cite(*(f"{{type: job, id: '{number:032x}'}}" for number in range(100_000)))
    began = time.process_time()
    (issue,) = lab.issues()
    assert issue.code == "kb.frontmatter"
    assert "over 1 MB" in issue.message
    assert time.process_time() - began < 5
    lab.cli("validate", rc=1)


def test_a_hundred_thousand_ids_in_compact_form(lab: Any) -> None:
    # As many as fit into the frontmatter's megabyte, in one flow list on one line.
    lab.artifact("F001", "supporting_runs: [" + ",".join("[0]" for _ in range(100_000)) + "]")
    assert set(lab.codes()) == {"finding.broken_run_citation"}


@pytest.mark.parametrize(
    "more",
    [
        "a: &a [x,x,x,x,x,x,x,x,x]\n"
        + "\n".join(
            f"{y}: &{y} [{','.join(['*' + x] * 9)}]"
            for x, y in zip("abcdefgh", "bcdefghi", strict=True)
        ),
        "x: " + "[" * 5_000 + "]" * 5_000,
        "x: &x [*x]",
        "supporting_runs: &a {type: job, id: *a}",
        "conditions: !!python/object/apply:os.system [touch pwned]",
        "tags: !!python/name:os.system",
    ],
)
def test_yaml_that_attacks_is_one_issue_of_that_file(lab: Any, more: str) -> None:
    lab.artifact("F001", more)
    assert [(issue.code, issue.path) for issue in lab.issues()] == [("kb.frontmatter", F)]
    assert not (lab.root / "pwned").exists()
    assert "FAILED 1 error(s)" in lab.cli("validate", rc=1)


def test_control_characters_and_markup_are_shown_not_obeyed(lab: Any) -> None:
    evil = "\x1b[2J[/b]\x07"
    lab.artifact("H001", status='"\\e[2J[/b]\\a\\u2028ERROR x"')
    lab.edit(F, "- [[ACTIVE]]\n", f"- [[ACTIVE]]\n- [[{evil}]]\n")
    lab.run({"seed": 1}, status="\x1b[31mred\r")
    lab.cite(
        f"{{type: job, id: '{'a' * 30}\\e'}}",
        f"{{type: batch, experiment_id: E001, selector: {{'{chr(9731)}': \"\\e[31m\"}}}}",
    )
    out = lab.cli("validate", rc=1)
    assert "\x1b" not in out
    assert "\x07" not in out
    assert "\u2028" not in out
    assert "[/b]" in out
    assert all(
        line.split(" ")[0] in {"ERROR", "WARNING", "checked:", "FAILED"}
        for line in out.splitlines()
    )


def test_a_file_name_with_control_characters_is_one_line(lab: Any) -> None:
    lab.write("kb/research/findings/F9\n\x1b[31m.md", "x")
    out = lab.cli("validate", rc=1)
    assert "\x1b" not in out
    assert "kb.filename [kb/research/findings/F9\\n\\x1b[31m.md]" in out


def test_links_that_leave_the_repository_are_not_read(lab: Any, tmp_path_factory: Any) -> None:
    outside = tmp_path_factory.mktemp("outside")
    secret = outside / "F002-x.md"
    secret.write_text("---\nsecret: [\n---\n")
    os.symlink(secret, lab.root / "kb/research/findings/F002-x.md")
    os.symlink(outside, lab.root / "kb/research/more")
    (lab.root / ".aexp/ledger").mkdir()
    os.symlink(secret, lab.root / ".aexp/ledger" / ("c" * 32 + ".json"))
    (lab.root / ".aexp/runs-index").mkdir()
    os.symlink(secret, lab.root / ".aexp/runs-index/x.json")
    found = lab.issues()
    assert sorted(issue.code for issue in found) == [
        "index.corrupt",
        "kb.frontmatter",
        "ledger.corrupt_entry",
    ]
    assert not any("secret" in issue.message for issue in found)


def test_a_folder_of_findings_that_leads_away_is_refused(lab: Any, tmp_path_factory: Any) -> None:
    outside = tmp_path_factory.mktemp("outside")
    (outside / "F002-x.md").write_text("---\nsecret: 1\n---\n")
    os.rename(lab.root / "kb/research/findings", lab.root / "kb/research/data")
    os.symlink(outside, lab.root / "kb/research/findings")
    assert "kb/research/findings/F002-x.md" not in {issue.path for issue in lab.issues()}


def test_a_pipe_in_the_ledger_does_not_hang(lab: Any) -> None:
    (lab.root / ".aexp/ledger").mkdir()
    os.mkfifo(lab.root / ".aexp/ledger" / ("d" * 32 + ".json"))
    assert lab.codes() == ["ledger.corrupt_entry"]


def test_documents_nested_beyond_sense_cost_themselves(lab: Any) -> None:
    good, bad = lab.run({"seed": 1}), lab.run({"seed": 2})
    deep = '{"status": "complete", "aexp": {"experiment_id": "E001"}, "summary_metrics": '
    deep += '{"a":' * 900 + "1" + "}" * 900 + "}"
    lab.write(f".runs/workspace/{bad}/signac_job_document.json", deep)
    lab.cite(f"{{type: job, id: '{good}'}}")
    assert set(lab.codes()) <= {"run.unreadable", "finding.incomplete_batch"}
    lab.write(f".runs/workspace/{bad}/signac_job_document.json", '{"a":' * 90_000)
    assert lab.codes() == ["run.unreadable"]
    lab.cli("validate", rc=1)


def test_a_seed_of_its_own_for_every_run_is_no_grid_and_no_square(lab: Any) -> None:
    for number in range(400):
        lab.entry({"condition": f"c{number % 80}", "seed": number})
    lab.cite(
        *(f"{{type: batch, experiment_id: E001, selector: {{condition: c{n}}}}}" for n in range(80))
    )
    assert lab.issues() == []
