"""`queue run`: order, arrays, limits, exit codes."""

import json
import os
import time
from pathlib import Path
from typing import Any

import pytest

import aexp
from aexp.files import create_exclusive

NOTE = "echo {seed} >> ran"


def ran(research: Any) -> list[int]:
    path = research.root / "ran"
    return [int(word) for word in path.read_text().split()] if path.exists() else []


def statuses(research: Any, ids: list[str]) -> list[str]:
    return [research.status(job_id) for job_id in ids]


def test_in_the_order_of_adding(research: Any) -> None:
    research.experiment(NOTE)
    research.add("seed=5..8")
    research.add("seed=1..3")
    done = research.aexp("queue", "run")
    assert ran(research) == [5, 6, 7, 8, 1, 2, 3]
    assert "run 7 of 7" in done.stderr


def test_higher_priority_first(research: Any) -> None:
    research.experiment(NOTE)
    research.add("seed=0..1")
    research.add("seed=2..3", "--priority", "5")
    research.add("seed=4", "--priority", "-1")
    research.add("seed=6", "--priority", "9")
    assert [e["sp"]["seed"] for e in research.json("queue", "list")] == [6, 2, 3, 0, 1, 4]
    research.aexp("queue", "run")
    assert ran(research) == [6, 2, 3, 0, 1, 4]


def test_parents_first_even_if_their_priority_is_lower(research: Any) -> None:
    research.experiment(NOTE)
    parent = research.one("seed=0", "--priority", "-5")
    research.one("seed=1", "--after", parent, "--priority", "5")
    research.aexp("queue", "run")
    assert ran(research) == [0, 1]


def test_a_parent_outside_the_filter_is_pulled_in(research: Any) -> None:
    research.experiment(NOTE)
    grandparent = research.one("seed=0")
    parent = research.one("seed=1", "--after", grandparent, "--tag", "other")
    research.one("seed=2", "--after", parent, "--tag", "mine")
    untouched = research.one("seed=3", "--tag", "other")
    research.aexp("queue", "run", "--tag", "mine")
    assert ran(research) == [0, 1, 2]
    assert research.status(untouched) == "queued"


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("--tag", "b"), [10, 11]),
        (("--sp", "condition=cls"), [2, 3]),
        (("--limit", "3"), [0, 1, 2]),
        (("--experiment", "E001", "--limit", "1"), [0]),
    ],
)
def test_filters_and_limits(research: Any, arguments: tuple[str, ...], expected: list[int]) -> None:
    research.experiment(NOTE)
    research.add("condition=full,seed=0..1", "--tag", "a")
    research.add("condition=cls,seed=2..3", "--tag", "a")
    research.add("seed=10..11", "--tag", "b")
    research.aexp("queue", "run", *arguments)
    assert ran(research) == expected


def test_a_failure_ends_the_queue_run(research: Any) -> None:
    research.experiment(NOTE + "; test {seed} != 1")
    ids = research.add("seed=0..2")
    done = research.aexp("queue", "run", rc=1)
    assert statuses(research, ids) == ["complete", "failed", "queued"]
    assert f"{ids[1][:8]}: the command exited with 1; the run is failed; log: " in done.stderr


def test_or_it_goes_on(research: Any) -> None:
    research.experiment(NOTE + "; test {seed} != 1")
    ids = research.add("seed=0..2")
    research.aexp("queue", "run", "--continue-on-failure", rc=1)
    assert statuses(research, ids) == ["complete", "failed", "complete"]


def test_an_error_of_one_run_does_not_end_the_others(research: Any) -> None:
    research.experiment(NOTE)
    ids = research.add("seed=0..2")
    (research.workspace(ids[1]) / "signac_statepoint.json").write_text('{"seed": 99}')
    done = research.aexp("queue", "run", "--continue-on-failure", rc=1)
    assert ran(research) == [0, 2]
    assert "was changed after the run was created" in done.stderr


def test_a_fault_leaves_it_queued_with_75(research: Any) -> None:
    research.experiment("kill -KILL $$")
    ids = research.add("seed=0..1")
    research.aexp("queue", "run", "--continue-on-failure", rc=75)
    assert statuses(research, ids) == ["queued", "queued"]


