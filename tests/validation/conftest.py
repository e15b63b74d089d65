"""A complete research record on disk, to be broken in one place and mended again."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from aexp.kb.artifacts import KINDS
from aexp.runs.store import compute_job_id
from aexp.validation.issue import Issue
from aexp.validation.validate import validate_repo

ACTIVE = "# Now\n\n## Current Objective\n\n## Next Step\n\n## Blocker\n\n## Links\n\n- [[H001]]\n"
CHALLENGE = """# Why

## Objective

## Context

## Success Criteria

## Constraints

## Links

- [[ACTIVE]]
"""
FIELDS = {
    "T": {"status": "EXPLORING", "created": "2026-01-02"},
    "H": {"status": "TESTING", "created": "2026-01-02", "thread": "T001"},
    "E": {"status": "RUNNING", "created": "2026-01-02", "hypothesis": "H001"},
    "F": {"hypothesis": "H001", "experiment": "E001", "impact": "HIGH", "created": "2026-01-02"},
}
LINKS = {
    "T": ("ACTIVE", "H001"),
    "H": ("T001", "ACTIVE", "E001", "F001"),
    "E": ("H001", "ACTIVE", "F001"),
    "F": ("H001", "E001", "ACTIVE"),
}


class Lab:
    """A repository whose record is without fault until a test damages it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        for letter in FIELDS:
            self.artifact(letter + "001")
        self.write("kb/ACTIVE.md", ACTIVE)
        self.write("kb/mission/CHALLENGE.md", CHALLENGE)
        self.write(".runs/.signac/config", "schema_version = 2\n")
        self.write(".aexp/installed.json", '{"run_store_path": ".runs", "machine_label": "here"}')

    def write(self, name: str, text: str | bytes) -> Path:
        """Write a file of the repository."""
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode() if isinstance(text, str) else text)
        return path

    def edit(self, name: str, old: str, new: str) -> None:
        """Replace a text that the file must hold."""
        path = self.root / name
        text = path.read_text()
        assert old in text, (name, old)
        path.write_text(text.replace(old, new))

    def artifact(self, artifact_id: str, more: str = "", **fields: str) -> str:
        """Write an artifact with all that its kind must have; return its name."""
        kind = KINDS[artifact_id[0]]
        values = {"id": artifact_id, "aliases": f"[{artifact_id}]", "type": kind.name}
        values |= FIELDS[kind.letter] | fields
        lines = ["---", *(f"{key}: {value}" for key, value in values.items())]
        lines += [*more.splitlines(), "---", "", f"# {artifact_id} — A title", ""]
        for heading in kind.headings:
            if heading != "Links":
                lines += [f"## {heading}", "", "Nothing yet.", ""]
        lines += ["## Links", "", *(f"- [[{name}]]" for name in LINKS[kind.letter]), ""]
        name = f"{kind.folder}/{artifact_id}-a-title.md"
        self.write(name, "\n".join(lines))
        return name

    def cite(self, *citations: str) -> str:
        """Let F001 cite these, one a line from line 10 on."""
        return self.artifact(
            "F001", "\n".join(["supporting_runs:", *(f"  - {c}" for c in citations)])
        )

    def entry(self, sp: dict[str, Any], **more: Any) -> str:
        """Write a ledger entry of E001 and return its id."""
        sp = {"experiment_id": "E001", **sp}
        job_id = compute_job_id(sp)
        entry = {"schema_version": 1, "job_id": job_id, "statepoint": sp, "status": "complete"}
        self.write(f".aexp/ledger/{job_id}.json", json.dumps({**entry, **more}))
        return job_id

    def run(self, sp: dict[str, Any], **doc: Any) -> str:
        """Write a run of the local store and return its id."""
        sp = {"experiment_id": "E001", **sp}
        job_id = compute_job_id(sp)
        link = {"experiment_id": "E001", "hypothesis_id": "H001", "sub_hypothesis_id": None}
        folder = f".runs/workspace/{job_id}"
        self.write(f"{folder}/signac_statepoint.json", json.dumps(sp))
        content = {"status": "complete", "aexp": link, **doc}
        content = {key: value for key, value in content.items() if value is not None}
        self.write(f"{folder}/signac_job_document.json", json.dumps(content))
        return job_id

    def index(self, label: str, *entries: dict[str, Any]) -> Path:
        """Write a runs-index file."""
        content = {"schema_version": 1, "machine_label": label, "entries": entries}
        return self.write(f".aexp/runs-index/{label}.json", json.dumps(content))

    def issues(self, **options: Any) -> list[Issue]:
        """Validate and return what was found."""
        return validate_repo(self.root, **options).issues

    def codes(self, **options: Any) -> list[str]:
        """Validate and return the codes, in order."""
        return [issue.code for issue in self.issues(**options)]

    def cli(self, *arguments: str, rc: int = 0, cwd: Path | None = None) -> str:
        """Run the command line as a process of its own; return what it printed."""
        done = subprocess.run(
            [sys.executable, "-P", "-m", "aexp", *arguments],
            cwd=cwd or self.root,
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert done.returncode == rc, (arguments, done.returncode, done.stdout, done.stderr)
        assert "Traceback" not in done.stderr
        self.stderr = done.stderr
        return done.stdout


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    """Give the test a record of its own, in a git repository."""
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    return Lab(tmp_path)


@pytest.fixture
def make_lab() -> Callable[[Path], Lab]:
    """Give the test a way to make more of them."""
    return Lab
