"""Runs that begin with a checkpoint of another one: ``init_from`` in what is queued."""

from typing import TYPE_CHECKING, Any

from aexp.errors import CheckpointNotFound, UsageError
from aexp.model import INIT_FROM, INIT_RUN, QUEUED, RUNNING, Run
from aexp.paths import Repo
from aexp.runs.parents import parent_statuses
from aexp.runs.store import read_run

if TYPE_CHECKING:
    from aexp.checkpoints.store import Checkpoint


class Origins:
    """The checkpoints that the runs of one ``queue add`` begin with.

    Parameters
    ----------
    repo : Repo
        The repository.
    waits : bool
        Whether such a run starts only when the one that saved the checkpoint is complete.
    """

    def __init__(self, repo: Repo, waits: bool) -> None:
        self._repo = repo
        self._waits = waits
        self._found: dict[str, tuple[str, str, str | None]] = {}

    def settle(self, sp: dict[str, Any]) -> None:
        """Put the whole id of the checkpoint into a state point that names one.

        Raises
        ------
        UsageError
            If it names something else.
        CheckpointNotFound
            If it is not here, or not the only one.
        """
        if INIT_FROM in sp:
            sp[INIT_FROM] = self._look_up(sp[INIT_FROM])[0]

    def parents(self, sp: dict[str, Any], given: list[str]) -> dict[str, Any]:
        """Return the run that saved the checkpoint, and ``after`` if it is to be complete first."""
        if INIT_FROM not in sp:
            return {}
        _, source, pending = self._look_up(sp[INIT_FROM])
        told: dict[str, Any] = {INIT_RUN: source}
        if self._waits and pending is not None:
            told["after"] = list(dict.fromkeys([*given, pending]))
        return told

    def _look_up(self, text: object) -> tuple[str, str, str | None]:
        """Return the whole id of a checkpoint, the run that saved it, and that run if it waits."""
        if not isinstance(text, str):
            raise UsageError(f"{INIT_FROM} is {text!r}", "give the id of a checkpoint: ck_...")
        if text not in self._found:
            from aexp.checkpoints.store import find_checkpoint

            try:
                checkpoint = find_checkpoint(self._repo, text)
            except CheckpointNotFound as error:
                hint = "see: aexp checkpoints ls; one at a remote comes with: aexp pull RUN"
                raise CheckpointNotFound(f"{INIT_FROM}: {error.message}", hint) from None
            self._found[text] = (checkpoint.id, checkpoint.job, self._pending(checkpoint))
        return self._found[text]

    def _pending(self, checkpoint: "Checkpoint") -> str | None:
        from aexp.checkpoints.past import past_of

        job_id = checkpoint.job
        probe = Run("", {}, {"aexp_run": {"after": [job_id]}})
        if parent_statuses(self._repo, probe).get(job_id) not in (QUEUED, RUNNING):
            return None
        # What a complete run has saved is final, even if the run starts afresh.
        past = past_of(read_run(self._repo, job_id))
        return None if past.is_finished(checkpoint) else job_id
