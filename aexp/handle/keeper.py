"""What a handle does about checkpoints: saved for its attempt, found, restored, noted."""

import os
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from aexp.checkpoints.background import Background, PendingSave
from aexp.checkpoints.find import best, checkpoints_of, latest, runs_in_scope
from aexp.checkpoints.lineage import (
    branched_from,
    initial_checkpoint,
    inputs,
    note_resumed,
    resumed_from,
)
from aexp.checkpoints.manifest import CHECKPOINT
from aexp.checkpoints.outputs import outputs_of
from aexp.checkpoints.past import Past, leave_behind, past_of
from aexp.checkpoints.restore import copy_to, damage
from aexp.checkpoints.save import Facts, copy_folder, now, save_staged
from aexp.checkpoints.staging import Staging, open_staging, remove_leftovers
from aexp.checkpoints.store import Checkpoint, find_checkpoint, list_checkpoints, read_checkpoint
from aexp.checkpoints.verify import SIZE, problems, way_for
from aexp.errors import (
    CheckpointDamaged,
    CheckpointError,
    CheckpointNotFound,
    CheckpointWarning,
    UsageError,
)
from aexp.handle.place import Place
from aexp.kb.retention import Retention
from aexp.model import Run, short
from aexp.paths import CLAIM
from aexp.remotes.place import has_remotes
from aexp.runs.store import read_run
from aexp.runs.variation import variation_of


