"""The settings of added runs: what is given, over what their experiment says."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from aexp.errors import UsageError
from aexp.kb.experiments import Experiment
from aexp.model import COMPLETE, TERMINAL_STATUSES, Run, short
from aexp.paths import Repo
from aexp.queue.resources import check_resources
from aexp.queue.tracking import tracker_settings
from aexp.runs.parents import parent_statuses
from aexp.runs.store import resolve_id

SETTINGS = (
    "retries",
    "timeout_s",
    "resources",
    "priority",
    "after",
    "max_faults",
    "max_preemptions",
    "tracker",
)


class QueueOptions(NamedTuple):
    """How added runs are labelled and executed; None means the experiment's own value.

    Attributes
    ----------
    tag : str or None
        Label of the batch.
    hypothesis_id : str or None
        Default: the experiment's.
    runner_hint, command : str or None
        Runner for ``materialize``; a command that supersedes the experiment's.
    after : tuple of str
        Runs that must be complete first.
    retries : int or None
        More attempts for a failing command.
    max_faults : int or None
        Faults of the infrastructure after which the run has failed (3).
    max_preemptions : int or None
        How many attempts may ask for another one before the run has failed (1000).
    timeout_s : float or None
        Time limit of one attempt, seconds.
    resources : mapping
        Over the experiment's own.
    priority : int
        Higher runs first.
    include_commit, resolve_conditions : bool
        Whether the code version is part of the identity; whether conditions are resolved.
    allow_dup_on_recommit : bool
        Queue again what is queued already from another commit.
    skip_finished : bool
        Leave runs alone that have ended, instead of running them again.
    tracker : str, mapping or None
        Backend (``wandb``, ``mlflow``, ``noop``, ``none``) or whole settings; default the
        experiment's ``tracker:``.
    tracker_project : str or None
        The project there.
    offline : bool or None
        Whether the tracker uses no network.
    wait_for_origin : bool
        Whether a run with ``init_from`` waits until the run that saved it is complete.
    campaign : str or None
        The campaign that the runs join, also those that are queued or kept already.
    sidecar : bool
        False runs without what is pre-registered; that is recorded and counted.
    agent_mode : str or None
        Who works here: ``collaborative`` or ``autonomous``.
    """

    tag: str | None = None
    hypothesis_id: str | None = None
    sub_hypothesis_id: str | None = None
    runner_hint: str | None = None
    command: str | None = None
    after: tuple[str, ...] = ()
    retries: int | None = None
    max_faults: int | None = None
    max_preemptions: int | None = None
    timeout_s: float | None = None
    resources: Mapping[str, Any] = {}
    priority: int = 0
    include_commit: bool = True
    resolve_conditions: bool = True
    allow_dup_on_recommit: bool = False
    skip_finished: bool = False
    tracker: str | Mapping[str, Any] | None = None
    tracker_project: str | None = None
    offline: bool | None = None
    wait_for_origin: bool = True
    campaign: str | None = None
    sidecar: bool = True
    agent_mode: str | None = None


def check_parents(repo: Repo, after: Sequence[str]) -> list[str]:
    """Return the whole ids of the runs to wait for, or raise `UsageError`."""
    parents = list(dict.fromkeys(resolve_id(repo, parent) for parent in after))
    probe = Run("", {}, {"aexp_run": {"after": parents}})
    for parent, status in parent_statuses(repo, probe).items():
        if status in TERMINAL_STATUSES and status != COMPLETE:
            raise UsageError(
                f"run {short(parent)} is {status}; a run cannot wait for it",
                f"run it again first: aexp queue retry {short(parent)}",
            )
    return parents


def settings_of(
    experiment: Experiment, options: QueueOptions, parents: list[str]
) -> dict[str, Any]:
    """Return the settings that the document of an added run has."""
    settings: dict[str, Any] = {}
    _ = experiment.files  # read when a run starts: what is wrong there is said before
    retries = experiment.retries if options.retries is None else options.retries
    if retries:
        settings["retries"] = retries
    faults = experiment.max_faults if options.max_faults is None else options.max_faults
    if faults is not None:
        settings["max_faults"] = faults
    preemptions = options.max_preemptions
    if preemptions is None:
        preemptions = experiment.max_preemptions
    if preemptions is not None:
        settings["max_preemptions"] = preemptions
    timeout = options.timeout_s if options.timeout_s is not None else experiment.timeout_s
    if timeout:
        settings["timeout_s"] = timeout
    resources = {
        **check_resources(experiment.resources, f"{experiment.path}: resources"),
        **check_resources(options.resources),
    }
    if resources:
        settings["resources"] = resources
    if options.priority:
        settings["priority"] = options.priority
    if parents:
        settings["after"] = parents
    tracker = tracker_settings(
        experiment, options.tracker, options.tracker_project, options.offline
    )
    if tracker is not None:
        settings["tracker"] = tracker
    return settings
