"""What was seen to go wrong in the peer, each tried here: W1 to W29 of its review.

One test per weakness, named after it; the comment says what the peer did. Numbers that are
not here are about verbs that do not exist yet (findings, threads, trackers, agents' files).
"""

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

import aexp


def ran(research: Any) -> list[str]:
    path = research.root / "ran.txt"
    return path.read_text().split() if path.exists() else []


def alive(pid: str | int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state not in "ZX"


def test_w01_index_skips_no_run(research: Any) -> None:
    # The list shrank while the array ran: of six tasks, one after the other, three ran.
    research.experiment("echo {seed} >> ran.txt")
    research.add("seed=0..5")
    for index in range(6):
        research.aexp(
            "queue",
            "run",
            "--index",
            str(index),
            env={"SLURM_ARRAY_JOB_ID": "7", "SLURM_JOB_ID": "8"},
        )
    assert ran(research) == ["0", "1", "2", "3", "4", "5"]


def test_w02_a_run_is_not_executed_twice(research: Any, wait_until: Any) -> None:
    # There was no claim: a second call executed a run that was running.
    research.experiment("echo {seed} >> ran.txt; until test -e go; do sleep 0.05; done")
    job_id = research.one("seed=0")
    first = research.start_aexp("run-queued", job_id)
    wait_until(lambda: ran(research))
    others = [
        research.start_aexp("run-queued", job_id),
        research.start_aexp("queue", "run", "--index", "0", "--array-id", "x"),
    ]
    time.sleep(0.6)
    (research.root / "go").touch()
    assert first.wait(timeout=30) == 0
    assert others[0].wait(timeout=30) == 0
    others[1].wait(timeout=30)
    assert ran(research) == ["0"]


def test_w03_adding_a_running_run_again_keeps_its_process(research: Any, wait_until: Any) -> None:
    # Adding the same state point forgot the process; a stop then killed nothing.
    research.experiment("echo $$ > pid; exec sleep 71")
    job_id = research.one("seed=0")
    research.start_aexp("run-queued", job_id)
    wait_until(lambda: "proc" in research.doc(job_id)["queue"])
    pid = wait_until(lambda: (research.root / "pid").read_text().strip())
    research.aexp("queue", "add", "--experiment", "E001", "--sp", "seed=0")
    assert research.status(job_id) == "running"
    research.aexp("queue", "stop", job_id)
    assert not alive(pid)
    assert research.entry(job_id)["status"] == "stopped"


def test_w04_queueing_does_not_make_the_tree_dirty(research: Any) -> None:
    # The add itself made the tree dirty, and committing the store made new identities.
    ids = research.add("condition=full,seed=0..2")
    research.aexp("queue", "run")
    research.git("add", "-A")
    research.git("commit", "-qm", "results")
    again = research.json(
        "queue", "add", "--experiment", "E001", "--sweep", "condition=full,seed=0..2", "--dry-run"
    )
    assert [run["job_id"] for run in again["runs"]] == ids
    assert {run["action"] for run in again["runs"]} == {"again"}
    assert {run["sp"]["code_dirty"] for run in again["runs"]} == {False}


def test_w05_ledger_entries_know_their_end(research: Any) -> None:
    # Entries were written before the end was, and carried the previous attempt's afterwards.
    research.experiment("sleep 0.$AEXP_ATTEMPT; echo $AEXP_ATTEMPT")
    job_id = research.one("seed=0")
    for extra in ((), ("--force",)):
        research.aexp("run-queued", job_id, *extra)
        entry, doc = research.entry(job_id), research.doc(job_id)
        assert (entry["ended_at"], entry["wallclock_s"]) == (doc["ended_at"], doc["wallclock_s"])
    assert len(research.entry(job_id)["attempts"]) == 2
    assert research.entry(job_id)["wallclock_s"] == entry["attempts"][1]["wallclock_s"]


@pytest.mark.parametrize("how", ["KILL", "TERM", "INT"])
def test_w06_nothing_stays_running_for_ever(research: Any, wait_until: Any, how: str) -> None:
    # After kill -9, SIGTERM or Ctrl-C the run stayed `running` and its command lived on.
    research.experiment("echo $$ > pid; test -e go || sleep 71")
    job_id = research.one("seed=0")
    wrapper = research.start_aexp("run-queued", job_id)
    wait_until(lambda: "proc" in research.doc(job_id)["queue"])
    pid = wait_until(lambda: (research.root / "pid").read_text().strip())
    subprocess.run(["kill", f"-{how}", str(wrapper.pid)], check=True)
    wrapper.wait(timeout=30)
    (research.root / "go").touch()
    research.aexp("run-queued", job_id)
    assert not alive(pid)
    assert research.status(job_id) == "complete"
    assert len(research.entry(job_id)["attempts"]) == 2


def test_w07_a_bad_key_does_not_brick_the_store(research: Any) -> None:
    # `a.b=1` and `--hypothesis BAD` left half a run that broke every later command.
    for arguments in (("--sp", "a.b=1"), ("--sp", "a=1", "--hypothesis", "BAD")):
        research.aexp("queue", "add", "--experiment", "E001", *arguments, rc=2)
    assert list((research.root / ".runs" / "workspace").iterdir()) == []
    research.one("seed=0")
    assert research.aexp("list-runs").stderr == "1 run(s)\n"


def test_w08_one_corrupt_document_costs_only_itself(research: Any) -> None:
    # One truncated document ended every command, without naming the file.
    bad, good = research.add("condition=full,seed=0..1")
    (research.workspace(bad) / "signac_job_document.json").write_text('{"status": "queued", ')
    for arguments in (("queue", "list"), ("list-runs",), ("ledger", "backfill"), ("queue", "run")):
        done = research.aexp(*arguments)
        assert f"{bad}/signac_job_document.json" in done.stderr
    assert research.status(good) == "complete"


def test_w08_a_marker_with_a_number_for_a_path(research: Any) -> None:
    # A marker with another type in it was a traceback.
    (research.root / ".aexp" / "installed.json").write_text('{"run_store_path": 5}')
    done = research.aexp("queue", "list", rc=1)
    assert "run_store_path is 5, not a path" in done.stderr


def test_w09_values_are_never_shell_text(research: Any) -> None:
    # $(...) in a value was executed; ${seed} was replaced; an apostrophe broke '{sp_json}'.
    research.experiment(
        "echo hi {name} ${{seed}} '{sp_json}'".replace("{{", "{").replace("}}", "}")
    )
    job_id = research.one("name=$(touch PWN1),note=it's")
    shown = research.aexp("run-queued", job_id, env={"seed": "FROM-ENV"}).stdout
    assert shown.startswith("hi $(touch PWN1) FROM-ENV {")
    assert json.loads(shown.split("FROM-ENV ")[1])["note"] == "it's"
    assert not (research.root / "PWN1").exists()


def test_w09_tags_are_never_lines_of_a_script(research: Any) -> None:
    # A tag with a line break became a line of the script; Slurm's had it unquoted.
    research.aexp(
        "queue", "add", "--experiment", "E001", "--sp", "seed=0", "--tag", "x\ntouch P", rc=2
    )
    research.experiment("true")
    research.one("seed=0", "--tag", "a b; touch PWN3")
    research.aexp(
        "queue", "materialize", "--tag", "a b; touch PWN3", "--runner", "slurm", "-o", "s.sh"
    )
    path = os.path.dirname(sys.executable) + ":" + research.env["PATH"]
    env = {**research.env, "PATH": path, "SLURM_ARRAY_TASK_ID": "0"}
    subprocess.run(["bash", "s.sh"], cwd=research.root, env=env, check=True, capture_output=True)
    assert not (research.root / "PWN3").exists()
    assert research.json("status")["E001"]["complete"] == 1


def test_w10_no_name_leads_out_of_the_repository(research: Any) -> None:
    # Labels and names with ../ in them wrote files elsewhere.
    job_id = research.one("condition=full,seed=0")
    research.aexp("run-queued", job_id)
    for arguments in (
        ("install", "--machine-label", "../../../PWN5"),
        ("install", "--run-store", "../../PWN"),
        ("ledger", "promote", job_id, "--machine-label", "../../../PWN4"),
        ("ledger", "backfill", "--machine-label", "../../../PWN4"),
        ("queue", "run", "--index", "0", "--array-id", "../../PWN"),
        ("show-run", "../../installed"),
        ("queue", "add", "--experiment", "../E001"),
    ):
        research.aexp(*arguments, rc=2)
    assert not list(research.root.parent.glob("**/PWN*"))
    with pytest.raises(aexp.AexpError):
        aexp.load_ledger_entry(_repo(research), "../installed")


def _repo(research: Any) -> Any:
    from aexp.paths import Repo

    return Repo(research.root)


def test_w11_values_are_no_markup(research: Any) -> None:
    # `[/b]` in a value or tag ended every later listing; `[red]x` was shown as `x`.
    job_id = research.one("name=[/b],other=[red]x", "--tag", "[/x]", "--command", "true")
    for arguments in (("queue", "list"), ("list-runs",), ("show-run", job_id), ("status",)):
        shown = research.aexp(*arguments).stdout
        assert arguments == ("status",) or "name=[/b] other=[red]x" in shown
    assert "[/x]" in research.aexp("queue", "list", "--tag", "[/x]").stdout


def test_w12_runs_with_and_without_a_key_are_listed_together(research: Any) -> None:
    # Runs with and without `condition` could not be sorted together: a traceback.
    research.one("condition=full,seed=0")
    research.one("seed=1", "--command", "true")
    assert len(research.json("list-runs")) == 2
    assert len(research.json("list-runs", "--sp", "condition=full")) == 1
    # A ledger file that holds nothing satisfied a citation by its name alone.
    junk = research.root / ".aexp" / "ledger" / ("a" * 32 + ".json")
    junk.parent.mkdir(exist_ok=True)
    junk.write_text("{")
    with pytest.warns(UserWarning, match="a" * 32):
        assert aexp.load_ledger_entry(_repo(research), "a" * 32) is None


def test_w13_queued_is_a_status_like_any_other(research: Any) -> None:
    # `queued` was reported as invalid, so nothing could be checked while runs waited.
    research.one("seed=0")
    assert research.json("status")["E001"]["queued"] == 1
    assert len(research.json("list-runs", "--status", "queued")) == 1
    assert research.aexp("reconcile").stdout == "nothing to repair\n"


def test_w14_output_need_not_be_utf8(research: Any) -> None:
    # One byte that is not UTF-8 was a traceback; the command lived on, the queue stopped.
    (research.root.parent / "c.sh").write_text("printf '\\377'; echo done >> ran.txt\n")
    research.experiment("sh ../c.sh")
    ids = research.add("seed=0..1")
    research.aexp("queue", "run", "--continue-on-failure")
    assert [research.status(job_id) for job_id in ids] == ["complete"] * 2
    assert (research.workspace(ids[0]) / "logs" / "1.log").read_bytes() == b"\xff"


def test_w15_a_background_process_does_not_hold_the_run_open(research: Any) -> None:
    # A grandchild that kept the output open held the run for its whole life.
    job_id = research.one("seed=0", "--command", "sleep 72 & echo main-finished")
    began = time.monotonic()
    assert research.aexp("run-queued", job_id).stdout == "main-finished\n"
    assert time.monotonic() - began < 10


def test_w16_the_error_text_is_where_it_says(research: Any) -> None:
    # The message pointed to a verb that did not show the error, and no log was kept.
    job_id = research.one("seed=0", "--command", "echo the reason >&2; exit 5")
    told = research.aexp("run-queued", job_id, rc=1).stderr
    log = told.split("log: ")[1].split()[0]
    assert (research.root / log).read_text() == "the reason\n"
    assert "the reason" in research.aexp("show-run", job_id).stdout
    assert "exit code 5" in research.aexp("queue", "list", "--include-terminal").stdout


def test_w17_one_value_has_one_type(research: Any) -> None:
    # `--sp seed=0` was text and `--sweep seed=0..0` a number: two runs, one of them not found.
    job_id = research.one("seed=0")
    again = research.json("queue", "add", "--experiment", "E001", "--sweep", "seed=0..0")
    assert [run["action"] for run in again["runs"]] == ["duplicate"]
    assert [row["job_id"] for row in research.json("list-runs", "--sp", "seed=0")] == [job_id]
    # Floats, booleans, null and values with a comma could not be written at all.
    research.aexp("queue", "add", "--experiment", "E001", "--sweep", 'x:=0.1|true|null|"a,b"|[1,2]')
    found = [row["sp"]["x"] for row in research.json("list-runs") if "x" in row["sp"]]
    assert found[::-1] == [0.1, True, None, "a,b", [1, 2]]
    # A key of ours could be overwritten: the run was then filed under two experiments.
    research.aexp("queue", "add", "--experiment", "E001", "--sp", "experiment_id=E777", rc=2)


WRITER = """
import sys
from aexp.paths import Repo
from aexp.runs.document import edit_document
for number in range(200):
    with edit_document(Repo.installed(), sys.argv[1]) as run:
        run.doc[f"{sys.argv[2]}{number}"] = number
"""


def test_w18_concurrent_writers_lose_nothing(research: Any) -> None:
    # Two writers beside a heartbeat kept 174 of 400 keys.
    job = aexp.create_run(experiment_id="E001", statepoint={"s": 1}, repo_root=research.root)
    with aexp.run_lifecycle(job, heartbeat_s=0.002):
        writers = [
            subprocess.Popen(
                [sys.executable, "-c", WRITER, job.id, name], cwd=research.root, env=research.env
            )
            for name in "ab"
        ]
        assert [writer.wait(timeout=120) for writer in writers] == [0, 0]
    doc = research.doc(job.id)
    assert sum(f"{name}{number}" in doc for name in "ab" for number in range(200)) == 400


def test_w19_a_deeper_store_has_the_repositorys_ledger(research: Any) -> None:
    # With the store at data/runs the ledger was data/.aexp/ledger, under the host's name.
    research.aexp("install", "--run-store", "data/runs", "--machine-label", "boxZ")
    job_id = research.one("condition=full,seed=0")
    research.aexp("run-queued", job_id)
    assert research.entry(job_id)["registered_machine"] == "boxZ"
    assert not (research.root / "data" / ".aexp").exists()


def test_w20_a_second_install_honours_its_flags(research: Any) -> None:
    # The second call ignored every flag, with exit code 0.
    research.aexp("install", "--machine-label", "renamed", "--run-store", "other")
    marker = json.loads((research.root / ".aexp" / "installed.json").read_text())
    assert (marker["machine_label"], marker["run_store_path"]) == ("renamed", "other")


def test_w21_tags_are_partitions_and_clear_spares_running(research: Any, wait_until: Any) -> None:
    # Another tag took a queued run over; clearing marked running ones and left them running.
    job_id = research.one("seed=0", "--tag", "A")
    research.aexp("queue", "add", "--experiment", "E001", "--sp", "seed=0", "--tag", "B")
    assert research.doc(job_id)["queue"]["tag"] == "A"
    research.experiment("exec sleep 71")
    research.start_aexp("run-queued", job_id)
    wait_until(lambda: "proc" in research.doc(job_id)["queue"])
    research.aexp("queue", "clear", "--yes")
    assert research.status(job_id) == "running"


def test_w23_ordinary_mistakes_are_told_in_words(research: Any, tmp_path: Path) -> None:
    # Unknown ids, wrong places and experiments that do not exist were tracebacks, or accepted.
    queued = research.one("seed=0")
    nowhere = tmp_path / "nowhere"
    nowhere.mkdir()
    for arguments, cwd in (
        (("show-run", "f" * 32), None),
        (("run-queued", "f" * 32), None),
        (("queue", "stop", "f" * 32), None),
        (("queue", "remove", "f" * 32), None),
        (("ledger", "promote", queued), None),
        (("queue", "add", "--experiment", "E1"), None),
        (("queue", "add", "--experiment", "E999"), None),
        (("queue", "list"), nowhere),
        (("install",), nowhere),
    ):
        done = research.aexp(*arguments, cwd=cwd, rc=None)
        assert done.returncode in (1, 2)
        assert done.stderr.startswith("error: ")
        assert "\nhint: " in done.stderr
        assert "Traceback" not in done.stderr
    research.aexp("list-runs", "--status", "bogus", rc=2)


def test_w24_a_script_elsewhere_finds_the_repository(research: Any, tmp_path: Path) -> None:
    # A script outside of the repository did not find it, and the first failure ended it.
    research.experiment("echo {seed} >> ran.txt; test {seed} != 0")
    research.add("seed=0..1")
    script = tmp_path / "else where" / "run.sh"
    script.parent.mkdir()
    research.aexp("queue", "materialize", "-o", str(script))
    path = os.path.dirname(sys.executable) + ":" + research.env["PATH"]
    done = subprocess.run(
        ["bash", str(script)], cwd="/", env={**research.env, "PATH": path}, capture_output=True
    )
    assert done.returncode == 1
    assert ran(research) == ["0", "1"]


def test_w25_git_that_does_not_answer_is_not_a_clean_tree(research: Any, tmp_path: Path) -> None:
    # Without git every run was recorded as clean, and a blocked ledger as a success.
    done = research.aexp(
        "queue", "add", "--experiment", "E001", "--sp", "seed=0", rc=1, env={"PATH": str(tmp_path)}
    )
    assert "git is not installed" in done.stderr
    job_id = research.one("condition=full,seed=0")
    research.aexp("run-queued", job_id)
    ledger = research.root / ".aexp" / "ledger"
    (ledger / f"{job_id}.json").unlink()
    ledger.rmdir()
    ledger.write_text("in the way")
    assert "problem: " in research.aexp("ledger", "backfill", rc=1).stderr


def test_w27_nothing_that_is_committed_names_this_machine(research: Any) -> None:
    # A committed settings file held the path of one machine's interpreter.
    job_id = research.one("condition=full,seed=0")
    research.aexp("run-queued", job_id)
    research.git("add", "-A")
    for name in research.git("ls-files").split():
        text = (research.root / name).read_text()
        assert sys.prefix not in text
        assert str(research.root) not in text


def test_w28_what_a_queue_needs(research: Any) -> None:
    # There were no resources, time limits, retries, dependencies, priorities or logs.
    research.experiment("echo try $AEXP_ATTEMPT; test $AEXP_ATTEMPT = 2")
    parent = research.one(
        "seed=0",
        "--retries",
        "1",
        "--timeout",
        "60",
        "--resources",
        "mem_mb=10",
        "--priority",
        "-1",
    )
    child = research.one("seed=1", "--after", parent, "--priority", "9", "--command", "echo after")
    research.aexp("queue", "run")
    assert research.status(parent) == research.status(child) == "complete"
    assert research.doc(parent)["ended_at"] <= research.doc(child)["started_at"]
    assert research.aexp("logs", parent, "--attempt", "1").stdout == "try 1\n"


def test_w29_names_in_any_script(research: Any) -> None:
    # Placeholders, titles and ledger entries knew ASCII only.
    research.experiment("echo {имя}")
    job_id = research.one("имя=π")
    assert research.aexp("run-queued", job_id).stdout == "π\n"
    assert research.entry(job_id)["statepoint"]["имя"] == "π"
