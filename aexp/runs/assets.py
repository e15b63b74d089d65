"""The list of a run's assets: what its training code has handed over or pointed at."""

import json
import os
from typing import Any

from aexp.files import read_bytes
from aexp.paths import ASSETS, Repo

INDEX = "index.jsonl"


def asset_index(repo: Repo, job_id: str) -> str:
    """Return the path of a run's list of assets."""
    return os.path.join(repo.run_file(job_id, ASSETS), INDEX)


def read_assets(repo: Repo, job_id: str) -> list[dict[str, Any]]:
    """Return the rows of a run's list of assets, oldest first; torn ones are left out."""
    found = []
    for line in (read_bytes(asset_index(repo, job_id)) or b"").split(b"\n"):
        try:
            row = json.loads(line)
        except ValueError:
            continue
        if isinstance(row, dict) and isinstance(row.get("path"), str):
            found.append(row)
    return found
