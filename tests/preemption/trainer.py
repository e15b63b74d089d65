"""A training loop whose losses depend on all steps before: 60 of them, one run.

``trainer.py 20:40``: after these steps, in attempt 1, 2, …, it waits to be asked to end.
``IGNORE`` as the first word: it never asks whether it should stop.
"""

import hashlib
import json
import os
import random
import sys
import time

import aexp

STEPS = 60
words = sys.argv[1:]
ignores = bool(words) and words[0] == "IGNORE"
pauses = [int(word) for word in words[-1].split(":") if word.isdigit()]


def save(run: aexp.ActiveRun, step: int, weight: float, reason: str = "periodic") -> None:
    with run.checkpoint(step, metrics={"weight": weight}, reason=reason) as folder:
        state = {"step": step, "weight": weight, "rng": random.getstate()}
        (folder / "state.json").write_text(json.dumps(state))


def main() -> None:
    run = aexp.current()
    random.seed(run.statepoint["seed"])
    start, weight = 0, 1.0
    found = run.restore()
    if found is not None:
        state = json.loads((found / "state.json").read_text())
        start, weight = state["step"], state["weight"]
        version, internal, gauss = state["rng"]
        random.setstate((version, tuple(internal), gauss))
    pause_at = pauses[run.attempt - 1] if run.attempt <= len(pauses) else None
    print(f"attempt {run.attempt} goes on at step {start + 1}", flush=True)
    for step in range(start + 1, STEPS + 1):
        weight += random.gauss(0.0, 0.1) * weight
        digest = hashlib.sha256(f"{weight!r}".encode()).digest()
        run.log({"loss": weight, "check": digest[0]}, step=step)
        if step == pause_at:
            if ignores:
                save(run, step, weight)
            (run.workspace / f"paused-{run.attempt}").touch()
            while ignores or not run.should_stop():
                time.sleep(0.02)
        if step % 7 == 0 and step != pause_at:
            save(run, step, weight)
        if not ignores and run.should_stop():
            save(run, step, weight, "preempt")
            run.preempted(f"after step {step}")
    save(run, STEPS, weight, "final")
    run.summary["loss"] = weight


if os.environ.get("AEXP_JOB_ID"):
    main()
