"""Trainings with the real libraries, each in one process that has imported its library."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent


@pytest.fixture
def script(research: Any) -> Callable[..., str]:
    """Execute a script of this folder in the repository and return what it printed."""

    def execute(name: str, *arguments: str, rc: int = 0) -> str:
        environment = {**research.env, "PYTHONPATH": str(HERE), "OMP_NUM_THREADS": "1"}
        environment |= {"HF_HUB_OFFLINE": "1", "HF_HOME": str(research.root.parent / "hf")}
        done = subprocess.run(
            [sys.executable, str(HERE / name), str(research.root), *arguments],
            cwd=research.root,
            env=environment,
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert done.returncode == rc, (done.returncode, done.stdout, done.stderr)
        return done.stdout

    return execute


@pytest.fixture
def story(script: Callable[..., str]) -> Callable[[str], dict[str, Any]]:
    """Train with a library, with and without interruptions (`attempts.story`)."""

    def told(name: str) -> dict[str, Any]:
        return dict(json.loads(script(f"train_{name}.py").splitlines()[-1]))

    return told
