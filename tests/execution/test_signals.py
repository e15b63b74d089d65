"""What Ctrl-C, SIGTERM and SIGHUP do to a run: it goes back to the queue, nothing is counted."""

import os
import re
import signal
from pathlib import Path
from typing import Any

import pytest

# A command with a child of its own that writes down who it is.
GROUP = "sleep 63 & echo $$ $! > pids; wait"


def alive(pid: str | int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state not in "ZX"


def started(research: Any, wait_until: Any, job_id: str) -> list[str]:
    """Wait until the command has written its pids, and its process is recorded."""
    path = research.root / "pids"
    wait_until(lambda: path.exists() and path.read_text().strip())
    wait_until(lambda: "proc" in research.doc(job_id)["queue"])
    return path.read_text().split()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_an_interrupted_run_goes_back_to_the_queue(
    research: Any, wait_until: Any, number: signal.Signals
) -> None:
    research.experiment(GROUP)
    job_id = research.one("seed=0", "--retries", "2")
    wrapper = research.start_aexp("run-queued", job_id)
    pids = started(research, wait_until, job_id)
    wrapper.send_signal(number)
    assert wrapper.wait(timeout=20) == 75
    assert not any(alive(pid) for pid in pids)
    doc = research.doc(job_id)
    assert doc["status"] == "queued"
    assert "proc" not in doc["queue"]
    assert "last_error" not in doc["queue"]
    (attempt,) = doc["aexp_run"]["attempts"]
    assert (attempt["attempt"], attempt["status"], attempt["cause"]) == (1, "queued", "interrupted")
    assert attempt["ended_at"]
    assert not {"faults", "failures"} & set(doc["aexp_run"])
    assert not (research.workspace(job_id) / "claim").exists()
    assert not (research.workspace(job_id) / "terminal.json").exists()
    research.experiment("echo attempt $AEXP_ATTEMPT")
    assert research.aexp("run-queued", job_id).stdout == "attempt 2\n"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_command_hears_the_same_signal_and_can_save_its_work(
    research: Any, wait_until: Any, number: signal.Signals
) -> None:
    name = number.name.removeprefix("SIG")
    research.experiment(
        f"trap 'echo saved > checkpoint; exit 0' {name}; touch pids; echo $$ > pids;"
        " while :; do sleep 0.1; done"
    )
    job_id = research.one("seed=0")
    wrapper = research.start_aexp("run-queued", job_id)
    started(research, wait_until, job_id)
    wrapper.send_signal(number)
    assert wrapper.wait(timeout=20) == 75
    assert (research.root / "checkpoint").read_text() == "saved\n"
    assert research.status(job_id) == "queued"


def test_a_command_that_ignores_the_signal_is_killed_after_the_grace_time(
    research: Any, wait_until: Any
) -> None:
    research.experiment("trap '' TERM INT; echo $$ > pids; while :; do sleep 0.1; done")
    job_id = research.one("seed=0")
    wrapper = research.start_aexp("run-queued", job_id, env={"AEXP_GRACE_S": "1"})
    (pid,) = started(research, wait_until, job_id)
    wrapper.send_signal(signal.SIGTERM)
    assert wrapper.wait(timeout=20) == 75
    assert not alive(pid)
    assert research.status(job_id) == "queued"
    assert "faults" not in research.doc(job_id)["aexp_run"]


def test_signals_that_come_together_are_one_wish(research: Any, wait_until: Any) -> None:
    """The end of a login session is SIGTERM and SIGHUP at once: there is time to save."""
    research.experiment(
        "trap 'sleep 0.4; echo saved > checkpoint; exit 0' TERM HUP; echo $$ > pids;"
        " while :; do sleep 0.1; done"
    )
    job_id = research.one("seed=0")
    wrapper = research.start_aexp("run-queued", job_id)
    started(research, wait_until, job_id)
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGTERM):
        wrapper.send_signal(number)
    assert wrapper.wait(timeout=20) == 75
    assert (research.root / "checkpoint").read_text() == "saved\n"


def test_a_second_ctrl_c_kills_at_once(research: Any, wait_until: Any) -> None:
    research.experiment("trap '' INT; echo $$ > pids; while :; do sleep 0.1; done")
    job_id = research.one("seed=0")
    wrapper = research.start_aexp("run-queued", job_id, env={"AEXP_GRACE_S": "300"})
    (pid,) = started(research, wait_until, job_id)
    wrapper.send_signal(signal.SIGINT)
    wait_until(lambda: research.doc(job_id)["aexp_run"]["attempts"][0].get("interrupted"))
    assert alive(pid)
    wrapper.send_signal(signal.SIGINT)
    assert wrapper.wait(timeout=20) == 75
    assert not alive(pid)
    assert research.status(job_id) == "queued"


