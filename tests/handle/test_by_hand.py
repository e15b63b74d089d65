"""The handle where no wrapper executes the run: the block is the run."""

import json
import signal
import sys
from pathlib import Path
from typing import Any

import pytest


def test_a_script_run_by_hand_is_a_run(training: Any, research: Any) -> None:
    done = training.by_hand("""
        run = aexp.start("E001", sp={"condition": "full", "seed": 4})
        assert run.attempt == 0 and run.statepoint["model"] == "base"
        for write in (lambda: run.log({"a": 1}), run.succeed, lambda: run.summary.update(a=1)):
            try:
                write()
            except aexp.StatusError as error:
                assert "not being executed here" in error.message
                assert "with aexp.run(" in error.hint
            else:
                sys.exit("written outside of the block")
        assert "AEXP_JOB_ID" not in os.environ
        with run as same, aexp.start("E001") as again:
            assert run is same is again is aexp.current() and run.attempt == 1
            assert run is aexp.run(run.id[:8]) and not run.is_done
            assert run is aexp.start("E001", sp={"condition": "full", "seed": 4})
            for other in ({"seed": 5}, {"condition": "full"}, {"condition": "full", "seed": 5}):
                try:
                    aexp.start("E001", sp=other)
                except aexp.StatusError as error:
                    assert run.id[:8] in error.message and "seed" in error.message, error
                else:
                    sys.exit("another run was taken for this one")
            os.chdir("/")
            for step in range(10):
                run.log({"loss": 1 / (step + 1)}, step=step)
                aexp.current().log({"acc": step})
            run.heartbeat(0.7)
            run.summary["best"] = 0.5
            child = "import aexp; aexp.current().log({'child': 1})"
            assert os.spawnl(os.P_WAIT, sys.executable, "python", "-c", child) == 0
        assert run.attempt == 0 and "AEXP_JOB_ID" not in os.environ
        try:
            run.log({"a": 1})
        except aexp.StatusError:
            print(run.id, run.summary["best"])
        try:
            run.log({"a": 1})
        except aexp.StatusError as error:
            assert "again=True" in error.hint and run.is_done
        """)
    job_id = training.only_run()
    assert done.stdout.split() == [job_id, "0.5"]
    entry = research.entry(job_id)
    assert entry["metrics"] == {"loss": 0.1, "acc": 9, "child": 1, "best": 0.5}
    assert (entry["status"], entry["attempts"][0]["attempt"]) == ("complete", 1)
    attempt = research.doc(job_id)["aexp_run"]["attempts"][0]
    assert 0 < attempt["wallclock_s"] < 30
    folder = research.workspace(job_id)
    assert json.loads((folder / "progress.json").read_text())["fraction"] == 0.7
    assert json.loads((folder / "environment" / "1.json").read_text())["attempt"] == 1
    assert attempt["environment"]["digest"].startswith("sha256:")
    assert (folder / "terminal.json").exists()
    assert not (folder / "claim").exists()

    done = training.by_hand(
        'with aexp.start("E001", sp={"condition": "full", "seed": 4}): pass', rc=1
    )
    assert f"StatusError: run {job_id[:8]} is already complete" in done.stderr
    assert "again=True" in done.stderr
    assert "queue retry" not in done.stderr  # which would execute the experiment's command
    training.by_hand(f"""
        with aexp.run("{job_id[:9]}", again=True) as run:
            run.log({{"loss": 3.0}})
        """)
    assert research.entry(job_id)["metrics"] == {"loss": 3.0}
    assert len(research.entry(job_id)["attempts"]) == 2


ENDS = [
    ("raise KeyError('x')", 1, "failed", "exception", "KeyError: 'x'"),
    ("run.succeed(); raise KeyError('x')", 1, "failed", "exception", "KeyError: 'x'"),
    ("run.fail('diverged', 'at step 3')", 0, "failed", "diverged", "at step 3"),
    ("run.fail()", 0, "failed", None, "declared failed by the run"),
    ("run.succeed(); sys.exit(5)", 5, "complete", None, None),
    ("sys.exit(5)", 5, "created", None, None),
]


