"""What is frozen in a run when it is queued, besides its state point."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from aexp.errors import UsageError
from aexp.model import COMPLETE, TERMINAL_STATUSES, Run, short
from aexp.paths import Repo
from aexp.queue.resources import check_resources
from aexp.queue.tracking import tracker_settings
from aexp.runs.parents import parent_statuses
from aexp.runs.store import resolve_id

if TYPE_CHECKING:
    from aexp.kb.experiments import Experiment
    from aexp.queue.plan import QueueOptions


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
    experiment: "Experiment", options: "QueueOptions", parents: list[str]
) -> dict[str, Any]:
    """Return the settings of a run: the caller's over the experiment's."""
    settings: dict[str, Any] = {}
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
