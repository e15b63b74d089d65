"""MLflow: a server, a database or a folder; and a folder in the workspace where there is none."""

import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from aexp.errors import AexpError, TrackerInitError
from aexp.trackers.contract import (
    OfflineRun,
    RunHandle,
    RunRecord,
    SyncResult,
    TrackerAdapter,
    TrackerBinding,
)
from aexp.trackers.mlflow import local as local
from aexp.trackers.mlflow import store as stores
from aexp.trackers.mlflow import values as values
from aexp.trackers.mlflow import where as where

if TYPE_CHECKING:
    from aexp.trackers.mlflow.store import Store

T = TypeVar("T")
PROJECT = "aexp"  # the experiment of runs that name none
_FLUSH_S = 2.0
_ARTIFACT_S = 15  # that a server may need to answer when it has got all of a file


@dataclass
class Opened:
    """A run of MLflow's that is written to."""

    store: "Store"
    experiment: str
    id: str
    workspace: str | None
    folder: str | None  # of the offline store, when it is one
    again: dict[str, Any]  # what `init_run` was given, to go on offline
    next_step: int = 0
    pending: list[tuple[str, float, int, int]] = field(default_factory=list)
    sent_at: float = field(default_factory=time.monotonic)
    mark: str | None = None  # while it is open online
    names: dict[str, str] = field(default_factory=dict)  # of metrics, in a store of files


