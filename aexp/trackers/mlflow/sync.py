"""Bring an offline attempt into MLflow: what is there already is not sent again.

Nothing is remembered about how far an earlier sync came. What the server has is compared with
what is here, so a sync that was killed anywhere is simply done again.
"""

import os
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aexp.errors import TrackerInitError
from aexp.model import printable
from aexp.trackers.mlflow import local as local
from aexp.trackers.mlflow import store as stores
from aexp.trackers.mlflow import values as values
from aexp.trackers.mlflow import where as where

if TYPE_CHECKING:
    from aexp.trackers.mlflow.adapter import MlflowAdapter
    from aexp.trackers.mlflow.store import Store

_OFFLINE_ID_TAG = "aexp.offline_id"  # of runs that the command made besides ours
_PARENT_TAG = "mlflow.parentRunId"
_REQUEST_S = 30


class Deadline:
    """A moment after which no further request is made."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.end = time.monotonic() + seconds

    def check(self) -> None:
        """Raise when the time is over."""
        if time.monotonic() > self.end:
            raise TrackerInitError(
                f"MLflow has not taken all of it within {self.seconds:.0f} s",
                f"run it again, what is there is not sent twice: {stores.SYNC}",
            )


def bring(
    adapter: "MlflowAdapter", path: "str | os.PathLike[str]", *, timeout_s: float
) -> str | None:
    """Bring an offline attempt, or what a kill has left open, and return the run's page.

    Raises
    ------
    TrackerInitError
        If MLflow has not got all of it.
    """
    folder = os.path.abspath(path)
    about = local.about(folder)
    if not about:
        raise TrackerInitError(f"{printable(folder)} is no offline run of MLflow's")
    told = adapter.uri or os.environ.get(where.URI_VARIABLE) or about.get("uri")
    place = where.chosen_uri(told if isinstance(told, str) else None, where.root_of(folder))
    deadline = Deadline(timeout_s)
    if folder.endswith(local.MARK):
        from aexp.trackers.mlflow.resend import resend

        adapter.uri, adapter.marks = place, False
        url: str | None = resend(adapter, Path(folder), about, deadline)
        local.remove_mark(folder)
        return url
    project, run_id = str(about.get("project") or "aexp"), str(about.get("run_id"))
    with where.settings(min(_REQUEST_S, max(1.0, timeout_s / 2))):
        try:
            source = stores.connect("file://" + folder)
            target = stores.connect(place)
            url = _replay_all(source, target, folder, project, run_id, deadline)
        except Exception as error:  # MLflow, requests, SQLAlchemy, files that were damaged
            raise stores.init_error(place, error) from error
    local.close_folder(folder, synced=True)
    return url


def _replay_all(
    source: "Store", target: "Store", folder: str, project: str, run_id: str, deadline: Deadline
) -> str | None:
    url = None
    new_ids: dict[str, str] = {}
    for experiment in source.client.search_experiments():
        runs = list(stores.every_run(source, [experiment.experiment_id]))
        if not runs:
            continue
        there = stores.experiment_id(target, experiment.name)
        for run in runs:  # oldest first: a parent comes before its children
            deadline.check()
            copied = _Copy(source, target, folder, run, there, new_ids, deadline)
            new_ids[run.info.run_id] = copied.id
            copied.everything()
            if run.data.tags.get(values.RUN_ID_TAG) == run_id:
                url = target.url(there, copied.id)
    return url


class _Copy:
    """One run on its way from an offline store to its own."""

    def __init__(
        self,
        source: "Store",
        target: "Store",
        folder: str,
        run: Any,
        experiment: str,
        new_ids: dict[str, str],
        deadline: Deadline,
    ) -> None:
        self.source = source
        self.target = target
        self.run = run
        self.deadline = deadline
        self.artifacts = Path(folder, run.info.experiment_id, run.info.run_id, "artifacts")
        self.tags = {
            key: text
            for key, text in run.data.tags.items()
            if not key.startswith(values.ALIAS_TAG) or target.folder
        }
        parent = self.tags.get(_PARENT_TAG)
        if parent in new_ids:
            self.tags[_PARENT_TAG] = new_ids[parent]
        key = values.RUN_ID_TAG
        if key not in self.tags:
            key = _OFFLINE_ID_TAG
            self.tags[key] = run.info.run_id
        self.there = stores.find_run(target, experiment, self.tags[key], tag=key)
        self.is_new = self.there is None
        if self.there is None:
            self.there = target.client.create_run(
                experiment,
                start_time=run.info.start_time,
                tags={key: self.tags[key]},
                run_name=run.info.run_name,
            )
        self.id = str(self.there.info.run_id)

    def everything(self) -> None:
        """Copy all that the run has; its status last."""
        # Another attempt that opened the run later says how it ended and what it is about.
        is_last = self._opened(self.run) >= self._opened(self.there)
        self._pairs(tags_too=is_last)
        self._metrics()
        if self.artifacts.is_dir() and any(self.artifacts.iterdir()):
            self.deadline.check()
            with where.tracking_uri(self.target.uri):
                self.target.client.log_artifacts(self.id, str(self.artifacts))
        if is_last:
            word = self.run.info.status
            word = "KILLED" if word in ("RUNNING", "SCHEDULED") else word  # nobody was left to say
            self.target.client.set_terminated(self.id, word, end_time=self.run.info.end_time)

    @staticmethod
    def _opened(run: Any) -> int:
        text = run.data.tags.get(values.OPENED_TAG, "0")
        return int(text) if text.isdecimal() else 0

    def _pairs(self, *, tags_too: bool) -> None:
        stores.send_pairs(
            self.target,
            self.id,
            tags=_missing(self.tags, self.there.data.tags) if tags_too else {},
            params={
                key: text
                for key, text in self.run.data.params.items()
                if key not in self.there.data.params
            },
        )

    def _metrics(self) -> None:
        batch = []
        for metric in self._missing_metrics():
            batch.append(metric)
            if len(batch) == values.MAX_METRICS:
                self._send(batch)
                batch = []
        self._send(batch)

    def _send(self, batch: list[Any]) -> None:
        if batch:
            self.deadline.check()
            self.target.client.log_batch(self.id, metrics=batch, synchronous=True)

    def _missing_metrics(self) -> Iterator[Any]:
        from mlflow.entities import Metric

        for stored in self.run.data.metrics:
            name = self.run.data.tags.get(values.ALIAS_TAG + stored, stored)
            if self.target.folder:
                name = stored  # the same names exclude each other there
            has: Counter[tuple[int, int, str]] = Counter()
            if name in self.there.data.metrics:
                self.deadline.check()
                history = self.target.client.get_metric_history(self.id, name)
                has.update((one.timestamp, one.step, values.exact(one.value)) for one in history)
            for one in self.source.client.get_metric_history(self.run.info.run_id, stored):
                mark = (one.timestamp, one.step, values.exact(one.value))
                if has[mark] > 0:
                    has[mark] -= 1
                else:
                    yield Metric(name, one.value, one.timestamp, one.step)


def _missing(wanted: dict[str, str], there: dict[str, str]) -> dict[str, str]:
    return {key: text for key, text in wanted.items() if there.get(key) != text}
