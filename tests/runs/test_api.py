"""The Python API over runs: create, open, find, summarize, mark, run a block as a run."""

import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
import signac

import aexp
from aexp.errors import AexpError, ParameterError, UsageError


def script(research: Any, code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        cwd=research.root,
        env=research.env,
        capture_output=True,
        text=True,
        timeout=120,
    )


# --- create, open, find --------------------------------------------------------------------


def test_a_created_run_is_an_ordinary_signac_job(research: Any) -> None:
    job = aexp.create_run(
        experiment_id="E001",
        statepoint={"condition": "full", "seed": 3},
        init_doc={"mine": [1, 2]},
        repo_root=research.root,
    )
    project = signac.get_project(research.root / ".runs")
    assert {other.id for other in project} == {job.id}
    assert project.open_job(job.statepoint()).id == job.id
    assert job.sp.model == "base"
    assert job.doc["status"] == "created"
    assert job.doc["mine"] == [1, 2]
    assert job.doc["aexp"]["experiment_id"] == "E001"


def test_creating_it_twice_is_the_same_run_untouched(research: Any) -> None:
    job = aexp.create_run(experiment_id="E001", statepoint={"s": 1}, repo_root=research.root)
    job.doc["mine"] = 1
    again = aexp.create_run(experiment_id="E001", statepoint={"s": 1}, repo_root=research.root)
    assert (again.id, again.doc["mine"]) == (job.id, 1)


def test_open_by_id_and_prefix(research: Any) -> None:
    ids = research.add("seed=0..5")
    assert aexp.open_run(ids[0], research.root).id == ids[0]
    assert aexp.open_run(ids[0][:12].upper(), research.root).id == ids[0]


@pytest.mark.parametrize("text", ["", "zz", "../../etc", "a" * 33, "a.b"])
def test_open_what_is_no_id(research: Any, text: str) -> None:
    with pytest.raises(UsageError):
        aexp.open_run(text, research.root)


def test_open_an_unknown_and_an_ambiguous_id(research: Any) -> None:
    ids = research.add("seed=0..39")
    with pytest.raises(aexp.RunNotFound):
        aexp.open_run("f" * 32, research.root)
    first = next(i for i in ids if sum(other[0] == i[0] for other in ids) > 1)
    with pytest.raises(aexp.RunNotFound, match="runs begin with"):
        aexp.open_run(first[0], research.root)


def test_find_runs(research: Any) -> None:
    research.experiment("true", experiment_id="E002")
    ids = research.add("condition=full|cls,seed=0..1")
    aexp.add_to_queue(
        experiment_id="E002", statepoint={"x": 1.5}, hypothesis_id="H002", repo_root=research.root
    )
    research.aexp("run-queued", ids[3])

    def found(**filters: Any) -> list[str]:
        return [job.id for job in aexp.find_runs(repo_root=research.root, **filters)]

    assert found(experiment_id="E001") == ids
    assert found(status="complete") == [ids[3]]
    assert found(status="queued", condition="cls") == [ids[2]]
    assert found(seed=1) == [ids[1], ids[3]]
    assert len(found(hypothesis_id="H002")) == 1
    assert len(found(x=1.5)) == 1
    assert found(x=2) == []
    with pytest.raises(UsageError):
        found(status="done")


def test_summaries(research: Any) -> None:
    job_id = research.one("condition=full,seed=0")
    summary = aexp.summarize_run(aexp.open_run(job_id, research.root))
    assert summary.job_id == job_id
    assert summary.batch_slug == "H001/E001/full"
    assert (summary.status, summary.started_at, summary.ended_at) == ("queued", None, None)
    research.aexp("run-queued", job_id)
    summary = aexp.summarize_run(aexp.open_run(job_id, research.root))
    assert summary.status == "complete"
    assert summary.started_at <= summary.ended_at


def test_an_experiment_that_does_not_exist(research: Any) -> None:
    for call in (aexp.create_run, aexp.add_to_queue):
        with pytest.raises(AexpError, match="E999"):
            call(experiment_id="E999", statepoint={}, repo_root=research.root)
        with pytest.raises(UsageError, match="'E1'"):
            call(experiment_id="E1", statepoint={}, repo_root=research.root)
    assert list((research.root / ".runs" / "workspace").iterdir()) == []


@pytest.mark.parametrize("value", [float("nan"), float("inf"), {1, 2}, object(), {"a.b": 1}])
def test_values_that_cannot_be_a_state_point(research: Any, value: Any) -> None:
    with pytest.raises(ParameterError):
        aexp.create_run(experiment_id="E001", statepoint={"x": value}, repo_root=research.root)
    assert list((research.root / ".runs" / "workspace").iterdir()) == []


