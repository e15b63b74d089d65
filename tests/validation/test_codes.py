"""Every code: what produces it, where it points, and what clears it."""

import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from aexp.validation.codes import CODES

ROOT = Path(__file__).parents[2]
H, E = "kb/research/hypotheses/H001-a-title.md", "kb/research/experiments/E001-a-title.md"
F, T = "kb/research/findings/F001-a-title.md", "kb/research/threads/T001-a-title.md"
NOBODY = "a" * 32
JOB = f"{{type: job, id: {NOBODY!r}}}"


class Case(NamedTuple):
    """One way to produce a code; mending is putting the tree back as it was."""

    code: str
    damage: Callable[[Any], Any]
    where: str | None = None
    count: int = 1


def edit(name: str, old: str, new: str) -> Callable[[Any], Any]:
    return lambda lab: lab.edit(name, old, new)


def write(name: str, text: str | bytes) -> Callable[[Any], Any]:
    return lambda lab: lab.write(name, text)


def tracker(settings: str) -> Callable[[Any], Any]:
    return lambda lab: lab.artifact("E001", f"tracker: {settings}")


def remove(name: str) -> Callable[[Any], Any]:
    def damage(lab: Any) -> None:
        path = lab.root / name
        shutil.rmtree(path) if path.is_dir() else path.unlink()

    return damage


def link(name: str, target: str) -> Callable[[Any], Any]:
    def damage(lab: Any) -> None:
        path = lab.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        os.symlink(target, path)

    return damage


def document(text: str) -> Callable[[Any], Any]:
    def damage(lab: Any) -> None:
        job_id = lab.run({"seed": 1})
        lab.write(f".runs/workspace/{job_id}/signac_job_document.json", text)

    return damage


def only_git(lab: Any) -> None:
    for name in ("kb", ".runs", ".aexp"):
        shutil.rmtree(lab.root / name)


def no_layer(lab: Any) -> None:
    lab.cite(JOB)
    for name in (".runs", ".aexp"):
        shutil.rmtree(lab.root / name)


def store_is_a_file(lab: Any) -> None:
    lab.write(".runs/workspace", "")


def sp_gone(lab: Any) -> None:
    job_id = lab.run({"seed": 1})
    (lab.root / ".runs" / "workspace" / job_id / "signac_statepoint.json").unlink()


def indexed(**more: Any) -> dict[str, Any]:
    return {"job_id": NOBODY, "status": "complete", "experiment_id": "E001", **more}


def index_job(lab: Any) -> None:
    lab.cite(JOB)
    lab.index("cluster", indexed())


def index_batch(selector: str) -> Callable[[Any], Any]:
    def damage(lab: Any) -> None:
        lab.cite(f"{{type: batch, experiment_id: E001, selector: {selector}}}")
        lab.index("cluster", indexed(condition="full"))

    return damage


def linked(**link: Any) -> Callable[[Any], Any]:
    return lambda lab: lab.run({"seed": 1}, aexp={"experiment_id": "E001", **link})


