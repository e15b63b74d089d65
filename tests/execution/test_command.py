"""What a command sees, and what is kept of its end."""

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import pytest

import aexp

SHOW = (
    "import json, os, sys;"
    "print(json.dumps([os.getcwd(), {k: v for k, v in os.environ.items()"
    " if k.startswith(('AEXP_', 'CUDA_', 'WANDB_'))}]))"
)


@pytest.fixture
def show(tmp_path: Path) -> str:
    script = tmp_path / "show.py"
    script.write_text(SHOW.replace(";", "\n"))
    return f"{sys.executable} {script}"


def test_the_environment_and_the_folder_of_a_command(research: Any, show: str) -> None:
    research.experiment(show)
    job_id = research.one("condition=full,seed=0")
    sub = research.root / "deep" / "er"
    sub.mkdir(parents=True)
    cwd, env = json.loads(research.aexp("run-queued", job_id[:8], cwd=sub).stdout)
    assert cwd == str(research.root)
    assert env["AEXP_JOB_ID"] == job_id
    assert env["AEXP_ATTEMPT"] == "1"
    workspace = Path(env["AEXP_JOB_WORKSPACE"])
    assert workspace == research.workspace(job_id)
    statepoint = json.loads(Path(env["AEXP_STATEPOINT_PATH"]).read_text())
    assert statepoint["seed"] == 0
    assert statepoint["model"] == "base"
    assert Path(env["AEXP_METRICS_PATH"]).parent == workspace


def test_a_run_within_a_run_has_nothing_of_it_but_the_end_of_its_time(
    research: Any, show: str
) -> None:
    """Neither its checkpoint nor its tracker's run; sbatch hands on a time that is over."""
    research.experiment(f"{sys.executable} -P -m aexp exec -- {show}")
    outer = research.one("seed=0", "--timeout", "100s")
    other = {"WANDB_RUN_ID": "other", "WANDB_DIR": "there", "WANDB_MODE": "offline"}
    other |= {"AEXP_TRACKER_VARIABLES": "WANDB_DIR WANDB_RUN_ID", "AEXP_RESUME_FROM": "there"}
    other |= {"AEXP_CHECKPOINT_DIR": "there", "AEXP_CLAIM": "x", "AEXP_ENDS_AT": "1.5"}
    other |= {"AEXP_JOB_ID": "0" * 32, "AEXP_JOB_WORKSPACE": "/nowhere"}
    done = research.aexp("run-queued", outer, env=other)
    (_, env) = json.loads(next(line for line in done.stdout.splitlines() if line[0] == "["))
    assert env["AEXP_JOB_ID"] not in (outer, "0" * 32)
    assert Path(env["AEXP_CHECKPOINT_DIR"]).is_relative_to(research.workspace(env["AEXP_JOB_ID"]))
    assert {name: env[name] for name in env if name.startswith("WANDB")} == {
        "WANDB_MODE": "offline"
    }
    assert "AEXP_RESUME_FROM" not in env
    assert 0 < float(env["AEXP_ENDS_AT"]) - time.time() < 100  # of the run around it
    done = research.aexp("exec", "--", *show.split(), env=other)
    (_, env) = json.loads(done.stdout)
    assert not {"AEXP_ENDS_AT", "AEXP_RESUME_FROM", "WANDB_RUN_ID", "WANDB_DIR"} & env.keys()


def test_the_next_attempt_has_the_next_number_and_its_own_log(research: Any) -> None:
    research.experiment("echo attempt $AEXP_ATTEMPT; test $AEXP_ATTEMPT -ge 3")
    job_id = research.one("seed=0", "--retries", "5")
    done = research.aexp("run-queued", job_id)
    assert done.stdout == "attempt 1\nattempt 2\nattempt 3\n"
    logs = research.workspace(job_id) / "logs"
    assert {path.name: path.read_text() for path in logs.iterdir()} == {
        f"{n}.log": f"attempt {n}\n" for n in (1, 2, 3)
    }
    doc = research.doc(job_id)
    assert doc["status"] == "complete"
    assert [(a["attempt"], a["status"], a["returncode"]) for a in doc["aexp_run"]["attempts"]] == [
        (1, "failed", 1),
        (2, "failed", 1),
        (3, "complete", 0),
    ]
    assert "last_error" not in doc["queue"]


