"""Make repositories and stores to measure on: plain files in the format of both programs."""

import hashlib
import json
import os
import subprocess
from pathlib import Path
from typing import Any

EXPERIMENT = """---
id: E001
aliases: [E001]
type: experiment
status: DESIGNED
hypothesis: H001
created: 2026-01-01
completed:
tags: []
runner_command: "true"
conditions: {}
---
# E001 — Nothing, many times
"""
HYPOTHESIS = """---
id: H001
aliases: [H001]
type: hypothesis
status: PROPOSED
created: 2026-01-01
tags: []
---
# H001 — It is quick
"""
_SP = {"experiment_id": "E001", "hypothesis_id": "H001"}
_LINK = {
    "experiment_id": "E001",
    "experiment_path": "kb/research/experiments/E001-*.md",
    "hypothesis_id": "H001",
    "sub_hypothesis_id": None,
}
_STAMP = "2026-01-01T00:00:00Z"


def repository(folder: Path, aexp: str) -> Path:
    """Make a git repository with aexp (ours or the peer) installed and one experiment."""
    folder.mkdir(parents=True)
    _call(folder, "git", "init", "--quiet")
    (folder / "README").write_text("a repository for measuring\n")
    _call(folder, aexp, "install", "--yes")
    for kind, name, text in (
        ("experiments", "E001-nothing.md", EXPERIMENT),
        ("hypotheses", "H001-quick.md", HYPOTHESIS),
    ):
        target = folder / "kb" / "research" / kind
        target.mkdir(parents=True, exist_ok=True)
        (target / name).write_text(text)
    _call(folder, "git", "add", "--all")
    identity = ("-c", "user.name=bench", "-c", "user.email=bench@localhost")
    _call(folder, "git", *identity, "commit", "--quiet", "--message", "start")
    return folder


def state_point(seed: int) -> dict[str, Any]:
    """Return the state point that ``--no-commit --sweep seed=...`` freezes."""
    return {**_SP, "seed": seed}


def job_id(sp: dict[str, Any]) -> str:
    """Return signac's id of a state point."""
    return hashlib.md5(json.dumps(sp, sort_keys=True).encode()).hexdigest()


def queued_document(seed: int) -> dict[str, Any]:
    """Return the document of a run that waits in the queue."""
    return {
        "aexp": _LINK,
        "status": "queued",
        "created_at": _STAMP,
        "queue": {"queued_at": _STAMP, "tag": "bench"},
        "aexp_run": {"sequence": seed},
    }


def ended_document(seed: int) -> dict[str, Any]:
    """Return the document of a complete run, as the peer would have left it."""
    return {
        "aexp": _LINK,
        "status": "complete",
        "created_at": _STAMP,
        "queue": {"queued_at": _STAMP, "tag": "bench"},
        "started_at": _STAMP,
        "ended_at": "2026-01-01T00:10:00Z",
        "wallclock_s": 600.0 + seed,
    }


def fill(repo: Path, count: int, *, ended: bool = False) -> list[str]:
    """Put `count` runs into a repository's store and return their ids, in queue order."""
    workspace = repo / ".runs" / "workspace"
    workspace.mkdir(parents=True, exist_ok=True)
    make = ended_document if ended else queued_document
    ids = []
    for seed in range(count):
        sp = state_point(seed)
        ids.append(job_id(sp))
        folder = os.path.join(workspace, ids[-1])
        os.mkdir(folder)
        for name, content in (
            ("signac_statepoint.json", sp),
            ("signac_job_document.json", make(seed)),
        ):
            with open(os.path.join(folder, name), "w") as file:
                json.dump(content, file)
    return ids


def empty(repo: Path) -> None:
    """Take every run out of a repository's store."""
    import shutil

    shutil.rmtree(repo / ".runs" / "workspace", ignore_errors=True)
    (repo / ".runs" / "workspace").mkdir(parents=True)


def _call(folder: Path, *command: str) -> None:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(command)} failed: {done.stderr or done.stdout}")
