"""Branch: new runs that begin with a checkpoint of another one, with some values changed."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from aexp.checkpoints.store import Checkpoint
from aexp.errors import UsageError
from aexp.kb.conditions import RESERVED_KEYS
from aexp.model import INIT_FROM, Run, section, short
from aexp.paths import Repo
from aexp.queue.plan import Adder, AddPlan
from aexp.queue.settings import QueueOptions
from aexp.queue.sweep import Text, expand
from aexp.runs.store import read_run


class Branch:
    """Runs that begin with one checkpoint: `plan` decides, `carry_out` queues them.

    What is not changed is as in the run that saved the checkpoint: state point, command,
    resources, retries, limits, tracker.

    Parameters
    ----------
    repo : Repo
        The repository.
    checkpoint : Checkpoint
        What they begin with.
    options : mapping
        Fields of `QueueOptions` that are to be otherwise.
    experiment_id : str, optional
        Default: the experiment of that run.
    """

    def __init__(
        self,
        repo: Repo,
        checkpoint: Checkpoint,
        options: Mapping[str, Any],
        experiment_id: str | None = None,
    ) -> None:
        self.checkpoint = checkpoint
        self._source = read_run(repo, checkpoint.job)
        wanted = experiment_id or self._source.experiment_id
        if wanted is None:
            raise UsageError(
                f"run {short(checkpoint.job)} belongs to no experiment", "give --experiment E###"
            )
        same = wanted == self._source.experiment_id
        inherited = _settings_of(self._source, same)
        resources = {**inherited.get("resources", {}), **options.get("resources", {})}
        given = {**inherited, **options, "resources": resources}
        self._adder = Adder(repo, wanted, QueueOptions(**given))

    def plan(self, changes: Mapping[str, Any], sweep: str | None = None) -> AddPlan:
        """Decide what to queue for these changes, and for each combination of a sweep.

        Raises
        ------
        AexpError
            If it cannot be queued.
        """
        return self._adder.plan(
            self._base({key: self._typed(key, value) for key, value in row.items()})
            for row in expand(changes, sweep)
        )

    def carry_out(self, plan: AddPlan) -> Sequence[Any]:
        """Queue what was planned."""
        return self._adder.carry_out(plan)

    def _base(self, changes: Mapping[str, Any]) -> dict[str, Any]:
        if INIT_FROM in changes:
            raise UsageError(
                f"{INIT_FROM} is the checkpoint that is branched", "name that one instead"
            )
        own = {key: value for key, value in self._source.sp.items() if key not in RESERVED_KEYS}
        own.pop(INIT_FROM, None)
        if "condition" in changes:  # another block takes the place of the old one's values
            blocks = self._adder.experiment.conditions
            for key in blocks.get(str(own.get("condition")), {}):
                own.pop(key, None)
        return {**own, **changes, INIT_FROM: self.checkpoint.id}

    def _typed(self, key: str, value: Any) -> Any:
        """Read plain text as the type that the value had: lr=1e-4 stays a number."""
        before = self._source.sp.get(key)
        if not isinstance(value, Text) or not isinstance(before, (bool, int, float)):
            return value
        try:
            known = json.loads(value)
        except ValueError:
            return value
        same = isinstance(known, bool) == isinstance(before, bool)
        return known if same and isinstance(known, (int, float)) else value


def _settings_of(source: Run, same_experiment: bool) -> dict[str, Any]:
    record, link = source.record, source.link
    settings: dict[str, Any] = {
        "include_commit": "code_commit" in source.sp,
        "hypothesis_id": link.get("hypothesis_id") or source.sp.get("hypothesis_id"),
        "sub_hypothesis_id": link.get("sub_hypothesis_id") or source.sp.get("sub_hypothesis_id"),
    }
    if same_experiment:
        settings["command"] = source.queue.get("runner_command_override")
        settings["tracker"] = section(record, "tracker") or None
        for key in (
            "retries",
            "max_faults",
            "max_preemptions",
            "timeout_s",
            "resources",
            "priority",
        ):
            if record.get(key) is not None:
                settings[key] = record[key]
    return {key: value for key, value in settings.items() if value is not None}
