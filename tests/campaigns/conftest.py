"""A repository with git and a ledger; campaigns need nothing else."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from aexp.paths import Repo
from aexp.runs.store import compute_job_id
from tests.in_process import CommandLine

NOW = "2026-01-02T03:04:05Z"


class Lab(CommandLine):
    """One clone, and the command line in this process."""

    def __init__(self, root: Path) -> None:
        self.root = root

    @property
    def repo(self) -> Repo:
        """The clone as the library sees it."""
        return Repo(self.root)

    def git(self, *arguments: str, rc: int = 0) -> str:
        """Run git and return its output."""
        done = subprocess.run(
            ["git", "-c", "user.name=t", "-c", "user.email=t@example.org", *arguments],
            cwd=self.root,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == rc, (arguments, done.stdout, done.stderr)
        return done.stdout.strip()

    def commit(self, message: str = "more") -> str:
        """Commit everything and return the commit."""
        self.git("add", "-A")
        self.git("commit", "-qm", message, "--allow-empty")
        return self.git("rev-parse", "HEAD")

    def write(self, name: str, text: str) -> Path:
        """Write a file of the repository."""
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    def entry(self, seed: Any = 0, accuracy: Any = 0.5, *, sp: Any = None, **more: Any) -> str:
        """Write a ledger entry of E001 and return its id; ``key=None`` leaves a key out."""
        point = {"experiment_id": "E001", "condition": "full", "seed": seed, **(sp or {})}
        point = {key: value for key, value in point.items() if value is not None}
        job_id = compute_job_id(point)
        entry = {
            "schema_version": 1,
            "job_id": job_id,
            "statepoint": point,
            "status": "complete",
            "started_at": NOW,
            "ended_at": NOW,
            "promoted_at": NOW,
            "registered_machine": "here",
            "run_link": {"experiment_id": "E001"},
            "metrics": {} if accuracy is None else {"accuracy": accuracy},
            **more,
        }
        self.write(f".aexp/ledger/{job_id}.json", json.dumps(entry))
        return job_id

    def campaign(self, campaign_id: str = "wide", *more: str, runs: Any = ()) -> None:
        """Create a campaign with some runs."""
        self.cli("campaign", "create", campaign_id, *more)
        if runs:
            self.cli("campaign", "add", *runs, "--campaign", campaign_id)

    def tree(self) -> dict[str, bytes]:
        """Return every file that git could see, with its content."""
        return {
            str(path.relative_to(self.root)): path.read_bytes()
            for path in self.root.rglob("*")
            if path.is_file() and ".git/" not in f"{path}/" and "/cache/" not in str(path)
        }


@pytest.fixture
def make_lab() -> Callable[[Path], Lab]:
    """Give a function that makes a clone of an empty repository in a folder."""

    def make(root: Path) -> Lab:
        root.mkdir(parents=True, exist_ok=True)
        lab = Lab(root)
        lab.git("init", "-q", "-b", "main")
        lab.write(".gitignore", ".aexp/*\n!.aexp/ledger/\n!.aexp/campaigns/\n")
        (root / ".aexp" / "ledger").mkdir(parents=True)
        lab.commit("start")
        return lab

    return make


@pytest.fixture
def lab(make_lab: Callable[[Path], Lab], tmp_path: Path) -> Lab:
    """Give the test a repository of its own."""
    return make_lab(tmp_path / "lab")


@pytest.fixture
def clone(lab: Lab) -> Callable[[str], Lab]:
    """Give a function that makes another clone of the test's repository."""

    def make(name: str) -> Lab:
        lab.git("clone", "-q", str(lab.root), str(lab.root.parent / name))
        return Lab(lab.root.parent / name)

    return make
