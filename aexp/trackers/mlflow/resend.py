"""Rows that MLflow may not have because the process that sent them was killed: from the series.

While a run is open online there is a mark in its folder. Where one is left, nobody knows what
has arrived. The run's own series has every row; what MLflow has of them is not sent again.
"""

import re
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aexp.errors import TrackerInitError
from aexp.ledger.projection import final_metrics
from aexp.model import COMPLETE, RUNNING, Run
from aexp.paths import Repo
from aexp.runs.logged import kept_assets, logged_rows
from aexp.runs.series import Row, numbers
from aexp.runs.store import read_run
from aexp.trackers.frame import frame_of
from aexp.trackers.mlflow import store as stores
from aexp.trackers.mlflow import values as values
from aexp.trackers.mlflow import where as where
from aexp.trackers.mlflow.sync import Deadline
from aexp.trackers.once import Once

if TYPE_CHECKING:
    from aexp.trackers.mlflow.adapter import MlflowAdapter, Opened

_LATER = re.compile(r"[0-9a-f]{32}-(\d+)")
_ANSWER_S = 15


def resend(adapter: "MlflowAdapter", mark: Path, about: dict[str, Any], deadline: Deadline) -> Any:
    """Bring what MLflow misses of a run, and its end, and return the run's page.

    Raises
    ------
    TrackerInitError
        If MLflow has not got all of it.
    """
    workspace = mark.parents[1]
    repo = Repo.find(workspace)
    run = read_run(repo, workspace.name)
    if run.status == RUNNING:
        raise TrackerInitError("the run is being executed", "sync it when it has ended")
    run_id, frame = str(about["run_id"]), frame_of(repo, run)
    first, through = _attempts(run, run_id)
    with where.settings(_ANSWER_S):
        handle = adapter.init_run(
            project=about.get("project"),
            group=about.get("group") or frame.group,
            tags=frame.tags,
            config=frame.config,
            notes=frame.notes,
            run_id=run_id,
            name=frame.name,
        )
        opened: Opened = handle.extra["opened"]
        opened.next_step = 0
        for key, value, when, step in _Missing(opened, deadline).of(
            _rows(str(workspace), run, first, through)
        ):
            opened.pending.append((key, value, when, step))
            if len(opened.pending) >= values.MAX_METRICS:
                deadline.check()
                adapter.flush(handle)
        adapter.flush(handle)
        for asset in kept_assets(str(workspace)):
            if not first <= asset.attempt <= through:
                continue
            deadline.check()
            if not stores.has_artifact(opened.store, opened.id, asset.name, asset.path):
                adapter.log_artifact(handle, asset.name, asset.path)
        deadline.check()
        last = [one for one in run.attempts if first <= one.get("attempt", 0) <= through][-1:]
        is_newest = bool(last) and last[0] is run.attempts[-1]
        final = final_metrics(run) if is_newest else (last[0].get("metrics") if last else None)
        adapter.summarize(handle, final if isinstance(final, dict) else {})
        status = run.status if is_newest else (last[0].get("status") if last else None)
        code = last[0].get("returncode") if last else None
        adapter.finish(handle, exit_code=0 if status == COMPLETE else code or 1)
    return handle.url


def _attempts(run: Run, run_id: str) -> tuple[int, float]:
    """Return the first and the last attempt that belong to the tracked run of this id."""
    later = _LATER.fullmatch(run_id)
    first = int(later[1]) if later else 1
    before = run.record.get("attempts_before")
    return first, before if isinstance(before, int) and before >= first else float("inf")


def _rows(workspace: str, run: Run, first: int, through: float) -> Iterator[Row]:
    """Return the rows as they were sent: without what an earlier attempt has logged."""
    once = Once()
    newest = run.attempts[-1].get("attempt", 0) if run.attempts else 0
    for row in logged_rows(workspace, newest):  # the metrics file is the newest attempt's
        if first <= row.attempt <= through:
            yield row._replace(metrics=once.new_of(row, numbers(row.metrics)))


class _Missing:
    """Tells the numbers that a run of MLflow's has from those that it has not."""

    def __init__(self, opened: "Opened", deadline: Deadline) -> None:
        self.opened = opened
        self.deadline = deadline
        self.known: dict[str, Counter[tuple[Any, ...]]] = {}

    def of(self, rows: Iterator[Row]) -> Iterator[tuple[str, float, int, int]]:
        """Return name, value, time and step of each number that is not there."""
        for row in rows:
            found = values.numbers(numbers(row.metrics))
            if not found:
                continue
            step = self.opened.next_step if row.step is None else row.step
            self.opened.next_step = max(self.opened.next_step, step + 1)
            when = None if row.time is None else int(row.time * 1000)
            for key, value in found.items():
                # A row without a step got one from MLflow's side, one without a time a later one.
                mark = (None if row.step is None else step, when, values.exact(value))
                known = self._history(key)
                if known[mark] > 0:
                    known[mark] -= 1
                else:
                    yield key, value, when or int(time.time() * 1000), step

    def _history(self, key: str) -> Counter[tuple[Any, ...]]:
        if key not in self.known:
            self.deadline.check()
            name = self.opened.names.get(key, key)
            found: Counter[tuple[Any, ...]] = Counter()
            for one in self.opened.store.client.get_metric_history(self.opened.id, name):
                value = values.exact(one.value)
                for step in (one.step, None):
                    for when in (one.timestamp, None):
                        found[(step, when, value)] += 1
            self.known[key] = found
        return self.known[key]
