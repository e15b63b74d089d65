"""Attempts of runs as forks of one process, which has imported the library once.

Executed as a script by each ``train_*.py``: it trains once without an interruption and once
with a kill, a request to stop and another one, and prints what came of both.
"""

import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import aexp
from aexp.paths import Repo
from aexp.queue.add import add_to_queue

STEPS = 24
KILL, TERM, USR1 = signal.SIGKILL, signal.SIGTERM, signal.SIGUSR1


class Fault:
    """What happens to an attempt after one of its steps."""

    def __init__(self, step: int | None = None, number: int = 0) -> None:
        self.step = step
        self.number = number

    def strike(self, step: int) -> None:
        """Send this process the signal, if this is the step."""
        if step == self.step:
            os.kill(os.getpid(), self.number)


Train = Callable[[Any, Fault], None]


def queue(root: Path, name: str) -> str:
    """Queue a run of E001."""
    statepoint = {"seed": 0, "name": name}
    return str(add_to_queue(experiment_id="E001", statepoint=statepoint, repo_root=root).id)


def attempt(root: Path, job_id: str, train: Train, fault: Fault | None = None) -> int:
    """Execute one attempt in a child process and return its exit code, or minus a signal."""
    sys.stdout.flush()
    child = os.fork()
    if not child:
        code = 1
        try:
            with aexp.run(job_id, repo_root=root) as run:
                train(run, fault or Fault())
            code = 0
        except SystemExit as error:
            code = error.code if isinstance(error.code, int) else 0
        except BaseException:
            import traceback

            traceback.print_exc()
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def facts(root: Path, job_id: str) -> dict[str, Any]:
    """Return a run's status, its last row per step, and what each attempt began with."""
    run = aexp.run(job_id, repo_root=root)
    rows: dict[int, Any] = {}
    text = (run.workspace / "series.jsonl").read_text()
    for row in map(json.loads, text.splitlines()):
        if "loss" in row["metrics"]:
            rows[row["step"]] = row["metrics"]["loss"]
    document = json.loads((run.workspace / "signac_job_document.json").read_text())
    return {
        "status": document["status"],
        "curve": sorted(rows.items()),
        "checkpoints": [
            [item.step, item.manifest.reason, item.manifest.attempt, item.files]
            for item in run.checkpoints()
        ],
        "origins": [each["step"] for each in run.inputs()],
    }


def story(train: Train, faults: list[Fault]) -> None:
    """Train twice in the repository that is the only argument, and print what came of it."""
    import torch._dynamo  # noqa: F401  (else every child imports it, at its first optimizer)

    root = Path(sys.argv[1])
    whole, broken = queue(root, "whole"), queue(root, "broken")
    codes = {"whole": [attempt(root, whole, train)], "broken": []}
    for fault in [*faults, Fault()]:
        codes["broken"].append(attempt(root, broken, train, fault))
        aexp.reconcile(Repo(root))
    told = {"whole": facts(root, whole), "broken": facts(root, broken), "codes": codes}
    print(json.dumps(told))
