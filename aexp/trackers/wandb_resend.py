"""Rows that W&B may not have, sent again from the run's own series.

What the SDK has on disk cannot do that: it writes its file in blocks of 32 KiB, which a kill
loses, and ``wandb sync`` adds all rows of an online run behind those that the service has.
Our series has every row, and the service says at which step it is to go on.
"""

import json
import os
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aexp.errors import AexpError
from aexp.files import read_bytes, read_object, remove, write_atomic
from aexp.ledger.projection import final_metrics
from aexp.model import COMPLETE, RUNNING
from aexp.paths import ASSETS, METRICS, SERIES, Repo
from aexp.runs.series import Row, SeriesReader, numbers
from aexp.runs.store import read_run
from aexp.trackers.binding import bound, wanted
from aexp.trackers.contract import OfflineRun, RunHandle, SyncResult
from aexp.trackers.frame import frame_of

if TYPE_CHECKING:
    from aexp.trackers.wandb import WandbAdapter

# In the folder of a run of ours until all that it was given is complete there, or at W&B.
MARK = ".aexp-unfinished"
_RUN_FOLDER = re.compile(r"(?:offline-)?run-\d{8}_\d{6}-(.+)")
_LATER_ATTEMPTS = re.compile(r"[0-9a-f]{32}-(\d+)")
_BATCH = 2000


def mark(path: str, attempt: int | None) -> None:
    """Note in a run's folder which attempt it is of."""
    if os.path.isdir(path):
        write_atomic(os.path.join(path, MARK), json.dumps({"attempt": attempt}).encode())


def unmark(path: str | Path) -> None:
    """Note that a folder's run is complete."""
    remove(os.path.join(path, MARK))


def marked_attempt(path: str | Path) -> int | None:
    """Return the attempt whose rows a folder may have lost, None when nothing says so."""
    try:
        found = (read_object(os.path.join(path, MARK)) or {}).get("attempt")
    except AexpError:
        return None
    return found if isinstance(found, int) else None


def marked_folders(workspace: str | Path, run_id: str) -> dict[str, int]:
    """Return the marked folders of a W&B run with their attempts."""
    found = {}
    base = os.path.join(workspace, "wandb")
    try:
        names = os.listdir(base)
    except OSError:
        return {}
    for name in sorted(names):
        parts = _RUN_FOLDER.fullmatch(name)
        attempt = marked_attempt(os.path.join(base, name)) if parts else None
        if parts is not None and parts[1] == run_id and attempt is not None:
            found[os.path.join(base, name)] = attempt
    return found


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
    adapter: "WandbAdapter",
    handle: RunHandle,
    workspace: str | Path,
    *,
    through: int,
    file_of: int | None = None,
) -> int:
    """Log the rows and files of attempts until `through` that W&B does not have yet.

    Parameters
    ----------
    adapter : WandbAdapter
        Which has opened the run.
    handle : RunHandle
        The open run.
    workspace : str or Path
        The folder of our run.
    through : int
        The last attempt.
    file_of : int, optional
        The attempt that the metrics file is of, if its lines are to be sent as well.

    Returns
    -------
    int
        The first step that it does not have afterwards.
    """
    after = int(handle.extra["next_step"])
    run = handle.extra["run"]
    later = _LATER_ATTEMPTS.fullmatch(handle.id)
    first = int(later[1]) if later else 1
    rows = (row for row in _rows(workspace, file_of) if first <= row.attempt <= through)
    sent = False
    for step, row in steps_of(row for row in rows if numbers(row.metrics)):
        if step >= int(handle.extra["next_step"]):
            stamp = {} if row.time is None else {"_timestamp": row.time}
            run.log({**numbers(row.metrics), **stamp}, step=step)
            after, sent = step + 1, True
    if sent:
        run.log({}, commit=True)  # what comes without a step is a row of its own
    for name, path, attempt in _assets(workspace):
        if first <= attempt <= through and os.path.exists(path):
            adapter.log_artifact(handle, name, path)  # W&B keeps equal content once
    return after


def _rows(workspace: str | Path, file_of: int | None) -> Iterator[Row]:
    reader = SeriesReader(os.path.join(workspace, SERIES))
    while rows := reader.read(_BATCH):
        yield from rows
    if file_of is not None:
        lines = SeriesReader(os.path.join(workspace, METRICS), flat=True)
        while rows := lines.read(_BATCH):
            yield from (row._replace(attempt=file_of) for row in rows)


def _assets(workspace: str | Path) -> Iterator[tuple[str, str, int]]:
    data = read_bytes(os.path.join(workspace, ASSETS, "index.jsonl")) or b""
    for line in data.splitlines():
        try:
            row = json.loads(line)
            path = os.path.join(workspace, row["path"])
            yield str(row.get("name") or os.path.basename(path)), path, int(row["attempt"])
        except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
            continue


def resend(adapter: "WandbAdapter", offline_run: OfflineRun, attempt: int) -> SyncResult:
    """Bring what W&B misses of an attempt, and of those before it, from the series."""
    began = time.monotonic()
    workspace = offline_run.path.parents[1]
    repo, job_id = Repo.find(workspace), workspace.name
    run = read_run(repo, job_id)
    if run.status == RUNNING:
        return SyncResult(offline_run.path, False, "the run is being executed", "try again later")
    binding, frame = bound(run, adapter.name), frame_of(repo, run)
    settings: dict[str, Any] = wanted(run) or {}
    adapter.entity = adapter.entity or settings.get("entity")
    handle = adapter.init_run(
        project=(binding["project"] if binding else None) or settings.get("project"),
        group=(binding["group"] if binding else None) or frame.group,
        tags=frame.tags,
        config=frame.config,
        notes=frame.notes,
        workspace=workspace,
        run_id=offline_run.run_id,
        name=frame.name,
        attempt=attempt,
    )
    is_last = not run.attempts or run.attempts[-1].get("attempt") == attempt
    file_of = attempt if is_last else None
    send_missing(adapter, handle, workspace, through=attempt, file_of=file_of)
    final = numbers(final_metrics(run))
    if is_last and final:
        adapter.summarize(handle, final)
    adapter.finish(handle, exit_code=0 if is_last and run.status == COMPLETE else 1)
    for path, covered in marked_folders(workspace, offline_run.run_id).items():
        if covered <= attempt:
            unmark(path)
    unmark(offline_run.path)
    seconds = time.monotonic() - began
    return SyncResult(offline_run.path, True, url=handle.url, seconds=seconds)