def test_a_wrapper_killed_while_interrupting_counts_nothing(research: Any, wait_until: Any) -> None:
    research.experiment("trap '' TERM; echo $$ > pids; while :; do sleep 0.1; done")
    job_id = research.one("seed=0")
    wrapper = research.start_aexp("run-queued", job_id, env={"AEXP_GRACE_S": "300"})
    (pid,) = started(research, wait_until, job_id)
    wrapper.send_signal(signal.SIGTERM)
    wait_until(lambda: research.doc(job_id)["aexp_run"]["attempts"][0].get("interrupted"))
    wrapper.kill()
    wrapper.wait()
    research.aexp("reconcile")
    wait_until(lambda: not alive(pid), timeout=5)
    doc = research.doc(job_id)
    assert doc["status"] == "queued"
    assert doc["aexp_run"]["attempts"][0]["cause"] == "interrupted"
    assert "faults" not in doc["aexp_run"]


def test_a_command_that_is_sent_term_by_somebody_else_is_not_tried_for_ever(
    research: Any, wait_until: Any
) -> None:
    research.experiment("kill -TERM $$")
    job_id = research.one("seed=0")
    for _ in range(2):
        research.aexp("run-queued", job_id, rc=75)
        assert research.status(job_id) == "queued"
    research.aexp("run-queued", job_id, rc=1)
    assert research.status(job_id) == "failed"
    assert research.entry(job_id)["cause"] == "interrupted"


def test_user_signals_are_passed_to_the_command(research: Any, wait_until: Any) -> None:
    research.experiment(
        "trap 'echo heard; exit 0' USR1; echo $$ > pids; while :; do sleep 0.1; done"
    )
    job_id = research.one("seed=0")
    wrapper = research.start_aexp("run-queued", job_id)
    started(research, wait_until, job_id)
    wrapper.send_signal(signal.SIGUSR1)
    assert wrapper.wait(timeout=20) == 0
    assert (research.workspace(job_id) / "logs" / "1.log").read_text().endswith("heard\n")


def test_nohup_survives_a_closed_terminal(research: Any, wait_until: Any) -> None:
    research.experiment("echo $$ > pids; sleep 1.5; echo through")
    job_id = research.one("seed=0")
    import sys

    wrapper = research.start("nohup", sys.executable, "-P", "-m", "aexp", "run-queued", job_id)
    started(research, wait_until, job_id)
    wrapper.send_signal(signal.SIGHUP)
    assert wrapper.wait(timeout=20) == 0
    assert research.status(job_id) == "complete"


def test_ctrl_c_ends_the_whole_queue_run(research: Any, wait_until: Any) -> None:
    research.experiment(GROUP)
    first, second = research.add("seed=0..1")
    driver = research.start_aexp("queue", "run", "--continue-on-failure")
    pids = started(research, wait_until, first)
    driver.send_signal(signal.SIGINT)
    assert driver.wait(timeout=20) == 75
    assert not any(alive(pid) for pid in pids)
    assert [research.status(job_id) for job_id in (first, second)] == ["queued", "queued"]
    assert research.doc(second)["aexp_run"].get("attempts") is None


def test_term_while_waiting_for_somebody_elses_run(research: Any, wait_until: Any) -> None:
    research.experiment(GROUP)
    job_id = research.one("seed=0")
    owner = research.start_aexp("run-queued", job_id)
    started(research, wait_until, job_id)
    waiter = research.start_aexp("run-queued", job_id)
    line = b""
    while not line.endswith(b"\n"):
        line += os.read(waiter.stdout.fileno(), 1)
    assert re.search(rb"waiting, .* elsewhere", line)
    waiter.send_signal(signal.SIGTERM)
    assert waiter.wait(timeout=20) == 75
    assert research.status(job_id) == "running"
    assert owner.poll() is None


def test_a_terminals_ctrl_c_reaches_wrapper_only_once(research: Any, wait_until: Any) -> None:
    """A terminal signals the whole foreground group; the command has a group of its own."""
    research.experiment("trap 'echo int >> ints' INT; echo $$ > pids; sleep 63 & wait; wait")
    job_id = research.one("seed=0")
    wrapper = research.start_aexp("run-queued", job_id, env={"AEXP_GRACE_S": "1"})
    (pid,) = started(research, wait_until, job_id)
    assert os.getpgid(int(pid)) == int(pid) != os.getpgid(wrapper.pid)
    os.killpg(wrapper.pid, signal.SIGINT)
    assert wrapper.wait(timeout=20) == 75
    assert (research.root / "ints").read_text() == "int\n"
