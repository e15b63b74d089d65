"""Find what offline attempts have left: one look into each run's folder, none deeper."""

import json
import os
import warnings
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from aexp.errors import AexpError, CorruptFileWarning, NotInstalled, RepoNotFound, UsageError
from aexp.files import read_object
from aexp.model import JOB_ID, RUNNING, Run, printable, section
from aexp.paths import DEFAULT_STORE, DOCUMENT, TRACKER, Repo
from aexp.runs.claims import liveness, read_owner
from aexp.slurm import DEAD, JobStates
from aexp.trackers.contract import OfflineRun
from aexp.trackers.mlflow import local as mlflow_local
from aexp.trackers.registry import BUILT_IN, NONE, adapter_for, adapter_options, backends
from aexp.trackers.sync import synced, unsent
from aexp.trackers.wandb import offline as wandb_offline

# These are found without the SDK, by the folder that they leave.
_FOLDERS = {
    wandb_offline.FOLDER: ("wandb", wandb_offline.find),
    mlflow_local.FOLDER: ("mlflow", mlflow_local.find),
}
_WITHOUT_OFFLINE_RUNS = frozenset({"noop", NONE})


class Store(NamedTuple):
    """Where to look.

    Attributes
    ----------
    workspace : str
        The folder with one folder per run.
    repo : Repo or None
        The research repository; None for a store that belongs to none.
    """

    workspace: str
    repo: Repo | None


class Found:
    """What one run's folder holds.

    Attributes
    ----------
    workspace : str
        The run's folder.
    offline : list of OfflineRun
        Oldest first.
    covering : set of pathlib.Path
        Those of an opening that has not come to its end: with them all of the run is there.
    """

    def __init__(self, workspace: str, offline: list[OfflineRun], run: Run | None = None) -> None:
        self.workspace = workspace
        self.offline = offline
        self.covering: set[Path] = set()
        self._run = run

    @property
    def run(self) -> Run | None:
        """The run's document, read when it is first asked for; None where there is none."""
        if self._run is None:
            self._run = _read(self.workspace)
        return self._run

    def options(self, backend: str) -> dict[str, Any]:
        """Return the options that the run's settings have for a backend's adapter."""
        settings = section(self.run.record, "tracker") if self.run is not None else {}
        return adapter_options(settings) if settings.get("backend") == backend else {}


def open_store(path: "str | Path | Repo") -> Store:
    """Return the store at a path: of the repository there, or that folder alone.

    Raises
    ------
    NotInstalled
        If there is neither.
    """
    if isinstance(path, Repo):
        return Store(path.require_store().workspace, path)
    folder = os.path.abspath(path)
    try:
        repo = Repo.find(folder)
    except RepoNotFound:
        repo = None
    if repo is not None and folder in (repo.root, repo.store_dir, repo.workspace):
        return Store(repo.require_store().workspace, repo)
    for workspace in (os.path.join(folder, "workspace"), folder):
        if os.path.basename(workspace) == "workspace" and os.path.isdir(workspace):
            return Store(workspace, None)
    raise NotInstalled(
        f"no run store at {printable(folder)}",
        f"give the store's folder, mostly {DEFAULT_STORE}, or run: aexp install",
    )


def find(
    store: Store, *, job_ids: Collection[str] | None = None, backend: str | None = None
) -> Iterator[Found]:
    """Yield the runs that have offline runs, in the order of their ids.

    Parameters
    ----------
    store : Store
        Where to look.
    job_ids : collection of str, optional
        Only these runs.
    backend : str, optional
        Only this backend's.
    """
    adapters: dict[str, Any] = {}
    # A document is read only where there can be a tracker that is known by nothing else.
    has_others = bool(set(backends()) - set(BUILT_IN))
    for name in sorted(job_ids) if job_ids is not None else _names(store):
        workspace = os.path.join(store.workspace, name)
        try:
            inside = os.listdir(workspace)
        except (FileNotFoundError, NotADirectoryError, PermissionError):
            continue
        found = Found(workspace, [])
        for folder, (of_backend, look) in _FOLDERS.items():
            if folder in inside and backend in (None, of_backend):
                found.offline += look(workspace)
        is_traced = TRACKER in inside and not any(folder in inside for folder in _FOLDERS)
        if (has_others or is_traced) and found.run is not None:
            found.offline += _others(found.run, workspace, backend, adapters)
        if TRACKER in inside and store.repo is not None and unsent.is_unsent(store.repo, name):
            _add_unsent(store.repo, found, backend)
        if found.offline:
            yield found


def _add_unsent(repo: Repo, found: Found, backend: str | None) -> None:
    """Add a run whose tracker was never opened, unless an opening that began is there."""
    if found.run is None:
        return
    known = synced.marks(found.workspace)
    done = {str(Path(found.workspace, key)) for key in known}
    for one in unsent.find(repo, found.run):
        same = [
            run for run in found.offline if (run.backend, run.run_id) == (one.backend, one.run_id)
        ]
        found.covering = {run.path for run in unsent.covering(found.run, same, done)}
        if not found.covering and backend in (None, one.backend):
            found.offline.append(one)


def _names(store: Store) -> list[str]:
    try:
        names = os.listdir(store.workspace)
    except OSError:
        return []
    if store.repo is None:
        return sorted(name for name in names if not name.startswith("."))
    return sorted(name for name in names if JOB_ID.fullmatch(name))


def _read(workspace: str) -> Run | None:
    """Return a run without its state point, which nothing here asks for."""
    path = os.path.join(workspace, DOCUMENT)
    try:
        doc = read_object(path)
    except AexpError as error:
        warnings.warn(error.message, CorruptFileWarning, stacklevel=5)
        return None
    return None if doc is None else Run(os.path.basename(workspace), {}, doc)


def _others(
    run: Run, workspace: str, backend: str | None, adapters: dict[str, Any]
) -> list[OfflineRun]:
    """Return what the adapter of another package finds."""
    wanted = section(run.record, "tracker")
    bound = section(run.doc, "tracker")
    settings: Mapping[str, Any] = wanted or {"backend": bound.get("backend")}
    name = settings.get("backend")
    if not isinstance(name, str) or name in BUILT_IN or name in _WITHOUT_OFFLINE_RUNS:
        return []
    if backend not in (None, name):
        return []
    key = json.dumps(settings, sort_keys=True, default=str)
    if key not in adapters:
        adapters[key] = _adapter(settings)
    if adapters[key] is None:
        return []
    try:
        return list(adapters[key].find_offline(workspace))
    except Exception as error:  # another package's code
        warnings.warn(
            f"the tracker {printable(name)} cannot look into {workspace}: "
            f"{type(error).__name__}: {printable(error)}",
            CorruptFileWarning,
            stacklevel=4,
        )
        return []


def _adapter(settings: Mapping[str, Any]) -> Any:
    try:
        return adapter_for(settings)
    except (AexpError, UsageError) as error:
        warnings.warn(f"{error.message}; its runs are left out", CorruptFileWarning, stacklevel=5)
        return None


def is_running(store: Store, run: Run | None, states: JobStates) -> bool:
    """Return whether somebody executes a run now, or may do so where it cannot be seen."""
    if run is None or run.status != RUNNING:
        return False
    if store.repo is None:
        return True
    try:
        owner = read_owner(store.repo, run.job_id)
    except AexpError:
        return True
    return owner is not None and liveness(owner, states).state != DEAD
