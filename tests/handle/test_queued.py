"""The handle within a queued run: what is logged, summarized, declared, and who decides."""

import json
import time
from pathlib import Path
from typing import Any

from aexp.handle.assets import AssetIndex


def metrics(research: Any, job_id: str) -> dict[str, Any]:
    return dict(research.entry(job_id)["metrics"])


def test_what_is_logged_becomes_the_runs_metrics(training: Any, research: Any) -> None:
    job_id = training.queued("""
        run = aexp.current()
        assert run is aexp.start("E999") is aexp.run(run.id)
        assert run.id == run.job_id == os.environ["AEXP_JOB_ID"]
        assert run.attempt == 1
        assert run.statepoint["seed"] == 0
        assert str(run.workspace) == os.environ["AEXP_JOB_WORKSPACE"]
        for step in range(100):
            run.log({"loss": 1 / (step + 1), "val": {"acc": step / 100}, "a.b": step}, step=step)
        run.log({"nan": float("nan"), "text": "kept", "loss": 0.25})
        with open(os.environ["AEXP_METRICS_PATH"], "w") as file:
            file.write('{"loss": 0.5, "step": 1}\\n{"f1": 0.1, "a.b": 7}\\n{"f1": 0.2, "step": 3}')
        run.summary["f1"] = 0.3
        run.summary["best.acc"] = 0.99
        """)
    expected = {
        "loss": 0.5,
        "val.acc": 0.99,
        "a.b": 7,
        "nan": "NaN",
        "f1": 0.3,
        "best.acc": 0.99,
    }
    assert metrics(research, job_id) == expected
    rows = training.rows(job_id)
    assert len(rows) == 101
    assert rows[12]["step"] == 12
    assert {row["attempt"] for row in rows} == {1}
    assert rows[-1]["metrics"] == {"nan": "NaN", "text": "kept", "loss": 0.25}
    import signac

    # Names with dots make a document that signac does not read.
    project = signac.get_project(str(research.root / ".runs"))
    assert project.open_job(id=job_id).doc["aexp_run"]["metrics"]["a"]["b"] == 7


WORDS = [
    ("run.fail('diverged', 'loss is NaN')", "failed", "diverged", 0, "loss is NaN"),
    ("run.fail(); run.succeed()", "failed", None, 0, "declared failed by the run"),
    ("run.succeed(); sys.exit(3)", "complete", None, 3, "then the command exited with 3"),
    ("run.succeed(); os.kill(os.getpid(), 11)", "complete", None, 139, "ended by SIGSEGV"),
    ("run.succeed(); os.kill(os.getpid(), 15)", "complete", None, 143, "ended by SIGTERM"),
    ("run.succeed(); run.fail('late')", "failed", "late", 0, ""),
    ("pass", "complete", None, 0, None),
    ("sys.exit(4)", "failed", None, 4, "the command exited with 4"),
    # Words that nobody could have said are none.
    ("(run.workspace / 'outcome.json').write_text('{')", "complete", None, 0, None),
    ("(run.workspace / 'outcome.json').write_text('[]')", "complete", None, 0, None),
    (
        """(run.workspace / 'outcome.json').write_text('{"attempt": 2, "status": "failed"}')""",
        "complete",
        None,
        0,
        None,
    ),
    (
        """(run.workspace / 'outcome.json').write_text('{"attempt": 1, "status": "stopped"}')""",
        "complete",
        None,
        0,
        None,
    ),
]


def test_what_the_code_declares_is_obeyed(training: Any, research: Any) -> None:
    training.write(f"""
        with aexp.current() as run:
            exec({[word[0] for word in WORDS]!r}[run.statepoint["seed"]])
        """)
    ids = research.add(f"seed=0..{len(WORDS) - 1}")
    research.aexp("queue", "run", "--continue-on-failure", rc=1)
    for job_id, (code, status, cause, returncode, words) in zip(ids, WORDS, strict=True):
        doc = research.doc(job_id)
        assert doc["status"] == status == research.entry(job_id)["status"], code
        end = doc["aexp_run"]
        assert (end["cause"], end["returncode"]) == (cause, returncode), code
        message = end["attempts"][-1].get("message")
        assert message is None if words is None else words in message, (code, message)


