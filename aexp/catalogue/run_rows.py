"""One run as rows: of its ledger entry, or of its job document by the same projection."""

import shlex
from collections.abc import Mapping
from typing import Any

from aexp.catalogue.rows import Row, Rows
from aexp.catalogue.values import (
    TooDeep,
    add_parameters,
    as_json,
    flag,
    moment,
    real,
    text,
    texts,
    whole,
)
from aexp.ledger.projection import checkpoint_parents, flat_numbers
from aexp.model import PROVENANCE_KEYS, section
from aexp.numbers import as_number

_ROLES = {"code_files": "code", "inputs": "input", "outputs": "output"}
_PARENTS = {"derived_from": "declared", "after": "after"}
# What the state point holds beside the configuration: it has columns of its own.
_ELSEWHERE = frozenset(
    {"experiment_id", "hypothesis_id", "sub_hypothesis_id", "kind", "nonce", *PROVENANCE_KEYS}
)
TOO_DEEP = "holds objects nested too deeply"


def add_run(
    rows: Rows,
    job_id: str,
    told: Mapping[str, Any],
    *,
    source: str,
    in_store: bool,
    project: str,
    command: str | None = None,
    sequence: Any = None,
) -> None:
    """Add what is known of a run.

    Parameters
    ----------
    rows : Rows
        Where to.
    job_id : str
        The run.
    told : mapping
        Its ledger entry, or the like of it (`aexp.ledger.projection.describe`).
    source : str
        ``ledger`` or ``store``.
    in_store : bool
        Whether the store of this machine tells the same of it.
    project : str
        The project, where the entry names none.
    command : str, optional
        What its last attempt executed, where that is known.
    sequence : int, optional
        Its place in the queue, where that is known.

    Raises
    ------
    TooDeep
        If its objects are nested beyond any sense.
    """
    sp = section(told, "statepoint")
    parameters: list[Any] = []
    try:
        metrics = flat_numbers(section(told, "metrics"))
        add_parameters(parameters, job_id, {k: v for k, v in sp.items() if k not in _ELSEWHERE})
        nested = as_json(sp), as_json(metrics or None), as_json(section(told, "resources") or None)
    except RecursionError:
        raise TooDeep from None
    attempts = [item for item in _list(told, "attempts") if type(item) is dict]
    last = attempts[-1] if attempts else {}
    link, environment = section(told, "run_link"), section(told, "environment")
    tracker = section(told, "tracker")
    tags = texts(told.get("tags"))
    tag = text(told.get("tag"))
    if tag is None and tags:
        tag = tags[0]
    rows.runs.append(
        (
            job_id,
            text(told.get("project")) or project,
            source,
            in_store,
            text(told.get("status")),
            text(link.get("experiment_id")) or text(sp.get("experiment_id")),
            text(link.get("hypothesis_id")) or text(sp.get("hypothesis_id")),
            text(link.get("sub_hypothesis_id")),
            text(sp.get("kind")),
            text(told.get("name")),
            text(sp.get("condition")),
            tag,
            tags or (None if tag is None else [tag]),
            command or _argv(sp),
            text(told.get("cause")),
            whole(told.get("returncode")),
            text(told.get("outcome")),
            flag(told.get("outcome_residual")),
            text(told.get("sidecar")),
            text(told.get("sidecar_sha256")),
            text(told.get("sidecar_mode")),
            text(told.get("agent_mode")),
            text(told.get("code_commit")) or text(sp.get("code_commit")),
            flag(told.get("code_dirty", sp.get("code_dirty"))),
            moment(told.get("queued_at")),
            whole(sequence),
            moment(told.get("started_at")),
            moment(told.get("ended_at")),
            real(told.get("wallclock_s")),
            len(attempts),
            text(last.get("host")),
            text(last.get("slurm_job_id")),
            real(last.get("max_rss_mb")),
            real(last.get("cpu_s")),
            text(environment.get("digest")),
            text(environment.get("software")),
            text(tracker.get("backend")),
            text(tracker.get("url")),
            text(told.get("registered_machine")),
            moment(told.get("promoted_at")),
            text(told.get("aexp_version")),
            *nested,
        )
    )
    rows.params += parameters
    for key, value in metrics.items():
        number = as_number(value)
        if number is not None:
            rows.metrics.append((job_id, key, number))
    for item in attempts:
        rows.attempts.append(_attempt(job_id, item))
    rows.links += [(job_id, parent, "checkpoint") for parent in checkpoint_parents(told)]
    for field, kind in _PARENTS.items():
        rows.links += [(job_id, parent, kind) for parent in texts(told.get(field)) or ()]
    for field, role in _ROLES.items():
        _artifacts(rows, job_id, role, told.get(field))


def _attempt(job_id: str, item: Mapping[str, Any]) -> Row:
    environment = section(item, "environment")
    return (
        job_id,
        whole(item.get("attempt")),
        text(item.get("status")),
        moment(item.get("started_at")),
        moment(item.get("ended_at")),
        real(item.get("wallclock_s")),
        whole(item.get("returncode")),
        text(item.get("cause")),
        text(item.get("host")),
        text(item.get("slurm_job_id")),
        text(item.get("slurm_array_job_id")),
        text(item.get("slurm_array_task_id")),
        text(item.get("resumed_from")),
        text(item.get("resumed_run")),
        real(item.get("max_rss_mb")),
        real(item.get("cpu_s")),
        text(environment.get("digest")),
        text(environment.get("software")),
    )


def _artifacts(rows: Rows, job_id: str, role: str, told: Any) -> None:
    if type(told) is dict:
        digest = (text(told.get("digest")) or "").removeprefix("sha256:") or None
        size, count = whole(told.get("size")), whole(told.get("count"))
        rows.artifacts.append((job_id, role, None, digest, size, count))
        return
    for item in told if type(told) is list else ():
        if type(item) is dict:
            path, sha256 = text(item.get("path")), text(item.get("sha256"))
            rows.artifacts.append((job_id, role, path, sha256, whole(item.get("size")), 1))


def _argv(sp: Mapping[str, Any]) -> str | None:
    argv = texts(sp.get("argv"))
    return shlex.join(argv) if argv else None


def _list(told: Mapping[str, Any], key: str) -> list[Any]:
    value = told.get(key)
    return value if type(value) is list else []
