"""Training that is asked to end, saves, gives its place back, and goes on at the next step."""

import json
import os
import signal
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from aexp.execution.grace import grace_s
from aexp.runs.step_name import step_of


def test_snakemake_ended_by_term_and_started_again(training: Any, wait_until: Any) -> None:
    research = training.research
    job_id = training.add("20", 1)
    session = research.start_snakemake("--cores", "1")
    wait_until(lambda: training.paused(job_id, 1), timeout=60)
    os.killpg(session.pid, signal.SIGTERM)
    session.wait(timeout=60)
    assert research.status(job_id) == "queued"
    (attempt,) = training.attempts(job_id)
    assert (attempt["status"], attempt["cause"]) == ("queued", "preempted")
    assert attempt["message"] == "after step 20"
    assert not (research.workspace(job_id) / "stop.json").exists()
    research.snakemake("--cores", "1")
    training.check(job_id, [1, 21], 1)


def test_ctrl_c_of_a_queue_run(training: Any, wait_until: Any) -> None:
    research = training.research
    first, second = training.add("20:40", 1), training.add("none", 2)
    for attempt in (1, 2):
        runner = research.start_aexp("queue", "run")
        wait_until(lambda n=attempt: training.paused(first, n), timeout=60)
        runner.send_signal(signal.SIGINT)
        assert runner.wait(timeout=30) == 75
        assert research.status(first) == research.status(second) == "queued"
    research.aexp("queue", "run")
    training.check(first, [1, 21, 41], 1)
    training.check(second, [1], 2)


def test_a_trainer_that_never_asks_goes_on_from_its_last_checkpoint(
    training: Any, wait_until: Any
) -> None:
    """It is killed when its grace is over, and loses what it had not saved."""
    research = training.research
    research.experiment(f"trap '' TERM; {sys.executable} {training.script} IGNORE {{pauses}}")
    job_id = training.add("24", 1)
    wrapper = research.start_aexp("run-queued", job_id, env={"AEXP_GRACE_S": "0.5"})
    wait_until(lambda: training.paused(job_id, 1), timeout=30)
    notice = research.workspace(job_id) / "stop.json"
    wrapper.send_signal(signal.SIGTERM)
    wait_until(notice.exists)
    assert wrapper.wait(timeout=30) == 75
    (attempt,) = training.attempts(job_id)
    assert (attempt["status"], attempt["cause"]) == ("queued", "interrupted")
    research.aexp("run-queued", job_id)
    training.check(job_id, [1, 25], 1)


def test_a_pipeline_in_a_shell_has_the_whole_grace(training: Any, wait_until: Any) -> None:
    """The shell dies of the signal at once; the training beside it saves and declares."""
    research = training.research
    research.experiment(f"{sys.executable} {training.script} {{pauses}} | cat; exit 3")
    job_id = training.add("20", 1)
    wrapper = research.start_aexp("run-queued", job_id)
    wait_until(lambda: training.paused(job_id, 1), timeout=30)
    wrapper.send_signal(signal.SIGTERM)
    assert wrapper.wait(timeout=30) == 75
    (attempt,) = training.attempts(job_id)
    assert attempt["cause"] == "preempted"
    assert list(research.workspace(job_id).glob("checkpoints/step-000000020"))
    assert not (research.workspace(job_id) / "checkpoints" / "incoming").exists()


PLAIN = """
step=0
if [ -n "$AEXP_RESUME_FROM" ]; then step=$(cat "$AEXP_RESUME_FROM"/ckpt-*); fi
echo "attempt $AEXP_ATTEMPT begins with $step"
for unused in 1 2; do
    step=$((step + 1))
    echo $step > "$AEXP_CHECKPOINT_DIR/.new"
    mv "$AEXP_CHECKPOINT_DIR/.new" "$AEXP_CHECKPOINT_DIR/ckpt-$step"
done
echo torn > "$AEXP_CHECKPOINT_DIR/ckpt-99.tmp"
echo "{\\"step\\": $step}" > "$AEXP_METRICS_PATH"
test $step -ge 6 || exit 75
"""


def test_a_plain_command_asks_for_another_attempt(research: Any) -> None:
    (research.root / "plain.sh").write_text(PLAIN)
    research.experiment("sh plain.sh")
    job_id = research.one("seed=0", "--timeout", "60")
    done = research.aexp("run-queued", job_id, env={"AEXP_RESUME_FROM": "/of/another/run"})
    lines = [line for line in done.stdout.splitlines() if line.startswith("attempt")]
    assert lines == [f"attempt {n + 1} begins with {2 * n}" for n in range(3)]
    folder = research.workspace(job_id) / "checkpoints"
    manifests = [json.loads(p.read_text()) for p in sorted(folder.glob("step-*/manifest.json"))]
    assert [m["step"] for m in manifests] == [1, 2, 3, 4, 5, 6]
    assert [m["attempt"] for m in manifests] == [1, 1, 2, 2, 3, 3]
    assert {p.name for p in folder.iterdir()} - {".staging"} == {
        p.parent.name for p in folder.glob("step-*/manifest.json")
    }
    entry = research.entry(job_id)
    assert entry["status"] == "complete"
    assert entry["metrics"] == {"step": 6}
    ids = {m["step"]: m["id"] for m in manifests}
    assert [a.get("resumed_from") for a in entry["attempts"]] == [None, ids[2], ids[4]]
    assert [a.get("cause") for a in entry["attempts"]] == ["preempted", "preempted", None]
    assert research.doc(job_id)["aexp_run"]["preemptions"] == 2