def test_an_exception_fails_the_run_with_its_traceback(training: Any, research: Any) -> None:
    job_id = training.queued(
        """
        try:
            with aexp.current() as run:
                run.log({"loss": 1.5})
                raise ValueError("no \\x1b[31m data")
        except ValueError:
            pass  # and the command exits with 0
        """,
        rc=1,
    )
    error = research.doc(job_id)["queue"]["last_error"]
    assert error["message"] == "ValueError: no \\x1b[31m data"
    assert (error["cause"], error["returncode"]) == ("exception", 0)
    assert "train.py" in error["stderr_tail"]
    assert "raise ValueError" in error["stderr_tail"]
    assert metrics(research, job_id) == {"loss": 1.5}
    assert "\x1b" not in training.done.stderr


def test_a_word_of_an_earlier_attempt_does_not_count(training: Any, research: Any) -> None:
    training.write("""
        run = aexp.current()
        run.log({"attempt": run.attempt, f"only{run.attempt}": 1})
        if run.attempt == 1:
            run.heartbeat(0.5)
            run.fail("flaky")
        else:
            assert not (run.workspace / "progress.json").exists()
        """)
    job_id = research.one("seed=0", "--retries", "1")
    research.aexp("run-queued", job_id)
    doc = research.doc(job_id)
    assert [item["status"] for item in doc["aexp_run"]["attempts"]] == ["failed", "complete"]
    assert doc["aexp_run"]["attempts"][0]["cause"] == "flaky"
    assert metrics(research, job_id) == {"attempt": 2, "only2": 1}


def test_bad_values_cost_an_error_and_not_the_run(training: Any, research: Any) -> None:
    job_id = training.queued("""
        run = aexp.current()
        run.log({"loss": 1.0}, step=1)
        def refused(call, *values, **named):
            try:
                call(*values, **named)
            except TypeError as error:
                assert isinstance(error, aexp.AexpError) and error.hint, error
            except aexp.AexpError as error:
                assert error.hint, error
            else:
                raise AssertionError(values)
        refused(run.log, {"loss": object()})
        refused(run.log, 3)
        refused(run.log, {"a": 1}, step="one")
        refused(run.summary.__setitem__, "best", "text")
        refused(run.summary.update, {"a": 1, "b": {"c": None}})
        refused(run.summary.__setitem__, "", 1)
        refused(run.summary.update, {"val": {"": 1}})
        refused(run.summary.__setitem__, "a..b", 1)
        refused(run.log, {"a": 1}, time="yesterday")
        refused(run.heartbeat, 40)
        refused(run.heartbeat, float("nan"))
        refused(run.heartbeat, step=[1])
        refused(run.fail, 3)
        refused(run.upload_asset, "x\\ny", {})
        refused(run.upload_asset, "x", object())
        refused(run.upload_asset, "x", {}, 3)
        refused(run.log_artifact, "x", "/no/such/file")
        refused(run.link_wandb)
        refused(run.link_wandb, url="javascript:alert(1)")
        refused(run.link_wandb, url="https://me:secret@wandb.ai/e/p/runs/i")
        refused(run.link_wandb, run_id=7)
        run.log({"loss": 2.0}, step=2)
        """)
    assert metrics(research, job_id) == {"loss": 2.0}
    assert [row["step"] for row in training.rows(job_id)] == [1, 2]
    assert not (research.workspace(job_id) / "outcome.json").exists()
    assert not (research.workspace(job_id) / "assets").exists()


