"""Checkpoints of a PyTorch loop: everything that it needs to go on as if nothing had been."""

import os
import pickle
from collections.abc import Mapping
from typing import Any

from aexp.checkpoints.callbacks.ranks import gathered, own, rank, wait_for_all
from aexp.checkpoints.callbacks.rng import rng_state, set_rng_state
from aexp.checkpoints.callbacks.training import PERIODIC, PREEMPT, current_run, must_stop
from aexp.checkpoints.store import Checkpoint
from aexp.errors import CheckpointDamaged, CheckpointError, UsageError

_PROGRESS = "progress.pt"  # step, epoch and random generators


class TrainingState:
    """What a training loop is made of, saved and restored as one.

    ::

        state = TrainingState(model=model, optimizer=optimizer, scheduler=scheduler, every=500)
        for step in range(state.restore(), steps):
            ...
            state.step_done(step, metrics={"loss": loss})

    In a distributed training every process calls it: the first one writes. Each then goes on
    with its own random generators' states, so their number must not change.

    Parameters
    ----------
    run : ActiveRun, optional
        Default: `aexp.current()`.
    every : int, optional
        Save after so many steps.
    seconds_before_end : float, optional
        Also stop when a time limit is nearer than this.
    unsafe : bool, default False
        Whether states may hold more than tensors and plain Python. Reading such a file can
        execute code: only of checkpoints that you trust.
    **parts : object
        What has ``state_dict`` and ``load_state_dict``: model, optimizer, scheduler, scaler,
        a loader of data. Each becomes a file, and one that has not changed costs no space.
    """

    def __init__(
        self,
        run: Any = None,
        *,
        every: int | None = None,
        seconds_before_end: float | None = None,
        unsafe: bool = False,
        **parts: Any,
    ) -> None:
        for name, part in parts.items():
            if not callable(getattr(part, "load_state_dict", None)):
                raise UsageError(
                    f"{name} has no state_dict and load_state_dict",
                    "give it these two methods, or keep its values in the metadata",
                )
        if every is not None and every < 1:
            raise UsageError(f"every={every} is no number of steps", "write every=500")
        self.run = current_run(run)
        self.every = every
        self.parts = parts
        self._margin = seconds_before_end
        self._unsafe = unsafe

    def restore(self, checkpoint: Any = None, *, scope: str = "job") -> int:
        """Load the newest checkpoint that is whole, and return the step to go on with.

        Parameters
        ----------
        checkpoint : Checkpoint or str, optional
            A certain one instead.
        scope : str, default "job"
            As for `ActiveRun.restore`.

        Returns
        -------
        int
            0 at the start of a training, else one more than the saved step.

        Raises
        ------
        CheckpointError
            If it lacks one of the parts, or does not fit the model.
        """
        found = self.run.restore(checkpoint=checkpoint, scope=scope)
        if found is None:
            return 0
        progress = self._load(found, _PROGRESS)
        states = {name: self._load(found, f"{name}.pt") for name in self.parts}
        for name, part in self.parts.items():
            try:
                part.load_state_dict(states[name])
            except (RuntimeError, ValueError, KeyError) as error:
                raise CheckpointError(
                    f"{found.path.name} does not fit {name}: {error}",
                    "restore into the same model and optimizer as were saved",
                ) from error
        set_rng_state(own(progress["rng"]))
        return int(progress["step"]) + 1

    def save(
        self,
        step: int,
        *,
        metrics: Mapping[str, Any] | None = None,
        epoch: float | None = None,
        reason: str = PERIODIC,
        metadata: Mapping[str, Any] | None = None,
    ) -> None:
        """Save all of it as the state after `step`."""
        import torch

        progress = {"step": int(step), "epoch": epoch, "rng": gathered(rng_state())}
        states = {name: part.state_dict() for name, part in self.parts.items()}
        if rank() == 0:
            about = {"metrics": metrics, "epoch": epoch, "reason": reason, "metadata": metadata}
            later = reason == PERIODIC
            with self.run.checkpoint(step, format="torch", background=later, **about) as folder:
                torch.save(progress, folder / _PROGRESS)
                for name, state in states.items():
                    torch.save(state, folder / f"{name}.pt")
        wait_for_all()

    def step_done(
        self,
        step: int,
        *,
        metrics: Mapping[str, Any] | None = None,
        epoch: float | None = None,
    ) -> None:
        """Save when it is due; when the run was told to stop, save and end this process.

        Call it at the end of each step: it costs nothing at most of them.
        """
        if must_stop(self.run, self._margin):
            self.save(step, metrics=metrics, epoch=epoch, reason=PREEMPT)
            self.run.preempted()
        if self.every is not None and (step + 1) % self.every == 0:
            self.save(step, metrics=metrics, epoch=epoch)

    def _load(self, checkpoint: Checkpoint, name: str) -> Any:
        import torch

        path = os.path.join(checkpoint, name)
        try:
            return torch.load(path, map_location="cpu", weights_only=not self._unsafe)
        except FileNotFoundError:
            raise CheckpointError(
                f"{checkpoint.path.name} has no {name}; it has: {', '.join(checkpoint.files)}",
                "restore the same parts as were saved",
            ) from None
        except pickle.UnpicklingError as error:
            raise CheckpointError(
                f"{path} holds more than tensors and plain values: {str(error).splitlines()[0]}",
                "if you trust it: TrainingState(..., unsafe=True)",
            ) from error
        except (RuntimeError, EOFError) as error:
            raise CheckpointDamaged(f"{path} cannot be read: {error}", "use another one") from error
