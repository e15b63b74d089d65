"""Ad-hoc runs: what they left in the store."""

import json
from collections.abc import Callable
from typing import Any

import pytest


@pytest.fixture
def newest(research: Any) -> Callable[[], tuple[str, dict[str, Any]]]:
    """Give a function: the id of the run that was made last, and its document."""

    def find() -> tuple[str, dict[str, Any]]:
        folders = (research.root / ".runs" / "workspace").iterdir()
        folder = max(folders, key=lambda path: (path / "signac_statepoint.json").stat().st_mtime_ns)
        return folder.name, json.loads((folder / "signac_job_document.json").read_text())

    return find


@pytest.fixture
def statepoint(research: Any) -> Callable[[str], dict[str, Any]]:
    """Give a function: a run's state point."""

    def read(job_id: str) -> dict[str, Any]:
        return json.loads((research.workspace(job_id) / "signac_statepoint.json").read_text())

    return read
