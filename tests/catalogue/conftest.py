"""A bare repository whose source files a test writes itself, in the formats of the docs."""

import hashlib
import itertools
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from aexp.catalogue import Catalogue, open_catalogue
from aexp.catalogue.verify import Difference, compare
from aexp.paths import Repo
from tests.in_process import CommandLine

STAMP = "2026-01-02T03:04:05Z"


class Place(CommandLine):
    """A repository, and what writes its files as aexp does: whole, by rename."""

    def __init__(self, root: Path) -> None:
        self.root = root
        for folder in (".git", ".aexp/ledger", ".runs/.signac", ".runs/workspace"):
            (root / folder).mkdir(parents=True)
        (root / ".runs/.signac/config").write_text("schema_version = 2\n")

    @property
    def repo(self) -> Repo:
        return Repo(self.root)

    def write(self, name: str, content: Any) -> Path:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        data = content if isinstance(content, bytes) else _bytes(content)
        temporary = path.with_name(f".{path.name}.tmp")
        temporary.write_bytes(data)
        os.replace(temporary, path)
        return path

    def entry(self, number: int, **fields: Any) -> str:
        """Write a ledger entry and return its run's id."""
        sp = {"experiment_id": "E001", "seed": number, **fields.pop("sp", {})}
        job_id = id_of(sp)
        entry = {
            "schema_version": 1,
            "job_id": job_id,
            "statepoint": sp,
            "status": "complete",
            "promoted_at": STAMP,
            "registered_machine": "there",
            "queued_at": STAMP,
            "started_at": STAMP,
            "ended_at": STAMP,
            "wallclock_s": 1.5,
            "metrics": {"loss": 0.5},
            **fields,
        }
        self.write(f".aexp/ledger/{job_id}.json", entry)
        return job_id

    def run(self, number: int, document: dict[str, Any], **sp: Any) -> str:
        """Write a run of this store and return its id."""
        point = {"experiment_id": "E001", "seed": number, **sp}
        job_id = id_of(point)
        self.write(f".runs/workspace/{job_id}/signac_statepoint.json", point)
        self.write(f".runs/workspace/{job_id}/signac_job_document.json", document)
        return job_id

    def workspace(self, job_id: str) -> Path:
        return self.root / ".runs/workspace" / job_id

    def open(self, **how: Any) -> Catalogue:
        return open_catalogue(self.repo, **how)

    def rows(self, sql: str, *parameters: Any) -> list[tuple[Any, ...]]:
        """Return what a question finds now."""
        with self.open() as catalogue:
            return catalogue.rows(sql, list(parameters)).rows

    def differences(self) -> list[Difference]:
        """Return where the catalogue and a rebuild of it in memory differ."""
        with self.open() as one, self.open(in_memory=True) as truth:
            return compare(one, truth)

    @property
    def files(self) -> list[str]:
        """The catalogue's files between two calls."""
        folder = self.root / ".aexp/cache/catalogue"
        return sorted(path.name for path in folder.glob("*.duckdb"))


def id_of(sp: dict[str, Any]) -> str:
    return hashlib.md5(json.dumps(sp, sort_keys=True).encode()).hexdigest()


def _bytes(content: Any) -> bytes:
    if isinstance(content, str):
        return content.encode()
    return (json.dumps(content, indent=2, sort_keys=True) + "\n").encode()


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path / "research")


@pytest.fixture
def keeping(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a file be written for a handful of changes, not for 64."""
    monkeypatch.setattr("aexp.catalogue.open.KEEP_FROM", 2)


@pytest.fixture
def make_place(tmp_path: Path) -> Callable[[], Place]:
    """Make as many repositories as a test wants."""
    numbers = itertools.count()
    return lambda: Place(tmp_path / f"research-{next(numbers)}")
