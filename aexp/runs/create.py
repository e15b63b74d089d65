"""Create runs: freeze a state point and publish its folder in one step."""

import json
import os
import shutil
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from aexp.errors import ParameterError, StoreReadOnly
from aexp.files import write_new
from aexp.git import CodeState, code_state
from aexp.model import CREATED, check_experiment_id, check_hypothesis_id, utc_now
from aexp.paths import DOCUMENT, NEW_PREFIX, STATEPOINT, Repo
from aexp.runs.store import compute_job_id


def base_state_point(
    experiment_id: str,
    *,
    hypothesis_id: str | None = None,
    sub_hypothesis_id: str | None = None,
    code: CodeState | None = None,
) -> dict[str, Any]:
    """Return the keys that every state point begins with, in their fixed order."""
    sp: dict[str, Any] = {"experiment_id": check_experiment_id(experiment_id)}
    if hypothesis_id is not None:
        sp["hypothesis_id"] = check_hypothesis_id(hypothesis_id)
    if sub_hypothesis_id is not None:
        sp["sub_hypothesis_id"] = check_hypothesis_id(sub_hypothesis_id)
    if code is not None:
        sp["code_commit"], sp["code_dirty"] = code.commit, code.dirty
    return sp


def run_link(
    experiment_id: str,
    *,
    hypothesis_id: str | None = None,
    sub_hypothesis_id: str | None = None,
    experiment_path: str | None = None,
) -> dict[str, Any]:
    """Return the document's link to the research record, with the peer's four keys."""
    return {
        "experiment_id": experiment_id,
        "experiment_path": experiment_path or f"kb/research/experiments/{experiment_id}-*.md",
        "hypothesis_id": hypothesis_id,
        "sub_hypothesis_id": sub_hypothesis_id,
    }


def check_state_point(sp: Mapping[str, Any], where: str = "state point") -> None:
    """Refuse what signac cannot hold: keys with dots, keys that are no text, values not of JSON.

    Raises
    ------
    ParameterError
        Naming the key.
    """
    for key, value in sp.items():
        if not isinstance(key, str) or not key or "." in key or "\0" in key:
            raise ParameterError(
                f"{where}: {key!r} cannot be a key", "keys are text without dots, for instance lr"
            )
        if isinstance(value, Mapping):
            check_state_point(value, f"{where}.{key}")
    try:
        json.dumps(sp, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise ParameterError(
            f"{where} cannot be stored as JSON: {error}",
            "its values are numbers, text, true, false, null, lists and objects of them",
        ) from None


def publish_run(
    repo: Repo,
    job_id: str,
    sp: dict[str, Any],
    doc: dict[str, Any],
    files: Mapping[str, str] = MappingProxyType({}),
) -> bool:
    """Write a new run's folder and give it its name in one rename.

    Parameters
    ----------
    repo : Repo
        An installed repository.
    job_id : str
        `compute_job_id` of `sp`.
    sp, doc : dict
        State point and job document.
    files : mapping, optional
        Name in the run's folder to the path of a file to have there (a hard link if it can be).

    Returns
    -------
    bool
        False when the run exists already; nothing is changed then.
    """
    target = repo.run_dir(job_id)
    if os.path.isdir(target):
        return False
    staging = os.path.join(repo.workspace, f"{NEW_PREFIX}{job_id}-{os.urandom(6).hex()}")
    try:
        _make_folder(staging)
        _write(os.path.join(staging, STATEPOINT), sp)
        _write(os.path.join(staging, DOCUMENT), doc)
        for name, source in files.items():
            _link(source, os.path.join(staging, name))
        os.rename(staging, target)
        return True
    except OSError as error:
        shutil.rmtree(staging, ignore_errors=True)
        if os.path.isdir(target):
            return False
        raise StoreReadOnly(
            f"cannot create a run in {repo.workspace}: {error.strerror or error}",
            "check the folder's permissions and the free space, then run the command again",
        ) from error


def _make_folder(path: str) -> None:
    try:
        os.mkdir(path)
    except FileNotFoundError:
        # A fresh clone: git keeps no empty folder, so the store has no workspace yet.
        os.makedirs(path)


def _write(path: str, content: dict[str, Any]) -> None:
    # The folder has no name yet, so the files need no temporary one.
    write_new(path, json.dumps(content).encode())


def _link(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:
        with open(source, "rb") as file:
            write_new(target, file.read())


def create_plain_run(
    repo: Repo,
    experiment_id: str,
    statepoint: Mapping[str, Any],
    *,
    hypothesis_id: str | None = None,
    sub_hypothesis_id: str | None = None,
    experiment_path: str | None = None,
    init_doc: Mapping[str, Any] | None = None,
    include_commit: bool = True,
    dry_run: bool = False,
) -> tuple[str, bool]:
    """Create a run with status ``created`` from an already resolved configuration.

    Returns
    -------
    tuple of str and bool
        Its id, and whether it is new.
    """
    code = code_state(repo) if include_commit else None
    sp = base_state_point(
        experiment_id,
        hypothesis_id=hypothesis_id,
        sub_hypothesis_id=sub_hypothesis_id,
        code=code,
    )
    sp.update(statepoint)
    check_state_point(sp)
    doc: dict[str, Any] = {
        "aexp": run_link(
            experiment_id,
            hypothesis_id=hypothesis_id,
            sub_hypothesis_id=sub_hypothesis_id,
            experiment_path=experiment_path,
        ),
        "status": CREATED,
        "created_at": utc_now(),
        **(init_doc or {}),
    }
    job_id = compute_job_id(sp)
    if dry_run:
        return job_id, not os.path.isdir(repo.run_dir(job_id))
    return job_id, publish_run(repo, job_id, sp, doc)