def test_how_a_block_ends(training: Any, research: Any) -> None:
    for seed, (code, rc, *_) in enumerate(ENDS):
        training.by_hand(
            f"""
            with aexp.start("E001", sp={{"seed": {seed}}}, include_commit=False) as run:
                print(run.id)
                run.log({{"loss": 0.5}})
                {code}
            """,
            rc=rc,
        )
    runs = {}
    for path in (research.root / ".runs" / "workspace").iterdir():
        sp = json.loads((path / "signac_statepoint.json").read_text())
        runs[sp["seed"]] = research.doc(path.name)
    for seed, (code, _, status, cause, words) in enumerate(ENDS):
        doc = runs[seed]
        assert doc["status"] == status, code
        attempt = doc["aexp_run"]["attempts"][-1]
        assert attempt["metrics"] == {"loss": 0.5}, code
        if status != "created":
            assert doc["aexp_run"]["cause"] == cause, code
        assert attempt.get("message") == words, code
        if cause == "exception":
            assert "Traceback" in doc["queue"]["last_error"]["stderr_tail"]


def test_a_killed_block_leaves_a_run_that_can_go_on(
    training: Any, research: Any, wait_until: Any
) -> None:
    training.write("""
        with aexp.start("E001", sp={"seed": 1}, include_commit=False) as run:
            for step in range(10**9):
                run.log({"step": step, "long": "x" * 3000}, step=step)
                if run.attempt == 2 and step == 20:
                    break
        """)
    process = research.start(sys.executable, str(training.path))
    store = research.root / ".runs" / "workspace"
    wait_until(lambda: [f for f in store.glob("*/series.jsonl") if f.stat().st_size > 50_000])
    assert "is being executed" in training_again(training, 1).stderr
    process.send_signal(signal.SIGKILL)
    process.wait()
    training_again(training, 0)
    job_id = training.only_run()
    doc = research.doc(job_id)
    assert [item["status"] for item in doc["aexp_run"]["attempts"]] == ["failed", "complete"]
    lines = (research.workspace(job_id) / "series.jsonl").read_bytes().splitlines()
    from aexp.runs.series import parse_lines

    rows = parse_lines(lines, False)
    assert len(rows) >= len(lines) - 1  # at most one row was torn
    for attempt in (1, 2):
        steps = [row.step for row in rows if row.attempt == attempt]
        assert steps == list(range(len(steps)))
    assert len(steps) == 21
    assert research.entry(job_id)["metrics"] == {"step": 20}


def test_one_block_by_hand_at_a_time(training: Any, research: Any) -> None:
    done = training.by_hand("""
        import multiprocessing, threading
        from concurrent.futures import ThreadPoolExecutor

        def one(lr, wait=lambda: None):
            with aexp.start("E001", sp={"lr": lr}, include_commit=False) as run:
                wait()
                run.log({"lr": lr})
                assert run.statepoint["lr"] == lr
                assert "AEXP_RESUME_FROM" not in os.environ
                return run.id

        def thread(lr):
            try:
                return one(lr)
            except aexp.StatusError as error:
                return str(error)

        early = aexp.start("E001", sp={"lr": 9}, include_commit=False)
        begun, finish = threading.Event(), threading.Event()

        def wait():
            begun.set()
            finish.wait(30)

        with ThreadPoolExecutor(2) as pool:
            first = pool.submit(one, 1, wait)
            begun.wait(30)
            refused = pool.submit(thread, 2).result()
            try:
                early.__enter__()
            except aexp.StatusError as error:
                print(error)
            finish.set()
            assert first.result()[:8] in refused and "lr" in refused, refused
        assert not [name for name in os.environ if name.startswith("AEXP_J")]
        os.environ["AEXP_ATTEMPT"] = os.environ["AEXP_RESUME_FROM"] = "mine"
        with multiprocessing.get_context("fork").Pool(2) as processes:
            print(*processes.map(one, [3, 4]))
        one(5)
        assert os.environ.pop("AEXP_ATTEMPT") == os.environ.pop("AEXP_RESUME_FROM") == "mine"
        try:
            with aexp.start("E001", sp={"lr": 6}, include_commit=False):
                child = os.fork()
                if child == 0:
                    with aexp.current():
                        raise ValueError("in the child")
                os.waitpid(child, 0)
        except ValueError:
            os._exit(0)
        """)
    assert "one at a time" in done.stdout
    found = {}
    for path in (research.root / ".runs" / "workspace").iterdir():
        lr = json.loads((path / "signac_statepoint.json").read_text())["lr"]
        found[lr] = (research.doc(path.name)["status"], research.doc(path.name))
    ends = {lr: status for lr, (status, _) in found.items()}
    assert ends == {
        1: "complete", 3: "complete", 4: "complete", 5: "complete", 6: "failed", 9: "created",
    }  # fmt: skip
    for lr in (1, 3, 4, 5):
        assert found[lr][1]["aexp_run"]["metrics"] == {"lr": lr}
    assert found[6][1]["queue"]["last_error"]["message"] == "ValueError: in the child"


