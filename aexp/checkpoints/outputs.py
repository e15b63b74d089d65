"""What a run has produced: checkpoints, snapshots and assets in one list."""

import json
import os
from collections.abc import Iterable
from typing import Any

from aexp.checkpoints.store import Checkpoint, list_checkpoints
from aexp.paths import Repo
from aexp.runs.logged import asset_rows

READY = "ready"


def outputs_of(
    repo: Repo, jobs: Iterable[str], asset_type: str | None = None
) -> list[dict[str, Any]]:
    """Return what some runs have produced, the newest first.

    Parameters
    ----------
    repo : Repo
        The repository.
    jobs : iterable of str
        The runs.
    asset_type : str, optional
        ``checkpoint``, ``snapshot`` or the type of an asset; default all.

    Returns
    -------
    list of dict
        ``id``, ``asset_type``, ``name``, ``state`` (``ready``: what is listed is complete),
        ``components`` (paths, sizes, digests), ``created_at``, ``job``, ``attempt``,
        ``path``, ``size``, ``metadata``; and ``step``, ``metrics`` of checkpoints, ``config``
        of assets.
    """
    rows: list[dict[str, Any]] = []
    for job_id in jobs:
        rows += [_of_checkpoint(job_id, item) for item in list_checkpoints(repo, job_id)]
        rows += [_of_asset(repo, job_id, row) for row in asset_rows(repo.run_dir(job_id))]
    chosen = [row for row in rows if asset_type is None or row["asset_type"] == asset_type]
    # Times of one clock; of one moment, the later step.
    return sorted(chosen, key=_order, reverse=True)


def _order(row: dict[str, Any]) -> tuple[str, float]:
    step = row.get("step")
    return str(row["created_at"]).rstrip("Z"), step if isinstance(step, int) else -1


def _of_checkpoint(job_id: str, checkpoint: Checkpoint) -> dict[str, Any]:
    manifest = checkpoint.manifest
    return {
        "id": manifest.id,
        "asset_type": manifest.kind,
        "name": checkpoint.path.name,
        "state": READY,
        "components": [component._asdict() for component in manifest.components],
        "created_at": manifest.created_at,
        "job": job_id,
        "attempt": manifest.attempt,
        "path": str(checkpoint.path),
        "size": manifest.total_bytes,
        "metadata": manifest.metadata,
        "step": manifest.step,
        "metrics": manifest.metrics,
    }


def _of_asset(repo: Repo, job_id: str, row: dict[str, Any]) -> dict[str, Any]:
    from hashlib import sha256

    identity = json.dumps([job_id, row], sort_keys=True).encode()
    path = row["path"]
    components = row.get("components")
    if not isinstance(components, list):
        name = os.path.basename(path)
        components = [{"path": name, "size": row.get("size"), "sha256": row.get("sha256")}]
    return {
        "id": "as_" + sha256(identity).hexdigest()[:32],
        "asset_type": row.get("asset_type"),
        "name": row.get("name"),
        "state": READY,
        "components": components,
        "created_at": row.get("at"),
        "job": job_id,
        "attempt": row.get("attempt"),
        "path": os.path.join(repo.run_dir(job_id), path),  # an absolute one stays so
        "size": row.get("size"),
        "metadata": row.get("metadata") or {},
        "config": row.get("config"),
    }
