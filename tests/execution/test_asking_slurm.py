"""Asking Slurm why a job ends, while Slurm ends everything in it."""

import os
import stat
from pathlib import Path

import pytest

from aexp import slurm


def program(folder: Path, name: str, script: str) -> None:
    path = folder / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)


@pytest.mark.parametrize("number", ["TERM", "HUP"])
def test_the_end_of_the_job_does_not_end_the_question(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: str
) -> None:
    """Slurm sends its signal several times, to every process of the job."""
    answer = "JobId=7 JobState=COMPLETING Reason=TimeLimit Restarts=0"
    program(tmp_path, "scontrol", f"kill -{number} $$; echo {answer}")
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    assert slurm.end_cause("7", 0) == ("timeout", False)


def test_no_slurm_is_no_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert slurm.ask("scontrol", "ping") is None
    assert slurm.end_cause("7", 0) == (None, False)