class MlflowAdapter(TrackerAdapter):
    """Runs in MLflow: a project is an experiment, a run of ours is a run there.

    Parameters
    ----------
    uri : str, optional
        ``http://host:5000``, ``sqlite:///file.db``, or a folder; paths start at the
        repository. Default: the environment's ``MLFLOW_TRACKING_URI``.
    hand_over : bool, default True
        Open the run before the command starts, so that a script's own
        ``mlflow.start_run()`` continues it. It delays the command by MLflow's import.

    Raises
    ------
    TrackerInitError
        If MLflow is not installed.
    """

    name = "mlflow"

    def __init__(self, uri: str | None = None, *, hand_over: bool = True) -> None:
        where.check_installed()
        self.uri = uri
        self.hand_over = hand_over
        self.marks = True  # whether runs that are opened here are also finished here

    def init_run(
        self,
        *,
        project: str | None = None,
        group: str | None = None,
        tags: Sequence[str] = (),
        config: Mapping[str, Any] | None = None,
        notes: str | None = None,
        offline: bool = False,
        workspace: str | Path | None = None,
        run_id: str | None = None,
        name: str | None = None,
    ) -> RunHandle:
        """Open a run, or the one that has the tag ``aexp.run_id`` with this `run_id` again."""
        config = config or {}
        place = os.fspath(workspace) if workspace is not None else None
        again = {
            "project": project,
            "group": group,
            "tags": tags,
            "config": config,
            "notes": notes,
            "workspace": place,
            "run_id": run_id,
            "name": name,
        }
        ours = stores.check_run_id(run_id) if run_id else None
        wanted = values.tags(config, tags, group=group, notes=notes)
        wanted[values.OPENED_TAG] = str(int(time.time() * 1000))
        if ours:
            wanted[values.RUN_ID_TAG] = ours
        uri, folder = self._place(offline, place, ours, project)
        mark = None
        if self.marks and folder is None:
            about = {"project": project or PROJECT, "group": group}
            mark = local.mark_open(place, ours, uri=where.without_credentials(uri), **about)
        with where.settings():
            try:
                store = stores.connect(uri)
                experiment = stores.experiment_id(store, project or PROJECT)
                run = self._open(store, experiment, ours, place, wanted, name or group)
                opened = Opened(store, experiment, run.info.run_id, place, folder, again)
                self._describe(opened, run, values.params(config))
            except Exception as error:  # MLflow, requests, SQLAlchemy, a full disk
                local.remove_mark(mark)
                raise stores.init_error(uri, error) from error
        opened.mark = mark
        opened.next_step = stores.last_step(run) + 1
        if store.folder:
            named = run.data.tags
            opened.names = {named.get(values.ALIAS_TAG + key, key): key for key in run.data.metrics}
        url = store.url(experiment, opened.id)
        extra = {"opened": opened, "mlflow_run_id": opened.id, "offline": folder}
        return RunHandle(ours or opened.id, self.name, url, project or PROJECT, group, extra)

    def _place(
        self, offline: bool, workspace: str | None, run_id: str | None, project: str | None
    ) -> tuple[str, str | None]:
        root = where.root_of(workspace)
        if not offline:
            if self.marks:
                local.still_away(workspace)
            return where.chosen_uri(self.uri, root), None
        if workspace is None:
            raise TrackerInitError("an offline MLflow run needs the run's folder (workspace=)")
        folder = local.offline_folder(workspace, run_id, project or PROJECT, self.uri)
        return "file://" + folder, folder

    def _open(
        self,
        store: "Store",
        experiment: str,
        run_id: str | None,
        workspace: str | None,
        tags: dict[str, str],
        name: str | None,
    ) -> Any:
        known = local.remembered(workspace, run_id, store.uri)
        run = stores.find_run(store, experiment, run_id, known) if run_id else None
        if run is None:
            first, *more = values.pieces(list(tags.items()), values.MAX_PAIRS)
            run = store.client.create_run(experiment, tags=dict(first), run_name=name)
            rest = dict(pair for piece in more for pair in piece)
        else:
            rest = {key: text for key, text in tags.items() if run.data.tags.get(key) != text}
            if run.info.status != "RUNNING":
                store.client.update_run(run.info.run_id, status="RUNNING")
        stores.send_pairs(store, run.info.run_id, tags=rest)
        local.remember(workspace, run_id, store.uri, run.info.run_id)
        return run

    def _describe(self, opened: Opened, run: Any, params: dict[str, str]) -> None:
        """Add the params that the run has not; they can never be changed."""
        new = {key: text for key, text in params.items() if key not in run.data.params}
        try:
            stores.send_pairs(opened.store, opened.id, params=new)
        except Exception as error:
            # The run is there: an older server with shorter params must not cost its metrics.
            _say(f"MLflow did not take the params: {stores.reason(error)}")

    def log(
        self,
        handle: RunHandle,
        metrics: Mapping[str, Any],
        *,
        step: int | None = None,
        timestamp: float | None = None,
    ) -> None:
        """Add a row; it is sent with others: by `flush`, after two seconds, with many numbers."""
        opened: Opened = handle.extra["opened"]
        number = opened.next_step if step is None else int(step)
        opened.next_step = max(opened.next_step, number + 1)
        when = int((time.time() if timestamp is None else timestamp) * 1000)
        row = values.numbers(metrics)
        opened.pending.extend((key, value, when, number) for key, value in row.items())
        late = time.monotonic() - opened.sent_at > _FLUSH_S
        if late or len(opened.pending) >= values.MAX_METRICS:
            self.flush(handle)

    def flush(self, handle: RunHandle) -> None:
        """Send what `log` has gathered. A server that does not answer gets the rest by a sync."""
        if handle.extra["opened"].pending:
            self._call(handle, self._send)

    def _call(self, handle: RunHandle, action: Callable[[Opened], T]) -> T:
        """Do something with a run; when MLflow fails, do it with the run's offline store."""
        with where.settings():
            try:
                return action(handle.extra["opened"])
            except Exception as error:  # MLflow, requests, SQLAlchemy
                self._go_offline(handle, error)
                return action(handle.extra["opened"])

    def _send(self, opened: Opened) -> None:
        from mlflow.entities import Metric

        while opened.pending:
            batch = opened.pending[: values.MAX_METRICS]
            if opened.store.folder:
                self._name_files(opened, {key for key, *_ in batch})
            metrics = [
                Metric(opened.names.get(key, key), value, when, step)
                for key, value, when, step in batch
            ]
            opened.store.client.log_batch(opened.id, metrics=metrics, synchronous=True)
            del opened.pending[: len(batch)]
        opened.sent_at = time.monotonic()

    @staticmethod
    def _name_files(opened: Opened, keys: set[str]) -> None:
        """Find a file for every metric, and say in a tag where it has not its own name."""
        other = {}
        for key in sorted(keys - opened.names.keys()):
            opened.names[key] = name = values.alias(key, opened.names.values())
            if name != key:
                other[values.ALIAS_TAG + name] = key
        stores.send_pairs(opened.store, opened.id, tags=other)

    def _go_offline(self, handle: RunHandle, error: Exception) -> None:
        """Go on in the run's folder with all that MLflow has not taken."""
        opened: Opened = handle.extra["opened"]
        failure = stores.init_error(opened.store.uri, error)
        if opened.folder or opened.workspace is None:
            raise failure from error
        other = self.init_run(**{**opened.again, "offline": True})
        gone_on: Opened = other.extra["opened"]
        gone_on.pending = opened.pending
        gone_on.next_step = opened.next_step
        gone_on.mark = opened.mark
        handle.extra.update(other.extra)
        self._note_offline(handle, failure)

    def summarize(self, handle: RunHandle, metrics: Mapping[str, Any]) -> None:
        """Make the newest value of every metric the final one."""
        self.flush(handle)
        run = self._call(handle, lambda opened: opened.store.client.get_run(opened.id))
        newest = values.by_own_names(run.data.metrics, run.data.tags)
        opened: Opened = handle.extra["opened"]
        step = max(opened.next_step - 1, stores.last_step(run), 0)
        when = int(time.time() * 1000)
        for key, value in values.numbers(metrics).items():
            if key not in newest or not values.same_number(newest[key], value):
                opened.pending.append((key, value, when, step))
        self.flush(handle)

    def log_artifact(self, handle: RunHandle, name: str, path: str | Path) -> None:
        """Add a file or a folder under `name`, which may have folders in it.

        What MLflow does not take is kept offline for a sync; metrics go on as they did.
        """
        source = os.path.abspath(path)
        if not os.path.exists(source):
            raise FileNotFoundError(source)
        opened: Opened = handle.extra["opened"]
        with where.settings(_ARTIFACT_S):
            try:
                stores.upload(opened.store, opened.id, name, source)
            except Exception as error:  # MLflow, requests, the SDK of a cloud
                failure = stores.init_error(opened.store.uri, error)
                if opened.folder or opened.workspace is None:
                    raise failure from error
                aside = self.init_run(**{**opened.again, "offline": True})
                kept: Opened = aside.extra["opened"]
                stores.upload(kept.store, kept.id, name, source)
                handle.extra["aside"] = kept
                self._note_offline(handle, failure)

    @staticmethod
    def _note_offline(handle: RunHandle, failure: AexpError) -> None:
        handle.extra["went_offline"] = failure.message
        _say(f"{failure.message}; the rest is kept here, for: {stores.SYNC}")

    def finish(self, handle: RunHandle, *, exit_code: int = 0) -> None:
        """Close the run as ``FINISHED``, ``FAILED``, or ``KILLED`` when a signal ended it."""
        self.flush(handle)
        word = values.status(exit_code)
        self._call(handle, lambda opened: opened.store.client.set_terminated(opened.id, word))
        with where.settings():
            for opened in (handle.extra["opened"], handle.extra.get("aside")):
                if opened is not None and opened.folder:
                    opened.store.client.set_terminated(opened.id, word)
                    local.close_folder(opened.folder)
        local.remove_mark(handle.extra["opened"].mark)

    def list_runs(self, *, project: str | None, group_prefix: str | None = None) -> list[RunRecord]:
        """Return the runs of an experiment whose group begins with `group_prefix`, oldest first."""
        uri = where.chosen_uri(self.uri, where.root_of(None))
        with where.settings():
            try:
                store = stores.connect(uri)
                return stores.records(store, project or PROJECT, group_prefix or "")
            except Exception as error:
                raise stores.init_error(uri, error) from error

    def environment(
        self, binding: TrackerBinding, *, workspace: str | Path, offline: bool
    ) -> dict[str, str]:
        """Return the variables by which ``mlflow.start_run()`` in the command continues the run.

        MLflow gives runs their ids, so the run is opened here, in a process of its own that
        is ended when MLflow does not answer.
        """
        if not self.hand_over:
            return {}
        from aexp.trackers.mlflow.open import hand_over

        return hand_over({"uri": self.uri}, binding, os.fspath(workspace), offline)

    def find_offline(self, workspace: str | Path) -> list[OfflineRun]:
        """Return what ``mlflow/`` in a run's folder holds that MLflow may not have."""
        return local.find(os.fspath(workspace))

    def sync(self, offline_run: OfflineRun, *, timeout_s: float) -> SyncResult:
        """Bring an offline attempt to the server; what it has already is not sent again."""
        from aexp.trackers.mlflow.sync import bring

        began = time.monotonic()
        try:
            url = bring(self, offline_run.path, timeout_s=timeout_s)
        except AexpError as error:
            return SyncResult(
                offline_run.path,
                False,
                error.message,
                error.hint or "",
                seconds=time.monotonic() - began,
            )
        return SyncResult(offline_run.path, True, url=url, seconds=time.monotonic() - began)


def _say(text: str) -> None:
    with suppress(OSError, ValueError):
        print(f"aexp: {text}", file=sys.stderr, flush=True)