def test_retries_that_do_not_suffice(research: Any) -> None:
    research.experiment("echo no $AEXP_ATTEMPT; exit 7")
    job_id = research.one("seed=0", "--retries", "1")
    research.aexp("run-queued", job_id, rc=1)
    doc = research.doc(job_id)
    assert doc["status"] == "failed"
    assert len(doc["aexp_run"]["attempts"]) == 2
    error = doc["queue"]["last_error"]
    assert (error["returncode"], error["stderr_tail"]) == (7, "no 2\n")
    assert research.entry(job_id)["returncode"] == 7


def test_exit_codes(research: Any) -> None:
    good = research.one("seed=0", "--command", "true")
    bad = research.one("seed=1", "--command", "exit 9")
    engine = research.one("seed=2", "--command", "exit 9")
    child = research.one("seed=3", "--command", "true", "--after", engine)
    waiting = research.one("seed=4", "--after", research.one("seed=5"))
    assert "waits for its parent" in research.aexp("run-queued", waiting, rc=75).stderr
    research.aexp("run-queued", good)
    research.aexp("run-queued", bad, rc=1)
    research.aexp("run-queued", engine, "--engine")
    assert research.status(engine) == "failed"
    research.aexp("run-queued", child, "--engine")
    assert research.status(child) == "abandoned"
    assert research.entry(child)["cause"] == "parent_failed"


@pytest.mark.parametrize("status", ["complete", "failed"])
def test_an_ended_run_is_skipped_with_exit_0(research: Any, status: str) -> None:
    job_id = research.one("seed=0", "--command", "exit 0" if status == "complete" else "exit 3")
    research.aexp("run-queued", job_id, rc=None)
    before = research.doc(job_id)
    for extra in ((), ("--engine",)):
        done = research.aexp("run-queued", job_id, *extra)
        assert f"already {status}" in done.stderr
        assert done.stdout == ""
    assert research.doc(job_id) == before


def test_force_runs_an_ended_run_again_and_keeps_the_first_attempt(research: Any) -> None:
    research.experiment("echo $AEXP_ATTEMPT; test -e fixed")
    job_id = research.one("seed=0")
    research.aexp("run-queued", job_id, rc=1)
    (research.root / "fixed").touch()
    assert research.aexp("run-queued", job_id, "--force").stdout == "2\n"
    attempts = research.doc(job_id)["aexp_run"]["attempts"]
    assert [attempt["status"] for attempt in attempts] == ["failed", "complete"]
    assert research.entry(job_id)["status"] == "complete"


def test_a_run_with_a_failed_parent_is_abandoned_with_exit_1(research: Any) -> None:
    parent = research.one("seed=0", "--command", "exit 2")
    child = research.one("seed=1", "--after", parent)
    research.aexp("run-queued", parent, rc=1)
    done = research.aexp("run-queued", child, rc=1)
    assert f"parent {parent[:8]} is failed" in done.stderr
    assert research.status(child) == "abandoned"


def test_the_time_limit_ends_the_whole_group_and_is_a_result(
    research: Any, wait_until: Any
) -> None:
    research.experiment("sleep 61 & echo $! > child; sleep 61")
    job_id = research.one("seed=0", "--timeout", "1")
    done = research.aexp("run-queued", job_id, rc=1)
    assert "time limit" in done.stderr
    doc = research.doc(job_id)
    assert (doc["status"], doc["aexp_run"]["cause"]) == ("failed", "timeout")
    assert doc["queue"]["last_error"]["cause"] == "timeout"
    child = (research.root / "child").read_text().strip()
    wait_until(lambda: not alive(child), timeout=5)
    assert research.entry(job_id)["cause"] == "timeout"


def test_a_command_that_ignores_term_at_its_time_limit_is_killed(research: Any) -> None:
    research.experiment("trap '' TERM; while :; do sleep 0.2; done")
    job_id = research.one("seed=0", "--timeout", "1")
    research.aexp("run-queued", job_id, rc=1, env={"AEXP_GRACE_S": "1"})
    assert research.entry(job_id)["cause"] == "timeout"
    assert 1.8 < research.doc(job_id)["wallclock_s"] < 15


def alive(pid: str) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state not in "ZX"


