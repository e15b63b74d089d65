"""Rows that W&B may not have, sent again from the run's own series.

What the SDK has on disk cannot do that: it writes its file in blocks of 32 KiB, which a kill
loses, and ``wandb sync`` adds all rows of an online run behind those that the service has.
Our series has every row, and the service says at which step it is to go on.
"""

import os
import re
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aexp.ledger.projection import final_metrics
from aexp.model import COMPLETE, RUNNING
from aexp.paths import Repo
from aexp.runs.logged import kept_assets, logged_rows
from aexp.runs.series import Row, numbers
from aexp.runs.store import read_run
from aexp.trackers.binding import bound, wanted
from aexp.trackers.contract import OfflineRun, RunHandle, SyncResult
from aexp.trackers.frame import frame_of
from aexp.trackers.sync import synced
from aexp.trackers.wandb import marks
from aexp.trackers.wandb.init import plain_floats
from aexp.trackers.wandb.marks import Mark, folders, marked_folders, unmark

if TYPE_CHECKING:
    from aexp.trackers.wandb.adapter import WandbAdapter

_LATER_ATTEMPTS = re.compile(r"[0-9a-f]{32}-(\d+)")


def left_behind(workspace: str | Path, run_id: str) -> list[str]:
    """Return the folders of a W&B run that hold what the service may not have.

    Those that are marked, and complete offline ones that were never synced: once a later
    attempt is there, ``wandb sync`` would number their rows anew, behind its own. Our series
    has the rows of all of them.
    """
    known = synced.marks(str(workspace))
    found = set(marked_folders(workspace, run_id))
    for path in folders(workspace, run_id):
        is_offline = os.path.basename(path).startswith("offline-")
        is_ours = is_offline and os.path.exists(os.path.join(path, marks.COMPLETE))
        if is_ours and os.path.relpath(path, workspace) not in known:
            found.add(path)
    return sorted(found)


def arrived(workspace: str | Path, path: str | Path, run_id: str, url: str | None) -> None:
    """Note that W&B has all of a folder: nothing of it is sent again."""
    synced.mark(str(workspace), OfflineRun(Path(path), "wandb", run_id), url)
    unmark(path)


def steps_of(rows: Iterator[Row]) -> Iterator[tuple[int, Row]]:
    """Return rows with the steps that W&B has given them, or would have.

    A row without a step joins the one before it if that had a step, and else gets the next.
    Rows that lie before W&B's step are not kept there, nor those of a later attempt that an
    earlier one has logged already.
    """
    at, attempt, high, last = 0, 0, -1, -1
    for row in rows:
        if row.attempt > attempt:
            attempt, high = row.attempt, max(high, last)
        if row.step is None:
            yield at, row
            at += 1
        elif row.step > high and row.step >= at:
            at = last = row.step
            yield at, row


def send_missing(
    adapter: "WandbAdapter | None",
    handle: RunHandle,
    workspace: str | Path,
    *,
    through: int,
    file_of: int | None = None,
    is_own: bool = False,
) -> int:
    """Log the rows and files of attempts until `through` that W&B does not have yet.

    Parameters
    ----------
    adapter : WandbAdapter or None
        Which has opened the run; without one files are not sent.
    handle : RunHandle
        The open run.
    workspace : str or Path
        The folder of our run.
    through : int
        The last attempt.
    file_of : int, optional
        The attempt that the metrics file is of, if its lines are to be sent as well.
    is_own : bool, default False
        Whether nested metrics stay nested.

    Returns
    -------
    int
        The first step that it does not have afterwards.
    """
    after = int(handle.extra["next_step"])
    run = handle.extra["run"]
    later = _LATER_ATTEMPTS.fullmatch(handle.id)
    first = int(later[1]) if later else 1
    every = logged_rows(str(workspace), file_of)
    rows = (row for row in every if first <= row.attempt <= through)
    sent = False
    for step, row in steps_of(row for row in rows if numbers(row.metrics)):
        if step >= int(handle.extra["next_step"]):
            stamp = {} if row.time is None else {"_timestamp": row.time}
            metrics = plain_floats(row.metrics) if is_own else numbers(row.metrics)
            run.log({**metrics, **stamp}, step=step)
            after, sent = step + 1, True
    if sent:
        run.log({}, commit=True)  # what comes without a step is a row of its own
    if adapter is None:
        return after
    for asset in kept_assets(str(workspace)):
        if first <= asset.attempt <= through:
            adapter.log_artifact(handle, asset.name, asset.path)  # W&B keeps equal content once
    return after


def resend(adapter: "WandbAdapter", offline_run: OfflineRun, lost: Mark) -> SyncResult:
    """Bring what W&B misses of an attempt, and of those before it, from the series."""
    began = time.monotonic()
    workspace, path = offline_run.path.parents[1], offline_run.path
    repo, job_id = Repo.find(workspace), workspace.name
    run = read_run(repo, job_id)
    if run.status == RUNNING:
        hint = "sync it when it has ended"
        return SyncResult(path, False, "the run is being executed", hint)
    binding, frame = bound(run, adapter.name), frame_of(repo, run)
    settings: dict[str, Any] = wanted(run) or {}
    adapter.entity = adapter.entity or settings.get("entity")
    is_last = not run.attempts or run.attempts[-1].get("attempt") == lost.attempt
    file_of = lost.attempt if is_last and not lost.is_own else None
    through, is_own = lost.attempt, lost.is_own
    with tempfile.TemporaryDirectory(prefix="aexp-wandb-") as folder:
        handle = adapter.init_run(
            project=(binding["project"] if binding else None) or settings.get("project"),
            group=(binding["group"] if binding else None) or frame.group,
            tags=frame.tags,
            config={} if is_own else frame.config,
            notes=None if is_own else frame.notes,
            workspace=folder,  # nothing of this is a trace of the run
            run_id=offline_run.run_id,
            name=None if is_own else frame.name,
        )
        send_missing(adapter, handle, workspace, through=through, file_of=file_of, is_own=is_own)
        final = final_metrics(run)
        if is_last and final:
            adapter.summarize(handle, final if is_own else numbers(final))
        adapter.finish(handle, exit_code=0 if is_last and run.status == COMPLETE else 1)
    for marked, attempt in marked_folders(workspace, offline_run.run_id).items():
        if attempt <= lost.attempt:
            arrived(workspace, marked, offline_run.run_id, handle.url)
    return SyncResult(path, True, url=handle.url, seconds=time.monotonic() - began)