def test_dry_run_prints_the_commands(research: Any) -> None:
    research.add("condition=full,seed=0..1")
    assert research.aexp("queue", "run", "--dry-run").stdout == "echo full 0\necho full 1\n"


def test_the_api_returns_the_exit_codes(research: Any) -> None:
    research.experiment("test {seed} != 1")
    research.add("seed=0..2")
    assert aexp.run_queue(continue_on_failure=True, repo_root=research.root) == [0, 1, 0]
    assert aexp.run_queue(repo_root=research.root) == []


# --- one task of an array ------------------------------------------------------------------


def task(research: Any, index: int, *more: str, rc: int = 0) -> Any:
    return research.aexp("queue", "run", "--index", str(index), "--array-id", "job1", *more, rc=rc)


@pytest.mark.parametrize("order", [[0, 1, 2, 3, 4, 5], [5, 4, 3, 2, 1, 0], [2, 5, 0, 3, 1, 4]])
def test_staggered_tasks_execute_each_run_once(research: Any, order: list[int]) -> None:
    """One task starts when the one before it has ended, as with ``--array=0-5%1``."""
    research.experiment(NOTE)
    research.add("seed=0..5")
    for index in order:
        task(research, index)
    assert ran(research) == order


def test_all_tasks_at_once_execute_each_run_once(research: Any) -> None:
    """Short runs: the first have ended while the last tasks still look for the list."""
    research.experiment(NOTE)
    research.add("seed=0..7")
    tasks = [
        research.start_aexp("queue", "run", "--index", str(index), "--array-id", "job1")
        for index in range(8)
    ]
    assert [process.wait(timeout=120) for process in tasks] == [0] * 8
    assert sorted(ran(research)) == list(range(8))


def test_what_is_added_or_removed_later_does_not_shift_the_list(research: Any) -> None:
    research.experiment(NOTE)
    ids = research.add("seed=0..3")
    task(research, 0)
    research.one("seed=99", "--priority", "100")
    research.aexp("queue", "remove", ids[1])
    done = task(research, 1)
    assert "already abandoned" in done.stderr
    task(research, 2)
    task(research, 3)
    assert ran(research) == [0, 2, 3]


def test_slurms_own_array_id_names_the_array(research: Any) -> None:
    research.experiment(NOTE)
    research.add("seed=0..2")
    for index in range(3):
        research.aexp(
            "queue",
            "run",
            "--index",
            str(index),
            env={"SLURM_ARRAY_JOB_ID": "88", "SLURM_JOB_ID": "9"},
        )
    assert ran(research) == [0, 1, 2]


@pytest.mark.slow
def test_two_arrays_at_once_share_the_queue(research: Any) -> None:
    research.experiment(NOTE + "; sleep 0.1")
    ids = research.add("seed=0..5")
    for array in ("one", "two"):  # a list that is frozen later lacks what has started by then
        research.aexp("queue", "run", "--index", "99", "--array-id", array, rc=2)
    tasks = [
        research.start_aexp("queue", "run", "--index", str(index), "--array-id", array)
        for index in range(6)
        for array in ("one", "two")
    ]
    assert [process.wait(timeout=120) for process in tasks] == [0] * 12
    assert sorted(ran(research)) == list(range(6))
    assert statuses(research, ids) == ["complete"] * 6


def test_another_filter_is_another_list(research: Any) -> None:
    research.experiment(NOTE)
    research.add("seed=0..1", "--tag", "a")
    research.add("seed=10..11", "--tag", "b")
    task(research, 0, "--tag", "b")
    task(research, 1, "--tag", "b")
    task(research, 0, "--tag", "a")
    assert ran(research) == [10, 11, 0]


def test_out_of_range(research: Any) -> None:
    research.add("seed=0..1")
    done = task(research, 2, rc=2)
    assert "--index 2 is out of range: 2 queued run(s)" in done.stderr
    assert "0-1" in done.stderr
    research.aexp("queue", "run", "--index", "-1", rc=2)
    empty = research.aexp("queue", "run", "--index", "0", "--tag", "none", rc=2)
    assert "0 queued run(s) with tag none" in empty.stderr


