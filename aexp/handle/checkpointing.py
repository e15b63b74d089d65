"""The part of a run's handle that saves, finds and restores checkpoints."""

import os
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, Literal, overload

if TYPE_CHECKING:
    from pathlib import Path

    from aexp.checkpoints.background import PendingSave
    from aexp.checkpoints.store import Checkpoint
    from aexp.handle.keeper import Keeper
    from aexp.handle.place import Place


class Checkpointing:
    """Methods of `aexp.ActiveRun`."""

    _place: "Place"
    _kept: "Keeper | None" = None
    # Whether `succeed` was told not to wait, or has named what did not arrive: the end of the
    # block says it no second time.
    _is_waited_for = False

    @property
    def _keeper(self) -> "Keeper":
        if self._kept is None or self._kept.place is not self._place:
            from aexp.handle.keeper import Keeper

            self._kept = Keeper(self._place)
        return self._kept

    def wait_for_saves(self) -> None:
        """Wait for what is being saved in the background; failures become warnings."""
        if self._kept is not None:
            self._kept.wait()

    def _wait_for_uploads(self, wait: "bool | float | None") -> None:
        self._is_waited_for = True
        if wait is False:
            return
        from aexp.remotes.place import has_remotes

        if not has_remotes(self._place.repo):
            return
        from aexp.checkpoints.uploads import required_remotes, wait_for_uploads
        from aexp.remotes.config import automatic_remotes

        repo = self._place.repo
        remotes = required_remotes(repo)
        if wait is not None:
            remotes += [item for item in automatic_remotes(repo) if item not in remotes]
        bound = None if wait is None or wait is True else float(wait)
        wait_for_uploads(repo, self._place.job_id, remotes=remotes, timeout_s=bound)
        self._is_waited_for = False  # what is saved from now on is waited for, too

    def checkpoint(
        self,
        step: int | None = None,
        *,
        metrics: Mapping[str, Any] | None = None,
        epoch: float | None = None,
        reason: str = "periodic",
        kind: str = "checkpoint",
        format: str = "any",
        metadata: Mapping[str, Any] | None = None,
        background: bool = False,
    ) -> "AbstractContextManager[Path]":
        """Save a checkpoint: ``with run.checkpoint(step) as folder:`` write files there.

        It is there, whole, when the block has ended, and not at all before, nor when the
        block raises or the process is killed. Its files are read-only then.

        Parameters
        ----------
        step : int
            Where training is; only a snapshot needs none.
        metrics : mapping, optional
            Numbers of this moment, by which the best checkpoint is found.
        epoch : float, optional
            Likewise for epochs.
        reason : str, default "periodic"
            ``periodic``, ``final``, ``preempt`` or ``manual``.
        kind : str, default "checkpoint"
            ``checkpoint``, from which training can go on, or ``snapshot``, a saved model.
        format : str, default "any"
            What writes the files: ``torch``, ``safetensors``, ``hf``, …
        metadata : mapping, optional
            What belongs to it.
        background : bool, default False
            End the block at once: the files are hashed, written to the disk and published
            in a thread. A failure becomes a `CheckpointWarning`.

        Raises
        ------
        CheckpointError
            If it cannot be saved; the checkpoints before it are as they were.
        StatusError
            If this process has outlived its attempt, or the run is not executed here.
        """
        return self._keeper.checkpoint(
            background=background,
            step=step,
            metrics=metrics,
            epoch=epoch,
            reason=reason,
            kind=kind,
            format=format,
            metadata=metadata,
        )

    @overload
    def save_checkpoint(
        self,
        folder: "str | os.PathLike[str]",
        step: int | None = None,
        *,
        metrics: Mapping[str, Any] | None = None,
        epoch: float | None = None,
        reason: str = "periodic",
        kind: str = "checkpoint",
        format: str = "any",
        metadata: Mapping[str, Any] | None = None,
        background: Literal[False] = False,
    ) -> "Checkpoint": ...

    @overload
    def save_checkpoint(
        self,
        folder: "str | os.PathLike[str]",
        step: int | None = None,
        *,
        metrics: Mapping[str, Any] | None = None,
        epoch: float | None = None,
        reason: str = "periodic",
        kind: str = "checkpoint",
        format: str = "any",
        metadata: Mapping[str, Any] | None = None,
        background: Literal[True],
    ) -> "PendingSave": ...

    def save_checkpoint(
        self,
        folder: "str | os.PathLike[str]",
        step: int | None = None,
        *,
        metrics: Mapping[str, Any] | None = None,
        epoch: float | None = None,
        reason: str = "periodic",
        kind: str = "checkpoint",
        format: str = "any",
        metadata: Mapping[str, Any] | None = None,
        background: bool = False,
    ) -> "Checkpoint | PendingSave":
        """Copy a folder that the trainer has written, or one file, as a checkpoint.

        The trainer may change or remove its own files as soon as the call returns.

        Parameters
        ----------
        folder : path
            What to copy.
        step, metrics, epoch, reason, kind, format, metadata
            As for `checkpoint`.
        background : bool, default False
            Return when the files are copied: they are hashed, written to the disk and
            published in a thread. `PendingSave.result` waits for it and raises what went
            wrong; a failure that nobody has asked for becomes a `CheckpointWarning`.
        """
        return self._keeper.save(
            folder,
            background=background,
            step=step,
            metrics=metrics,
            epoch=epoch,
            reason=reason,
            kind=kind,
            format=format,
            metadata=metadata,
        )

    def latest_checkpoint(
        self,
        scope: str = "job",
        *,
        kind: str = "checkpoint",
        verify: str | None = "size",
        before_step: int | None = None,
    ) -> "Checkpoint | None":
        """Return the newest checkpoint that is whole, by step and then by time.

        A damaged one is passed over with a `CheckpointWarning` that names it.

        Parameters
        ----------
        scope : str, default "job"
            ``job``: of this run; ``variation``: of all runs that differ from it in nothing
            but seed, repeat and code.
        kind : str, default "checkpoint"
            ``checkpoint`` or ``snapshot``.
        verify : str, default "size"
            ``size``, ``hash`` (every file is read) or ``none``.
        before_step : int, optional
            Only those of an earlier step.
        """
        return self._keeper.latest(scope, kind=kind, verify=verify, before_step=before_step)

    def best_checkpoint(
        self,
        metric: str,
        mode: str = "min",
        *,
        scope: str = "job",
        kind: str = "checkpoint",
        verify: str | None = "size",
    ) -> "Checkpoint | None":
        """Return the whole checkpoint with the lowest (``min``) or highest (``max``) metric.

        Raises
        ------
        CheckpointError
            If there are checkpoints and none was saved with this metric.
        """
        return self._keeper.best(metric, mode, scope, kind=kind, verify=verify)

    def keep_checkpoints(
        self,
        last: int = 1,
        *,
        every: int | None = None,
        best: "str | Mapping[str, Any] | Sequence[str | Mapping[str, Any]] | None" = None,
        final: bool = True,
    ) -> None:
        """From now on drop, after each save, the checkpoints that are not to be kept.

        Whatever is said, there stay: the newest that is whole, pinned ones, those that a run
        needs or a required remote lacks, snapshots, and damaged ones.

        Parameters
        ----------
        last : int, default 1
            Keep so many of the newest.
        every : int, optional
            Keep the first of each so many steps.
        best : str, mapping or several, optional
            Keep the best by a metric: ``"loss"``, ``"accuracy:max:3"``, or
            ``{"metric": "accuracy", "mode": "max", "count": 3}``.
        final : bool, default True
            Keep those that were saved with the reason ``final``.

        Raises
        ------
        ParameterError
            If one of them cannot be understood.
        """
        from aexp.kb.retention import read_retention

        given = {"keep_last": last, "keep_every": every, "keep_best": best, "keep_final": final}
        self._keeper.retention = read_retention(given, "keep_checkpoints")

    def checkpoints(self, scope: str = "job", *, kind: str | None = None) -> "list[Checkpoint]":
        """Return the checkpoints and snapshots, the newest first; files are not looked at."""
        return self._keeper.all(scope, kind)

    def restore(
        self,
        checkpoint: "Checkpoint | str | None" = None,
        to: "str | os.PathLike[str] | None" = None,
        *,
        scope: str = "job",
        verify: str | None = None,
    ) -> "Checkpoint | None":
        """Return the checkpoint to go on from, verified, and record that this attempt did.

        Without an argument it is the newest whole one of this run, else the one that the run
        was branched from, else None: training starts at its beginning.

        Parameters
        ----------
        checkpoint : Checkpoint or str, optional
            A certain one, or the beginning of its id.
        to : path, optional
            Copy it to this folder: a new or empty one, or one that was restored to before.
            Without, its files are used where they lie, read-only.
        scope : str, default "job"
            ``variation``: the newest of all runs of the variation. A run that goes on from
            another one's training is no independent repeat of it; the record says so.
        verify : str, optional
            ``size``, ``hash`` or ``none``; default: files are read unless they are over 10 GB.

        Raises
        ------
        CheckpointDamaged
            If a certain checkpoint was asked for and is damaged.
        CheckpointNotFound
            If it, or the one that the run was branched from, is not here.
        """
        return self._keeper.restore(checkpoint, to, scope, verify)

    def outputs(self, kind: str | None = None, scope: str = "job") -> list[dict[str, Any]]:
        """Return what was produced, the newest first: checkpoints, snapshots and assets.

        Parameters
        ----------
        kind : str, optional
            ``checkpoint``, ``snapshot`` or the type of an asset.
        scope : str, default "job"
            ``job`` or ``variation``.
        """
        return self._keeper.outputs(kind, scope)

    def inputs(self) -> list[dict[str, Any]]:
        """Return the checkpoints that this run's training came from, oldest first."""
        return self._keeper.inputs()

    def log_asset(
        self,
        asset_type: str,
        content: Any = None,
        *,
        path: "str | os.PathLike[str] | None" = None,
        config: Mapping[str, Any] | None = None,
        name: str | None = None,
        metadata: Mapping[str, Any] | None = None,
    ) -> dict[str, Any]:
        """Keep something as an asset of the run, below ``assets/`` in its folder.

        Parameters
        ----------
        asset_type : str
            What it is, for instance ``predictions``.
        content : mapping, list, str or bytes, optional
            What to write to a file.
        path : path, optional
            Instead: a file or folder to copy.
        config, metadata : mapping, optional
            What belongs to it.
        name : str, optional
            Default: `asset_type`.

        Returns
        -------
        dict
            Its row of ``assets/index.jsonl``.
        """
        from aexp.handle.assets import keep_path, upload_asset

        if self._place.attempt:
            self._place.look()
        if path is not None:
            return keep_path(self._place, asset_type, path, config, name, metadata)
        return upload_asset(self._place, asset_type, content, config, name, metadata)