def test_a_sweep_goes_on_where_it_was(training: Any, research: Any) -> None:
    sweep = """
        @aexp.experiment("E001", include_commit=False, skip_done=True, again=True)
        def train(run, lr):
            run.log({"lr": lr})
            if lr == 2 and not os.path.exists("mended"):
                raise ValueError
            return lr

        for lr in (1, 2, 3):
            print(train(lr), end=" ")
        for lr in (4, 5):
            run = aexp.start("E001", sp={"lr": lr}, include_commit=False)
            if not run.is_done:
                with run:
                    print("with", end=" ")
        """
    assert training.by_hand(sweep, rc=1).stdout == "1 "
    (research.root / "mended").touch()
    assert training.by_hand(sweep).stdout == "None 2 3 with with "
    assert training.by_hand(sweep).stdout == "None None None "


def training_again(training: Any, rc: int) -> Any:
    code = training.path.read_text().removeprefix("import os, sys, aexp\n")
    return training.by_hand(code, rc=rc)


def test_a_function_is_an_experiment(training: Any, research: Any) -> None:
    code = """
        @aexp.experiment("E001", sp={"note": "x"}, include_commit=False)
        def train(run, lr, *, seed=0, condition="full", **more):
            "Train."
            run.log({"lr": lr, "seed": seed, "more": len(more)})
            return run.id, run.statepoint

        @aexp.experiment
        def plain(seed, run):
            run.log({"plain": seed})

        assert train.__name__ == "train" and train.__doc__ == "Train."
        """
    done = training.by_hand(
        code
        + """
        run_id, sp = train(0.5, width=3)
        expected = {"lr": 0.5, "seed": 0, "condition": "full", "width": 3, "note": "x"}
        assert {k: sp[k] for k in expected} == expected, sp
        assert sp["model"] == "base"
        wrong_calls = (lambda: train(1, 2), lambda: train(), lambda: train(run=3))
        for wrong in wrong_calls:
            try:
                wrong()
            except (aexp.AexpError, TypeError) as error:
                print(error)
        try:
            @aexp.experiment
            async def never(): pass
        except aexp.AexpError as error:
            print(error)
        """
    )
    assert done.stdout.splitlines() == [
        "too many positional arguments",
        "missing a required argument: 'lr'",
        "the argument run is the handle, which aexp gives",
        "never does not run when it is called",
    ]
    job_id = training.only_run()
    assert research.entry(job_id)["metrics"] == {"lr": 0.5, "seed": 0, "more": 1}


def test_the_queues_configuration_is_the_arguments(training: Any, research: Any) -> None:
    job_id = training.queued(
        """
        @aexp.experiment("E001")
        def train(lr=0.25, run=None, seed=0, **more):
            run.log({"lr": lr, "seed": seed, "experiment_id" : more["experiment_id"] == "E001"})
            return seed

        @aexp.experiment()
        def report(run):
            run.summary["reported"] = True

        assert train(seed=99) == 7
        report()
        """,
        seed=7,
    )
    assert research.entry(job_id)["metrics"] == {
        "lr": 0.25,
        "seed": 7,
        "experiment_id": True,
        "reported": True,
    }


def test_start_needs_what_queue_add_needs(training: Any, tmp_path: Path) -> None:
    wrong = {
        "aexp.start()": "an experiment is needed",
        "aexp.start('E777')": "E777",
        "aexp.start('E001', sp={'a.b': 1})": "cannot be a key",
        "aexp.start('E001', sp={'a': object()})": "JSON",
        "aexp.start('E001', sp=[1])": "sp is list, not a mapping",
        "aexp.start('E001', sp='lr=1')": "sp is str, not a mapping",
        "aexp.start(1)": "experiment is int",
        "aexp.start('E001', sp={'condition': 'nope'})": "no condition 'nope'",
        "aexp.run(None)": "not NoneType",
        "aexp.run('zz')": "not a run id",
        "aexp.run('abcdef')": "no run begins with abcdef",
        f"aexp.start('E001', repo_root={str(tmp_path.parent)!r})": "no git repository",
    }
    training.by_hand(f"""
        for code, words in {wrong!r}.items():
            try:
                exec(code)
            except aexp.AexpError as error:
                assert words in error.message and error.hint, (code, error, error.hint)
                assert "--no-resolve" not in error.hint, error.hint  # of the command line
            else:
                sys.exit(code)
        """)
    assert not list((training.research.root / ".runs").glob("workspace/*"))


