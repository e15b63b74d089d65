"""Offline runs of another package's tracker, which may do what it likes; and where is looked."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from aexp import find_offline_runs
from aexp.errors import NotInstalled
from aexp.trackers.sync.sync import sync_offline_runs

ADAPTER = """
import os, sys, time
from pathlib import Path
from aexp.trackers import OfflineRun, SyncResult, TrackerAdapter

class Own(TrackerAdapter):
    name = "own"
    def __init__(self, server="x"):
        self.server = server
    def init_run(self, **unused): ...
    def log(self, handle, metrics): ...
    def log_artifact(self, handle, name, path): ...
    def finish(self, handle): ...
    def list_runs(self, project): ...
    def find_offline(self, workspace):
        return [OfflineRun(path, "own", path.stem, Path(workspace).name, "")
                for path in sorted(Path(workspace).glob("*.offline"))]
    def sync(self, offline_run):
        print("password=hunter2hunter2", flush=True)
        mode = offline_run.run_id
        if mode == "hangs":
            os.system("sleep 600")
        if mode == "exits":
            os._exit(3)
        if mode == "raises":
            raise ValueError("\\x1b[31mred")
        if mode == "nothing":
            return None
        return SyncResult(offline_run.path, True, url=f"http://me:secret@{self.server}/1?token=x")
"""


@pytest.fixture
def own(research: Any, tmp_path: Path) -> Path:
    """Install a distribution that registers the tracker `own`."""
    folder = tmp_path / "site"
    (folder / "own-1.0.dist-info").mkdir(parents=True)
    (folder / "own.py").write_text(ADAPTER)
    (folder / "own-1.0.dist-info" / "METADATA").write_text("Name: own\nVersion: 1.0\n")
    (folder / "own-1.0.dist-info" / "entry_points.txt").write_text("[aexp.trackers]\nown = own:Own")
    research.env["PYTHONPATH"] = str(folder)
    return folder


def offline_run(research: Any, job_id: str, mode: str) -> None:
    (research.workspace(job_id) / f"{mode}.offline").touch()
    path = research.workspace(job_id) / "signac_job_document.json"
    doc = json.loads(path.read_text())
    doc["aexp_run"]["tracker"] = {"backend": "own", "project": "p", "options": {"server": "host"}}
    path.write_text(json.dumps(doc))


def test_another_package_syncs_in_a_process_of_its_own(research: Any, own: Path) -> None:
    modes = ["exits", "hangs", "nothing", "raises", "well"]
    for job_id, mode in zip(research.add("seed=0..4,condition=full"), modes, strict=True):
        offline_run(research, job_id, mode)
    assert research.json("sync-offline", "--backend", "wandb") == []
    # The bound of a sync and the grace for an adapter that keeps the time itself.
    done = research.aexp("sync-offline", "--json", "--timeout", "1", rc=1)
    results = {one["run_id"]: one for one in json.loads(done.stdout)}
    assert {mode: one["state"] for mode, one in results.items()} == {
        **dict.fromkeys(modes, "failed"),
        "well": "synced",
    }
    assert "ended with code 3" in results["exits"]["stderr"]
    assert results["exits"]["returncode"] == 3
    assert "not ended within 1 s" in results["hangs"]["stderr"]
    assert "--timeout" in results["hangs"]["hint"]
    assert results["nothing"]["stderr"] == "sync of own returned NoneType"
    assert results["raises"]["stderr"] == "ValueError: \\x1b[31mred"
    assert results["well"]["url"] == "http://host/1"
    assert "hunter2" not in done.stdout + done.stderr
    logs = research.root.glob(".runs/workspace/*/tracker/sync.log")
    assert not any("hunter2" in log.read_text() for log in logs)
    well = results["well"]["job_id"]
    assert research.doc(well)["tracker"] == {
        "backend": "own",
        "run_id": "well",
        "url": "http://host/1",
        "project": None,
        "group": None,
    }
    assert "1 already synced" in research.aexp("sync-offline", well).stdout
    shutil.rmtree(own)
    gone = research.aexp("sync-offline")
    assert "no tracker is called own" in gone.stderr
    assert gone.stdout == "no offline runs\n"


def put(folder: Path, *names: str, size: int = 99, log: str = "") -> None:
    for name in names:
        (folder / name / "logs").mkdir(parents=True)
        (folder / name / f"run-{name.rpartition('-')[2]}.wandb").write_bytes(b"x" * size)
        if log:
            (folder / name / "logs" / "debug-internal.log").write_text(log)


def test_what_is_an_offline_run(tmp_path: Path) -> None:
    job = tmp_path / ".runs" / "workspace" / "a-run"
    base = job / "wandb"
    ended = '{"level":"INFO","msg":"stream: all finished"}\n'
    lost = '{"level":"ERROR+4","msg":"filestream: fatal error: no"}\n'
    put(base, "offline-run-20260102_000000-b", "offline-run-20260101_000000-z")
    put(base, "offline-run-20260103_000000-empty", size=7)
    put(base, "run-20260104_000000-ended", log=ended)
    put(base, "run-20260105_000000-broken", log='{"level":"INFO","msg":"stream: started"}\n')
    put(base, "run-20260106_000000-lost", log=lost + ended)
    put(base, "run-20260107_000000-unknown")
    put(base, "run-20260108_000000-marked", size=0, log=ended)
    (base / "run-20260108_000000-marked" / ".aexp-unfinished").touch()
    (base / "latest-run").symlink_to("offline-run-20260102_000000-b")
    (base / "offline-run-20260109_000000-file").touch()
    # Not deeper, not beside, and not through links.
    put(job / "checkpoints" / "wandb", "offline-run-20260101_000000-deep")
    put(tmp_path / ".runs" / "wandb", "offline-run-20260101_000000-beside")
    (base / "offline-run-20260110_000000-link").symlink_to(tmp_path / ".runs" / "wandb")
    found = [path.name.rpartition("-")[2] for path in find_offline_runs(tmp_path / ".runs")]
    assert found == ["z", "b", "broken", "lost", "marked"]
    planned = sync_offline_runs(str(tmp_path / ".runs"), dry_run=True)
    assert {one.state for one in planned} == {"would sync"}
    assert not (job / "tracker").exists()
    with pytest.raises(NotInstalled):
        find_offline_runs(tmp_path / "elsewhere")


def test_marks_that_cannot_be_read_hide_nothing(research: Any) -> None:
    (job_id,) = research.add("seed=0,condition=full")
    put(research.workspace(job_id) / "wandb", "offline-run-20260101_000000-a")
    folder = research.workspace(job_id) / "tracker"
    folder.mkdir()
    for content in ("{", "[]", '{"synced": []}', '{"synced": {"wandb/other": 1}}'):
        (folder / "synced.json").write_text(content)
        assert "1 would sync" in research.aexp("sync-offline", "--dry-run").stdout
    assert research.aexp("sync-offline", "zz", rc=2).stderr.startswith("error: 'zz' is not a run")
    assert research.aexp("sync-offline", "--jobs", "0", rc=2).stdout == ""
    assert research.aexp("sync-offline", "--timeout", "nan", "-n", rc=2).stdout == ""
