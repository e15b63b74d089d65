"""Training scripts, executed from the queue and by hand."""

import json
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest


class Training:
    """A script in a research repository, and the runs that execute it."""

    def __init__(self, research: Any) -> None:
        self.research = research
        self.path: Path = research.root / "train.py"

    def write(self, code: str) -> None:
        """Write the script and make it the experiment's command."""
        self.path.write_text("import os, sys, aexp\n" + textwrap.dedent(code))
        self.research.experiment(f"{sys.executable} {self.path}")

    def queued(
        self, code: str, *, rc: int = 0, seed: int = 0, env: dict[str, str] | None = None
    ) -> str:
        """Execute the script as a queued run, elsewhere than in the repository."""
        self.write("os.chdir('/')\n" + textwrap.dedent(code))
        job_id = str(self.research.one(f"seed={seed}", "--timeout", "60s"))
        self.done = self.research.aexp("run-queued", job_id, rc=rc, env=env)
        return job_id

    def by_hand(
        self, code: str, *, rc: int = 0, env: dict[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Execute the script as a user does, in the repository."""
        self.write(code)
        done = subprocess.run(
            [sys.executable, str(self.path)],
            cwd=self.research.root,
            env={**self.research.env, **(env or {})},
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == rc, (done.returncode, done.stdout, done.stderr)
        return done

    def only_run(self) -> str:
        """Return the id of the one run in the store."""
        (folder,) = (self.research.root / ".runs" / "workspace").iterdir()
        return folder.name

    def rows(self, job_id: str) -> list[dict[str, Any]]:
        """Return the rows of a run's series that are whole."""
        lines = (self.research.workspace(job_id) / "series.jsonl").read_text().splitlines()
        return [json.loads(line) for line in lines if line]


@pytest.fixture
def training(research: Any) -> Training:
    """Give the test a script to fill."""
    return Training(research)


@pytest.fixture
def as_run(research: Any, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Any]:
    """Make this process part of a run's attempt, as its command is."""

    def enter(job_id: str) -> Any:
        from aexp.paths import Repo
        from aexp.runs import claims
        from aexp.runs.status import begin_attempt

        repo = Repo(research.root)
        claim = claims.acquire(repo, job_id)
        assert isinstance(claim, claims.Claim)
        number = begin_attempt(repo, claim).attempts[-1]["attempt"]
        monkeypatch.setenv("AEXP_JOB_ID", job_id)
        monkeypatch.setenv("AEXP_JOB_WORKSPACE", repo.run_dir(job_id))
        monkeypatch.setenv("AEXP_ATTEMPT", str(number))
        monkeypatch.setenv("AEXP_CLAIM", claim.owner.nonce)
        return repo, claim

    return enter