def test_a_run_by_hand_is_tracked_as_its_experiment_says(training: Any, research: Any) -> None:
    code = """
        with aexp.start("E001", sp={"seed": 1}) as run:
            run.log({"loss": 0.5}, step=3)
            run.summary["best"] = 0.25
        """
    training.write(code)
    research.experiment("true", "tracker: {backend: noop, project: p}\n")
    assert research.start(sys.executable, str(training.path)).wait(60) == 0
    job_id = training.only_run()
    (log,) = research.workspace(job_id).glob("tracker_log/*/events.jsonl")
    events = [json.loads(line) for line in log.read_text().splitlines()]
    assert [event["event"] for event in events] == ["init_run", "log", "log", "finish"]
    assert events[1]["metrics"] == {"loss": 0.5}
    assert events[2]["metrics"] == {"loss": 0.5, "best": 0.25} == research.entry(job_id)["metrics"]
    assert events[3]["exit_code"] == 0
    assert research.entry(job_id)["tracker"]["backend"] == "noop"


@pytest.mark.parametrize("store", ["data/deep/runs"])
def test_a_store_deep_in_the_repository_is_found_from_anywhere(
    training: Any, research: Any, store: str
) -> None:
    research.aexp("install", "--yes", "--run-store", store)
    training.write("os.chdir('/')\naexp.current().summary['a'] = 1")
    job_id = research.one()
    research.aexp("run-queued", job_id)
    assert research.entry(job_id)["metrics"] == {"a": 1}


UNTIL_KILLED = """
    with aexp.start("E001", sp={{"seed": 1}}, include_commit=False, again=True) as run:
        run.log({{"attempt": run.attempt}})
        print(run.id, flush=True)
        {code}
    """


def test_what_was_executed_by_hand_is_not_executed_by_the_queue(
    training: Any, research: Any
) -> None:
    """Whatever ends a block, and whether the run had ended before: it stays the person's."""
    queued = research.add("seed=9")

    def interrupt(number: int) -> str:
        training.write(UNTIL_KILLED.format(code="__import__('signal').pause()"))
        process = research.start(sys.executable, str(training.path))
        assert process.stdout is not None
        job_id = process.stdout.readline().decode().strip()
        process.send_signal(number)
        process.wait(60)
        return job_id

    def not_due(status: str) -> None:
        assert research.status(job_id) == status
        assert [item["job_id"] for item in research.json("queue", "list")] == queued
        told = research.aexp("queue", "run", "--dry-run").stderr
        assert "run 1 of 1" in told
        assert job_id[:8] not in told

    job_id = interrupt(signal.SIGKILL)
    not_due("running")  # and its owner is dead
    assert job_id == interrupt(signal.SIGKILL)  # after a fault that is on record
    not_due("running")
    assert research.aexp("run-queued", job_id, rc=75).returncode == 75
    not_due("created")
    assert job_id == interrupt(signal.SIGINT)
    not_due("created")
    assert "executed by hand" in research.aexp("run-queued", job_id, rc=1).stderr
    training.by_hand(UNTIL_KILLED.format(code="run.fail()"))
    assert research.status(job_id) == "failed"
    assert research.json("queue", "retry", "--failed") == []
    assert job_id == interrupt(signal.SIGINT)  # of a run that had ended
    not_due("created")
    assert research.entry(job_id)["status"] == "failed"  # until there is a later end
    assert job_id == interrupt(signal.SIGKILL)
    not_due("running")
    research.aexp("reconcile")
    not_due("created")
    training.by_hand(UNTIL_KILLED.format(code=""))
    assert research.entry(job_id)["status"] == "complete"
    assert len(research.doc(job_id)["aexp_run"]["attempts"]) == 7

    research.aexp("queue", "retry", job_id)  # a person's word, about this run
    assert research.status(job_id) == "queued"
