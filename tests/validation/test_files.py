"""``aexp validate FILE``: what hooks of agents and editors call."""

import os
from typing import Any

from aexp.paths import Repo
from aexp.validation.validate import validate_file, validate_files

F, H = "kb/research/findings/F001-a-title.md", "kb/research/hypotheses/H001-a-title.md"


def test_only_the_files_given_are_reported_on(lab: Any) -> None:
    lab.edit(F, "impact: HIGH\n", "")
    lab.edit(H, "## Mechanism\n", "")
    assert "kb.metadata" in lab.cli("validate", F, rc=1)
    assert "kb.missing_heading" not in lab.cli("validate", F, rc=1)
    assert lab.cli("validate", F, H, rc=1).count("ERROR") == 2
    assert "OK no validation errors (0 warnings)" in lab.cli("validate", "kb/ACTIVE.md")


def test_paths_are_those_of_the_folder_one_is_in(lab: Any) -> None:
    lab.edit(F, "impact: HIGH\n", "")
    folder = lab.root / "kb" / "research" / "findings"
    for path in (os.path.basename(F), str(lab.root / F)):
        assert "kb.metadata" in lab.cli("validate", path, rc=1, cwd=folder)


def test_citations_of_a_file_are_checked(lab: Any) -> None:
    lab.cite("{type: job, id: zz}")
    result = validate_file(Repo(lab.root), lab.root / F)
    assert [issue.code for issue in result.issues] == ["finding.broken_run_citation"]
    lab.artifact("F001")
    assert validate_file(Repo(lab.root), lab.root / F).issues == []


def test_what_is_no_note_is_out_of_scope(lab: Any, tmp_path_factory: Any) -> None:
    outside = tmp_path_factory.mktemp("outside") / "F001-a-title.md"
    outside.write_text("x")
    lab.write("notes.md", "x")
    given = [outside, lab.root / "notes.md", lab.root / "kb" / "none.md", lab.root / "kb"]
    result = validate_files(given, lab.root)
    assert [issue.code for issue in result.issues] == ["kb.scope"] * 4
    assert "kb.scope" in lab.cli("validate", "../../etc/passwd", rc=1)
    assert validate_files([lab.root / F], lab.root).issues == []
