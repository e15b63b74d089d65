"""``aexp import bathos``: its Parquet fragments, of the schema that its 0.4.0 writes."""

import json
from pathlib import Path
from typing import Any

import duckdb
import pytest

from aexp.catalogue import open_catalogue
from aexp.errors import UsageError
from aexp.migration.bathos import import_bathos
from aexp.paths import Repo
from aexp.sharing.verify import verify
from aexp.validation.validate import validate_repo

COLUMNS = {
    "id": "VARCHAR",
    "project_slug": "VARCHAR",
    "command": "VARCHAR",
    "argv": "VARCHAR[]",
    "git_hash": "VARCHAR",
    "git_branch": "VARCHAR",
    "git_dirty": "BOOLEAN",
    "timestamp": "TIMESTAMPTZ",
    "duration_s": "DOUBLE",
    "exit_code": "INTEGER",
    "status": "VARCHAR",
    "output_paths": "VARCHAR[]",
    "tags": "VARCHAR[]",
    "schema_version": "VARCHAR",
    "slurm_job_id": "VARCHAR",
    "hostname": "VARCHAR",
    "outcome": "VARCHAR",
    "sidecar_sha256": "VARCHAR",
    "sidecar_path": "VARCHAR",
    "parent_run_id": "VARCHAR",
    "agent_mode": "VARCHAR",
    "sidecar_mode": "VARCHAR",
    "outcome_is_residual": "BOOLEAN",
    "skill_sha256": "VARCHAR",
    "campaign_id": "VARCHAR",
}
FULL = {
    "id": "6394c53c-08c4-4ef8-b768-5d5e7aaa770a",
    "project_slug": "tip3p",
    "command": "python train.py --api-key sk-abcdefghijklmnopqrstuvwx0123456789",
    "argv": ["python", "train.py", "--api-key", "sk-abcdefghijklmnopqrstuvwx0123456789"],
    "git_hash": "b36734f6b3fe6f4f8b0f7abc748fb70e713bbdd7",
    "git_branch": "main",
    "git_dirty": True,
    "timestamp": "2026-05-01T10:00:00.250+00:00",
    "duration_s": 90.5,
    "exit_code": 0,
    "status": "completed",
    "output_paths": ["out/a.csv", "/elsewhere/b.csv"],
    "tags": ["nvt", "it's \N{SNOWMAN} <b>"],
    "schema_version": "3",
    "slurm_job_id": "77",
    "outcome": "pass",
    "outcome_is_residual": True,
    "sidecar_mode": "declared",
    "sidecar_path": "scripts/experiments/train.bth.toml",
    "agent_mode": "collaborative",
    "campaign_id": "c-1",
}


class Theirs:
    """A catalogue of theirs."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def add(self, row: dict[str, Any], slug: str | None = None, more: str = "") -> Path:
        """Write a fragment; `more` are further columns of a later version."""
        place = self.folder / "runs" / (slug or "")
        place.mkdir(parents=True, exist_ok=True)
        path = place / f"run_{row['id']}.parquet"
        columns = ", ".join(f'?::{kind} AS "{name}"' for name, kind in COLUMNS.items())
        with duckdb.connect() as connection:
            connection.execute(
                f"COPY (SELECT {columns}{more}) TO '{path}' (FORMAT parquet)",
                [row.get(name) for name in COLUMNS],
            )
        return path


@pytest.fixture
def theirs(tmp_path: Path) -> Theirs:
    return Theirs(tmp_path / "catalog")


def entries(research: Any) -> dict[str, dict[str, Any]]:
    """Return the ledger's entries by their ids there."""
    folder: Path = research.root / ".aexp" / "ledger"
    found = [json.loads(path.read_text()) for path in folder.glob("*.json")]
    return {entry["imported"]["id"]: entry for entry in found}


