"""What a training loop wants of its run, whatever library it is written with."""

import os
import sys
from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, NoReturn, Protocol

from aexp.checkpoints.store import Checkpoint

PERIODIC, PREEMPT = "periodic", "preempt"


class TrainingRun(Protocol):
    """The methods of `aexp.ActiveRun` that callbacks call."""

    def log(self, metrics: Mapping[str, Any], step: Any = None) -> None:
        """Append a row to the series."""

    def heartbeat(self, progress: Any = None, *, step: Any = None, total: Any = None) -> None:
        """Say how far it is."""

    def checkpoint(self, step: int | None = None, **more: Any) -> AbstractContextManager[Path]:
        """Save what is written to the folder in the block."""

    def save_checkpoint(
        self, folder: "str | os.PathLike[str]", step: int | None = None, **more: Any
    ) -> Any:
        """Copy a folder or a file as a checkpoint."""

    def restore(self, **more: Any) -> Checkpoint | None:
        """Return the checkpoint to go on from."""

    def should_stop(self, margin: float | None = None) -> bool:
        """Return whether to save and end."""

    def preempted(self, message: str = "") -> NoReturn:
        """End the process, to be started again."""


def current_run(run: Any = None) -> TrainingRun:
    """Return the run that was given, else the one that this process is part of."""
    if run is None:
        import aexp

        run = aexp.current()
    found: TrainingRun = run
    return found


def must_stop(run: TrainingRun, margin: float | None = None) -> bool:
    """Return whether any process of the training was told to stop.

    All processes of a distributed training get the same answer at the same step, or those
    that go on would wait for ever for those that do not.
    """
    mine = run.should_stop(margin)
    torch = sys.modules.get("torch")
    distributed = getattr(torch, "distributed", None)
    if torch is None or distributed is None:
        return mine
    if not (distributed.is_available() and distributed.is_initialized()):
        return mine
    device = "cuda" if distributed.get_backend() == "nccl" else "cpu"
    flag = torch.tensor([int(mine)], device=device)
    distributed.all_reduce(flag, op=distributed.ReduceOp.MAX)
    return bool(flag.item())


def numbers_of(metrics: Mapping[str, Any] | None) -> dict[str, float]:
    """Return those of a library's metrics that are one number, as Python's own."""
    found: dict[str, float] = {}
    for name, value in (metrics or {}).items():
        item = getattr(value, "item", None)
        if item is not None and getattr(value, "size", None) is not None:
            count = value.numel() if hasattr(value, "numel") else value.size
            value = item() if count == 1 else None
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            found[str(name)] = value
    return found
