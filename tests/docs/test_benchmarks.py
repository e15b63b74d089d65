import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.slow
def test_the_quick_benchmarks_run_and_clean_up() -> None:
    build = ROOT / "build" / "bench"
    before = set(build.glob("*"))
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "benchmarks",
            "startup",
            "wrapper",
            "validate",
            "--quick",
            "--no-peer",
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "| run-queued around true" in done.stdout
    assert "| validate, 2,000 entries" in done.stdout
    assert set(build.glob("*")) <= before
