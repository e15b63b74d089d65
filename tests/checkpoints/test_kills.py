"""Real kill -9 of a process that saves, at named points and at any moment.

AEXP_KILL_ROUNDS is how often; the default keeps the suite short.
"""

import importlib.util
import os
import random
import select
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

from aexp.checkpoints.objects import Objects
from aexp.checkpoints.store import Damage, drop, list_checkpoints
from aexp.checkpoints.verify import problems

ROUNDS = int(os.environ.get("AEXP_KILL_ROUNDS", "24"))
VICTIM = Path(__file__).with_name("victim.py")
_spec = importlib.util.spec_from_file_location("victim", VICTIM)
assert _spec is not None
assert _spec.loader is not None
victim: Any = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(victim)
STORE, SAVE = "aexp.checkpoints.store", "aexp.checkpoints.save"
POINTS = (
    "aexp.checkpoints.staging.write_new:after",
    "aexp.handle.keeper.open_staging:after",
    f"{SAVE}._copy_unchanged:after",
    f"{SAVE}.hash_file:after",
    f"{SAVE}._to_disk:after",
    "aexp.checkpoints.objects._link_new:before",
    "aexp.checkpoints.objects._link_new:after",
    "aexp.checkpoints.objects._replace_by_link:before",
    "aexp.checkpoints.objects._replace_by_link:after",
    f"{STORE}.write_new:before",
    f"{STORE}.write_new:after",
    f"{STORE}.sync_folders:after",
    f"{STORE}.os.rename:before",
    f"{STORE}.os.rename:after",
    f"{STORE}.sync_folder:after",
    "aexp.handle.keeper.note_resumed:before",
)


def check(repo: Any, job_id: str) -> list[int]:
    """Insist that whatever is visible is whole; return the steps."""
    damaged: list[Damage] = []
    found = list_checkpoints(repo, job_id, damaged=damaged)
    assert damaged == []
    for item in found:
        assert problems(item, "hash") == []
        assert (item / "model.bin").read_bytes() == victim.content(item.step or 0)
        assert (item / "backbone/frozen.bin").read_bytes() == victim.FROZEN
    objects = Objects(repo)
    assert all(objects.is_whole(item.sha256) for item in objects.all())
    return sorted(item.step or 0 for item in found)


def start(repo: Any, *arguments: str) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(
        [sys.executable, "-P", str(VICTIM), *arguments],
        cwd=repo.root,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )


def finish(repo: Any) -> None:
    process = start(repo)
    output = process.communicate(timeout=60)[0]
    assert process.returncode == 0, output.decode()


def test_no_kill_leaves_a_torn_checkpoint(run: Any, repo: Any) -> None:
    chance = random.Random(5)
    kills = {"named": 0, "random": 0}
    for round_ in range(ROUNDS):
        if round_ % 3 < 2:
            point = POINTS[(round_ - round_ // 3) % len(POINTS)]
            process = start(repo, point, str(chance.randint(1, 3)))
            process.communicate(timeout=60)
        else:
            process = start(repo)
            assert process.stdout is not None
            select.select([process.stdout], [], [], 30)  # it is ready to save
            try:
                process.wait(chance.uniform(0, 0.12))
            except subprocess.TimeoutExpired:
                process.kill()
            process.communicate(timeout=60)
        if process.returncode == -signal.SIGKILL:
            kills["random" if round_ % 3 == 2 else "named"] += 1
        steps = check(repo, run.id)
        if len(steps) >= victim.STEPS - 1 or round_ % 8 == 7:
            finish(repo)
            assert check(repo, run.id) == list(range(victim.STEPS)), "it converges"
            staging = run.workspace / "checkpoints" / ".staging"
            assert list(staging.iterdir()) == [], "what the dead have left is gone"
            for item in run.checkpoints():
                drop(repo, item)
    print(f"{kills['named']} kills at named points, {kills['random']} at any moment")
    assert kills["named"] + kills["random"] >= ROUNDS * 0.6
    finish(repo)
    assert check(repo, run.id) == list(range(victim.STEPS))


def test_processes_that_save_the_same_run(run: Any, repo: Any) -> None:
    processes = [start(repo) for _ in range(3)]
    outputs = [process.communicate(timeout=60)[0].decode() for process in processes]
    assert [process.returncode for process in processes] == [0, 0, 0], outputs
    assert sorted(set(check(repo, run.id))) == list(range(victim.STEPS))
    staging = run.workspace / "checkpoints" / ".staging"
    assert list(staging.iterdir()) == []
