"""The part of a run's handle under the names that hosted services use for it."""

import os
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from aexp.errors import AexpError
from aexp.model import section

if TYPE_CHECKING:
    from pathlib import Path

    from aexp.checkpoints.upload_tracker import UploadTracker
    from aexp.handle.handing_over import PendingUpload
    from aexp.handle.place import Place
    from aexp.handle.run import ActiveRun

_CHECKPOINT = "checkpoint"


class ServiceNames:
    """Methods of `aexp.ActiveRun`."""

    _place: "Place"
    _started_by = 0  # the process that has called `start`

    def start(
        self: Any,
        wandb_run_id: str | None = None,
        wandb_entity: str | None = None,
        wandb_project: str | None = None,
        wandb_dashboard_url: str | None = None,
    ) -> "ActiveRun":
        """Begin the run, unless it is under way, and note which W&B run belongs to it.

        Inside a queued run it only notes. Elsewhere it does what a ``with`` block does, for
        code that cannot have one: `succeed` or `fail` ends the run then, and a process that
        ends without them fails it.

        Parameters
        ----------
        wandb_run_id, wandb_entity, wandb_dashboard_url : str, optional
            As ``wandb.init`` returns them: ``wb.id``, ``wb.entity``, ``wb.get_url()``.
        wandb_project : str, optional
            Default: the project in the experiment's ``tracker:``.

        Returns
        -------
        ActiveRun
            Itself.
        """
        if not self.attempt:
            import atexit

            self.__enter__()
            self._started_by = os.getpid()
            atexit.register(self._end_unfinished)
        if wandb_run_id is not None or wandb_dashboard_url is not None:
            project = wandb_project or _wandb_project(self._place)
            self.link_wandb(wandb_entity, project, wandb_run_id, wandb_dashboard_url)
        found: ActiveRun = self
        return found

    def _end_started(self: Any) -> None:
        if self._started_by == os.getpid():
            try:
                self.__exit__(None, None, None)
            finally:
                self._started_by = 0

    def _end_unfinished(self: Any) -> None:
        """At the interpreter's end: a run that was started and not ended has failed."""
        if self._started_by != os.getpid():
            return
        from aexp.runs.declared import read_declared

        error = getattr(sys, "last_value", None)
        try:
            if error is not None:
                self.__exit__(type(error), error, error.__traceback__)
            elif read_declared(self.repo, self.id, self.attempt) is None:
                self.fail("unfinished", "the process ended without run.succeed() or run.fail()")
            else:  # run.preempted()
                self._end_started()
        except AexpError as wrong:
            print(f"aexp: {wrong.message}", file=sys.stderr)

    def upload_directory_async(
        self: Any,
        directory: "str | os.PathLike[str]",
        asset_type: str = _CHECKPOINT,
        upload_tracker: "UploadTracker | None" = None,
        *,
        step: int | None = None,
        metrics: Mapping[str, Any] | None = None,
        metadata: Mapping[str, Any] | None = None,
    ) -> "PendingUpload":
        """Keep a folder as an output; it is the caller's again as soon as this returns.

        A ``checkpoint`` or ``snapshot`` is saved as by `save_checkpoint` in the background,
        and uploaded where the repository has remotes; anything else becomes an asset.

        Parameters
        ----------
        directory : path
            What to copy.
        asset_type : str, default "checkpoint"
            ``checkpoint``, ``snapshot`` or a type of your own.
        upload_tracker : UploadTracker, optional
            A list on which it is noted. Folders of this run that a kill has cut short, and
            that are still there, are taken up first.
        step : int, optional
            Default: the number in the folder's name, else one more than the newest.
        metrics, metadata : mapping, optional
            As for `checkpoint`.

        Returns
        -------
        PendingUpload
            Its ``result()`` waits, and returns the output or raises what went wrong. Without
            it `succeed` waits, and a failure becomes a `CheckpointWarning` that names it.
        """
        from aexp.handle.handing_over import hand_over

        about = {"metrics": metrics, "metadata": metadata}
        return hand_over(self, directory, asset_type, upload_tracker, step, about)

    def latest_output(
        self: Any, asset_type: str = _CHECKPOINT, *, across_runs: bool = True
    ) -> dict[str, Any] | None:
        """Return the newest whole output of a type, None when there is none.

        This run's own come first: an attempt that was cut short goes on with its own training.
        Only a run without any takes one of another run of its variation. Where runs must be
        independent repeats, say ``across_runs=False``.
        """
        for scope in ("job", "variation") if across_runs else ("job",):
            if asset_type in (_CHECKPOINT, "snapshot"):
                found = self.latest_checkpoint(scope, kind=asset_type)
                rows = self.outputs(asset_type, scope) if found is not None else []
                rows = [row for row in rows if row["id"] == found.id]
            else:
                rows = self.outputs(asset_type, scope)
            if rows:
                return dict(rows[0])
        return None

    def download_asset(self: Any, asset_id: str, directory: "str | os.PathLike[str]") -> "Path":
        """Copy an output of any run here to a folder, every file verified; return the folder.

        A checkpoint that the run's present attempt takes is noted as what it goes on from.

        Raises
        ------
        CheckpointDamaged
            If a file is not what was kept; nothing was written.
        CheckpointNotFound
            If there is none with this id here; ``aexp pull`` gets those of remotes.
        """
        from aexp.handle.handing_over import take

        return take(self, asset_id, directory)

    def list_outputs(
        self: Any, asset_type: str | None = None, *, across_runs: bool = False
    ) -> list[dict[str, Any]]:
        """Return the outputs of this run, or of all runs of its variation, the newest first."""
        found: list[dict[str, Any]] = self.outputs(
            asset_type, "variation" if across_runs else "job"
        )
        return found

    def list_inputs(self: Any) -> list[dict[str, Any]]:
        """Return the checkpoints that this run's training came from, in the form of outputs.

        ``state`` is ``ready``, or ``missing`` for one that is not here any more.
        """
        rows = []
        for row in self.inputs():
            state = "ready" if "path" in row else "missing"
            kind = row.get("kind", _CHECKPOINT)
            rows.append({**row, "asset_type": kind, "state": state})
        return rows


def _wandb_project(place: "Place") -> str | None:
    """Return the W&B project in what the run was queued with, or its experiment's."""
    from aexp.kb.experiments import load_experiment
    from aexp.runs.store import read_run

    run = read_run(place.repo, place.job_id)
    settings: Mapping[str, Any] = section(run.record, "tracker")
    if not settings:
        try:
            settings = load_experiment(place.repo, str(run.sp.get("experiment_id"))).tracker or {}
        except AexpError:
            return None
    project = settings.get("project") if settings.get("backend") == "wandb" else None
    return project if isinstance(project, str) else None