@pytest.mark.parametrize(("name", "number"), [("SEGV", 11), ("ABRT", 6)])
def test_a_crash_signal_is_a_result(research: Any, name: str, number: int) -> None:
    research.experiment(f"ulimit -c 0; kill -{name} $$")
    job_id = research.one("seed=0")
    done = research.aexp("run-queued", job_id, rc=1)
    assert f"SIG{name}" in done.stderr
    attempt = research.doc(job_id)["aexp_run"]["attempts"][0]
    assert (attempt["status"], attempt["returncode"]) == ("failed", -number)


def test_a_command_killed_from_outside_is_a_fault_until_the_cap(research: Any) -> None:
    research.experiment("kill -KILL $$")
    job_id = research.one("seed=0")
    for faults in (1, 2):
        done = research.aexp("run-queued", job_id, rc=75)
        assert "SIGKILL" in done.stderr
        doc = research.doc(job_id)
        assert (doc["status"], doc["aexp_run"]["faults"]) == ("queued", faults)
        assert not (research.workspace(job_id) / "terminal.json").exists()
        assert not (research.root / ".aexp" / "ledger" / f"{job_id}.json").exists()
    research.aexp("run-queued", job_id, rc=1)
    entry = research.entry(job_id)
    assert (entry["status"], entry["cause"]) == ("failed", "oom")
    assert [attempt["cause"] for attempt in entry["attempts"]] == ["oom"] * 3


def test_faults_and_failures_are_counted_apart(research: Any) -> None:
    research.experiment("test $AEXP_ATTEMPT = 1 && kill -KILL $$; test $AEXP_ATTEMPT = 3")
    job_id = research.one("seed=0", "--retries", "1")
    research.aexp("run-queued", job_id, rc=75)
    research.aexp("run-queued", job_id)
    record = research.doc(job_id)["aexp_run"]
    assert (record["faults"], record["failures"], len(record["attempts"])) == (1, 1, 3)


def test_the_prelude_runs_first_in_the_same_shell_and_must_succeed(research: Any) -> None:
    prelude = "prelude: |\n  export GREETING=hello\n  shopt -s nullglob\n"
    research.experiment("echo $GREETING *.nothing {seed}; false; echo still here", prelude)
    assert research.aexp("run-queued", research.one("seed=0")).stdout == "hello 0\nstill here\n"
    research.experiment("echo never", "prelude: |\n  echo before\n  false\n  echo after\n")
    # A prelude that fails is a fault of the machine, not a result of the run.
    job_id = research.one("seed=1")
    done = research.aexp("run-queued", job_id, rc=75)
    assert done.stdout == "before\n"
    assert research.doc(job_id)["aexp_run"]["attempts"][-1]["cause"] == "prelude"
    assert research.status(job_id) == "queued"


def test_a_command_of_the_runs_own(research: Any) -> None:
    job_id = research.one("condition=cls,seed=4", "--command", "echo own {seed} {model}")
    assert research.aexp("run-queued", job_id).stdout == "own 4 small\n"
    with_api = aexp.add_to_queue(
        experiment_id="E001",
        statepoint={"seed": 5},
        runner_command_override="echo api {seed}",
        repo_root=research.root,
    )
    assert research.aexp("run-queued", with_api.id).stdout == "api 5\n"


def test_the_template_is_read_when_the_run_starts(research: Any) -> None:
    job_id = research.one("condition=full,seed=0")
    research.experiment("echo new {seed}")
    assert research.aexp("run-queued", job_id).stdout == "new 0\n"
    assert research.json("show-run", job_id)["attempts"][0]["command"] == "echo new 0"


def test_without_any_command(research: Any) -> None:
    path = research.experiment("x")
    path.write_text('---\nid: "E001"\ntype: experiment\n---\n')
    research.aexp("queue", "add", "--experiment", "E001", "--sp", "seed=0")
    (entry,) = research.json("queue", "list")
    done = research.aexp("run-queued", entry["job_id"], rc=2)
    assert "no runner_command" in done.stderr
    assert "--command" in done.stderr
    assert research.status(entry["job_id"]) == "queued"
    assert not (research.workspace(entry["job_id"]) / "claim").exists()
    with pytest.raises(aexp.RunnerCommandMissing):
        aexp.run_queued(entry["job_id"], repo_root=research.root)


