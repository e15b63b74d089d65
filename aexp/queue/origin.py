"""Runs that begin with a checkpoint of another one: ``init_from`` in what is queued."""

from typing import TYPE_CHECKING, Any

from aexp.errors import CheckpointNotFound, UsageError
from aexp.model import INIT_FROM, QUEUED, RUNNING, Run
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
        self._found: dict[str, tuple[str, str | None]] = {}

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

    def parents(self, sp: dict[str, Any], given: list[str]) -> dict[str, list[str]]:
        """Return the setting ``after`` with the run that is still to be complete, if any."""
        if INIT_FROM not in sp or not self._waits:
            return {}
        parent = self._look_up(sp[INIT_FROM])[1]
        return {"after": list(dict.fromkeys([*given, parent]))} if parent is not None else {}

    def _look_up(self, text: object) -> tuple[str, str | None]:
        if not isinstance(text, str):
            raise UsageError(f"{INIT_FROM} is {text!r}", "give the id of a checkpoint: ck_...")
        if text not in self._found:
            from aexp.checkpoints.store import find_checkpoint

            try:
                checkpoint = find_checkpoint(self._repo, text)
            except CheckpointNotFound as error:
                hint = "see: aexp checkpoints ls; one at a remote comes with: aexp pull RUN"
                raise CheckpointNotFound(f"{INIT_FROM}: {error.message}", hint) from None
            self._found[text] = (checkpoint.id, self._pending(checkpoint))
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
