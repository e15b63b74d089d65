"""Who needs a checkpoint now: runs that go on from it, and runs that will begin with it."""

import contextlib
import json
import os
from collections.abc import Set

from aexp.errors import AexpError
from aexp.files import read_bytes
from aexp.model import ABANDONED, COMPLETE, INIT_FROM, RUNNING, short
from aexp.paths import CLAIM, STATEPOINT, Repo
from aexp.runs.store import read_run, run_ids

# A state point never changes: repository to run to the checkpoint that it names.
_origins: dict[str, dict[str, str | None]] = {}


def uses(repo: Repo, ids: Set[str]) -> dict[str, str]:
    """Return which of some checkpoints are needed, and by whom in words.

    A checkpoint is needed by a run that is being executed and went on from it, whose files
    may be open or mapped, and by a branched run until it is complete or given up.
    """
    found: dict[str, str] = {}
    for job_id in run_ids(repo):
        with contextlib.suppress(AexpError):  # a run without a state point begins with nothing
            wanted = origin(repo, job_id)
            claimed = os.path.lexists(os.path.join(repo.workspace, job_id, CLAIM))
            if wanted not in ids and not claimed:
                continue
            begins = f"run {short(job_id)} begins with it"
            try:
                run = read_run(repo, job_id)
            except AexpError:  # it may be mended
                if wanted in ids:
                    found[str(wanted)] = begins
                continue
            if wanted in ids and run.status not in (COMPLETE, ABANDONED):
                found[str(wanted)] = begins
            last = run.attempts[-1] if run.attempts else {}
            if last.get("status") == RUNNING and last.get("resumed_from") in ids:
                found[last["resumed_from"]] = f"run {short(job_id)} goes on from it"
    return found


def branches(repo: Repo, checkpoint_id: str) -> list[str]:
    """Return the runs here that began, or will begin, with a checkpoint."""
    found = []
    for job_id in run_ids(repo):
        with contextlib.suppress(AexpError):
            if origin(repo, job_id) == checkpoint_id:
                found.append(job_id)
    return found


def origin(repo: Repo, job_id: str) -> str | None:
    """Return the ``init_from`` of a run's state point; each is read once per process."""
    known = _origins.setdefault(repo.root, {})
    if job_id not in known:
        data = read_bytes(os.path.join(repo.workspace, job_id, STATEPOINT))
        if data is None:
            return None  # being created or removed
        value = None
        if INIT_FROM.encode() in data:
            with contextlib.suppress(ValueError, RecursionError):
                sp = json.loads(data)
                value = sp.get(INIT_FROM) if isinstance(sp, dict) else None
        known[job_id] = value if isinstance(value, str) else None
    return known[job_id]
