"""``aexp runs-export-index``: the deprecated list of ended runs, and its reading."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

import aexp
from aexp.errors import UsageError
from aexp.ledger.runs_index import scan_indexes
from aexp.paths import Repo
from aexp.runs.export_index import export_index

INDEX = ".aexp/runs-index/here.json"


@pytest.fixture
def filled(lab: Any) -> Any:
    """Give a store with ended and other runs."""
    made = {"created_at": "2026-01-01T00:00:00Z"}
    lab.ended = sorted(
        [
            lab.run({"seed": 0, "condition": "full"}, **made),
            lab.run({"seed": 1}, status="failed", started_at="2026-01-02T00:00:00Z"),
        ]
    )
    for seed, status in enumerate(["created", "queued", "running"], start=2):
        lab.run({"seed": seed}, status=status)
    return lab


def test_the_list_holds_ended_runs_sorted(filled: Any) -> None:
    out = filled.cli("runs-export-index")
    assert "deprecated" in filled.stderr
    assert "ledger backfill" in filled.stderr
    assert out == f"wrote {INDEX}: 2 ended run(s)\n"
    text = (filled.root / INDEX).read_text()
    content = json.loads(text)
    assert list(content) == ["schema_version", "machine_label", "exported_at", "entries"]
    assert (content["schema_version"], content["machine_label"]) == (1, "here")
    assert [entry["job_id"] for entry in content["entries"]] == filled.ended
    full = next(entry for entry in content["entries"] if entry["condition"] == "full")
    assert full == {
        "job_id": full["job_id"],
        "status": "complete",
        "experiment_id": "E001",
        "condition": "full",
        "registered_at": "2026-01-01T00:00:00Z",
    }
    assert text == json.dumps(content, indent=2) + "\n"


def test_what_has_not_changed_is_not_written(filled: Any) -> None:
    filled.cli("runs-export-index")
    path = filled.root / INDEX
    old = path.read_text().replace(
        json.loads(path.read_text())["exported_at"], "2020-01-01T00:00:00Z"
    )
    path.write_text(old)
    assert filled.cli("runs-export-index").startswith("unchanged")
    assert path.read_text() == old
    filled.run({"seed": 9})
    filled.cli("runs-export-index")
    assert len(json.loads(path.read_text())["entries"]) == 3


def test_another_clone_knows_the_runs_from_it(filled: Any) -> None:
    filled.cli("runs-export-index", "--as", "cluster")
    for job_id in filled.ended:
        folder = filled.root / ".runs" / "workspace" / job_id
        (folder / "signac_job_document.json").unlink()
        (folder / "signac_statepoint.json").unlink()
        folder.rmdir()
    filled.cite(f"{{type: job, id: '{filled.ended[0]}'}}")
    (issue,) = [i for i in filled.issues() if i.code.startswith("finding.absent")]
    assert "cluster" in issue.message


def test_dry_run_and_json(filled: Any) -> None:
    answer = json.loads(filled.cli("runs-export-index", "--dry-run", "--json", "--as", "x"))
    assert (answer["machine_label"], answer["entries"], answer["changed"]) == ("x", 2, True)
    assert not (filled.root / ".aexp/runs-index").exists()
    assert filled.cli("runs-export-index", "-n").startswith("would write")


@pytest.mark.parametrize(
    "label", ["../../../pwned", "..", "a/b", "", "-x", "/tmp/x", "a\nb", "a" * 64, "a..b"]
)
def test_a_label_is_no_path(filled: Any, label: str) -> None:
    def seen() -> list[Path]:
        """All of the repository, and what lies beside it: not what is in other tests' folders."""
        return sorted([*filled.root.rglob("*"), *filled.root.parent.glob("*")])

    before = seen()
    filled.cli("runs-export-index", f"--as={label}", rc=2)
    filled.cli("runs-export-index", f"--machine-label={label}", rc=2)
    assert seen() == before
    assert not [folder for folder in filled.root.parents if list(folder.glob("*pwned*"))]
    assert not list(Path("/tmp").glob("x.json"))


@pytest.mark.parametrize(
    "out",
    [
        "../pwned.json",
        "kb/../../pwned.json",
        ".git/config",
        ".git/hooks/post-checkout",
        ".aexp/ledger/x.json",
        "kb/ACTIVE.md",
        ".runs/workspace/x.json",
        ".",
        "..",
        ".aexp/runs-index/",
        "away/x.json",
    ],
)
def test_out_is_a_file_of_the_repository_or_an_absolute_path(
    filled: Any, out: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    os.symlink(tmp_path_factory.mktemp("away"), filled.root / "away")
    (filled.root / ".aexp/runs-index").mkdir()

    def times() -> dict[Path, int]:
        beside = [filled.root.parent / "pwned.json"]
        found = [path for path in [*filled.root.rglob("*"), *beside] if os.path.lexists(path)]
        return {path: path.lstat().st_mtime_ns for path in found}

    before = times()
    filled.cli("runs-export-index", "--out", out, rc=2)
    assert times() == before


def test_out_may_lie_where_its_user_says(
    filled: Any, tmp_path_factory: pytest.TempPathFactory
) -> None:
    away = tmp_path_factory.mktemp("away") / "index.json"
    filled.cli("runs-export-index", "--out", str(away))
    assert len(json.loads(away.read_text())["entries"]) == 2
    filled.cli("runs-export-index", "--out", "../lists/x.json", cwd=filled.root / "kb")
    assert (filled.root / "lists" / "x.json").is_file()


def test_a_folder_that_leads_away_is_not_written_to(
    filled: Any, tmp_path_factory: pytest.TempPathFactory
) -> None:
    away = tmp_path_factory.mktemp("away")
    os.symlink(away, filled.root / ".aexp" / "runs-index")
    with pytest.raises(UsageError):
        export_index(Repo(filled.root))
    assert list(away.iterdir()) == []


def test_reading_keeps_what_can_be_read(lab: Any) -> None:
    good = {"job_id": "a" * 32, "status": "complete", "experiment_id": "E001", "more": 1}
    lab.index("a", good, {"job_id": "zz"}, {**good, "status": "running"}, [])
    lab.write(".aexp/runs-index/b.json", "{")
    lab.write(".aexp/runs-index/.c.json.tmp", "{")
    first, second = scan_indexes(Repo(lab.root))
    assert [entry.job_id for entry in first.entries] == ["a" * 32]
    assert first.fault == "has 3 entries that are none"
    assert second.entries == []
    assert "JSON" in (second.fault or "")


def test_a_corrupt_run_costs_itself(filled: Any) -> None:
    filled.write(f".runs/workspace/{filled.ended[0]}/signac_job_document.json", "{")
    assert "1 ended run(s)" in filled.cli("runs-export-index")
    assert "not valid JSON" in filled.stderr


def test_public_name() -> None:
    assert aexp.export_index is export_index
