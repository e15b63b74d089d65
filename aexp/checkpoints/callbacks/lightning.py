"""A callback and a checkpoint plugin for PyTorch Lightning.

``AexpCallback`` and ``AexpCheckpointIO`` are made when they are first imported from here, which
loads Lightning; ``lightning.pytorch`` and the older ``pytorch_lightning`` are both served.
"""

import os
import sys
from collections.abc import Mapping
from typing import Any

from aexp.checkpoints.callbacks.ranks import gathered, own, wait_for_all
from aexp.checkpoints.callbacks.rng import rng_state, set_rng_state
from aexp.checkpoints.callbacks.training import (
    PERIODIC,
    PREEMPT,
    current_run,
    must_stop,
    numbers_of,
)
from aexp.errors import CheckpointError

FORMAT = "lightning"
FILE = "lightning.ckpt"


class _Callback:
    """Saves, stops and resumes a Lightning training, random generators included.

    ::

        callback = AexpCallback(every=500)
        trainer = Trainer(..., callbacks=[callback])
        trainer.fit(model, data, ckpt_path=callback.resume_from())

    On a request to stop it saves after the batch that is under way and ends the process, to
    be started again.

    Parameters
    ----------
    run : ActiveRun, optional
        Default: `aexp.current()`.
    every : int, optional
        Save after so many optimizer steps. Default: only when the run must stop; use it with
        `AexpCheckpointIO`, which keeps what ``ModelCheckpoint`` saves.
    log : bool, default True
        Whether the numbers that the model logs become rows of the run's series.
    seconds_before_end : float, optional
        Also stop when a time limit is nearer than this.
    """

    def __init__(
        self,
        run: Any = None,
        *,
        every: int | None = None,
        log: bool = True,
        seconds_before_end: float | None = None,
    ) -> None:
        self.run = current_run(run)
        self.every = every
        self._logs = log
        self._margin = seconds_before_end
        self._saved_at: int | None = None
        self._rng: list[dict[str, Any]] | None = None

    def resume_from(self, *, scope: str = "job") -> str | None:
        """Return the file for ``trainer.fit(..., ckpt_path=...)``, verified."""
        found = self.run.restore(scope=scope)
        if found is None:
            return None
        names = [name for name in found.files if name.endswith(".ckpt")]
        if len(names) != 1:
            raise CheckpointError(
                f"{found.path.name} holds no checkpoint of Lightning: {', '.join(found.files)}",
                "give trainer.fit the path yourself: run.restore() / NAME",
            )
        return os.fspath(found / names[0])

    def setup(self, trainer: Any, pl_module: Any, stage: str) -> None:
        """Take the signals before Lightning does: it calls what it finds."""
        _refuse_shards(trainer.strategy)
        self.run.should_stop()

    def state_dict(self) -> dict[str, Any]:
        """Return the random generators' states, which Lightning itself does not keep."""
        return {"rng": gathered(rng_state())}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Keep them until the first batch: setting up draws numbers, too."""
        self._rng = state_dict.get("rng")

    def on_train_start(self, trainer: Any, pl_module: Any) -> None:
        """Remember what is saved already: the first batches of a step do not count it up."""
        self._saved_at = trainer.global_step

    def on_train_batch_start(
        self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int
    ) -> None:
        """Go on with the generators as they were saved."""
        if self._rng is not None:
            set_rng_state(own(self._rng))
            self._rng = None

    def on_train_batch_end(
        self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Log, save when it is due, end when the run must."""
        step = trainer.global_step
        if trainer.is_global_zero:
            self._say(trainer, step)
        if must_stop(self.run, self._margin):
            self._save(trainer, PREEMPT)
            self.run.preempted()
        is_due = self.every is not None and step and step % self.every == 0
        if is_due and step != self._saved_at:  # once per step, not per accumulated batch
            self._save(trainer, PERIODIC)

    def on_exception(self, trainer: Any, pl_module: Any, exception: BaseException) -> None:
        """Save where Lightning itself ends on SIGTERM: between two batches."""
        if type(exception).__name__ == "SIGTERMException" and must_stop(self.run):
            self._save(trainer, PREEMPT)
            self.run.preempted()

    def _say(self, trainer: Any, step: int) -> None:
        limit = trainer.max_steps if trainer.max_steps > 0 else trainer.estimated_stepping_batches
        self.run.heartbeat(step=step, total=limit if limit != float("inf") else None)
        if self._logs and step and step % trainer.log_every_n_steps == 0:
            numbers = numbers_of(trainer.callback_metrics)
            if numbers:
                self.run.log(numbers, step=step)

    def _save(self, trainer: Any, reason: str) -> None:
        step = trainer.global_step
        if trainer.is_global_zero:
            about = {"epoch": trainer.current_epoch, "reason": reason, "format": FORMAT}
            about |= {"metrics": numbers_of(trainer.callback_metrics)}
            with self.run.checkpoint(step, background=reason == PERIODIC, **about) as folder:
                trainer.save_checkpoint(folder / FILE)
        else:
            trainer.save_checkpoint(FILE)  # takes part; nothing is written
        wait_for_all()
        self._saved_at = step


class _CheckpointIO:
    """Keeps as checkpoints of the run what Lightning saves, for instance ``ModelCheckpoint``.

    ::

        trainer = Trainer(..., plugins=[AexpCheckpointIO()], callbacks=[AexpCallback()])

    Lightning's own file stays where it puts it and is its own to remove.

    Parameters
    ----------
    run : ActiveRun, optional
        Default: `aexp.current()`.
    """

    def __init__(self, run: Any = None) -> None:
        self.run = current_run(run)

    def save_checkpoint(
        self, checkpoint: Mapping[str, Any], path: Any, storage_options: Any = None
    ) -> None:
        """Let Lightning write its file, then copy it."""
        super().save_checkpoint(checkpoint, path, storage_options)  # type: ignore[misc]
        if os.path.basename(path) == FILE:
            return  # the callback's, in a folder of aexp
        self.run.save_checkpoint(
            path,
            step=checkpoint["global_step"],
            epoch=checkpoint["epoch"],
            format=FORMAT,
            background=True,
        )


def _refuse_shards(strategy: Any) -> None:
    """Refuse what has each process write a part of its own: here one file is the whole.

    FSDP with ``state_dict_type="sharded"``, ModelParallel by default, and DeepSpeed do.
    """
    name = type(strategy).__name__
    if (
        getattr(strategy, "_state_dict_type", None) == "sharded"
        or getattr(strategy, "_save_distributed_checkpoint", False)
        or name.startswith("DeepSpeed")
    ):
        raise CheckpointError(
            f"{name} saves sharded checkpoints, AexpCallback keeps whole ones",
            'FSDPStrategy(state_dict_type="full") or '
            "ModelParallelStrategy(save_distributed_checkpoint=False) save whole ones; "
            "or save the shards' folder yourself: run.save_checkpoint",
        )


_MADE = {
    "AexpCallback": (_Callback, "pytorch", "Callback"),
    "AexpCheckpointIO": (_CheckpointIO, "pytorch.plugins.io", "TorchCheckpointIO"),
}


def __getattr__(name: str) -> Any:
    if name not in _MADE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    own, where, base = _MADE[name]
    is_old = "lightning" not in sys.modules and "pytorch_lightning" in sys.modules
    module = ("pytorch_lightning" + where[len("pytorch") :]) if is_old else "lightning." + where
    made = type(name, (own, getattr(import_module(module), base)), {"__doc__": own.__doc__})
    made.__module__ = __name__
    globals()[name] = made
    return made