# --- statuses ------------------------------------------------------------------------------

TERMINAL = ("complete", "failed", "abandoned", "stopped")


@pytest.mark.parametrize("status", TERMINAL)
def test_a_recorded_end_is_never_overwritten(research: Any, status: str) -> None:
    job = aexp.open_run(research.one("seed=0"), research.root)
    aexp.mark_status(job, status)
    before = research.doc(job.id)
    for other in ("created", "queued", "running", *TERMINAL):
        if other == status:
            assert aexp.mark_status(job, other) == status
        else:
            with pytest.raises(aexp.StatusError, match=f"is {status} and cannot become"):
                aexp.mark_status(job, other)
    assert research.doc(job.id) == before


def test_an_unknown_status_is_refused(research: Any) -> None:
    job = aexp.open_run(research.one("seed=0"), research.root)
    with pytest.raises(UsageError, match="finished"):
        aexp.mark_status(job, "finished")
    assert research.status(job.id) == "queued"


def test_marking_sets_the_time_unless_told_not_to(research: Any) -> None:
    first, second = (aexp.open_run(i, research.root) for i in research.add("seed=0..1"))
    aexp.mark_status(first, "complete")
    assert research.doc(first.id)["ended_at"]
    aexp.mark_status(second, "complete", set_ended_at=False)
    assert "ended_at" not in research.doc(second.id)


# --- a block of Python as a run ------------------------------------------------------------


def test_a_block_that_ends_well(research: Any) -> None:
    job = aexp.create_run(experiment_id="E001", statepoint={"s": 1}, repo_root=research.root)
    with aexp.run_lifecycle(job):
        assert research.status(job.id) == "running"
        assert (research.workspace(job.id) / "claim").exists()
        assert research.doc(job.id)["heartbeat_at"]
        job.doc["summary_metrics"] = {"acc": 0.5}
    doc = research.doc(job.id)
    assert doc["status"] == "complete"
    assert doc["started_at"] <= doc["ended_at"]
    assert doc["wallclock_s"] >= 0
    assert research.entry(job.id)["metrics"] == {"acc": 0.5}
    assert (research.workspace(job.id) / "terminal.json").exists()
    assert not (research.workspace(job.id) / "claim").exists()


def test_a_block_that_raises(research: Any) -> None:
    job = aexp.create_run(experiment_id="E001", statepoint={"s": 1}, repo_root=research.root)
    with pytest.raises(ZeroDivisionError), aexp.run_lifecycle(job):
        1 / 0  # noqa: B018
    doc = research.doc(job.id)
    assert doc["status"] == "failed"
    assert "ZeroDivisionError" in doc["queue"]["last_error"]["stderr_tail"]
    assert "ZeroDivisionError" in research.aexp("show-run", job.id).stdout
    assert research.entry(job.id)["status"] == "failed"
    assert "ZeroDivisionError" not in json.dumps(research.entry(job.id))


@pytest.mark.parametrize("queued", [True, False])
@pytest.mark.parametrize("error", ["KeyboardInterrupt", "SystemExit"])
def test_ctrl_c_and_exit_decide_nothing(research: Any, queued: bool, error: str) -> None:
    job_id = research.one("seed=0")
    if not queued:
        job_id = research.json("new-run", "--experiment", "E001", "--sp", "seed=5")["job_id"]
    code = f"import aexp, sys\nwith aexp.run_lifecycle(aexp.open_run(sys.argv[1])): raise {error}"
    script(research, code, job_id)
    doc = research.doc(job_id)
    assert doc["status"] == ("queued" if queued else "created")
    assert doc["aexp_run"]["attempts"][0]["cause"] == "interrupted"
    assert not (research.workspace(job_id) / "terminal.json").exists()
    assert not (research.workspace(job_id) / "claim").exists()


def test_the_heartbeat_of_a_block(research: Any, wait_until: Any) -> None:
    job = aexp.create_run(experiment_id="E001", statepoint={"s": 1}, repo_root=research.root)
    beats = research.workspace(job.id) / "heartbeat"
    before = threading.active_count()
    with aexp.run_lifecycle(job, heartbeat_s=0.05):
        wait_until(beats.exists)
        first = beats.stat().st_mtime_ns
        wait_until(lambda: beats.stat().st_mtime_ns > first)
    assert threading.active_count() == before
    assert not beats.exists()


def test_an_ended_run_is_not_executed_again(research: Any) -> None:
    job = aexp.open_run(research.one("seed=0"), research.root)
    aexp.mark_status(job, "complete")
    with pytest.raises(aexp.StatusError, match="already complete"), aexp.run_lifecycle(job):
        pytest.fail("the block must not run")


