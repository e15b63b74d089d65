"""Attempts that ask for another one: what they have brought, and when it is enough.

A run that saves checkpoints may need many attempts, and each of them is a success of its
own. What must not happen is that it is started for ever without getting anywhere.
"""

import json
import math
import os
import re
from typing import Any

from aexp.model import CHECKPOINT_ID, Run
from aexp.paths import CHECKPOINTS, Repo
from aexp.runs.afresh import passed_over
from aexp.runs.going_back import turns_of

MAX_PREEMPTIONS = 1000
MAX_STALLED = 3
# The end of one start of a Slurm job that a later start simply goes on from.
GOES_ON_AFTER = frozenset({"timeout", "node_fail"})
_STEP = re.compile(r"step-(\d{9,16})(?:\.\S+)?")


def has_advanced(repo: Repo, run: Run) -> bool:
    """Return whether a run's last attempt has saved a checkpoint beyond what it began with.

    It began with what the attempt has recorded as ``resumed_from``; where nothing is
    recorded, with the best of the attempts before, unless it has started afresh.
    """
    last = run.attempts[-1] if run.attempts else {}
    number, origin = last.get("attempt"), last.get("resumed_from")
    folder, past = repo.run_file(run.job_id, CHECKPOINTS), passed_over(run.record)
    own: int | None = None
    for step, name in _by_step(folder):
        manifest = _manifest(os.path.join(folder, name))
        if manifest is None or _attempt(manifest) <= past:
            continue
        if manifest.get("attempt") == number:
            own = step if own is None else own
        elif origin is None or manifest.get("id") == origin:
            return own is not None and own > step
    return own is not None


def newest_checkpoint(repo: Repo, run: Run) -> dict[str, Any] | None:
    """Return ``id`` and ``step`` of a run's checkpoint with the highest step, None without one.

    Those of a run that was complete, and has started afresh since, do not count, nor do those
    beyond one that it went back to.
    """
    folder, past = repo.run_file(run.job_id, CHECKPOINTS), passed_over(run.record)
    turns = turns_of(run)
    top: list[tuple[str, str, int]] = []
    for step, name in _by_step(folder):
        if top and step < top[0][2]:
            break
        manifest = _manifest(os.path.join(folder, name)) or {}
        found = manifest.get("id")
        saved = (step, _attempt(manifest), str(manifest.get("created_at")))
        if any(turn.holds(*saved) for turn in turns):
            continue
        if _attempt(manifest) > past and isinstance(found, str) and CHECKPOINT_ID.fullmatch(found):
            top.append((str(manifest.get("created_at")), found, step))
    return {"id": max(top)[1], "step": max(top)[2]} if top else None


def _by_step(folder: str) -> list[tuple[int, str]]:
    """Return steps and folders of checkpoints, the highest step first."""
    try:
        names = os.listdir(folder)
    except OSError:
        return []
    found = [(int(m[1]), name) for name in names if (m := _STEP.fullmatch(name))]
    return sorted(found, reverse=True)


def _manifest(folder: str) -> dict[str, Any] | None:
    """Read a manifest for what it says of its origin; `aexp.checkpoints` verifies it."""
    try:
        with open(os.path.join(folder, "manifest.json"), "rb") as file:
            content = json.load(file)
    except (OSError, ValueError, RecursionError):
        return None
    return content if isinstance(content, dict) else None


def _attempt(manifest: dict[str, Any]) -> float:
    """Return the attempt that has saved a checkpoint; one that says none is none of the past."""
    value = manifest.get("attempt")
    return value if isinstance(value, int) and value else math.inf


def count_preemption(record: dict[str, Any], earned: bool) -> tuple[str, str] | None:
    """Count an attempt that asked for another one; return why there is none, and its words.

    Parameters
    ----------
    record : dict
        The run's own block of its document.
    earned : bool
        Whether the attempt has saved a newer checkpoint, or was ended from outside.
    """
    count = record["preemptions"] = _number(record, "preemptions") + 1
    if earned:
        record.pop("stalled", None)
    else:
        record["stalled"] = _number(record, "stalled") + 1
    if _number(record, "stalled") >= MAX_STALLED:
        words = f"{MAX_STALLED} attempts in a row asked for another one without a newer checkpoint"
        return "no_progress", words
    cap = record.get("max_preemptions", MAX_PREEMPTIONS)
    if isinstance(cap, int) and count > cap:
        return "preemptions", f"it asked for another attempt {count} times, {cap} are allowed"
    return None


def _number(record: dict[str, Any], key: str) -> int:
    value = record.get(key, 0)
    return value if isinstance(value, int) else 0