LEDGER = f".aexp/ledger/{NOBODY}.json"
CASES = [
    Case("aexp.not_installed", only_git),
    Case("kb.missing_file", remove("kb/ACTIVE.md"), "kb/ACTIVE.md"),
    Case("kb.missing_file", remove("kb/mission"), "kb/mission/CHALLENGE.md"),
    Case("kb.missing_file", remove("kb"), "kb/research"),
    Case("kb.frontmatter", edit(F, "impact: HIGH", "impact: [HIGH"), F + ":8"),
    Case("kb.frontmatter", edit(F, "impact: HIGH", "impact: HIGH\nimpact: LOW"), F + ":8"),
    Case("kb.frontmatter", write(F, b"---\nid: \xff\n---\n"), F),
    Case("kb.frontmatter", write(F, "---\n- a\n---\n"), F),
    Case("kb.frontmatter", edit(F, "\n---\n\n#", "\n#"), F),
    Case("kb.frontmatter", link(F, "/etc/hostname"), F),
    Case("kb.frontmatter", write("kb/ACTIVE.md", "---\na: [\n---\n"), "kb/ACTIVE.md:3"),
    Case(
        "kb.filename",
        write("kb/research/findings/idea.md", "# x\n"),
        "kb/research/findings/idea.md",
    ),
    Case(
        "kb.filename",
        write("kb/research/threads/H002-x.md", "# x\n"),
        "kb/research/threads/H002-x.md",
    ),
    Case("kb.filename", write("kb/reports/X001-x.md", "# x\n"), "kb/reports/X001-x.md"),
    Case(
        "kb.duplicate_id",
        lambda lab: shutil.copy(lab.root / F, lab.root / F.replace("-a-", "-b-")),
        F.replace("-a-", "-b-"),
    ),
    Case("kb.id_mismatch", edit(F, "id: F001", "id: F002"), F + ":2"),
    Case("kb.alias_missing", edit(F, "[F001]", "[other]"), F + ":3"),
    Case("kb.alias_missing", edit(F, "aliases: [F001]\n", ""), F + ":1"),
    Case("kb.alias_conflict", edit(F, "[F001]", "[F001, E001]"), F + ":3"),
    Case(
        "kb.alias_conflict",
        write("kb/research/data/E001.md", "free text\n"),
        "kb/research/data/E001.md:1",
    ),
    Case("kb.metadata", edit(T, "status: EXPLORING\n", ""), T + ":1"),
    Case("kb.metadata", edit(H, "created: 2026-01-02", "created:"), H + ":1"),
    Case("kb.metadata", edit(F, "impact: HIGH\n", ""), F + ":1"),
    Case("kb.metadata", edit(F, "impact: HIGH", "impact: ''"), F + ":1"),
    Case("kb.reference", edit(H, "thread: T001", "thread: T009"), H + ":7"),
    Case("kb.reference", edit(E, "hypothesis: H001", "hypothesis: T001"), E + ":7"),
    Case("kb.reference", edit(E, "hypothesis: H001", "hypothesis: [H001]"), E + ":7"),
    Case("kb.status_unknown", edit(H, "TESTING", "PONDERING"), H + ":5"),
    Case("kb.status_unknown", edit(T, "EXPLORING", "[1]"), T + ":5"),
    Case("kb.conditions", lambda lab: lab.artifact("E001", "conditions: [full]"), E + ":8"),
    Case("kb.conditions", lambda lab: lab.artifact("E001", "conditions: {full: base}"), E + ":8"),
    Case(
        "kb.conditions",
        lambda lab: lab.artifact("E001", "conditions: {full: {lr: .nan}}"),
        E + ":8",
    ),
    Case("kb.run_settings", lambda lab: lab.artifact("E001", "retries: many"), E + ":8"),
    Case(
        "kb.run_settings",
        lambda lab: lab.artifact("E001", "parameters: {lr: {type: size}}"),
        E + ":8",
    ),
    Case("kb.run_settings", lambda lab: lab.artifact("E001", "timeout: soon"), E + ":8"),
    Case("kb.tracker", tracker("[noop]"), E + ":8"),
    Case("kb.tracker", tracker("{offline: true}"), E + ":8"),
    Case("kb.tracker", tracker("\n  backend: wandb\n  projekt: p"), E + ":10"),
    Case("kb.tracker", tracker("\n  backend: wandb\n  project: a/b"), E + ":10"),
    Case("kb.tracker", tracker("\n  backend: noop\n  options:\n    a: 1"), E + ":11"),
    Case("kb.tracker_unknown", tracker("{backend: wanbd}"), E + ":8"),
    Case("kb.missing_heading", edit(F, "## Evidence", "## Evidenz"), F),
    Case("kb.missing_heading", edit("kb/ACTIVE.md", "## Blocker\n", ""), "kb/ACTIVE.md"),
    Case("kb.missing_heading", edit(F, "## Evidence", "```\n## Evidence\n```"), F),
    Case("kb.links_missing", edit(T, "## Links", "## See"), T),
    Case("kb.links_missing", edit(T, "- [[ACTIVE]]\n- [[H001]]\n", ""), T + ":35"),
    Case("kb.link_target", edit(T, "[[ACTIVE]]", "[[ACTIVE]]\n- [[H777|the other]]"), T + ":38"),
    Case("kb.link_required", edit(F, "- [[ACTIVE]]\n", ""), F + ":37"),
    Case("kb.link_required", edit(F, "- [[E001]]\n", ""), F + ":37"),
    Case("kb.backlink", edit(H, "- [[F001]]\n", ""), H + ":40"),
    Case("run.unreadable", document("{"), ".runs/workspace/*"),
    Case("run.unreadable", document("[1]"), ".runs/workspace/*"),
    Case("run.unreadable", sp_gone, ".runs/workspace/*"),
    Case("run.store_unreadable", store_is_a_file, ".runs/workspace"),
    Case(
        "run.status_invalid", lambda lab: lab.run({"seed": 1}, status="done"), ".runs/workspace/*"
    ),
    Case(
        "run.status_invalid",
        lambda lab: lab.run({"seed": 1}, status=["queued"]),
        ".runs/workspace/*",
    ),
    Case("run.orphan", lambda lab: lab.run({"seed": 1}, aexp=None), ".runs/workspace/*"),
    Case("run.broken_experiment_link", linked(experiment_id=None), ".runs/workspace/*"),
    Case("run.broken_experiment_link", linked(experiment_id="E777"), ".runs/workspace/*"),
    Case("run.broken_experiment_link", linked(experiment_id=["E001"]), ".runs/workspace/*"),
    Case("run.hypothesis_mismatch", linked(hypothesis_id="H002"), ".runs/workspace/*"),
    Case("run.sub_hypothesis_unlisted", linked(sub_hypothesis_id="H001"), ".runs/workspace/*"),
    Case("ledger.corrupt_entry", write(LEDGER, "{"), LEDGER),
    Case("ledger.corrupt_entry", write(LEDGER, "[]"), LEDGER),
    Case("ledger.corrupt_entry", write(LEDGER, '{"job_id": "b"}'), LEDGER),
    Case("ledger.corrupt_entry", write(LEDGER, f'{{"job_id": "{NOBODY}", "status": []}}'), LEDGER),
    Case(
        "ledger.corrupt_entry",
        write(LEDGER, f'{{"job_id": "{NOBODY}", "status": "failed"}}'),
        LEDGER,
    ),
    Case(
        "ledger.corrupt_entry",
        write(LEDGER, f'{{"job_id": "{NOBODY}", "status": "failed", "statepoint": {{"a": 1}}}}'),
        LEDGER,
    ),
    Case("ledger.corrupt_entry", link(LEDGER, "/etc/hostname"), LEDGER),
    Case("ledger.corrupt_entry", write(LEDGER + "/x", ""), LEDGER),
    Case(
        "ledger.foreign_file", write(".aexp/ledger/summary.json", "{}"), ".aexp/ledger/summary.json"
    ),
    Case("index.corrupt", write(".aexp/runs-index/a.json", "{"), ".aexp/runs-index/a.json"),
    Case(
        "index.corrupt",
        write(".aexp/runs-index/a.json", '{"entries": 3}'),
        ".aexp/runs-index/a.json",
    ),
    Case(
        "index.corrupt",
        write(".aexp/runs-index/a.json", '{"entries": [{"job_id": 3}]}'),
        ".aexp/runs-index/a.json",
    ),
    Case("finding.broken_run_citation", lambda lab: lab.cite("run 7"), F + ":10"),
    Case("finding.broken_run_citation", lambda lab: lab.cite("{type: job, id: zz}"), F + ":10"),
    Case("finding.broken_run_citation", lambda lab: lab.cite("{type: jobs, id: zz}"), F + ":10"),
    Case(
        "finding.broken_run_citation",
        lambda lab: lab.cite("{type: batch, selector: {}}"),
        F + ":10",
    ),
    Case("finding.broken_run_citation", lambda lab: lab.cite(JOB), F + ":10"),
    Case("finding.broken_run_citation", lambda lab: lab.cite(JOB, JOB), F + ":11", count=2),
    Case(
        "finding.empty_batch", lambda lab: lab.cite("{type: batch, experiment_id: E001}"), F + ":10"
    ),
    Case("finding.absent_run_citation", index_job, F + ":10"),
    Case("finding.absent_batch_runs", index_batch("{condition: full}"), F + ":10"),
    Case("finding.absent_batch_runs", index_batch("{}"), F + ":10"),
    Case("finding.absent_batch_runs", index_batch("{model: base}"), F + ":10"),
    Case("finding.no_run_store", no_layer),
]
OF_SINGLE_FILES = {"kb.scope"}  # test_files.py
OF_A_DEFECT = {"aexp.validator_unavailable"}  # test_validate.py


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.code}-{CASES.index(case)}")
def test_a_damage_is_one_issue_and_mending_it_clears_it(
    lab: Any, tmp_path: Path, case: Case
) -> None:
    kept = tmp_path / "kept"
    for name in ("kb", ".runs", ".aexp"):
        shutil.copytree(lab.root / name, kept / name)
    assert lab.issues() == []
    case.damage(lab)
    found = lab.issues()
    assert [issue.code for issue in found] == [case.code] * case.count
    issue = found[-1]
    assert issue.severity == CODES[case.code].severity
    assert issue.message
    if case.where and case.where.endswith("*"):
        assert issue.where.startswith(case.where[:-1])
    else:
        assert issue.where == (case.where or "")
    for name in ("kb", ".runs", ".aexp"):
        shutil.rmtree(lab.root / name, ignore_errors=True)
        shutil.copytree(kept / name, lab.root / name)
    assert lab.issues() == []


def test_every_code_is_produced_by_a_test() -> None:
    here = {case.code for case in CASES} | OF_SINGLE_FILES | OF_A_DEFECT
    rest = set(CODES) - here
    texts = [
        path.read_text() for path in (ROOT / "tests").rglob("test_*.py") if path != Path(__file__)
    ]
    assert [code for code in sorted(rest) if not any(f'"{code}"' in text for text in texts)] == []
    assert here <= set(CODES)


def test_the_page_has_the_same_table() -> None:
    page = (ROOT / "docs" / "validate.md").read_text().partition("## Codes")[2]
    rows = re.findall(r"^\| `([a-z_.]+)` \| (.*?) \| (.*?) \| (.*?) \|$", page, re.MULTILINE)
    wanted = [
        (name, code.severity + ("*" if code.follows_strict_runs else ""), code.trigger, code.mend)
        for name, code in CODES.items()
    ]
    assert sorted(rows) == sorted(wanted)