def test_threads_forks_and_fresh_processes_share_the_run(training: Any, research: Any) -> None:
    job_id = training.queued("""
        import multiprocessing, threading

        def work(run, who):
            for step in range(50):
                run.log({"who": who}, step=step)
            run.summary[f"w{who}"] = who

        def child(who):
            work(aexp.current(), who)

        if __name__ == "__main__":
            with aexp.current() as run:
                fork, spawn = map(multiprocessing.get_context, ("fork", "spawn"))
                all_ = [fork.Process(target=work, args=(run, 0))]
                all_ += [spawn.Process(target=work, args=(run, 1))]
                all_ += [spawn.Process(target=child, args=(2,))]
                all_ += [threading.Thread(target=work, args=(run, who)) for who in (3, 4)]
                for each in all_:
                    each.start()
                for each in all_:
                    each.join()
                if os.fork() == 0:
                    raise ValueError  # leaves the block in the child, which is not its end
                os.wait()
        """)
    rows = training.rows(job_id)
    for who in range(5):
        assert [r["step"] for r in rows if r["metrics"]["who"] == who] == list(range(50))
    found = metrics(research, job_id)
    assert {name: found[name] for name in found if name != "who"} == {f"w{w}": w for w in range(5)}


def test_progress_is_written_whole_and_now_and_then(training: Any, research: Any) -> None:
    job_id = training.queued("""
        import json
        with aexp.current() as run:
            run.heartbeat()
            path = run.workspace / "progress.json"
            seen = set()
            for step in range(20_000):
                run.heartbeat(step=step, total=20_000, message=f"step {step}")
                if step % 100 == 0:
                    seen.add(json.loads(path.read_text())["step"])
            assert len(seen) < 60, len(seen)
        """)
    said = json.loads((research.workspace(job_id) / "progress.json").read_text())
    assert said["fraction"] == 19_999 / 20_000
    assert (said["step"], said["total"], said["message"]) == (19_999, 20_000, "step 19999")
    assert said["at"] > 1_500_000_000
    assert not list(research.workspace(job_id).glob(".progress*"))


def test_the_last_word_of_progress_is_written(training: Any, research: Any) -> None:
    job_id = training.queued("""
        import json, time
        run = aexp.current()
        path = run.workspace / "progress.json"
        run.heartbeat(0.1)
        run.heartbeat(0.9, message="evaluating")
        while json.loads(path.read_text())["message"] != "evaluating":
            time.sleep(0.01)
        for step in range(50):
            run.heartbeat(step=step, total=50)
        if os.fork() == 0:
            sys.exit()  # says nothing in its parent's name
        os.wait()
        """)
    path = research.workspace(job_id) / "progress.json"
    assert json.loads(path.read_text())["step"] == 49


def test_an_exception_in_a_worker_fails_the_run(training: Any, research: Any) -> None:
    job_id = training.queued(
        """
        import multiprocessing

        def work(who):
            with aexp.current():
                raise ValueError(f"worker {who}")

        if __name__ == "__main__":
            run = aexp.current()
            with run:
                child = multiprocessing.get_context("fork").Process(target=work, args=(1,))
                child.start()
                child.join()
            run.log({"went": "on"})
        """,
        rc=1,
    )
    assert research.doc(job_id)["queue"]["last_error"]["message"] == "ValueError: worker 1"


def test_an_index_of_assets_is_read_once(tmp_path: Path) -> None:
    path = tmp_path / "index.jsonl"
    here, there = AssetIndex(str(path)), AssetIndex(str(path))
    began = time.process_time()
    for name in range(3000):
        assert here.add({"name": str(name), "at": 1})["at"] == 1
    assert time.process_time() - began < 2  # reading all of it each time takes ten times that
    assert there.add({"name": "7", "at": 2})["at"] == 1
    assert there.add({"name": "new", "at": 2})["at"] == 2
    assert here.add({"name": "new", "at": 3})["at"] == 2
    with path.open("ab") as file:
        file.write(b'{"name": "to')  # a kill
    assert here.add({"name": "next", "at": 4})["at"] == 4
    assert json.loads(path.read_text().splitlines()[-1])["name"] == "next"


