"""Kills, processes that outlive their attempt, many writers at once, and what it costs."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from aexp.runs.series import SeriesReader

LOGGER = """
import os, sys
from aexp.runs.series import SeriesWriter
writer = SeriesWriter(sys.argv[1], int(sys.argv[2]))
size = int(sys.argv[3])
for step in range(10**9):
    writer.append({"long": "x" * (step * 37 % size)}, step=step)
    os.write(1, b"%d\\n" % step)
"""


@settings(max_examples=8, deadline=None)
@given(
    kills=st.lists(st.tuples(st.integers(1, 300), st.integers(1, 60_000)), min_size=1, max_size=3)
)
def test_a_kill_costs_the_torn_row_only(tmp_path_factory: Any, kills: Any) -> None:
    path = tmp_path_factory.mktemp("kill") / "series.jsonl"
    said: list[int] = []
    for attempt, (after, size) in enumerate(kills, start=1):
        arguments = [sys.executable, "-c", LOGGER, str(path), str(attempt), str(size)]
        with subprocess.Popen(arguments, stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            for _ in range(after):
                process.stdout.readline()
            process.send_signal(signal.SIGKILL)
            rest = process.stdout.read().split(b"\n")[:-1]
        said.append(int(rest[-1]) if rest else after - 1)
    rows = SeriesReader(str(path)).read()
    for attempt, last in enumerate(said, start=1):
        steps = [row.step for row in rows if row.attempt == attempt]
        assert steps == list(range(len(steps)))
        assert len(steps) >= last + 1  # all that the call had come back from
        for row in rows:
            if row.attempt == attempt:
                assert set(row.metrics["long"]) <= {"x"}
    whole = path.read_bytes().split(b"\n")
    assert len([line for line in whole if line]) - len(rows) <= len(kills)


def test_after_a_kill_the_next_attempt_goes_on(
    training: Any, research: Any, wait_until: Any
) -> None:
    training.write("""
        run = aexp.current()
        run.summary[f"began{run.attempt}"] = 1
        for step in range(10**9):
            run.log({"step": step, f"only{run.attempt}": step}, step=step)
            if run.attempt == 2 and step == 99:
                break
        """)
    job_id = research.one()
    wrapper = research.start_aexp("run-queued", job_id)
    series = research.workspace(job_id) / "series.jsonl"
    wait_until(lambda: series.exists() and series.stat().st_size > 100_000)
    os.killpg(research.doc(job_id)["queue"]["proc"]["pgid"], signal.SIGKILL)
    os.killpg(wrapper.pid, signal.SIGKILL)
    wrapper.wait()
    research.aexp("run-queued", job_id)
    doc = research.doc(job_id)
    assert [item["status"] for item in doc["aexp_run"]["attempts"]] == ["failed", "complete"]
    rows = SeriesReader(str(series)).read()
    for attempt in (1, 2):
        steps = [row.step for row in rows if row.attempt == attempt]
        assert steps == list(range(len(steps)))
    expected = {"step": 99, "only2": 99, "began1": 1, "began2": 1}
    assert research.entry(job_id)["metrics"] == expected


def test_a_process_that_outlives_its_attempt_writes_nothing_into_the_next(
    training: Any, research: Any
) -> None:
    training.write("""
        import json, time
        run = aexp.current()
        report, began = run.workspace / "report.json", run.workspace / "began-2"
        if run.attempt == 1:
            run.log({"loss": 1.0})
            if os.fork() == 0:
                os.setsid()
                for descriptor in (0, 1, 2):
                    os.close(descriptor)
                while not began.exists():
                    time.sleep(0.01)
                refused = {}
                def attempt(name, call):
                    try:
                        call()
                    except aexp.StatusError as error:
                        refused[name] = error.message
                attempt("summary", lambda: run.summary.update(late=1))
                attempt("succeed", run.succeed)
                attempt("fail", lambda: run.fail("late"))
                attempt("asset", lambda: run.upload_asset("late", {}))
                attempt("link", lambda: run.link_wandb("e", "p", "late"))
                attempt("environment", lambda: run.upload_environment({"late": 1}))
                while "log" not in refused:
                    attempt("log", lambda: run.log({"late": 1}))
                attempt("progress", lambda: run.heartbeat(0.5))
                (run.workspace / "new").write_text(json.dumps(refused))
                os.rename(run.workspace / "new", report)
                os._exit(0)
            run.fail("first")
        else:
            began.touch()
            while not report.exists():
                time.sleep(0.01)
        """)
    job_id = research.one("seed=0", "--retries", "1", "--timeout", "60s")
    research.aexp("run-queued", job_id)
    refused = json.loads((research.workspace(job_id) / "report.json").read_text())
    assert set(refused) == {
        "summary", "succeed", "fail", "asset", "link", "environment", "log", "progress",
    }  # fmt: skip
    assert "attempt 1 of run" in refused["log"]
    assert "has ended, this process has not" in refused["log"]
    doc = research.doc(job_id)
    assert doc["status"] == "complete"
    assert "late" not in json.dumps(doc)
    assert "late" not in json.dumps(research.entry(job_id))
    folder = research.workspace(job_id)
    assert not (folder / "progress.json").exists()
    assert not (folder / "assets").exists()
    assert {row["attempt"] for row in training.rows(job_id) if "late" in row["metrics"]} <= {1}


def test_of_400_keys_beside_a_fast_heartbeat_400_survive(training: Any, research: Any) -> None:
    fast = {"AEXP_HEARTBEAT_S": "0.002"}
    keys = {f"w{who}-k{key}": key for who in (0, 1) for key in range(200)}
    code = """
        import multiprocessing

        def work(who):
            run = aexp.current()
            for key in range(200):
                run.summary[f"w{who}-k{key}"] = key

        def both():
            children = [multiprocessing.Process(target=work, args=(who,)) for who in (0, 1)]
            for child in children:
                child.start()
            for child in children:
                child.join()
        """
    job_id = training.queued(code + "\n        both()", env=fast)
    assert research.entry(job_id)["metrics"] == keys
    training.by_hand(
        code + "\n        with aexp.start('E001', sp={'seed': 9}) as run: both(); print(run.id)",
        env=fast,
    )
    (other,) = {path.name for path in (research.root / ".runs" / "workspace").iterdir()} - {job_id}
    assert research.entry(other)["metrics"] == keys


def test_what_the_handle_costs(training: Any, research: Any) -> None:
    training.queued("""
        import time
        before = set(sys.modules)
        run = aexp.current()
        run.log({"loss": 1.0})
        run.heartbeat(0.1)
        others = {name.split(".")[0] for name in set(sys.modules) - before}
        assert others - set(sys.stdlib_module_names) <= {"aexp"}, others
        for heavy in ("subprocess", "threading", "asyncio", "aexp.runs.lifecycle", "aexp.kb"):
            assert heavy in before or heavy not in sys.modules, heavy
        row = {"loss": 0.123456789, "accuracy": 0.987654321, "lr": 1e-4}
        began = time.process_time()  # of a core of its own, which a busy machine has not
        for step in range(50_000):
            run.log(row, step=step)
        spent = time.process_time() - began
        print(f"{50_000 / spent:.0f} rows/s")
        assert spent < 1.0, spent
        """)
    assert "rows/s" in training.done.stdout


def test_a_handle_can_be_sent_to_another_process(training: Any, research: Any, as_run: Any) -> None:
    import pickle

    import aexp

    repo, claim = as_run(research.one())
    run = aexp.current()
    sent = pickle.loads(pickle.dumps(run))
    sent.log({"a": 1}, step=1)
    assert sent.id == run.id == claim.job_id
    path = Path(repo.run_file(run.id, "series.jsonl"))
    assert len(SeriesReader(str(path)).read()) == 1
