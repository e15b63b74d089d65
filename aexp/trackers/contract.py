"""What a tracker is to aexp: the adapter's methods and the values they exchange.

Nothing here, nor anywhere in an adapter's module, imports a tracker's SDK when it is loaded.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, TypedDict

from aexp.errors import TrackerInitError as TrackerInitError


class TrackerBinding(TypedDict):
    """What the job document keeps as ``doc["tracker"]``: where a run is tracked."""

    backend: str
    run_id: str
    url: str | None
    project: str | None
    group: str | None


@dataclass
class RunHandle:
    """A run that an adapter has opened.

    Attributes
    ----------
    id : str
        The tracker's id of it.
    backend : str
        The adapter's name.
    url : str or None
        Where a person can look at it.
    project, group : str or None
        Where it is filed.
    extra : dict
        Whatever the adapter keeps between its calls.
    """

    id: str
    backend: str
    url: str | None = None
    project: str | None = None
    group: str | None = None
    extra: dict[str, Any] = field(default_factory=dict)


@dataclass
class RunRecord:
    """A run as the tracker itself knows it.

    Attributes
    ----------
    id : str
        The tracker's id of it.
    group : str or None
        ``H###/E###/condition``.
    tags : list of str
        Its tags.
    state : str
        The tracker's own word: ``running``, ``finished``, …
    summary : dict
        Its final numbers.
    created_at : str or None
        When it began.
    """

    id: str
    group: str | None = None
    tags: list[str] = field(default_factory=list)
    state: str = "unknown"
    summary: dict[str, Any] = field(default_factory=dict)
    created_at: str | None = None


@dataclass(frozen=True)
class OfflineRun:
    """What an offline attempt has left in a run's workspace, to be synced later.

    Attributes
    ----------
    path : pathlib.Path
        The folder or file that holds it.
    backend : str
        The adapter's name.
    run_id : str
        The tracker's id of the run.
    job_id : str or None
        The run of ours.
    created_at : str
        When it was begun, as a text that sorts by time: several of one run are synced in
        this order.
    """

    path: Path
    backend: str
    run_id: str
    job_id: str | None = None
    created_at: str = ""


@dataclass(frozen=True)
class SyncResult:
    """How the sync of one offline run went.

    Attributes
    ----------
    path : pathlib.Path
        The offline run's.
    ok : bool
        Whether the tracker has all of it now.
    stderr : str
        What the sync said; with ``ok`` false, why it failed.
    hint : str
        What to do about it.
    url : str or None
        Where the synced run is.
    seconds : float
        What it took.
    returncode : int or None
        Exit code of the command that did it, where it was one.
    """

    path: Path
    ok: bool
    stderr: str = ""
    hint: str = ""
    url: str | None = None
    seconds: float = 0.0
    returncode: int | None = None


class TrackerAdapter(ABC):
    """One tracker behind aexp's calls; it owns no state that matters.

    aexp calls the methods of one adapter from one thread, in a process of its own beside the
    run (see ``docs/trackers.md``). Any of them may raise: the run does not notice. An
    implementation may leave out keyword arguments it has no use for.
    """

    name: str = ""
    remark: str | None = None
    """What `environment` has found and a person should know, for instance that it is offline."""

    @classmethod
    def check(cls, settings: Mapping[str, Any]) -> None:
        """Refuse settings that the tracker would refuse, when runs are queued with them.

        No tracker is asked and no SDK imported here: runs may be queued where there is none.

        Parameters
        ----------
        settings : mapping
            ``backend``, ``project``, ``offline``, ``entity``, ``uri`` and ``options``, as far
            as they are given.

        Raises
        ------
        UsageError
            With a hint that says what is possible.
        """
        return

    @abstractmethod
    def init_run(
        self,
        *,
        project: str | None,
        group: str | None,
        tags: Sequence[str],
        config: Mapping[str, Any],
        notes: str | None = None,
        offline: bool = False,
        workspace: str | Path | None = None,
        run_id: str | None = None,
        name: str | None = None,
    ) -> RunHandle:
        """Open a run, or open the one of id `run_id` again to add to it.

        Parameters
        ----------
        project, group : str or None
            Where it is filed.
        tags : sequence of str
            Its tags.
        config : mapping
            The state point and where the run comes from; JSON values.
        notes : str, optional
            Markdown for people.
        offline : bool, default False
            Use no network; `sync` brings it to the tracker later.
        workspace : str or Path, optional
            The run's folder. All that the tracker writes locally belongs there.
        run_id : str, optional
            The id it must have. A run of this id that exists is continued.
        name : str, optional
            What people see instead of the id.

        Raises
        ------
        TrackerInitError
            If it cannot be opened.
        """

    @abstractmethod
    def log(
        self, handle: RunHandle, metrics: Mapping[str, Any], *, step: int | None = None
    ) -> None:
        """Add a row of metrics.

        An adapter that takes ``timestamp`` as well is told when the row was logged, in seconds
        since 1970.
        """

    @abstractmethod
    def log_artifact(self, handle: RunHandle, name: str, path: str | Path) -> None:
        """Add a file, under a name."""

    @abstractmethod
    def finish(self, handle: RunHandle, *, exit_code: int = 0) -> None:
        """Close the run: 0 succeeded, anything else failed."""

    @abstractmethod
    def list_runs(self, *, project: str | None, group_prefix: str | None = None) -> list[RunRecord]:
        """Return the runs the tracker has whose group begins with `group_prefix`."""

    def summarize(self, handle: RunHandle, metrics: Mapping[str, Any]) -> None:
        """Set the run's final numbers; by default a last row."""
        call_supported(self.log, handle, metrics)

    def flush(self, handle: RunHandle) -> None:
        """Send what `log` has gathered.

        For an adapter that sends rows together and may be given one twice: aexp counts its
        rows as sent when this returns, those of others when it hands them to `log`.
        """
        return

    def environment(
        self, binding: TrackerBinding, *, workspace: str | Path, offline: bool
    ) -> dict[str, str]:
        """Return variables by which a command that opens the tracker itself gets this run."""
        return {}

    def find_offline(self, workspace: str | Path) -> list[OfflineRun]:
        """Return what offline attempts have left in a run's folder, oldest first."""
        return []

    def sync(self, offline_run: OfflineRun, *, timeout_s: float) -> SyncResult:
        """Bring an offline run to the tracker."""
        return SyncResult(
            offline_run.path, False, f"{self.name or type(self).__name__} has no offline runs"
        )


def call_supported(method: Callable[..., Any], /, *args: Any, **keywords: Any) -> Any:
    """Call `method` with those of `keywords` that it takes.

    Adapters that were written to a shorter contract work by this, and by this alone.
    """
    try:
        taken = _taken(method)
    except TypeError:  # not hashable, or without a signature: it takes what it takes
        taken = None
    if taken is not None:
        keywords = {key: value for key, value in keywords.items() if key in taken}
    return method(*args, **keywords)


@lru_cache(maxsize=64)
def _taken(method: Callable[..., Any]) -> frozenset[str] | None:
    """Return the keywords that a callable takes, None for all; asked once, not for every row."""
    import inspect

    try:
        parameters = inspect.signature(method).parameters.values()
    except ValueError:
        return None
    if any(one.kind is one.VAR_KEYWORD for one in parameters):
        return None
    return frozenset(one.name for one in parameters if one.kind is not one.POSITIONAL_ONLY)
