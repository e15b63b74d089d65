"""A callback for Hugging Face's Trainer: its checkpoints become those of the run.

``AexpCallback`` is made when it is first imported from here, which loads Transformers.
"""

import os
from collections.abc import Mapping
from typing import Any

from aexp.checkpoints.callbacks.ranks import wait_for_all
from aexp.checkpoints.callbacks.training import (
    PERIODIC,
    PREEMPT,
    current_run,
    must_stop,
    numbers_of,
)

FORMAT = "transformers"


class _Callback:
    """Keeps the checkpoints that a Trainer writes, and stops it when the run must end.

    ::

        callback = AexpCallback()
        trainer = Trainer(..., callbacks=[callback])
        trainer.train(resume_from_checkpoint=callback.resume_from())

    How often it saves is the Trainer's own setting (``save_steps``). Its folders are copied,
    so ``save_total_limit=1`` is enough there. On a request to stop it saves after the step
    that is under way and ends the process, to be started again; an evaluation that would be
    due at that step is left out.

    Parameters
    ----------
    run : ActiveRun, optional
        Default: `aexp.current()`.
    log : bool, default True
        Whether the numbers that the Trainer logs become rows of the run's series.
    seconds_before_end : float, optional
        Also stop when a time limit is nearer than this.
    """

    def __init__(
        self, run: Any = None, *, log: bool = True, seconds_before_end: float | None = None
    ) -> None:
        self.run = current_run(run)
        self._logs = log
        self._margin = seconds_before_end
        self._stops = False
        self._last: dict[str, float] = {}

    def resume_from(self, *, scope: str = "job") -> str | None:
        """Return the folder for ``trainer.train(resume_from_checkpoint=...)``, verified."""
        found = self.run.restore(scope=scope)
        return None if found is None else os.fspath(found)

    def on_step_end(self, args: Any, state: Any, control: Any, **more: Any) -> Any:
        """Say how far it is; on a request to stop, have the Trainer save at once."""
        if state.is_world_process_zero:
            self.run.heartbeat(step=state.global_step, total=state.max_steps)
        if must_stop(self.run, self._margin):
            self._stops = True
            control.should_save = True
            control.should_evaluate = False
        return control

    def on_log(
        self,
        args: Any,
        state: Any,
        control: Any,
        logs: Mapping[str, Any] | None = None,
        **more: Any,
    ) -> None:
        """Keep what the Trainer logs."""
        numbers = numbers_of(logs)
        if numbers and state.is_world_process_zero:
            self._last.update(numbers)
            if self._logs:
                self.run.log(numbers, step=state.global_step)

    def on_save(self, args: Any, state: Any, control: Any, **more: Any) -> None:
        """Copy what the Trainer has just written; after a request to stop, end."""
        wait_for_all()
        if state.is_world_process_zero:
            folder = os.path.join(args.output_dir, f"checkpoint-{state.global_step}")
            self.run.save_checkpoint(
                folder,
                step=state.global_step,
                epoch=state.epoch,
                metrics=self._last,
                reason=PREEMPT if self._stops else PERIODIC,
                format=FORMAT,
                background=not self._stops,
            )
        if self._stops:
            wait_for_all()
            self.run.preempted()


def __getattr__(name: str) -> Any:
    if name != "AexpCallback":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from transformers import TrainerCallback

    made = type(name, (_Callback, TrainerCallback), {"__doc__": _Callback.__doc__})
    made.__module__ = __name__
    globals()[name] = made
    return made
