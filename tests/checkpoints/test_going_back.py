"""Training that goes back to an earlier checkpoint is not undone by what it had saved beyond."""

import os
import resource
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import aexp
from aexp.checkpoints.past import past_of
from aexp.checkpoints.store import list_checkpoints
from aexp.execution.resume import Resume
from aexp.runs.preemption import newest_checkpoint
from aexp.runs.store import read_run

Function = Callable[..., Any]


def steps(run: Any) -> list[int]:
    return sorted(item.step for item in run.checkpoints())


@pytest.fixture
def diverged(run: Any, save: Function, end: Function, begin: Function) -> Any:
    """Return the second attempt of a run whose first one has saved the steps 1 to 9."""
    for step in range(1, 10):
        save(run, step, metrics={"loss": abs(step - 8)})
    end(run)
    return begin(job_id=run.id)


def test_the_next_attempt_goes_on_where_training_went_back_to(
    repo: Any, diverged: Any, save: Function, end: Function, begin: Function
) -> None:
    chosen = next(item for item in diverged.checkpoints() if item.step == 3)
    diverged.keep_checkpoints(2)
    assert diverged.restore(chosen.id) == chosen
    assert diverged.latest_checkpoint().step == 9  # only looked at, so far
    save(diverged, 4, metrics={"loss": 5})
    assert steps(diverged) == [3, 4, 8, 9]  # two of each line of training
    new = diverged.latest_checkpoint()
    assert (new.step, new.manifest.attempt, new.manifest.parent) == (4, 2, chosen.id)
    assert newest_checkpoint(repo, read_run(repo, diverged.id)) == {"id": new.id, "step": 4}
    assert diverged.best_checkpoint("loss").step == 8
    end(diverged)
    third = begin(job_id=diverged.id)
    assert third.restore().id == new.id
    # Whoever wants it after all names it.
    old = next(item for item in third.checkpoints() if item.step == 9)
    third.restore(old.id)
    save(third, 10)
    assert third.latest_checkpoint().manifest.parent == old.id
    end(third)
    assert begin(job_id=third.id).restore().step == 10


def test_going_back_twice_and_within_an_attempt(diverged: Any, save: Function) -> None:
    run = diverged

    def back(step: int) -> None:
        run.restore(next(item.id for item in run.checkpoints() if item.step == step))

    back(5)
    save(run, 6)
    save(run, 7)
    back(6)  # of the newest of that step
    save(run, 7, metrics={"loss": 1})
    assert run.restore().metrics == {"loss": 1}
    back(2)
    with run.checkpoint(kind="snapshot") as folder:  # no training: nothing is left behind by it
        (folder / "model.bin").write_bytes(b"of step 2")
    assert run.latest_checkpoint().step == 7
    save(run, 3)
    assert run.latest_checkpoint().step == 3
    run.restore()
    save(run, 4)
    assert run.latest_checkpoint().manifest.attempt == 2
    past = past_of(read_run(run.repo, run.id))
    assert len(past.turns) == 1  # the one that covers the others


def test_what_is_damaged_does_not_push_out_what_is_saved_now(
    diverged: Any, save: Function, end: Function, begin: Function
) -> None:
    newest = diverged.latest_checkpoint()
    flip(newest / "model.bin")  # of the same size: only reading it tells
    diverged.keep_checkpoints(1)
    with pytest.warns(aexp.CheckpointWarning, match="other content"):
        assert diverged.restore().step == 8
    save(diverged, 8, metrics={"again": 1})
    assert diverged.latest_checkpoint(verify="size").metrics == {"again": 1}
    end(diverged)
    assert begin(job_id=diverged.id).restore().metrics == {"again": 1}


def test_a_plain_command_that_goes_on_before_a_damaged_one(research: Any, repo: Any) -> None:
    research.experiment(
        "case $AEXP_ATTEMPT in 1) all='10 20';; *) all='11 12';; esac; "
        "for i in $all {seed}; do echo $i > $AEXP_CHECKPOINT_DIR/step-$i.txt; done; "
        "[ $AEXP_ATTEMPT != 1 ]",
        "checkpoints: {keep_last: 2}\n",
    )
    job_id = research.one("seed=0")
    research.aexp("run-queued", job_id, rc=1)
    found = list_checkpoints(repo, job_id)
    assert [item.step for item in found] == [20, 10]
    flip(found[0] / "step-20.txt")
    research.aexp("queue", "retry", job_id)
    research.aexp("run-queued", job_id)
    assert [item.step for item in list_checkpoints(repo, job_id)] == [20, 12, 11, 10]
    assert research.entry(job_id)["checkpoint"]["step"] == 12


def test_checkpoints_that_cannot_be_looked_at_are_no_beginning(
    repo: Any, run: Any, save: Function
) -> None:
    """A file system in trouble keeps the run queued: it would throw away the training so far."""
    save(run, 3)
    again = Resume(repo, read_run(repo, run.id), 2, print)
    assert again.origin is not None
    free = os.open("/", os.O_RDONLY)
    os.close(free)
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (free, limits[1]))  # not one more
    try:
        with pytest.raises(aexp.CheckpointError, match="Too many open files") as caught:
            Resume(repo, again._run, 2, print)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    assert "stays queued" in caught.value.hint


def flip(path: Path) -> None:
    """Change one byte of a file, its size and its time remaining."""
    state = path.stat()
    path.chmod(0o644)
    data = bytearray(path.read_bytes())
    data[0] ^= 1
    path.write_bytes(data)
    os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns))