def test_without_an_array_the_index_counts_and_says_so(research: Any) -> None:
    research.experiment(NOTE)
    research.add("seed=0..2")
    done = research.aexp("queue", "run", "--index", "1")
    assert "--array-id" in done.stderr
    assert ran(research) == [1]


def test_a_child_in_an_array_hands_back_until_its_parent_is_complete(research: Any) -> None:
    research.experiment(NOTE)
    parent = research.one("seed=0")
    research.one("seed=1", "--after", parent)
    done = task(research, 1, rc=75)
    assert "waits for its parent" in done.stderr
    task(research, 0)
    task(research, 1)
    assert ran(research) == [0, 1]


@pytest.mark.parametrize("name", ["../x", "a/b", "", "a b", "x" * 200])
def test_array_ids_are_checked(research: Any, name: str) -> None:
    research.add("seed=0")
    done = research.aexp("queue", "run", "--index", "0", "--array-id", name, rc=2)
    assert "--array-id" in done.stderr


def test_a_requeued_task_finds_its_own_run_again(research: Any) -> None:
    research.experiment("test $AEXP_ATTEMPT = 2 || kill -KILL $$; echo {seed} >> ran")
    research.add("seed=0..1")
    task(research, 1, rc=75)
    task(research, 1)
    assert ran(research) == [1]


def test_the_frozen_lists_are_not_in_git(research: Any) -> None:
    research.experiment("true")
    research.add("seed=0")
    task(research, 0)
    assert ".aexp/cache" not in research.git("status", "--porcelain", "--untracked-files=all")


def test_a_corrupt_frozen_list_is_named(research: Any) -> None:
    research.experiment("true")
    research.add("seed=0")
    task(research, 0)
    (path,) = (research.root / ".aexp" / "cache" / "arrays").iterdir()
    assert json.loads(path.read_text())["runs"]
    path.write_text("{")
    done = task(research, 0, rc=1)
    assert path.name in done.stderr


def test_what_others_took_in_the_meantime_is_waited_for_last(
    research: Any, wait_until: Any
) -> None:
    research.experiment("echo {seed} >> ran; until test -e go{seed}; do sleep 0.05; done")
    ids = research.add("seed=0..2")
    driver = research.start_aexp("queue", "run")
    wait_until(lambda: ran(research) == [0])
    research.start_aexp("run-queued", ids[1])
    wait_until(lambda: ran(research) == [0, 1])
    (research.root / "go0").touch()
    wait_until(lambda: ran(research) == [0, 1, 2])
    (research.root / "go2").touch()
    wait_until(lambda: research.status(ids[2]) == "complete")
    time.sleep(0.3)
    assert driver.poll() is None
    (research.root / "go1").touch()
    assert driver.wait(timeout=30) == 0
    assert statuses(research, ids) == ["complete"] * 3
    assert ran(research) == [0, 1, 2]


def test_what_others_execute_already_is_left_to_them(research: Any, wait_until: Any) -> None:
    research.experiment("echo {seed} >> ran; until test -e go{seed}; do sleep 0.05; done")
    ids = research.add("seed=0..1")
    research.start_aexp("run-queued", ids[0])
    wait_until(lambda: research.status(ids[0]) == "running")
    (research.root / "go1").touch()
    research.aexp("queue", "run")
    assert statuses(research, ids) == ["running", "complete"]


def test_whoever_comes_while_the_folder_is_made_does_not_fail(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Tasks of an array begin at once, in a clone that has had no array before."""
    path = tmp_path / "arrays" / "list"
    open_file, refused = os.open, []

    def slow_open(name: str, *arguments: Any) -> int:
        try:
            return open_file(name, *arguments)
        except FileNotFoundError:  # and before the caller can look, another task has made it
            refused.append(name)
            path.parent.mkdir()
            raise

    monkeypatch.setattr(os, "open", slow_open)
    assert create_exclusive(path, b"x")
    assert not create_exclusive(path, b"y")
    assert path.read_bytes() == b"x"
    assert len(refused) == 1
