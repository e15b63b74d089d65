"""What aexp understands of what Slurm says about its jobs."""

import signal
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from aexp import slurm as aexp_slurm
from aexp.execution.outcome import classify
from aexp.execution.process import Finished


def test_what_slurm_says_about_its_jobs(
    slurm: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def submit(wrap: str, *options: str) -> str:
        return slurm.sbatch("-o", str(tmp_path / "%j"), "-t", "5", *options, wrap=wrap)

    running, over, later = (
        submit("sleep 300"),
        submit("true"),
        submit("sleep 300", "--begin=now+1hour"),
    )
    failed, gone = submit("exit 3"), submit("sleep 300")
    requeued, lost = submit("sleep 300"), submit("sleep 300", "-w", "n4", "--no-requeue")
    array = submit("sleep 300", "--array=0-1")
    memory = submit(
        f"{sys.executable} -c 'x = b\"x\" * 400000000; import time; time.sleep(9)'", "--mem=50"
    )
    slurm.wait_until(lambda: slurm.state(f"{array}_1") == "RUNNING")
    slurm.wait_until(lambda: {slurm.state(j) for j in (over, failed)} == {"COMPLETED", "FAILED"})
    slurm.run(["scancel", gone])
    slurm.run(["scontrol", "requeue", requeued])
    slurm.kill_node(4, noticed=True)
    slurm.wait_until(lambda: slurm.state(lost) == "NODE_FAIL")
    slurm.wait_until(lambda: slurm.state(gone) == "CANCELLED")
    slurm.wait_until(lambda: slurm.state(memory) not in ("RUNNING", "COMPLETING", "PENDING"))
    slurm.start_node(4)

    monkeypatch.setenv("SLURM_TIME_FORMAT", "relative")  # of a person who likes to read it so
    until = aexp_slurm.running_until(running)
    assert until is not None
    assert 0 < until - time.time() <= 300

    # A signal ahead of the limit gives no right to another attempt; one of a person does.
    monkeypatch.setenv("SLURM_JOB_ID", running)
    for number, earned in ((signal.SIGTERM, False), (signal.SIGINT, True)):
        assert classify(Finished(75, number, False, "", {}), None).earned is earned
    assert classify(Finished(75, signal.SIGTERM, False, "", {}), None, advanced=True).earned
    assert not aexp_slurm.nears_limit(running, 60)
    assert not aexp_slurm.nears_limit(gone, 3600)
    monkeypatch.delenv("SLURM_JOB_ID")

    form = "squeue -h -r -t all -O JobArrayID:20,JobID:20"
    raw = dict(line.split() for line in slurm.run(form).stdout.splitlines())
    states = aexp_slurm.JobStates()
    for job, restart, expected in [
        (running, 0, "alive"),
        (raw[f"{array}_0"], 0, "alive"),
        (raw[f"{array}_1"], 0, "alive"),
        (over, 0, "dead"),
        (failed, 0, "dead"),
        (later, 0, "dead"),  # it does not run, so no owner of it does
        (gone, 0, "dead"),
        (lost, 0, "dead"),
        (requeued, 0, "dead"),
        ("999999", 0, "dead"),
        ("x; reboot", 0, "unknown"),
    ]:
        assert states.of(job, restart)[0] == expected, (job, states.of(job, restart))

    assert states.of(running, 0, "lab")[0] == "alive"
    assert states.of(running, 0, "another") == (
        "unknown",
        f"Slurm job {running} belongs to cluster another",
    )
    assert aexp_slurm.end_cause(gone, 0) == (None, True)
    assert aexp_slurm.end_cause(lost, 0) == ("node_fail", False)
    assert aexp_slurm.end_cause(requeued, 0) == ("requeued", True)
    assert aexp_slurm.end_cause(memory, 0) == ("oom", False)
    assert aexp_slurm.end_cause(failed, 0) == (None, False)
    assert aexp_slurm.end_cause("999999", 0) == (None, False)

    asked = []
    ask = aexp_slurm.ask
    monkeypatch.setattr(
        aexp_slurm, "ask", lambda *words, **more: asked.append(words) or ask(*words, **more)
    )
    slurm.kill_controller()
    try:
        states = aexp_slurm.JobStates()
        for job in (running, over, "999999"):
            assert states.of(job, 0)[0] == "unknown"
        assert len(asked) == 1  # a question costs ten seconds now: not one for each run
        assert states.of(running, 0, "lab") == (
            "unknown",
            "Slurm does not say which cluster this is",
        )
        assert aexp_slurm.end_cause(gone, 0) == (None, False)
        assert aexp_slurm.pending_jobs("x") == []
    finally:
        slurm.start_controller()
