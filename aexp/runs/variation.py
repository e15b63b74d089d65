"""Variations: runs that differ in nothing but seed, repeat and code."""

import contextlib
import json
import os
from collections.abc import Iterable
from typing import Any

from aexp.errors import AexpError
from aexp.files import read_object
from aexp.kb.experiments import load_experiment
from aexp.model import PROVENANCE_KEYS, Run
from aexp.paths import DOCUMENT, STATEPOINT, Repo
from aexp.runs.document import block_of, edit_document
from aexp.runs.store import read_run, run_ids

# Keys of a state point that do not make another variation of a run.
IGNORED = PROVENANCE_KEYS | {"seed", "repeat"}
_KEY = "variation"
# What this process has read: repository to run to key. A run's key never changes.
_known: dict[str, dict[str, str]] = {}


def variation_key(sp: dict[str, Any], ignore: Iterable[str] = ()) -> str:
    """Return the key of a state point's variation: 16 hexadecimal digits.

    Parameters
    ----------
    sp : dict
        The state point.
    ignore : iterable of str
        Further keys to leave out, the experiment's ``variation_ignore:``.
    """
    from hashlib import sha256

    left_out = IGNORED.union(ignore)
    kept = {key: value for key, value in sp.items() if key not in left_out}
    text = json.dumps(kept, sort_keys=True, separators=(",", ":"))
    return sha256(text.encode()).hexdigest()[:16]


def variation_of(repo: Repo, job_id: str) -> str:
    """Return the key of a run's variation, which is recorded at its first use."""
    known = _known.setdefault(repo.root, {})
    if job_id not in known:
        run = read_run(repo, job_id)
        key = _recorded(run.record)
        if key is None:
            key = variation_key(run.sp, _ignored(repo, run.experiment_id))
            with contextlib.suppress(AexpError), edit_document(repo, job_id) as fresh:
                key = block_of(fresh.doc, "aexp_run").setdefault(_KEY, key)
        known[job_id] = str(key)
    return known[job_id]


def runs_of_variation(repo: Repo, key: str) -> list[str]:
    """Return the runs of a variation that are in this store, sorted by id.

    Every run is read once per process, and its document only where the key is recorded.
    """
    known = _known.setdefault(repo.root, {})
    ignored: dict[str | None, tuple[str, ...]] = {}
    found = []
    for job_id in run_ids(repo):
        if job_id not in known:
            with contextlib.suppress(AexpError):
                known[job_id] = _key_of(repo, job_id, ignored)
        if known.get(job_id) == key:
            found.append(job_id)
    return found


def _key_of(repo: Repo, job_id: str, ignored: dict[str | None, tuple[str, ...]]) -> str:
    folder = repo.run_dir(job_id)
    run = Run(job_id, {}, read_object(os.path.join(folder, DOCUMENT)) or {})
    key = _recorded(run.record)
    if key is not None:
        return key
    run = run._replace(sp=read_object(os.path.join(folder, STATEPOINT)) or {})
    if run.experiment_id not in ignored:
        ignored[run.experiment_id] = _ignored(repo, run.experiment_id)
    return variation_key(run.sp, ignored[run.experiment_id])


def _recorded(record: dict[str, Any]) -> str | None:
    key = record.get(_KEY)
    return key if isinstance(key, str) and key else None


def _ignored(repo: Repo, experiment_id: str | None) -> tuple[str, ...]:
    if experiment_id is None:
        return ()
    try:
        return load_experiment(repo, experiment_id).variation_ignore
    except AexpError:  # the run is older than its note, or the note is being rewritten
        return ()
