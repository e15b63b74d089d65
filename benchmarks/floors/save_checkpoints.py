"""Save a folder of MEGABYTES in several ways, ROUNDS times, turn about, in one process.

Prints JSON: for each way a list of [CPU s, wall s], and the bytes that an identical second save
has added. Every round has files of new content, made outside the measured time.
"""

import importlib.util
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import aexp

root, job, megabytes, rounds = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
scratch = Path(tempfile.mkdtemp(dir=root, prefix="bench-"))
source = scratch / "source"
SMALL = [1 << 16] * 16
BIG = [(megabytes << 20) * 5 // 8, (megabytes << 20) * 3 // 8 - sum(SMALL)]


def write(folder: Path, number: int) -> None:
    """Write what a trainer writes: two large files and sixteen small ones."""
    folder.mkdir(parents=True, exist_ok=True)
    for at, size in enumerate(BIG + SMALL):
        block = blocks[(number + at) % len(blocks)]
        with open(folder / f"part-{at}.bin", "wb") as file:
            file.write(number.to_bytes(8, "big"))
            for _ in range(size // len(block)):
                file.write(block)


blocks = [os.urandom(1 << 16) for _ in range(7)]


def sync(folder: Path) -> None:
    for path in [folder, *folder.rglob("*")]:
        descriptor = os.open(path, os.O_RDONLY)
        os.fsync(descriptor)
        os.close(descriptor)


def used() -> int:
    """Return the bytes on the disk of all checkpoints and objects, shared ones once."""
    found = {}
    for top in (Path(root) / ".runs", Path(root) / ".aexp" / "objects"):
        for path in top.rglob("*"):
            state = path.lstat()
            found[state.st_ino] = state.st_blocks * 512
    return sum(found.values())


def measured(call: Callable[[], Any]) -> list[float]:
    os.sync()  # what was written before is not for this one to wait for
    kinds = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    before = [resource.getrusage(kind) for kind in kinds]
    began = time.monotonic()
    call()
    wall = time.monotonic() - began
    after = [resource.getrusage(kind) for kind in kinds]
    pairs = zip(before, after, strict=True)
    return [sum(b.ru_utime + b.ru_stime - a.ru_utime - a.ru_stime for a, b in pairs), wall]


class Rounds:
    """The rounds, all in one attempt of one run."""

    def __init__(self, run: Any) -> None:
        self.run = run
        self.told: dict[str, list[Any]] = {"added": []}

    def note(self, number: int, way: str, call: Callable[[], Any]) -> None:
        cost = measured(call)
        if number:  # the first round warms up
            self.told.setdefault(way, []).append(cost)

    def folders(self, number: int) -> None:
        """Save a folder: beside cp, again, in the background, and without a copy."""
        run, pending = self.run, []

        def cp() -> None:
            subprocess.run(["cp", "-r", str(source), str(scratch / f"cp-{number}")], check=True)
            sync(scratch / f"cp-{number}")

        def copied() -> None:
            pending.append(run.save_checkpoint(source, number + 2000, background=True))

        def block() -> None:
            with run.checkpoint(number, background=True, kind="snapshot") as folder:
                write(folder, number + 1000)

        write(source, number)
        self.note(number, "cp", cp)
        self.note(number, "save", lambda: run.save_checkpoint(source, number))
        before = used()
        self.note(number, "again", lambda: run.save_checkpoint(source, number + 500))
        self.told["added"].append(used() - before)
        write(source, number + 2000)
        self.note(number, "copied", copied)
        pending[0].result()
        self.note(number, "written", lambda: write(scratch / f"w-{number}", number + 1000))
        self.note(number, "block", block)
        run.wait_for_saves()

    def tensors(self, number: int) -> None:
        """Save tensors beside PyTorch's distributed checkpoints, now and in the background."""
        import torch
        import torch.distributed.checkpoint as dcp

        futures = []
        state = {
            f"t{at}": torch.randint(0, 255, (size,), dtype=torch.uint8)
            for at, size in enumerate(BIG + SMALL)
        }

        def ours(later: bool) -> None:
            with self.run.checkpoint(number + 3000 + later, background=later) as folder:
                torch.save(state, folder / "state.pt")

        def theirs() -> None:
            dcp.save(state, checkpoint_id=scratch / f"dcp-{number}", no_dist=True)

        def theirs_later() -> None:
            place = scratch / f"async-{number}"
            futures.append(dcp.async_save(state, checkpoint_id=place, no_dist=True))

        self.note(number, "torch", lambda: ours(False))
        self.note(number, "dcp", theirs)
        state["t0"][:8] = number
        self.note(number, "torch, plain", lambda: torch.save(state, scratch / f"pt-{number}"))
        self.note(number, "torch, background", lambda: ours(True))
        self.run.wait_for_saves()
        self.note(number, "dcp, async", theirs_later)
        getattr(futures[0], "upload_completion", futures[0]).result()


def main() -> None:
    has_torch = importlib.util.find_spec("torch") is not None
    with aexp.run(job, repo_root=root) as run:
        rounds_of = Rounds(run)
        for number in range(rounds + 1):
            rounds_of.folders(number)
            if has_torch:
                rounds_of.tensors(number)
            for path in scratch.glob("*-[0-9]*"):
                shutil.rmtree(path) if path.is_dir() else path.unlink()
    print(json.dumps(rounds_of.told))


main()
