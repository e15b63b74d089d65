"""Runs whose tracker was never opened: sent later, whole, by following them once more.

A setting that the service refused, a follower that was killed: there is nothing of the
tracker's on the disk then. The series, the kept files and the record have everything.
"""

import json
import subprocess
import sys
import time
from collections.abc import Container, Iterable
from datetime import datetime
from pathlib import Path

from aexp.errors import AexpError
from aexp.files import pretty_json, write_atomic
from aexp.model import Run, section
from aexp.paths import TRACKER, Repo
from aexp.trackers.binding import binding_for, wanted
from aexp.trackers.contract import OfflineRun, SyncResult
from aexp.trackers.files import STATE, read_owner, read_quietly, tracker_file

RESEND = "--resend"
_CLOCK_S = 1.0  # the record has whole seconds
_LAST = "9999"  # behind all that other attempts have left


def find(repo: Repo, run: Run) -> list[OfflineRun]:
    """Return what is to be sent of a run: the place of its tracker's state, or nothing."""
    if not run.is_terminal or not run.attempts or not is_unsent(repo, run.job_id):
        return []
    last = run.attempts[-1].get("attempt")
    try:
        settings = wanted(run)
    except AexpError:
        return []
    if settings is None or not isinstance(last, int):
        return []
    if read_owner(repo, run.job_id, last) is not None:
        return []  # the training code has opened it by itself
    binding = binding_for(run, settings)
    path = Path(repo.run_dir(run.job_id), TRACKER, STATE)
    return [OfflineRun(path, binding["backend"], binding["run_id"], run.job_id, _LAST)]


def is_unsent(repo: Repo, job_id: str) -> bool:
    """Whether the last attempt's follower has not opened the tracker's run, but had to."""
    state = read_quietly(repo, job_id, STATE)
    if not state or state.get("opened") is not False:
        return False
    return bool(state.get("problem")) or state.get("ended") is False


def covering(run: Run, offline: Iterable[OfflineRun], done: Container[str]) -> list[OfflineRun]:
    """Return which of the tracker's own traces are of an opening that the last attempt began.

    The adapter brings all rows of such a one by itself. `done` are the paths of those that it
    has brought already: they are of something else.
    """
    try:
        began = datetime.fromisoformat(str(run.attempts[-1].get("started_at"))).timestamp()
    except (ValueError, LookupError):
        return []
    return [
        one
        for one in offline
        if str(one.path) not in done and _changed_at(one.path) >= began - _CLOCK_S
    ]


def settle(repo: Repo, job_id: str) -> None:
    """Note that the tracker has the run by now."""
    state = {**read_quietly(repo, job_id, STATE), "opened": True}
    write_atomic(tracker_file(repo, job_id, STATE), pretty_json(state))


def _changed_at(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0


def is_one(run: OfflineRun) -> bool:
    """Whether an offline run is one of `find`: the tracker has no trace of it on the disk."""
    return run.path.name == STATE and run.path.parent.name == TRACKER


def send(offline_run: OfflineRun, *, timeout_s: float) -> SyncResult:
    """Open the tracker's run and bring everything there; nobody else may have the turn."""
    from aexp.runs.store import read_run

    began = time.monotonic()
    path = offline_run.path
    workspace = path.parents[1]
    repo, job_id = Repo.find(workspace), workspace.name
    run = read_run(repo, job_id)
    last = run.attempts[-1]
    code = last.get("returncode")
    ending = {"status": run.status, "exit_code": code, "seconds": timeout_s}
    done = subprocess.run(
        [sys.executable, "-P", "-m", "aexp.trackers.follow", job_id, str(last["attempt"]), RESEND],
        cwd=repo.root,
        input=json.dumps(ending).encode() + b"\n",
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
    )
    said = done.stdout.decode(errors="replace").strip()
    state = read_quietly(repo, job_id, STATE)
    problem = state.get("problem")
    if state.get("ended") is not True and not problem:
        problem = f"not done within {timeout_s:g} s"
    url = section(read_run(repo, job_id).doc, "tracker").get("url")
    return SyncResult(
        path,
        not problem,
        f"{problem}\n{said}".strip() if problem else said,
        str(state.get("hint") or "") if problem else "",
        url if isinstance(url, str) and not problem else None,
        time.monotonic() - began,
        done.returncode,
    )
