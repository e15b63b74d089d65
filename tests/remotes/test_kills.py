"""kill -9 at every point of a push, and at random times: nothing torn, all of it arrives.

AEXP_KILL_ROUNDS sets how often each remote's pushes are killed at random times.
"""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

WORKER = Path(__file__).parent / "push_worker.py"
POINTS = (
    ("begin:after", 1),
    ("get:after", 2),
    ("size:after", 2),
    ("put_file:before", 2),
    ("put_file:after", 2),
    ("put:before", 1),
    ("put:after", 1),
    ("end:after", 2),
)
ROUNDS = int(os.environ.get("AEXP_KILL_ROUNDS", "4"))


def test_a_kill_at_every_point(away: Any) -> None:
    away.add()
    for step, (point, number) in enumerate(POINTS):
        away.save(2 * step)
        away.save(2 * step + 1)
        words = [str(away.research.root), away.job, point, str(number)]
        done = subprocess.run(
            [sys.executable, "-P", str(WORKER), *words],
            env=away.research.env,
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == -signal.SIGKILL, (point, done.returncode, done.stderr)
        away.arrived()
    away.research.aexp("push")
    assert away.arrived() == sorted(item.step for item in away.checkpoints())
    assert len(away.checkpoints()) == 2 * len(POINTS)
    assert away.research.json("uploads", "ls") == []


def test_kills_at_random_times(away: Any) -> None:
    away.add()
    chance = random.Random(5)
    away.save(0, {"large.bin": chance.randbytes(12_000_000), "small.bin": b"s"})
    began = time.monotonic()
    away.research.aexp("push")
    usual = time.monotonic() - began
    killed, step = 0, 0
    for _ in range(ROUNDS):
        step += 1
        away.save(step, {"large.bin": chance.randbytes(12_000_000), "small.bin": b"s"})
        process = away.research.start_aexp("push")
        # Most of the time it starts; a kill then shows nothing.
        time.sleep(chance.uniform(0.35, 1.0) * usual)
        process.kill()
        killed += process.wait() == -signal.SIGKILL
        away.arrived(anew=False)
    away.research.aexp("push")
    assert away.arrived() == list(range(step + 1))
    assert len(away.checkpoints()) == step + 1
    print(f"{killed} of {ROUNDS} were at work when they were killed")
