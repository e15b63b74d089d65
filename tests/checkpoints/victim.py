"""Training that saves six checkpoints, resumes, and may kill itself at a named point."""

import os
import random
import signal
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import aexp
from aexp.checkpoints.store import drop

STEPS = 6
FROZEN = b"frozen" * 20_000


def content(step: int) -> bytes:
    """Return what the checkpoint of a step holds."""
    return random.Random(step).randbytes(150_000)


def die(point: str, times: int) -> None:
    """Have this process killed before or after the call of a function, the n-th time."""
    import importlib

    where, _, when = point.partition(":")
    module_name, _, name = where.rpartition(".")
    module = importlib.import_module(module_name)
    real = getattr(module, name)
    count = 0

    def wrapped(*arguments: Any, **keywords: Any) -> Any:
        nonlocal count
        count += 1
        if when == "before" and count >= times:
            os.kill(os.getpid(), signal.SIGKILL)
        result = real(*arguments, **keywords)
        if when == "after" and count >= times:
            os.kill(os.getpid(), signal.SIGKILL)
        return result

    setattr(module, name, wrapped)


def train(run: Any, progress: Callable[[int], None]) -> None:
    """Go on from the newest checkpoint to the end."""
    resumed = run.restore()
    start = 0
    if resumed is not None:
        start = resumed.step + 1
        assert (resumed / "model.bin").read_bytes() == content(resumed.step)
    for step in range(start, STEPS):
        progress(step)
        if step % 2:
            with run.checkpoint(step, metrics={"loss": 1 / (step + 1)}) as folder:
                write(folder, step)
        else:
            with tempfile.TemporaryDirectory() as name:
                write(Path(name), step)
                run.save_checkpoint(name, step, background=step % 4 == 0)
    run.wait_for_saves()
    first = run.checkpoints()[-1]
    if first.step == 0:  # what retention does
        drop(run.repo, first)
    with run.checkpoint(0) as folder:
        write(folder, 0)


def write(folder: Path, step: int) -> None:
    (folder / "model.bin").write_bytes(content(step))
    (folder / "backbone").mkdir()
    (folder / "backbone" / "frozen.bin").write_bytes(FROZEN)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        die(sys.argv[1], int(sys.argv[2]))
    tempfile.tempdir = os.environ["AEXP_JOB_WORKSPACE"]
    print("ready", flush=True)
    train(aexp.current(), lambda step: None)
    print("done", flush=True)
