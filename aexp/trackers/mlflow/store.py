"""MLflow's experiments and runs, by the SDK. Everything here is called within `settings`."""

import contextlib
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from aexp.errors import TrackerInitError
from aexp.files import locked
from aexp.model import printable, utc_at
from aexp.trackers.contract import RunRecord
from aexp.trackers.mlflow.values import (
    GROUP_TAG,
    MAX_PAIRS,
    RUN_ID_TAG,
    TAGS_TAG,
    by_own_names,
    group_filter,
    labels,
    metric_name,
    pieces,
    run_filter,
)
from aexp.trackers.mlflow.where import INSTALL, tracking_uri, without_credentials

if TYPE_CHECKING:
    from mlflow import MlflowClient

SYNC = "aexp sync-offline"
_RUN_ID = re.compile(r"[\w.-]{1,200}", re.ASCII)


@dataclass
class Store:
    """One place of MLflow's, with a client for it.

    Attributes
    ----------
    uri : str
        As MLflow takes it, with absolute paths.
    folder : str or None
        The folder of a store of files.
    lock : str or None
        The file that serialises creation, where the store does not do so itself.
    """

    client: "MlflowClient"
    uri: str
    folder: str | None = None
    lock: str | None = None
    artifacts: str | None = None

    def url(self, experiment_id: str, run_id: str) -> str | None:
        """Return the page of a run, None where there is no server."""
        if not self.uri.startswith(("http://", "https://")):
            return None
        return f"{without_credentials(self.uri)}/#/experiments/{experiment_id}/runs/{run_id}"


def check_run_id(run_id: str) -> str:
    """Return `run_id` if it can stand in a filter."""
    if not _RUN_ID.fullmatch(run_id):
        raise TrackerInitError(
            f"{printable(run_id)} cannot be the id of a tracked run",
            "use letters, digits, dots, dashes and underscores",
        )
    return run_id


def connect(uri: str) -> Store:
    """Return the store at `uri`. The first call imports MLflow."""
    try:
        from mlflow import MlflowClient
    except ImportError as error:
        raise TrackerInitError(f"MLflow cannot be imported: {printable(error)}", INSTALL) from error
    folder = lock = artifacts = None
    if uri.startswith("file://"):
        folder = uri.removeprefix("file://")
        os.makedirs(folder, exist_ok=True)
        lock = os.path.join(folder, ".aexp.lock")
    elif uri.startswith("sqlite:///"):
        path = uri.removeprefix("sqlite:///")
        os.makedirs(os.path.dirname(path), exist_ok=True)
        lock = path + ".lock"
        artifacts = os.path.splitext(path)[0] + "-artifacts"
    try:
        with one_at_a_time(lock):  # the first to come makes the tables
            client = MlflowClient(tracking_uri=uri, registry_uri=uri)
            if artifacts:
                client.get_experiment_by_name("Default")
    except Exception as error:  # whatever a driver of a database raises
        raise init_error(uri, error) from error
    return Store(client, uri, folder, lock, artifacts)


@contextlib.contextmanager
def one_at_a_time(lock: str | None) -> Iterator[None]:
    """Hold a local store's lock: neither files nor SQLite serialise creation by themselves."""
    if lock is None:
        yield
        return
    with locked(lock):
        yield


def init_error(uri: str, error: Exception) -> TrackerInitError:
    """Return the error for a store that does not do what it should."""
    if isinstance(error, TrackerInitError):
        return error
    where = printable(without_credentials(uri)) if "://" in uri else printable(uri)
    text = reason(error)
    if "UnsupportedModelRegistryStoreURI" in type(error).__name__ or "sqlalchemy" in text.lower():
        return TrackerInitError(f"MLflow's small package cannot open {where}", "pip install mlflow")
    return TrackerInitError(
        f"MLflow at {where} cannot be used: {text}",
        f"check that the server answers; what is kept offline is brought there by: {SYNC}",
    )


def reason(error: BaseException) -> str:
    """Return one readable line of what MLflow, requests or urllib3 raise."""
    text = printable(str(error) or type(error).__name__)
    for pattern, words in _KNOWN:
        if re.search(pattern, text):
            return words
    return text if len(text) <= 300 else text[:299] + "…"


_KNOWN = (
    (r"Connection refused", "nothing listens there"),
    (r"[Rr]ead timed out|ReadTimeout", "it does not answer"),
    (r"[Cc]onnect(ion)? ?(to \S+ )?timed out|ConnectTimeout", "it cannot be reached"),
    (r"NameResolution|Name or service not known|name resolution", "its host is not known"),
    (r"too many 5\d\d error|HTTP (500|502|503|504)|error code 5\d\d", "it answers with an error"),
    (r"error code 401|HTTP 401|[Uu]nauthorized", "it refuses the user (MLFLOW_TRACKING_USERNAME)"),
    (r"error code 403|HTTP 403|PERMISSION_DENIED", "this user may not do that there"),
)