def test_a_command_that_does_not_exist_is_a_failure_with_the_shells_words(research: Any) -> None:
    job_id = research.one("seed=0", "--command", "no-such-program-here --x")
    research.aexp("run-queued", job_id, rc=1)
    error = research.doc(job_id)["queue"]["last_error"]
    assert error["returncode"] == 127
    assert "no-such-program-here" in error["stderr_tail"]


def test_dry_run_prints_the_command_and_nothing_else(research: Any) -> None:
    job_id = research.one("condition=full,seed=0")
    done = research.aexp("run-queued", job_id, "--dry-run")
    assert done.stdout == "echo full 0\n"
    assert research.status(job_id) == "queued"


# --- metrics and measurements --------------------------------------------------------------


def metrics(research: Any, text: str, rc: int = 0) -> tuple[Any, str]:
    (research.root.parent / "metrics").write_text(text)
    research.experiment(f"cat ../metrics > $AEXP_METRICS_PATH; exit {rc}")
    job_id = research.one("seed=0", "--no-commit")
    done = research.aexp("run-queued", job_id, rc=rc)
    return research.entry(job_id).get("metrics"), done.stderr


def test_metrics_go_into_the_ledger(research: Any) -> None:
    found, _ = metrics(
        research,
        '{"acc": 0.5, "loss": NaN, "best": {"epoch": 3, "up": Infinity}, "ok": true, "s": "text"}',
    )
    assert found == {
        "acc": 0.5,
        "loss": "NaN",
        "best.epoch": 3,
        "best.up": "Infinity",
        "ok": True,
    }


def test_metrics_of_a_failed_run_are_kept(research: Any) -> None:
    assert metrics(research, '{"acc": 0.1}', rc=1)[0] == {"acc": 0.1}


@pytest.mark.parametrize("text", ["{", "[1]", '"x"', "\x00"])
def test_an_invalid_metrics_file_is_told_and_does_not_fail_the_run(
    research: Any, text: str
) -> None:
    found, stderr = metrics(research, text)
    assert found is None
    assert "metrics.json" in stderr


def test_an_empty_metrics_file_is_nothing(research: Any) -> None:
    found, stderr = metrics(research, "")
    assert (found, stderr) == (None, "")


def test_metrics_of_an_earlier_attempt_do_not_leak_into_the_next(research: Any) -> None:
    research.experiment(
        """test $AEXP_ATTEMPT = 2 || { echo '{"a": 1}' > $AEXP_METRICS_PATH; exit 1; }"""
    )
    job_id = research.one("seed=0", "--retries", "1")
    research.aexp("run-queued", job_id)
    assert not (research.workspace(job_id) / "metrics.json").exists()
    assert research.entry(job_id).get("metrics") is None


def test_summary_metrics_that_the_command_wrote_through_signac(
    research: Any, tmp_path: Path
) -> None:
    script = tmp_path / "train.py"
    script.write_text(
        "import os, aexp\n"
        "job = aexp.open_run(os.environ['AEXP_JOB_ID'])\n"
        "job.doc['summary_metrics'] = {'acc': 0.75, 'n': 3}\n"
    )
    research.experiment(f"{sys.executable} {script}")
    job_id = research.one("seed=0")
    research.aexp("run-queued", job_id)
    assert research.entry(job_id)["metrics"] == {"acc": 0.75, "n": 3}
    (row,) = research.json("list-runs")
    assert row["metrics"] == {"acc": 0.75, "n": 3}


def test_peak_memory_cpu_and_time_are_recorded(research: Any, tmp_path: Path) -> None:
    script = tmp_path / "burn.py"
    script.write_text(
        "import time\nx = bytearray(120_000_000)\n"
        "end = time.process_time() + 0.3\nwhile time.process_time() < end: pass\n"
    )
    job_id = research.one("seed=0", "--command", f"{sys.executable} {script}")
    research.aexp("run-queued", job_id)
    (attempt,) = research.entry(job_id)["attempts"]
    assert 115 < attempt["max_rss_mb"] < 300
    assert 0.3 <= attempt["cpu_s"] < 10
    assert attempt["wallclock_s"] >= 0.3
    assert research.entry(job_id)["wallclock_s"] == attempt["wallclock_s"]
    assert attempt["host"] == os.uname().nodename.split(".")[0]