class Keeper:
    """The checkpoints of one attempt of one run, in this process.

    Attributes
    ----------
    place : Place
        The attempt.
    on_saved : list of callable
        Called with each checkpoint once it is published, in the thread that saved it; what
        one of them raises becomes a warning.
    """

    def __init__(self, place: Place) -> None:
        self.place = place
        self._repo = place.repo
        self._background = Background()
        self._parent: str | None = None
        self._went_on: tuple[Checkpoint, str] | None = None  # from what, since when
        self._is_settled = False  # what lies beyond it has been left behind
        self._is_ready = False
        self.retention: Retention | None = None  # over the experiment's
        self.on_saved: list[Callable[[Checkpoint], None]] = [self._upload, self._prune]

    @contextmanager
    def checkpoint(self, *, background: bool, **given: Any) -> Iterator[Path]:
        """Yield a folder; what is in it at the end of the block becomes a checkpoint."""
        facts = self._facts(**given)
        self._background.make_room()
        began = time.monotonic()
        process = os.getpid()
        staging = open_staging(self._repo, self.place.job_id)
        try:
            yield Path(staging.folder)
        except BaseException:
            if os.getpid() == process:  # not in a forked child that leaves the block
                staging.close()
            raise
        if os.getpid() == process:
            self._end(staging, facts, began, background)

    def save(
        self, folder: "str | os.PathLike[str]", *, background: bool, **given: Any
    ) -> Checkpoint | PendingSave:
        """Copy a folder, or a file, and make it a checkpoint, now or in the background."""
        source = os.path.abspath(os.fspath(folder))
        if not os.path.exists(source):
            raise UsageError(f"{source} is not there", "save a checkpoint once it is written")
        facts = self._facts(**given)
        self._background.make_room()
        began = time.monotonic()
        staging = open_staging(self._repo, self.place.job_id)
        try:
            copy_folder(source, staging.folder)
        except BaseException:
            staging.close()
            raise
        return self._end(staging, facts, began, background)

    def _end(
        self, staging: Staging, facts: Facts, began: float, background: bool
    ) -> Checkpoint | PendingSave:
        def finish() -> Checkpoint:
            try:
                return self._publish(staging, facts, began)
            finally:
                staging.close()

        if background:
            return self._background.submit(finish, facts.step)
        self._background.wait()  # checkpoints are published in the order of the calls
        return finish()

    def wait(self) -> None:
        """Wait for what is being saved in the background."""
        self._background.wait()

    def _publish(self, staging: Staging, facts: Facts, began: float) -> Checkpoint:
        self.place.look()  # saving may have outlived the attempt
        saved = save_staged(self._repo, staging.folder, self._with_lineage(facts), began)
        self._parent = saved.id
        for hook in self.on_saved:
            try:
                hook(saved)
            except Exception as error:
                text = f"after step {saved.step} was saved: {type(error).__name__}: {error}"
                warnings.warn(text, CheckpointWarning, stacklevel=4)
        return saved

    def _upload(self, saved: Checkpoint) -> None:
        if has_remotes(self._repo):
            from aexp.checkpoints.uploader import upload_in_background

            upload_in_background(self._repo, self.place.job_id)

    def _prune(self, saved: Checkpoint) -> None:
        from aexp.checkpoints.retention import prune_after_save

        prune_after_save(self._repo, self.place.job_id, self.retention)

    def _facts(self, **given: Any) -> Facts:
        place = self.place
        place.look()
        if not self._is_ready:
            remove_leftovers(self._repo, place.job_id)
            self._is_ready = True
        variation = variation_of(self._repo, place.job_id)
        facts = Facts(job=place.job_id, variation=variation, attempt=place.attempt, **given)
        return facts.checked()

    def _with_lineage(self, facts: Facts) -> Facts:
        run = read_run(self._repo, self.place.job_id)
        is_due = facts.kind == CHECKPOINT and not self._is_settled  # a snapshot leaves nothing
        if self._parent is None or is_due:
            found = list_checkpoints(self._repo, run.job_id, CHECKPOINT)
            if is_due:
                run = self._leave_behind(run, found)
            past = past_of(run)
            self._parent = next((item.id for item in found if not past.holds(item)), None)
        commit = run.sp.get("code_commit")
        return facts._replace(
            parent=self._parent,
            resumed_from=resumed_from(run) or branched_from(run.sp),
            code_commit=commit if isinstance(commit, str) else None,
        )

    def _leave_behind(self, run: Run, found: list[Checkpoint]) -> Run:
        origin, at = self._went_on or (None, "")
        if origin is None:  # what the wrapper has offered
            wanted = resumed_from(run)
            origin = next((item for item in found if item.id == wanted), None)
        self._is_settled = True
        return run if origin is None else leave_behind(run, found, origin, at, self.place.edit)

    def latest(self, scope: str, **options: Any) -> Checkpoint | None:
        """Return the newest checkpoint that is whole."""
        return latest(self._repo, self._jobs(scope), past=self._past(), **options)

    def best(self, metric: str, mode: str, scope: str, **options: Any) -> Checkpoint | None:
        """Return the whole checkpoint with the best value of a metric."""
        past = self._past()._replace(turns=())  # it may lie beyond a turn
        return best(self._repo, self._jobs(scope), metric, mode, past=past, **options)

    def all(self, scope: str, kind: str | None) -> list[Checkpoint]:
        """Return the checkpoints, the newest first."""
        return checkpoints_of(self._repo, self._jobs(scope), kind)

    def outputs(self, asset_type: str | None, scope: str) -> list[dict[str, Any]]:
        """Return what was produced, the newest first."""
        return outputs_of(self._repo, self._jobs(scope), asset_type)

    def inputs(self) -> list[dict[str, Any]]:
        """Return the checkpoints that the run's training came from."""
        return inputs(self._repo, read_run(self._repo, self.place.job_id))

    def _jobs(self, scope: str) -> list[str]:
        self._background.wait()
        return runs_in_scope(self._repo, self.place.job_id, scope)

    def _past(self) -> Past:
        return past_of(read_run(self._repo, self.place.job_id))

    def restore(
        self,
        wanted: Checkpoint | str | None,
        to: "str | os.PathLike[str] | None",
        scope: str,
        verify: str | None,
    ) -> Checkpoint | None:
        """Return a verified checkpoint, or a copy of it, and note that training goes on there."""
        if wanted is None:
            found = self._newest(to, scope, verify)
        else:
            self._background.wait()
            chosen = self._certain(wanted)
            wrong = problems(chosen, verify or way_for(chosen))
            if wrong:
                raise damage(chosen, wrong)
            found = chosen if to is None else copy_to(chosen, to, self._may_replace)
        if found is not None:
            self._note(found)
        return found

    def _certain(self, wanted: Checkpoint | str) -> Checkpoint:
        if isinstance(wanted, str):
            return find_checkpoint(self._repo, wanted)
        try:
            found = read_checkpoint(wanted)  # as it is now
        except FileNotFoundError:
            raise CheckpointNotFound(
                f"{wanted.path} is no more there", "see: aexp checkpoints ls"
            ) from None
        if found.id != wanted.id:
            raise damage(wanted, ["another checkpoint has taken its place"])
        return found

    def _note(self, found: Checkpoint) -> None:
        place = self.place
        self._went_on, self._is_settled = (found, now()), False
        is_own = (found.job, found.manifest.attempt) == (place.job_id, place.attempt)
        if place.attempt and not is_own:  # else training has gone back, not come from elsewhere
            with place.edit() as run:
                note_resumed(run, found)

    def _may_replace(self, there: Checkpoint) -> None:
        """Refuse to take the copy away that another run may be reading at this moment."""
        own = read_run(self._repo, self.place.job_id)
        ours = {branched_from(own.sp), *(attempt.get("resumed_from") for attempt in own.attempts)}
        if there.job == own.job_id or there.id in ours:
            return
        if os.path.lexists(self._repo.run_file(there.job, CLAIM)):
            raise CheckpointError(
                f"{there.path} has a checkpoint of run {short(there.job)}, which is being executed",
                "give a folder of this run's own: run.restore(to=run.workspace / 'resume')",
            )

    def _newest(
        self, to: "str | os.PathLike[str] | None", scope: str, verify: str | None
    ) -> Checkpoint | None:
        damaged: set[Checkpoint] = set()
        jobs, past = self._jobs(scope), self._past()
        way = verify if to is None else SIZE  # the copy is read in any case
        while True:
            found = latest(self._repo, jobs, verify=way, but=damaged, past=past)
            if found is None:
                break
            if to is None:
                return found
            try:
                return copy_to(found, to, self._may_replace)
            except CheckpointDamaged as error:
                warnings.warn(f"{error.message}; an earlier one is used", CheckpointWarning, 4)
                damaged.add(found)
        own = read_run(self._repo, self.place.job_id)
        initial = initial_checkpoint(self._repo, own.sp)
        if initial is None:
            return None
        return self.restore(initial, to, scope, verify)
