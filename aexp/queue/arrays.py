"""The list of runs an array works through, frozen when its first task starts."""

import json
import os
import re
import time

from aexp.errors import UsageError
from aexp.files import create_exclusive, parse_object, read_bytes, remove
from aexp.paths import Repo
from aexp.queue.pending import Queue
from aexp.runs.select import RunFilter

_KEEP_S = 90 * 24 * 3600.0
_ARRAY_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,100}")


def array_id(explicit: str | None) -> str | None:
    """Return what names the array this process is a task of, None outside of one.

    Raises
    ------
    UsageError
        If `explicit` cannot be part of a file name.
    """
    if explicit is not None:
        if not _ARRAY_ID.fullmatch(explicit):
            raise UsageError(
                f"--array-id {explicit!r} is not usable",
                "use letters, digits, dots, dashes and underscores, for instance $PBS_ARRAY_ID",
            )
        return "given-" + explicit
    job = os.environ.get("SLURM_ARRAY_JOB_ID", "")
    if not _ARRAY_ID.fullmatch(job):
        return None
    cluster = os.environ.get("SLURM_CLUSTER_NAME", "")
    return f"slurm-{cluster if _ARRAY_ID.fullmatch(cluster) else 'cluster'}-{job}"


def frozen_list(repo: Repo, chosen: RunFilter, identity: str, *, adopt: bool = False) -> list[str]:
    """Return the array's runs: made by its first task, read by all others."""
    from hashlib import sha256

    filter_digest = sha256(str(chosen).encode()).hexdigest()[:12]
    path = repo.cache("arrays", f"{identity}-{filter_digest}.json")
    data = read_bytes(path)
    if data is None:
        ids = [item.run.job_id for item in Queue(repo, adopt=adopt).due(chosen)]
        content = {"array": identity, "filter": str(chosen), "runs": ids}
        create_exclusive(path, json.dumps(content).encode())
        _sweep(repo)
        data = read_bytes(path) or b"{}"
    runs = parse_object(data, path).get("runs")
    return [job_id for job_id in runs if isinstance(job_id, str)] if isinstance(runs, list) else []


def _sweep(repo: Repo) -> None:
    """Remove lists of arrays that ended long ago."""
    try:
        entries = list(os.scandir(repo.cache("arrays")))
        for entry in entries:
            if time.time() - entry.stat().st_mtime > _KEEP_S:
                remove(entry.path)
    except OSError:
        return