def test_a_block_inside_run_queued_leaves_the_status_to_the_wrapper(
    research: Any, tmp_path: Path
) -> None:
    train = tmp_path / "train.py"
    train.write_text(
        "import os, sys, aexp\n"
        "with aexp.run_lifecycle(aexp.open_run(os.environ['AEXP_JOB_ID'])):\n"
        "    print('training')\n"
        "sys.exit(4)\n"
    )
    job_id = research.one("seed=0", "--command", f"{sys.executable} {train}")
    assert research.aexp("run-queued", job_id, rc=1).stdout == "training\n"
    doc = research.doc(job_id)
    assert (doc["status"], len(doc["aexp_run"]["attempts"])) == ("failed", 1)
    assert doc["aexp_run"]["returncode"] == 4


def test_a_command_that_marks_its_own_run_is_believed(research: Any, tmp_path: Path) -> None:
    train = tmp_path / "train.py"
    train.write_text(
        "import os, aexp\naexp.mark_status(aexp.open_run(os.environ['AEXP_JOB_ID']), 'failed')\n"
    )
    job_id = research.one("seed=0", "--command", f"{sys.executable} {train}")
    research.aexp("run-queued", job_id, rc=1)
    assert research.entry(job_id)["status"] == "failed"
    assert "proc" not in research.doc(job_id)["queue"]


def test_term_in_a_block_is_the_users_own_business(research: Any, wait_until: Any) -> None:
    """Python's default for SIGTERM runs no cleanup: the next reconcile finds the run."""
    job_id = research.one("seed=0")
    process = research.start(
        sys.executable,
        "-c",
        "import aexp, sys, time\n"
        "with aexp.run_lifecycle(aexp.open_run(sys.argv[1])): time.sleep(60)",
        job_id,
    )
    wait_until(lambda: research.status(job_id) == "running")
    process.send_signal(signal.SIGTERM)
    process.wait()
    research.aexp("reconcile")
    assert research.status(job_id) == "queued"


# --- concurrent writers --------------------------------------------------------------------

WRITER = """
import sys, aexp
from aexp.paths import Repo
from aexp.runs.document import edit_document
repo, job_id, name = Repo.installed(), sys.argv[1], sys.argv[2]
for number in range(150):
    with edit_document(repo, job_id) as run:
        run.doc[f"{name}_{number}"] = number
"""


@pytest.mark.slow
def test_writers_of_one_document_lose_no_key(research: Any) -> None:
    """Three writing processes, beside a lifecycle whose heartbeat writes every 2 ms."""
    job = aexp.create_run(experiment_id="E001", statepoint={"s": 1}, repo_root=research.root)
    with aexp.run_lifecycle(job, heartbeat_s=0.002):
        writers = [
            subprocess.Popen(
                [sys.executable, "-c", WRITER, job.id, name], cwd=research.root, env=research.env
            )
            for name in "abc"
        ]
        assert [writer.wait(timeout=120) for writer in writers] == [0] * 3
    doc = research.doc(job.id)
    missing = [f"{n}_{i}" for n in "abc" for i in range(150) if doc.get(f"{n}_{i}") != i]
    assert missing == []
    assert doc["status"] == "complete"


def test_readers_never_see_half_a_document(research: Any) -> None:
    job_id = research.one("seed=0")
    writer = subprocess.Popen(
        [sys.executable, "-c", WRITER, job_id, "a"], cwd=research.root, env=research.env
    )
    path = research.workspace(job_id) / "signac_job_document.json"
    reads = 0
    while writer.poll() is None:
        assert json.loads(path.read_bytes())["status"] == "queued"
        reads += 1
    assert writer.returncode == 0
    assert reads > 20
    left = [name for name in os.listdir(path.parent) if name.endswith(".tmp")]
    assert left == []


ADDER = """
import sys, warnings, aexp
warnings.simplefilter("ignore")
for seed in range(12):
    aexp.add_to_queue(experiment_id="E001", statepoint={"seed": seed})
"""


def test_the_same_runs_added_by_several_processes_at_once(research: Any) -> None:
    adders = [
        subprocess.Popen([sys.executable, "-c", ADDER], cwd=research.root, env=research.env)
        for _ in range(3)
    ]
    assert [adder.wait(timeout=120) for adder in adders] == [0] * 3
    workspace = research.root / ".runs" / "workspace"
    assert len(list(workspace.iterdir())) == 12
    for folder in workspace.iterdir():
        assert research.status(folder.name) == "queued"
