"""A ledger of a small sweep and one finding, on disk."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from aexp.paths import Repo
from aexp.runs.store import compute_job_id
from aexp.validation.finding import FindingCheck, check_finding
from aexp.validation.issue import Issue
from aexp.validation.validate import validate_repo

NAME = "kb/research/findings/F001-wider.md"
BODY = "\n# F001 — Wider\n\n## Evidence\n\nSee below.\n\n## Links\n\n- [[E001]]\n"
FULL = "{type: batch, experiment_id: E001, selector: {condition: full}}"
CLS = "{type: batch, experiment_id: E001, selector: {condition: cls}}"


class Lab:
    """A repository that git and the ledger alone make up."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.repo = Repo(root)

    def write(self, name: str, text: str) -> Path:
        """Write a file of the repository."""
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode())
        return path

    def entry(
        self,
        seed: Any = 0,
        accuracy: Any = 0.5,
        condition: str = "full",
        *,
        sp: dict[str, Any] | None = None,
        commit: str | None = "c0ffee",
        **more: Any,
    ) -> str:
        """Write a ledger entry of E001 and return its id."""
        point = {"experiment_id": "E001", "condition": condition, "seed": seed, **(sp or {})}
        if commit is not None:
            point |= {"code_commit": commit, "code_dirty": bool(more.pop("dirty", False))}
        point = {key: value for key, value in point.items() if value is not None}
        job_id = compute_job_id(point)
        entry = {
            "schema_version": 1,
            "job_id": job_id,
            "statepoint": point,
            "status": "complete",
            "ended_at": "2026-01-01T00:00:00Z",
            "run_link": {"experiment_id": "E001"},
            "metrics": {} if accuracy is None else {"accuracy": accuracy},
            **more,
        }
        self.write(f".aexp/ledger/{job_id}.json", json.dumps(entry))
        return job_id

    def sweep(self, *values: float, condition: str = "full", **more: Any) -> list[str]:
        """Write one complete run per value, seeds from 0 on."""
        return [self.entry(n, value, condition, **more) for n, value in enumerate(values)]

    def local(self, job_id: str, status: str, **doc: Any) -> None:
        """Put a run of the ledger into this machine's store as well."""
        entry = json.loads((self.root / f".aexp/ledger/{job_id}.json").read_text())
        folder = f".runs/workspace/{job_id}"
        self.write(".runs/.signac/config", "schema_version = 2\n")
        self.write(f"{folder}/signac_statepoint.json", json.dumps(entry["statepoint"]))
        content = {"status": status, "aexp": {"experiment_id": "E001"}, **doc}
        self.write(f"{folder}/signac_job_document.json", json.dumps(content))

    def finding(self, *claims: str, cites: tuple[str, ...] = (FULL,)) -> Path:
        """Write F001 with these citations, and these claims from the last lines on."""
        lines = ["---", "id: F001", "supporting_runs:", *(f"  - {one}" for one in cites)]
        if claims:
            lines += ["claims:", *(f"  - {claim}" for claim in claims)]
        return self.write(NAME, "\n".join([*lines, "---"]) + BODY)

    def check(self) -> FindingCheck:
        """Check F001 in this process."""
        return check_finding(self.repo, "F001")

    def issues(self, **options: Any) -> list[Issue]:
        """Validate, and return what concerns findings."""
        found = validate_repo(self.root, **{"mode": "runs-only", **options}).issues
        return [issue for issue in found if not issue.code.startswith(("kb.", "run."))]

    def codes(self, **options: Any) -> list[str]:
        """Return the codes of the issues."""
        return [issue.code for issue in self.issues(**options)]

    def cli(self, *arguments: str, rc: int = 0) -> str:
        """Run the command line as a process of its own; return what it printed."""
        done = subprocess.run(
            [sys.executable, "-P", "-m", "aexp", *arguments],
            cwd=self.root,
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert done.returncode == rc, (arguments, done.returncode, done.stdout, done.stderr)
        assert "Traceback" not in done.stderr
        self.stderr = done.stderr
        return done.stdout

    @property
    def text(self) -> str:
        """The finding's file, with its line ends."""
        return (self.root / NAME).read_bytes().decode()


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    """Give the test a ledger of its own."""
    (tmp_path / ".git").mkdir()
    (tmp_path / ".aexp" / "ledger").mkdir(parents=True)
    return Lab(tmp_path)