def test_runs_become_entries_once(
    research: Any, theirs: Theirs, monkeypatch: pytest.MonkeyPatch
) -> None:
    theirs.add(FULL, "tip3p", """, '{"acc": 0.9, "note": "x"}' AS metadata""")
    child = {"id": "child", "project_slug": "tip3p", "status": "failed", "exit_code": 3}
    theirs.add({**child, "parent_run_id": FULL["id"], "argv": [], "command": "make it"}, "tip3p")
    for odd in ("0001-01-01T00:00:00+00:00", "9999-12-31T23:59:59+00:00", "infinity"):
        row = {"id": odd[:4], "timestamp": odd, "duration_s": 1e8, "parent_run_id": odd[:4]}
        theirs.add({**row, "status": "completed", "project_slug": "odd"}, "odd")
    theirs.add({"id": "killed", "status": "killed", "exit_code": 130, "project_slug": "tip3p",
                "timestamp": "2026-05-01T10:00:00+00:00"})  # fmt: skip
    unfinished = {"id": "now", "status": "running", "exit_code": -1, "project_slug": "tip3p"}
    theirs.add(unfinished, "tip3p")
    theirs.add({"id": "other", "status": "completed", "project_slug": "another"}, "another")
    (theirs.folder / "runs" / "tip3p" / "run_x.tmp.parquet").write_bytes(b"PAR1 half")
    path = str(theirs.folder)

    repo = Repo(research.root)
    with pytest.raises(UsageError) as refused:
        import_bathos(repo, path)
    assert "another (1), odd (3), tip3p (4)" in str(refused.value.hint)
    assert entries(research) == {}
    damaged = theirs.folder / "runs" / "tip3p" / "run_damaged.parquet"
    damaged.write_bytes(b"PAR1 not really")
    (research.root / "aexp.toml").write_text('project_slug = "tip3p"\n')
    done = research.aexp("import", "bathos", path)
    assert "3 run(s): 3 new" in done.stdout
    assert "run_damaged.parquet cannot be read" in done.stderr
    assert "x.tmp" not in done.stderr
    assert "left out: 4 (of another project)" in done.stderr
    assert "left out: 1 (is running: it has no end)" in done.stderr

    found = entries(research)
    assert found.keys() == {FULL["id"], "child", "killed"}
    full, made = found[FULL["id"]], found["child"]
    assert full["statepoint"]["argv"] == ["python", "train.py", "--api-key", "***"]
    assert full["statepoint"]["code_commit"] == full["code_commit"] == FULL["git_hash"]
    assert (full["started_at"], full["ended_at"], full["wallclock_s"]) == (
        "2026-05-01T10:00:00Z",
        "2026-05-01T10:01:30Z",
        90.5,
    )
    assert (full["status"], full["returncode"], full["tags"]) == ("complete", 0, FULL["tags"])
    assert (full["outcome"], full["outcome_residual"]) == ("pass", True)
    assert (full["project"], full["metrics"]) == ("tip3p", {"acc": 0.9})
    assert full["imported"]["output_paths"] == ["out/a.csv"]
    assert "abcdefghijklmnop" not in json.dumps(found)
    # What is missing there is missing here.
    assert not {"started_at", "ended_at", "wallclock_s", "code_commit", "tags"} & made.keys()
    assert made["derived_from"] == [full["job_id"]]
    assert made["imported"]["command"] == "make it"
    assert (found["killed"]["status"], "returncode" in found["killed"]) == ("stopped", False)
    assert "ended_at" not in found["killed"]

    # Again: nothing. Of a run that has ended since: that one.
    before = research.tree()
    damaged.unlink()
    monkeypatch.setenv("HOME", str(theirs.folder.parent))
    for again in (path, "~/catalog"):
        assert {run.action for run in import_bathos(repo, again).runs} == {"unchanged"}
    assert research.tree() == before
    theirs.add({**unfinished, "status": "completed", "exit_code": 0}, "tip3p")
    assert "1 new, 3 unchanged" in research.aexp("import", "bathos", path).stdout
    assert verify(repo).problems == []
    codes = {issue.code for issue in validate_repo(research.root, mode="runs-only").issues}
    assert not {code for code in codes if code.startswith(("run.", "ledger."))}
    with open_catalogue(repo) as catalogue:
        sql = (
            "SELECT project_slug, count(*), count(*) FILTER (list_contains(tags, 'nvt')) FROM runs"
        )
        assert catalogue.rows(f"{sql} GROUP BY 1").rows == [("tip3p", 4, 1)]
    assert import_bathos(repo, path, every_project=True).runs[-1].id == "other"
    found = entries(research)
    assert len(found) == 8
    # What cannot be is not taken over.
    for name in ("0001", "9999", "infi"):
        assert not {"started_at", "ended_at", "derived_from"} & found[name].keys()
    assert verify(repo).problems == []


def test_what_is_no_catalogue_is_refused(research: Any, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no Parquet file"):
        import_bathos(Repo(research.root), "nowhere")
    with duckdb.connect() as connection:
        connection.execute(f"COPY (SELECT 1 AS x) TO '{tmp_path}/t.parquet' (FORMAT parquet)")
    done = research.aexp("import", "bathos", str(tmp_path / "t.parquet"))
    assert "no run" in done.stderr
    assert done.stdout == "0 run(s)\n"