def experiment_id(store: Store, name: str) -> str:
    """Return the id of the experiment called `name`, made when there is none."""
    found = store.client.get_experiment_by_name(name)
    if found is None:
        with one_at_a_time(store.lock):
            found = store.client.get_experiment_by_name(name)
            if found is None:
                made = _create_experiment(store, name)
                if made is not None:
                    return made
                found = store.client.get_experiment_by_name(name)  # another one was quicker
    if found is None or found.lifecycle_stage != "active":
        raise TrackerInitError(
            f"the MLflow experiment {printable(name)} has been deleted",
            "restore it (mlflow experiments restore), or choose another project",
        )
    return str(found.experiment_id)


def _create_experiment(store: Store, name: str) -> str | None:
    from mlflow.exceptions import MlflowException

    try:
        return str(store.client.create_experiment(name, artifact_location=store.artifacts))
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
        return None


def find_run(
    store: Store, experiment: str, run_id: str, known: str | None = None, tag: str = RUN_ID_TAG
) -> Any:
    """Return MLflow's run with our id, None when there is none.

    Parameters
    ----------
    store, experiment : Store, str
        Where.
    run_id : str
        Our id.
    known : str, optional
        MLflow's id as it was remembered; spares the search while it is true.
    tag : str, optional
        The tag that holds our id.
    """
    from mlflow.exceptions import MlflowException

    if known:
        try:
            run = store.client.get_run(known)
        except MlflowException as error:
            if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                raise
        else:
            if is_ours(run, run_id, experiment):
                return run
    found = store.client.search_runs(
        [experiment],
        filter_string=run_filter(run_id, tag),
        max_results=1,
        order_by=["attributes.start_time ASC"],
    )
    return found[0] if found else None


def is_ours(run: Any, run_id: str, experiment: str) -> bool:
    """Return whether MLflow's `run` is there, in that experiment, and has our id."""
    tags: Mapping[str, str] = run.data.tags
    return (
        tags.get(RUN_ID_TAG) == run_id
        and run.info.experiment_id == experiment
        and run.info.lifecycle_stage == "active"
    )


def send_pairs(
    store: Store,
    run: str,
    *,
    tags: Mapping[str, str] | None = None,
    params: Mapping[str, str] | None = None,
) -> None:
    """Add tags and params to a run, in requests of the size that MLflow takes."""
    from mlflow.entities import Param, RunTag

    for piece in pieces(list((tags or {}).items()), MAX_PAIRS):
        store.client.log_batch(run, tags=[RunTag(*pair) for pair in piece], synchronous=True)
    for piece in pieces(list((params or {}).items()), MAX_PAIRS):
        store.client.log_batch(run, params=[Param(*pair) for pair in piece], synchronous=True)


def last_step(run: Any) -> int:
    """Return the highest step among the newest values of a run, -1 when it has none."""
    # RunData keeps the objects under this name in every 2.x and 3.x; without it, begin at 0.
    return max((one.step for one in getattr(run.data, "_metric_objs", None) or ()), default=-1)


def upload(store: Store, run: str, name: str, source: str) -> None:
    """Add a file or folder to a run under `name`, which may have folders in it."""
    parts = metric_name(name).split("/")
    folder = "/".join(parts[:-1]) or None
    with tracking_uri(store.uri):
        if os.path.isdir(source):
            store.client.log_artifacts(run, source, artifact_path="/".join(parts))
        elif os.path.basename(source) == parts[-1]:
            store.client.log_artifact(run, source, artifact_path=folder)
        else:
            import tempfile

            with tempfile.TemporaryDirectory(prefix="aexp-") as scratch:
                link = os.path.join(scratch, parts[-1])  # MLflow calls a file by its own name
                os.symlink(source, link)
                store.client.log_artifact(run, link, artifact_path=folder)


def has_artifact(store: Store, run: str, name: str, source: str) -> bool:
    """Return whether a run has a file of that name and size."""
    path = metric_name(name)
    with tracking_uri(store.uri):
        listed = store.client.list_artifacts(run, os.path.dirname(path) or None)
    sizes = {one.path: one.file_size for one in listed if not one.is_dir}
    return os.path.isfile(source) and sizes.get(path) == os.path.getsize(source)


def every_run(store: Store, experiments: list[str], text: str = "") -> Iterator[Any]:
    """Return all active runs that a filter finds, oldest first."""
    token = None
    while True:
        page = store.client.search_runs(
            experiments,
            filter_string=text,
            max_results=1000,
            order_by=["attributes.start_time ASC"],
            page_token=token,
        )
        yield from page
        token = page.token
        if not token:
            return


def records(store: Store, project: str, prefix: str) -> list[RunRecord]:
    """Return the runs of an experiment whose group begins with `prefix`."""
    experiment = store.client.get_experiment_by_name(project)
    if experiment is None:
        return []
    text = group_filter(prefix) if prefix else ""
    found = []
    for run in every_run(store, [experiment.experiment_id], text):
        tags = run.data.tags
        group = tags.get(GROUP_TAG)
        if (group or "").startswith(prefix):
            found.append(
                RunRecord(
                    tags.get(RUN_ID_TAG, run.info.run_id),
                    group or None,
                    labels(tags.get(TAGS_TAG)),
                    run.info.status.lower(),
                    by_own_names(run.data.metrics, tags),
                    utc_at(run.info.start_time / 1000) if run.info.start_time else None,
                )
            )
    return found
