"""Offline runs for the tests of the sync: made once by the real SDK, copied where they are due."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

# Three runs: alpha in two attempts of five rows each, beta and gamma in one.
MAKE = """
import sys, wandb
for run_id, first in (("alpha", 0), ("alpha", 5), ("beta", 0), ("gamma", 0)):
    run = wandb.init(
        project="paper", entity="the-team", id=run_id, resume="allow", mode="offline",
        dir=f"{run_id}{first}", config={"job_id": run_id}, reinit="create_new",
        settings=wandb.Settings(console="off", silent=True, x_disable_stats=True),
    )
    for step in range(first, first + 5):
        run.log({"loss": 1 / (step + 1)}, step=step)
    run.summary["last"] = first + 4
    run.finish()
"""
FIRST, SECOND = "20260101_000000", "20260101_001500"


def make(folder: Path) -> Path:
    """Let the SDK make the runs in a folder."""
    subprocess.run([sys.executable, "-c", MAKE], cwd=folder, check=True, capture_output=True)
    return folder


class OfflineRuns:
    """A research repository whose runs have offline runs of W&B."""

    def __init__(self, research: Any, template: Path) -> None:
        self.research = research
        self.template = template

    def put(
        self,
        job_id: str,
        source: str,
        stamp: str = FIRST,
        *,
        run_id: str = "",
        online: bool = False,
    ) -> Path:
        """Copy one of the template's runs into a run's folder, as if made at a moment."""
        name = source.rstrip("0123456789")
        (made,) = (self.template / source / "wandb").glob("offline-run-*")
        prefix = "run" if online else "offline-run"
        target = self.research.workspace(job_id) / "wandb" / f"{prefix}-{stamp}-{run_id or name}"
        shutil.copytree(made, target)
        return target

    def bind(self, job_id: str, run_id: str) -> None:
        """Say in the document that a run is this run of W&B's."""
        path = self.research.workspace(job_id) / "signac_job_document.json"
        doc = json.loads(path.read_text())
        doc["tracker"] = {
            "backend": "wandb",
            "run_id": run_id,
            "url": None,
            "project": "paper",
            "group": "H001/E001/full",
        }
        path.write_text(json.dumps(doc))

    def marks(self, job_id: str) -> list[str]:
        """Return which offline runs are marked as synced."""
        path = self.research.workspace(job_id) / "tracker" / "synced.json"
        return sorted(json.loads(path.read_text())["synced"]) if path.exists() else []
