"""Saving checkpoints beside ``cp -r`` with fsync, and beside PyTorch's own where it is installed.

Ratios are of wall time here: saving waits for the disk, and the training loop for the saving.
"""

import json
import subprocess
import sys

from benchmarks import store
from benchmarks.place import Place
from benchmarks.report import Row
from benchmarks.timing import Cost, environment, median

# A step that a checkpoint of this size would belong to; the loop may lose 5 % of it.
_STEP_S = 1.0


def run(place: Place) -> list[Row]:
    """Measure a folder of 64 MB in 18 files: saved, saved again, saved in the background."""
    repo = store.repository(place.folder("checkpoints"), place.aexp)
    size, rounds = place.size(64, 8), place.size(7, 2)
    done = subprocess.run(
        [place.aexp, "queue", "add", "--experiment", "E001", "--sp", "seed=0", "--json"],
        cwd=repo,
        env=environment(),
        capture_output=True,
        check=True,
    )
    job = json.loads(done.stdout)["runs"][0]["job_id"]
    program = place.floor("save_checkpoints", repo, job, str(size), str(rounds))
    ended = subprocess.run(
        program, cwd=repo, env=environment(), capture_output=True, text=True, check=False
    )
    if ended.returncode:
        raise RuntimeError(
            f"save_checkpoints exited with {ended.returncode}:\n{ended.stderr[-2000:]}"
        )
    told = json.loads(ended.stdout.splitlines()[-1])
    added = max(told.pop("added"))
    costs = {
        way: median([Cost(cpu, wall, 0.0) for cpu, wall in all_]) for way, all_ in told.items()
    }
    what = f"{size} MB in 18 files"

    def wall(row: str, ours: str, against: str, other: str, bound: str = "") -> Row:
        ratio = costs[ours].wall_s / costs[other].wall_s
        return Row(row, against, costs[ours], costs[other], ratio, bound)

    extra = max(0.0, costs["block"].wall_s - costs["written"].wall_s)
    rows = [
        wall(
            f"save_checkpoint, {what}", "save", "cp -r, fsync", "cp", "" if place.quick else "<= 2"
        ),
        Row(f"the same files again, {what}", cost=costs["again"]),
        Row("the same files again: MB added", ratio=added / 1e6, bound="<= 1"),
        Row(f"save_checkpoint(background=True), {what}: in the loop", cost=costs["copied"]),
        wall("checkpoint(background=True): in the loop", "block", "writing the files", "written"),
        Row(
            f"the same, more than writing, of a step of {_STEP_S:.0f} s",
            ratio=extra / _STEP_S,
            bound="<= 0.05",
        ),
    ]
    if "dcp" in costs:
        loop = "checkpoint(background=True), torch.save: in the loop"
        rows += [
            wall("checkpoint, torch.save", "torch", "DCP save", "dcp"),
            wall(loop, "torch, background", "torch.save alone", "torch, plain"),
            wall(loop, "torch, background", "DCP async_save", "dcp, async"),
        ]
    else:
        print("torch is not installed; its own checkpoints are left out", file=sys.stderr)
    return rows
