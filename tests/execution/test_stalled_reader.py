"""A reader that stops reading holds up nothing but its own view."""

import os
import signal
import time
from typing import Any

import pytest


@pytest.fixture
def stalled(research: Any, wait_until: Any) -> Any:
    """Return a function that executes an endless writer whose output nobody reads."""

    def start(*more: str) -> tuple[str, Any]:
        research.experiment("yes {seed}")
        job_id = research.one("seed=0", *more)
        wrapper = research.start_aexp("run-queued", job_id, env={"AEXP_GRACE_S": "1"})
        log = research.workspace(job_id) / "logs" / "1.log"
        wait_until(lambda: log.exists() and log.stat().st_size > 300_000)
        return job_id, wrapper

    return start


def test_a_signal_ends_it(research: Any, stalled: Any) -> None:
    job_id, wrapper = stalled()
    wrapper.send_signal(signal.SIGTERM)
    assert wrapper.wait(30) == 75
    assert research.status(job_id) == "queued"


def test_the_time_limit_ends_it(research: Any, stalled: Any) -> None:
    job_id, wrapper = stalled("--timeout", "3s")
    assert wrapper.wait(60) == 1
    assert research.doc(job_id)["aexp_run"]["cause"] == "timeout"


def test_a_person_ends_it(research: Any, stalled: Any) -> None:
    job_id, wrapper = stalled()
    research.aexp("queue", "stop", job_id)
    wrapper.wait(30)
    assert research.status(job_id) == "stopped"


def test_a_reader_that_pauses_loses_nothing(research: Any, wait_until: Any) -> None:
    research.experiment("seq 1 {count}")
    job_id = research.one("count=300000")
    wrapper = research.start_aexp("run-queued", job_id)
    log = research.workspace(job_id) / "logs" / "1.log"
    wait_until(lambda: log.exists() and log.stat().st_size > 100_000)
    before = -1
    while log.stat().st_size != before:  # the command waits for the reader
        before = log.stat().st_size
        time.sleep(0.3)
    got = b""
    while piece := os.read(wrapper.stdout.fileno(), 65536):
        got += piece
    assert wrapper.wait(30) == 0
    expected = b"".join(b"%d\n" % number for number in range(1, 300_001))
    assert log.read_bytes() == expected
    assert expected in got