def test_what_a_killed_wrapper_leaves_is_a_checkpoint_later(research: Any, wait_until: Any) -> None:
    """What had got its final name is taken; what was being written under it is not."""
    research.experiment(
        'test -n "$AEXP_RESUME_FROM" && exec ls "$AEXP_RESUME_FROM/";'
        ' cd "$AEXP_CHECKPOINT_DIR"; mkdir .new; echo 1 > .new/weights; sleep 0.1;'
        " mv .new model_v2_step_30; echo 2 > step_40.pt; touch ../../../ready; sleep 60"
    )
    job_id = research.one()
    wrapper = research.start_aexp("run-queued", job_id, env={"AEXP_HEARTBEAT_S": "0"})
    wait_until((research.workspace(job_id) / "ready").exists)
    wrapper.kill()
    wrapper.wait()
    done = research.aexp("run-queued", job_id)
    assert done.stdout.split() == ["manifest.json", "weights"]
    folder = research.workspace(job_id) / "checkpoints"
    assert [path.name for path in sorted(folder.glob("step-*"))] == ["step-000000030"]
    assert not (folder / "incoming").exists()


def test_nobody_waits_while_a_checkpoint_is_copied(
    research: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The wrapper passes on signals and output meanwhile."""
    from aexp.execution import resume
    from aexp.paths import Repo
    from aexp.runs.store import read_run

    job_id = research.one()
    repo = Repo(research.root)
    said: list[str] = []
    looked = resume.Resume(repo, read_run(repo, job_id), 1, said.append)
    looked.prepare()
    folder = Path(looked.environment()["AEXP_CHECKPOINT_DIR"])
    for name in ("step-5", "step-6\nof a name"):
        (folder / name).write_text("weights")
    began, go_on = threading.Event(), threading.Event()
    save = resume.Resume._save

    def slow(self: Any, *arguments: Any) -> None:
        began.set()
        assert go_on.wait(30)
        save(self, *arguments)

    monkeypatch.setattr(resume.Resume, "_save", slow)
    while not began.is_set():
        looked.look()
    looked.look()
    go_on.set()
    looked.finish(killed=True)
    folder = research.workspace(job_id) / "checkpoints"
    assert [path.name for path in folder.glob("step-*")] == ["step-000000005"]
    assert all("\n" not in line for line in said)
    assert said[-1].startswith(r"step-6\nof a name is not kept")


def test_a_branch_of_a_damaged_checkpoint_stays_queued(research: Any) -> None:
    research.experiment("echo weights > $AEXP_CHECKPOINT_DIR/step-5")
    source = research.one()
    research.aexp("run-queued", source)
    (manifest,) = research.workspace(source).glob("checkpoints/step-*/manifest.json")
    saved = json.loads(manifest.read_text())["id"]
    branch = research.json("checkpoints", "branch", saved, "--set", "seed=9")["runs"][0]["job_id"]
    (manifest.parent / "step-5").chmod(0o644)
    (manifest.parent / "step-5").write_text("torn")
    done = research.aexp("run-queued", branch, rc=1)
    assert "is damaged" in done.stderr
    assert "the run stays queued; aexp pull" in done.stderr
    assert research.status(branch) == "queued"


def test_asking_for_ever_without_getting_anywhere_is_a_failure(research: Any) -> None:
    research.experiment("echo $AEXP_ATTEMPT >> tries; exit 75")
    job_id = research.one()
    research.aexp("run-queued", job_id, rc=1)
    assert (research.root / "tries").read_text().split() == ["1", "2", "3"]
    entry = research.entry(job_id)
    assert (entry["status"], entry["cause"], entry["returncode"]) == ("failed", "no_progress", 75)
    said = research.aexp("show-run", job_id).stdout
    assert "without a newer checkpoint" in said
    research.aexp("queue", "retry", job_id)
    assert not {"stalled", "preemptions"} & set(research.doc(job_id)["aexp_run"])


def test_time_that_is_left(research: Any) -> None:
    """A time limit of the run's own is known beforehand, and is no failure after a save."""
    script = research.root / "train.py"
    script.write_text(
        "import aexp, time\n"
        "run = aexp.current()\n"
        "found = run.restore()\n"
        "step = found.step if found else 0\n"
        "left = run.seconds_left()\n"
        "assert 55 < left <= 60, left\n"
        "assert not run.should_stop() and not run.should_stop(margin=50)\n"
        "with run.checkpoint(step + 1) as folder:\n"
        "    (folder / 'a').write_text(str(step))\n"
        "if step < 2 and run.should_stop(margin=60):\n"
        "    run.preempted()\n"
    )
    research.experiment(f"{sys.executable} train.py")
    job_id = research.one("seed=0", "--timeout", "60")
    research.aexp("run-queued", job_id)
    assert research.status(job_id) == "complete"
    assert len(research.doc(job_id)["aexp_run"]["attempts"]) == 3


@pytest.mark.parametrize(
    ("given", "seconds"), [("90", 90), ("-1", 0), ("inf", 30 * 86400), ("nan", 20), ("much", 20)]
)
def test_a_grace_time_that_somebody_has_set(
    given: str, seconds: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AEXP_GRACE_S", given)
    assert grace_s() == seconds


def test_the_step_in_a_name() -> None:
    names = {
        "checkpoint-1200": 1200,
        "epoch=3-step=450.ckpt": 450,
        "model_7b_step_30.pt": 30,
        "ckpt-000010.safetensors": 10,
        "weights.h5": None,
        "v2": 2,
    }
    assert {name: step_of(name) for name in names} == names
