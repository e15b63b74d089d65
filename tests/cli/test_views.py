"""What the reading verbs show: status, list-runs, show-run, logs, new-run."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture
def some(research: Any) -> list[str]:
    """Two complete runs, one failed, one queued, of two experiments."""
    (research.root.parent / "c.sh").write_text(
        """echo '{"acc": 0.'$1'}' > $AEXP_METRICS_PATH; test $1 != 3"""
    )
    research.experiment("sh ../c.sh {seed}")
    research.experiment("true", experiment_id="E002")
    ids = research.add("condition=full,seed=1..3", "--tag", "paper")
    research.aexp("queue", "run", "--continue-on-failure", rc=1)
    other = research.json("queue", "add", "--experiment", "E002", "--sp", "x=1")["runs"][0]
    return [*ids, other["job_id"]]


def test_status_counts(research: Any, some: list[str]) -> None:
    counts = research.json("status")
    assert {k: v for k, v in counts["E001"].items() if v} == {"complete": 2, "failed": 1}
    assert {k: v for k, v in counts["E002"].items() if v} == {"queued": 1}
    lines = research.aexp("status").stdout.splitlines()
    assert lines[0].split() == ["EXPERIMENT", "QUEUED", "COMPLETE", "FAILED", "RUNS"]
    assert lines[-1].split() == ["all", "1", "2", "1", "4"]
    assert list(research.json("status", "--experiment", "E002")) == ["E002"]
    assert list(research.json("status", "--tag", "paper")) == ["E001"]


def test_list_runs_shows_configuration_and_metrics(research: Any, some: list[str]) -> None:
    shown = research.aexp("list-runs", "--experiment", "E001").stdout.splitlines()
    assert "acc" in shown[0]
    newest_first = some[2::-1]
    assert [line.split()[0] for line in shown[1:]] == [job_id[:8] for job_id in newest_first]
    assert "condition=full seed=1" in shown[3]
    assert shown[3].endswith("0.1")
    rows = research.json("list-runs", "--status", "complete")
    assert [row["metrics"] for row in rows] == [{"acc": 0.2}, {"acc": 0.1}]
    assert set(rows[0]) >= {
        "job_id", "short_id", "experiment_id", "hypothesis_id", "status", "batch_slug", "sp",
        "started_at", "ended_at", "wallclock_s", "tag", "cause", "tracker_url", "workspace",
    }  # fmt: skip


def test_list_runs_filters(research: Any, some: list[str]) -> None:
    def ids(*arguments: str) -> list[str]:
        return [row["job_id"] for row in research.json("list-runs", *arguments)]

    assert ids("--sp", "seed=2") == [some[1]]
    assert ids("--status", "failed") == [some[2]]
    assert ids("--tag", "paper", "--limit", "2") == some[2:0:-1]
    assert ids("--hypothesis", "H001", "--experiment", "E002") == [some[3]]
    assert "Invalid value" in research.aexp("list-runs", "--status", "bogus", rc=2).stderr


def test_show_run_tells_what_went_wrong_and_where_to_look(research: Any) -> None:
    job_id = research.one(
        "condition=full,seed=0", "--command", "echo the reason; exit 4", "--retries", "1"
    )
    research.aexp("run-queued", job_id, rc=1)
    shown = research.aexp("show-run", job_id[:8])
    for text in (job_id, "failed", "condition=full", "| the reason", "exited with 4"):
        assert text in shown.stdout
    log = next(line for line in shown.stdout.splitlines() if line.startswith("log "))
    assert (research.root / log.split()[1]).read_text() == "the reason\n"
    assert f"aexp queue retry {job_id[:8]}" in shown.stderr
    details = research.json("show-run", job_id)
    assert details["last_error"]["returncode"] == 4
    assert [a["returncode"] for a in details["attempts"]] == [4, 4]
    assert Path(details["log"]).name == "2.log"


def test_logs(research: Any) -> None:
    job_id = research.one("seed=0", "--command", "echo try $AEXP_ATTEMPT; exit 1", "--retries", "1")
    assert "no log" in research.aexp("logs", job_id, rc=1).stderr
    research.aexp("run-queued", job_id, rc=1)
    assert research.aexp("logs", job_id).stdout == "try 2\n"
    assert research.aexp("logs", job_id, "--attempt", "1").stdout == "try 1\n"
    path = research.aexp("logs", job_id, "--path").stdout.strip()
    assert Path(path).read_text() == "try 2\n"
    assert "attempt 9" in research.aexp("logs", job_id, "--attempt", "9", rc=1).stderr
    assert research.aexp("logs", job_id, "--follow").stdout == "try 2\n"


def test_logs_follow_goes_on_across_attempts(research: Any, wait_until: Any) -> None:
    research.experiment(
        "echo begin $AEXP_ATTEMPT; until test -e go$AEXP_ATTEMPT; do sleep 0.05; done;"
        " echo end $AEXP_ATTEMPT; test $AEXP_ATTEMPT = 2"
    )
    job_id = research.one("seed=0", "--retries", "1")
    follower = research.start_aexp("logs", job_id, "--follow")
    research.start_aexp("run-queued", job_id)
    assert follower.stdout.readline() == b"begin 1\n"
    (research.root / "go1").touch()
    assert follower.stdout.readline() == b"end 1\n"
    assert follower.stdout.readline() == b"begin 2\n"
    (research.root / "go2").touch()
    assert follower.stdout.readline() == b"end 2\n"
    assert follower.wait(timeout=20) == 0


def test_ctrl_c_in_logs_follow(research: Any, wait_until: Any) -> None:
    job_id = research.one("seed=0", "--command", "echo begin; sleep 70")
    research.start_aexp("run-queued", job_id)
    follower = research.start_aexp("logs", job_id, "--follow")
    assert follower.stdout.readline() == b"begin\n"
    follower.send_signal(signal.SIGINT)
    assert follower.wait(timeout=20) == 130
    assert b"Traceback" not in follower.stdout.read()
    assert research.status(job_id) == "running"


def test_new_run(research: Any) -> None:
    done = research.aexp("new-run", "--experiment", "E001", "--sp", "condition=cls,seed=0")
    job_id = done.stdout.split()[1]
    assert done.stdout == f"created {job_id}\n"
    assert research.status(job_id) == "created"
    sp = json.loads((research.workspace(job_id) / "signac_statepoint.json").read_text())
    assert sp["model"] == "small"
    again = research.aexp("new-run", "--experiment", "E001", "--sp", "condition=cls,seed=0")
    assert again.stdout == f"exists already: {job_id}\n"
    bare = research.json(
        "new-run", "--experiment", "E001", "--sp", "condition=cls,seed=0", "--no-resolve",
        "--no-commit",
    )  # fmt: skip
    assert bare["sp"] == {"condition": "cls", "seed": 0}
    assert research.json("queue", "list") == []


def test_a_created_run_is_not_executed_by_accident(research: Any) -> None:
    job_id = research.json("new-run", "--experiment", "E001", "--sp", "seed=0")["job_id"]
    done = research.aexp("run-queued", job_id, rc=1)
    assert "never queued" in done.stderr
    assert "aexp queue add" in done.stderr


def test_a_closed_pipe_is_no_error(research: Any) -> None:
    research.add("condition=full|cls,seed=0..99")
    reader = subprocess.run(
        f"{sys.executable} -P -m aexp queue list --json | head -1; exit ${{PIPESTATUS[0]}}",
        shell=True,
        executable="/bin/bash",
        cwd=research.root,
        env=research.env,
        capture_output=True,
        text=True,
    )
    assert reader.stdout == "[\n"
    assert reader.stderr == ""
    assert reader.returncode == 0


def test_tables_keep_everything_when_they_are_piped(research: Any) -> None:
    research.one(f"note={'x' * 300}", "--command", "true")
    assert "x" * 300 in research.aexp("queue", "list", env={"COLUMNS": "40"}).stdout


def test_a_terminal_gets_colours_and_its_own_width(research: Any) -> None:
    import pty

    research.one(f"note={'x' * 300}", "--command", "true")
    main, second = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "aexp", "queue", "list"],
        cwd=research.root,
        env={**research.env, "COLUMNS": "60", "TERM": "xterm"},
        stdout=second,
        stderr=subprocess.DEVNULL,
    )
    os.close(second)
    shown = b""
    while True:
        try:
            data = os.read(main, 4096)
        except OSError:
            break
        if not data:
            break
        shown += data
    process.wait()
    os.close(main)
    assert b"\x1b[33m" in shown
    text = shown.decode().splitlines()
    assert any(line.rstrip().removesuffix("\x1b[0m").endswith("…") for line in text)


def test_json_goes_to_stdout_and_remarks_to_stderr(research: Any, some: list[str]) -> None:
    (research.workspace(some[3]) / "signac_job_document.json").write_text("{")
    done = research.aexp("list-runs", "--json")
    assert len(json.loads(done.stdout)) == 3
    assert "warning:" in done.stderr
