"""A repository with a ledger of two machines, a queued run and a campaign; nothing changes it."""

import json
import shutil
import subprocess
import time
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from aexp.model import utc_at
from aexp.paths import Repo
from aexp.runs.store import compute_job_id
from tests.in_process import CommandLine

WEIGHTS = b"the weights"
ODD_TAG = 'серия "x" | *y* <b>, z'


FINDING = """---
id: F001
status: ACTIVE
supporting_runs:
  - {type: batch, experiment_id: E001, selector: {condition: full}}
---
# F001 — Full is better
"""


class Lab(CommandLine):
    """The repository, and the command line in this process."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.ids: dict[str, str] = {}

    odd_tag = ODD_TAG
    weights = WEIGHTS

    @property
    def repo(self) -> Repo:
        return Repo(self.root)

    def git(self, *arguments: str) -> str:
        """Run git and return its output."""
        who = ("-c", "user.name=t", "-c", "user.email=t@example.org")
        done = subprocess.run(
            ["git", *who, *arguments], cwd=self.root, capture_output=True, text=True, check=True
        )
        return done.stdout

    def names(self, *arguments: str) -> list[str]:
        """Run a verb that lists runs; return the names that they have in these tests."""
        names = {job_id: name for name, job_id in self.ids.items()}
        return [names[row["job_id"]] for row in self.json(*arguments)]

    def write(self, name: str, text: str) -> None:
        """Write a file of the repository."""
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def entry(self, name: str, sp: dict[str, Any], **more: Any) -> str:
        """Write a ledger entry under a name of these tests."""
        point = {"experiment_id": "E001", **sp}
        job_id = compute_job_id(point)
        entry = {
            "schema_version": 1,
            "job_id": job_id,
            "statepoint": point,
            "status": "complete",
            "promoted_at": "2026-01-09T00:00:00Z",
            "registered_machine": "here",
            "run_link": {"experiment_id": point["experiment_id"], "hypothesis_id": "H001"},
            "wallclock_s": 1.5,
            **{key: point[key] for key in ("code_commit", "code_dirty") if key in point},
            **more,
        }
        folder = self.root / ".aexp" / "ledger"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{job_id}.json").write_text(json.dumps(entry))
        self.ids[name] = job_id
        return job_id


def fill(lab: Lab, commits: tuple[str, str]) -> None:
    """Write the runs, and a finding that cites three of them."""
    lab.write("kb/research/findings/F001-full.md", FINDING)
    for seed, accuracy in enumerate((0.90, 0.92, 0.91)):
        lab.entry(
            f"full{seed}",
            {"condition": "full", "lr": 0.1, "model": {"depth": 2}, "seed": seed,
             "code_commit": commits[0], "code_dirty": False},
            tag="paper",
            metrics={"accuracy": accuracy, "loss": 0.3 - seed / 10},
            ended_at=f"2026-01-01T00:00:0{seed}Z",
            environment={"digest": "sha256:" + "a" * 64},
        )  # fmt: skip
    for seed, accuracy in enumerate((0.80, 0.95)):
        lab.entry(
            f"cls{seed}",
            {"condition": "cls", "lr": 0.01, "model": {"depth": 4}, "seed": seed,
             "code_commit": commits[1], "code_dirty": False},
            tag="paper",
            metrics={"accuracy": accuracy, "loss": 0.5},
            ended_at=f"2026-01-02T00:00:0{seed}Z",
            environment={"digest": "sha256:" + "b" * 64},
        )  # fmt: skip
    lab.entry(
        "failed",
        {"condition": "cls", "lr": 0.01, "model": {"depth": 4}, "seed": 2,
         "code_commit": commits[1], "code_dirty": False},
        tag="paper",
        status="failed",
        cause="oom",
        returncode=137,
        metrics={"accuracy": 0.99},
        ended_at="2026-01-03T00:00:00Z",
        attempts=[
            {"attempt": 1, "status": "queued", "slurm_job_id": "4711", "host": "n1"},
            {"attempt": 2, "status": "failed", "slurm_job_id": "4712", "host": "n2",
             "slurm_array_job_id": "4700", "slurm_array_task_id": "12"},
        ],
    )  # fmt: skip
    lab.entry(
        "nan",
        {"experiment_id": "E002", "x": "1", "flag": True, "big": 2**70},
        metrics={"loss": "NaN", "score": 7},
        ended_at="2026-01-04T00:00:00Z",
        outcome="diverged",
    )
    digest = sha256(WEIGHTS).hexdigest()
    lab.entry(
        "away",
        {"experiment_id": "E002", "x": 1, "text": "a=b<c"},
        metrics={"score": 8.5},
        tag=ODD_TAG,
        tags=[ODD_TAG, "second"],
        ended_at=utc_at(time.time() - 3600),
        registered_machine="lab2",
        outputs=[{"path": "results/model.pt", "sha256": digest, "size": len(WEIGHTS)}],
        tracker={"backend": "noop", "run_id": "r", "url": "https://example.org/r"},
    )


@pytest.fixture(scope="session")
def lab(installed_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Lab:
    """Make the repository once: the verbs of these tests read it, and write nothing."""
    root = tmp_path_factory.mktemp("look") / "research"
    shutil.copytree(installed_template, root, symlinks=True)
    lab = Lab(root)
    commits = []
    for text in ("one", "two"):
        (root / "train.py").write_text(f"print('{text}')\n")
        (root / "kb" / "note.md").write_text(text)  # the record is no code
        lab.git("add", "-A")
        lab.git("commit", "-qm", text)
        commits.append(lab.git("rev-parse", "HEAD").strip())
    fill(lab, (commits[0], commits[1]))
    added = lab.json("queue", "add", "--experiment", "E001", "--sp", "condition=full,seed=9")
    lab.ids["queued"] = added["runs"][0]["job_id"]
    lab.cli("campaign", "create", "wider", "--question", "Does it help?")
    lab.cli("campaign", "add", lab.ids["full0"], "--campaign", "wider")
    lab.cli("campaign", "add", lab.ids["cls1"][:10], "--campaign", "wider")
    return lab