def test_assets_and_artifacts_are_kept_once_with_their_digests(
    training: Any, research: Any
) -> None:
    job_id = training.queued("""
        from hashlib import sha256
        from pathlib import Path
        run = aexp.current()
        row = run.upload_asset("predictions", {"a": [1, float("nan")]}, {"split": "test"})
        assert row == run.upload_asset("predictions", {"a": [1, float("nan")]}, {"split": "test"})
        data = (run.workspace / row["path"]).read_bytes()
        assert (row["size"], row["sha256"]) == (len(data), sha256(data).hexdigest())
        assert row["path"].endswith(".json") and row["attempt"] == 1, row
        for name in ("../../escape", "/etc/passwd", "..", ".hidden", "a/b", "ünï", "n" * 200):
            row = run.upload_asset("text", name, name=name)
            path = (run.workspace / row["path"]).resolve()
            assert path.parent == (run.workspace / "assets").resolve(), path
            assert path.read_text() == name and row["name"] == name
        assert run.upload_asset("raw", b"\\x00\\xff")["path"].endswith(".bin")
        mine = run.workspace / "out" / "model.bin"
        mine.parent.mkdir()
        mine.write_bytes(b"weights")
        assert run.upload_asset("model", mine)["sha256"] == sha256(b"weights").hexdigest()
        row = run.log_artifact("weights", "." / mine)
        assert row["path"] == "out/model.bin" and row["size"] == 7, row
        assert run.log_artifact("script", __file__)["path"] == __file__
        folder = run.log_artifact("folder", mine.parent)
        assert folder["size"] == 7 and folder["sha256"] != row["sha256"]
        """)
    index = (research.workspace(job_id) / "assets" / "index.jsonl").read_text().splitlines()
    rows = [json.loads(line) for line in index]
    assert len(rows) == 13
    keys = {"asset_type", "name", "path", "size", "sha256", "config", "attempt", "at"}
    assert all(set(row) == keys for row in rows)
    assert rows[0]["config"] == {"split": "test"}


def test_a_link_of_the_assets_folder_is_not_followed(training: Any, research: Any) -> None:
    (research.root / "elsewhere").mkdir()
    training.queued("""
        run = aexp.current()
        os.symlink(run.repo.at("elsewhere"), run.workspace / "assets")
        try:
            run.upload_asset("x", {})
        except aexp.AexpError as error:
            print(error)
        else:
            sys.exit(1)
        """)
    assert "nothing was written" in training.done.stdout
    assert list((research.root / "elsewhere").iterdir()) == []


def test_facts_of_the_user_join_the_attempts_environment(training: Any, research: Any) -> None:
    job_id = training.queued("""
        run = aexp.current()
        run.upload_environment({"data": {"name": "ripple"}})
        run.upload_environment({"data": {"version": 3}, "API_KEY": "s3cr3t-value"})
        """)
    text = (research.workspace(job_id) / "environment" / "1.json").read_text()
    assert json.loads(text)["user"]["data"] == {"name": "ripple", "version": 3}
    assert "s3cr3t-value" not in text


def test_a_wandb_run_is_pointed_at_at_any_time(training: Any, research: Any) -> None:
    job_id = training.queued("""
        aexp.current().link_wandb(url="https://wandb.ai/team/proj/runs/abc123")
        """)
    expected = {
        "backend": "wandb",
        "run_id": "abc123",
        "url": "https://wandb.ai/team/proj/runs/abc123",
        "project": "proj",
        "group": f"H001/E001/{job_id[:8]}",
    }
    assert research.doc(job_id)["tracker"] == research.entry(job_id)["tracker"] == expected
    training.by_hand(f'aexp.run("{job_id}").link_wandb("me", "p q", "xyz")')
    assert research.entry(job_id)["tracker"]["url"] == "https://wandb.ai/me/p%20q/runs/xyz"


def test_outside_a_run_there_is_no_current_one(training: Any) -> None:
    done = training.by_hand("aexp.current()", rc=1)
    assert "StatusError: this process is not part of a run" in done.stderr
    assert "hint: queue it: aexp queue add" in done.stderr
    gone = {"AEXP_JOB_ID": "0" * 32, "AEXP_JOB_WORKSPACE": "/no/such", "AEXP_ATTEMPT": "1"}
    assert "is not there" in training.by_hand("aexp.current()", rc=1, env=gone).stderr
