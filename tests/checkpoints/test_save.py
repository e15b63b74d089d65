"""Checkpoints are saved whole, once, in order, under names that tell their step."""

import json
import os
import shutil
import subprocess
import sys
import threading
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import aexp
from aexp.checkpoints.objects import Objects
from aexp.checkpoints.store import list_checkpoints


def folders(run: Any) -> list[str]:
    return sorted(path.name for path in (run.workspace / "checkpoints").glob("[!.]*"))


def test_a_checkpoint_appears_when_its_block_ends(run: Any) -> None:
    with run.checkpoint(1200, metrics={"loss": 0.5}, epoch=3, metadata={"lr": 0.1}) as folder:
        (folder / "state.pt").write_bytes(b"weights")
        (folder / "optim").mkdir()
        (folder / "optim" / "state.pt").write_bytes(b"moments")
        assert run.checkpoints() == []
    (saved,) = run.checkpoints()
    assert saved == run.latest_checkpoint(verify="hash")
    assert folders(run) == ["step-000001200"]
    assert (saved / "optim/state.pt").read_bytes() == b"moments"
    assert not list((run.workspace / "checkpoints" / ".staging").iterdir())
    manifest = json.loads((saved / "manifest.json").read_bytes())
    expected = {"step": 1200, "epoch": 3, "kind": "checkpoint", "reason": "periodic", "attempt": 1}
    assert {key: manifest[key] for key in expected} == expected
    assert (manifest["job"], manifest["total_bytes"], manifest["parent"]) == (run.id, 14, None)
    assert manifest["metrics"] == {"loss": 0.5}
    assert saved.metadata == {"lr": 0.1}
    assert saved.files == ["optim/state.pt", "state.pt"]


def test_a_block_that_raises_leaves_nothing(run: Any) -> None:
    with pytest.raises(ZeroDivisionError), run.checkpoint(1) as folder:  # noqa: PT012
        (folder / "a").write_bytes(b"a")
        _ = 1 / 0
    assert run.checkpoints() == []
    assert not list((run.workspace / "checkpoints" / ".staging").iterdir())


def test_the_trainer_may_rotate_its_folder_at_once(run: Any, tmp_path: Path) -> None:
    pending = []
    for step in range(5):
        folder = tmp_path / "out"
        (folder / "deep" / "er").mkdir(parents=True)
        (folder / "deep" / "er" / "w.bin").write_bytes(b"%d" % step * 100_000)
        pending.append(run.save_checkpoint(folder, step, background=True))
        (folder / "deep" / "er" / "w.bin").write_bytes(b"overwritten")
        shutil.rmtree(folder)
    saved = [item.result(30) for item in pending]
    assert [item.step for item in saved] == list(range(5))
    parents = [item.manifest.parent for item in saved]
    assert parents == [None, *(item.id for item in saved[:-1])]
    for item in saved:
        assert (item / "deep/er/w.bin").read_bytes() == b"%d" % item.step * 100_000


def test_a_block_that_ends_at_once(run: Any) -> None:
    for step in range(4):
        with run.checkpoint(step, background=True) as folder:
            (folder / "w.bin").write_bytes(b"%d" % step * 1_000_000)
    run.wait_for_saves()
    assert [item.step for item in run.checkpoints()] == [3, 2, 1, 0]
    with run.checkpoint(9, background=True):
        pass
    with pytest.warns(aexp.CheckpointWarning, match="step 9 was not saved: nothing was written"):
        run.wait_for_saves()


ENDINGS = """
import atexit, os, sys, aexp
run = aexp.current()
folder = os.environ["SOURCE"]
def last(step):
    run.save_checkpoint(folder, step, background=True)
atexit.register(last, 3)
run.save_checkpoint(folder, 1, background=True)
last(2)
"""


def test_an_interpreter_that_ends_saves_first_and_tells_of_failures(
    run: Any, tmp_path: Path
) -> None:
    (tmp_path / "w").write_bytes(os.urandom(3_000_000))
    (tmp_path / "empty").mkdir()

    def said(source: str) -> str:
        environment = {**os.environ, "SOURCE": str(tmp_path / source)}
        command = [sys.executable, "-c", ENDINGS]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
        return done.stderr

    assert said("w") == ""
    assert [item.step for item in run.checkpoints()] == [3, 2, 1]
    told = said("empty")
    assert "aexp: the checkpoint of step 2 was not saved: nothing was written" in told
    assert "CheckpointError: nothing was written" in told, "step 3, where nobody could be told"


def test_a_file_that_is_being_written_is_not_saved(
    run: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "w").write_bytes(b"first half")
    from aexp.checkpoints.objects import copy_file as real

    def copied(source: str, target: str) -> os.stat_result:
        real(source, target)
        with open(source, "ab") as file:
            file.write(b", second half")
        return os.stat(source)

    monkeypatch.setattr("aexp.checkpoints.save.copy_file", copied)
    with pytest.raises(aexp.CheckpointError, match="written to while it was copied"):
        run.save_checkpoint(tmp_path / "w", 1)
    assert run.checkpoints() == []


def test_one_file_is_saved_under_its_name(run: Any, tmp_path: Path) -> None:
    (tmp_path / "last.ckpt").write_bytes(b"lightning")
    saved = run.save_checkpoint(tmp_path / "last.ckpt", step=7, format="lightning")
    assert (saved / "last.ckpt").read_bytes() == b"lightning"
    (tmp_path / "last.ckpt").write_bytes(b"changed!!")
    assert (saved / "last.ckpt").read_bytes() == b"lightning"


def test_equal_files_are_one_file_on_disk(run: Any, repo: Any, save: Callable[..., Any]) -> None:
    for step in range(4):
        save(run, step)
    inodes = {(item / "optim/frozen.bin").stat().st_ino for item in run.checkpoints()}
    assert len(inodes) == 1
    objects = list(Objects(repo).all())
    assert sorted(item.links for item in objects) == [2, 2, 2, 2, 5]
    assert all(Objects(repo).is_whole(item.sha256) for item in objects)
    modes = {(item / "model.bin").stat().st_mode & 0o777 for item in run.checkpoints()}
    assert modes == {0o444}


def test_a_file_with_another_name_elsewhere_is_copied(run: Any, tmp_path: Path) -> None:
    (tmp_path / "mine").write_bytes(b"before")
    with run.checkpoint(1) as folder:
        os.link(tmp_path / "mine", folder / "theirs")
    (tmp_path / "mine").write_bytes(b"after!")
    assert run.latest_checkpoint(verify="hash").path.joinpath("theirs").read_bytes() == b"before"
    assert os.access(tmp_path / "mine", os.W_OK)
    assert (tmp_path / "mine").stat().st_mode & 0o200


def test_the_same_step_again(run: Any, save: Callable[..., Any]) -> None:
    first = save(run, 5)
    assert save(run, 5) == first, "the same content is kept once"
    assert folders(run) == ["step-000000005"]
    with run.checkpoint(5) as folder:
        (folder / "model.bin").write_bytes(b"other")
    newest = run.latest_checkpoint()
    assert folders(run) == ["step-000000005", f"step-000000005.{newest.id[3:9]}"]
    assert newest != first
    assert (newest / "model.bin").read_bytes() == b"other"
    with run.checkpoint(5, metrics={"loss": 1}) as folder:
        (folder / "model.bin").write_bytes(b"other")
    assert len(run.checkpoints()) == 3, "other metrics are another checkpoint"


def test_snapshots_and_checkpoints_are_kept_apart(run: Any, save: Callable[..., Any]) -> None:
    save(run, 1)
    final = save(run, None, kind="snapshot", reason="final")
    save(run, 9, kind="snapshot")
    assert folders(run) == ["snapshot-000000009", "snapshot-final", "step-000000001"]
    assert run.latest_checkpoint().step == 1
    assert run.latest_checkpoint(kind="snapshot") == final
    assert [item.kind for item in run.checkpoints()] == ["snapshot", "snapshot", "checkpoint"]
    with pytest.raises(aexp.CheckpointError, match="cannot be a step"), run.checkpoint():
        raise AssertionError


@pytest.mark.parametrize("step", [-1, 1.5, "7", True, float("nan"), 10**16, [1]])
def test_what_is_no_step(run: Any, step: Any) -> None:
    with pytest.raises(aexp.CheckpointError, match="cannot be a step"), run.checkpoint(step):
        raise AssertionError
    assert not (run.workspace / "checkpoints").exists()


def test_words_that_do_not_exist(run: Any, tmp_path: Path) -> None:
    for wrong in ({"kind": "model"}, {"reason": "why"}, {"metrics": [1]}, {"format": 3}):
        with pytest.raises(aexp.CheckpointError), run.checkpoint(1, **wrong):
            raise AssertionError
    with pytest.raises(aexp.AexpError, match="is not there"):
        run.save_checkpoint(tmp_path / "absent", 1)
    with pytest.raises(aexp.CheckpointError, match="nothing was written"), run.checkpoint(1):
        pass
    assert run.checkpoints() == []


@pytest.mark.parametrize("name", ["link", "pipe", "new\nline", "manifest.json", b"\xff"])
def test_what_a_checkpoint_cannot_hold(run: Any, name: str | bytes) -> None:
    with pytest.raises(aexp.CheckpointError) as caught, run.checkpoint(1) as folder:  # noqa: PT012
        (folder / "good").write_bytes(b"good")
        path = os.path.join(os.fsencode(folder), os.fsencode(name))
        if name == "link":
            os.symlink("/etc/hostname", path)
        elif name == "pipe":
            os.mkfifo(path)
        else:
            with open(path, "wb") as file:
                file.write(b"x")
    assert ascii(os.fsdecode(name))[1:-1] in caught.value.message
    assert caught.value.hint
    assert run.checkpoints() == []


def test_names_as_long_as_they_may_be(run: Any, tmp_path: Path) -> None:
    for step in (1, 2):  # the second one is linked to the first
        with run.checkpoint(step) as folder:
            (folder / ("n" * 255)).write_bytes(b"layer")
    os.link(run.latest_checkpoint() / ("n" * 255), tmp_path / "mine")
    assert run.restore(to=tmp_path / "copy").files == ["n" * 255]
    assert (run.checkpoints()[0] / ("n" * 255)).samefile(run.checkpoints()[1] / ("n" * 255))


def test_a_folder_that_holds_the_checkpoints_is_refused(run: Any, save: Callable[..., Any]) -> None:
    save(run, 1)
    with pytest.raises(aexp.CheckpointError, match="holds the run's checkpoints"):
        run.save_checkpoint(run.workspace, 2)
    assert folders(run) == ["step-000000001"]


def test_what_could_not_be_read_again_is_not_saved(
    run: Any, save: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    save(run, 1)
    monkeypatch.setattr("aexp.checkpoints.store._MAX_MANIFEST", 1 << 12)
    with pytest.raises(aexp.CheckpointError, match="its manifest has"):
        save(run, 2, metadata={"vocabulary": ["word"] * 1000})
    assert folders(run) == ["step-000000001"]


def test_no_space_left(
    run: Any, save: Callable[..., Any], small_disk: Path, tmp_path: Path
) -> None:
    """The folder of checkpoints may lie on another disk, and that may be full."""
    (run.workspace / "checkpoints").symlink_to(small_disk)
    older = save(run, 1)
    (tmp_path / "big.bin").write_bytes(os.urandom(5_000_000))
    with pytest.raises(aexp.CheckpointError, match="No space left") as caught:
        run.save_checkpoint(tmp_path / "big.bin", 2)
    assert "free space" in str(caught.value.hint)
    with pytest.raises(OSError, match="No space left"), run.checkpoint(3) as folder:
        (folder / "big").write_bytes(b"0" * 5_000_000)
    pending = None
    with pytest.raises(aexp.CheckpointError):
        pending = run.save_checkpoint(tmp_path / "big.bin", 4, background=True)
    assert pending is None
    assert run.restore() == older
    assert run.latest_checkpoint(verify="hash") == older
    assert list((small_disk / ".staging").iterdir()) == []
    assert save(run, 5).step == 5, "there is space for a small one"


def test_a_read_only_folder(run: Any, save: Callable[..., Any], small_disk: Path) -> None:
    (run.workspace / "checkpoints").symlink_to(small_disk)
    older = save(run, 1)
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    with pytest.raises(aexp.CheckpointError, match="Read-only") as caught, run.checkpoint(2):
        raise AssertionError
    assert "permissions" in str(caught.value.hint)
    assert run.restore() == older
    subprocess.run(["mount", "-o", "remount,rw", str(small_disk)], check=True)
    assert save(run, 2).step == 2


def test_a_background_failure_is_told(run: Any, tmp_path: Path, save: Callable[..., Any]) -> None:
    older = save(run, 1)
    empty = tmp_path / "empty"
    empty.mkdir()
    pending = run.save_checkpoint(empty, 2, background=True)
    with pytest.warns(aexp.CheckpointWarning, match="step 2 was not saved: nothing was written"):
        run.succeed()
    assert pending.done()
    with pytest.raises(aexp.CheckpointError):
        pending.result()
    told = run.save_checkpoint(empty, 3, background=True)
    with pytest.raises(aexp.CheckpointError):
        told.result()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert run.checkpoints() == [older], "who has asked is not warned again"
    (empty / "w").write_bytes(b"w")
    assert run.save_checkpoint(empty, 2).step == 2


def test_without_a_content_store_checkpoints_have_copies(
    run: Any, repo: Any, save: Callable[..., Any]
) -> None:
    Path(repo.at(".aexp", "objects")).write_text("a file in the way")
    one, two = save(run, 1), save(run, 2)
    assert run.restore() == two
    assert (one / "optim/frozen.bin").stat().st_nlink == 1
    assert list(Objects(repo).all()) == []


def test_a_process_that_outlives_its_attempt_saves_nothing(
    run: Any, save: Callable[..., Any], end: Callable[..., None], begin: Callable[..., Any]
) -> None:
    save(run, 1)
    with pytest.raises(aexp.StatusError, match="has ended"), run.checkpoint(2) as folder:  # noqa: PT012
        (folder / "late").write_bytes(b"late")
        end(run)
    again = begin(job_id=run.id)
    assert again.attempt == 2
    with pytest.raises(aexp.StatusError), run.checkpoint(3):
        raise AssertionError
    assert [item.step for item in again.checkpoints()] == [1]
    assert save(again, 2).manifest.attempt == 2


def test_threads_that_save_the_same_step(run: Any, repo: Any) -> None:
    errors: list[BaseException] = []

    def work(number: int) -> None:
        try:
            for step in range(5):
                with run.checkpoint(step) as folder:
                    (folder / "w").write_bytes(b"%d" % (number % 2) * 1000)
                    (folder / "same").write_bytes(b"same" * 1000)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    damaged: list[Any] = []
    found = list_checkpoints(repo, run.id, damaged=damaged)
    assert damaged == []
    assert {item.step for item in found} == set(range(5))
    contents = {(item.step, (item / "w").read_bytes()[:1]) for item in found}
    assert len(contents) == 10
    assert {(item / "same").stat().st_ino for item in found}.__len__() == 1


def test_the_best_becomes_the_final_snapshot(
    run: Any, save: Callable[..., Any], tmp_path: Path
) -> None:
    for step in (1, 2):
        save(run, step, metrics={"loss": step})
    best = run.best_checkpoint("loss")
    final = run.save_checkpoint(best, kind="snapshot", reason="final")
    assert final.manifest.components == best.manifest.components
    copy = run.restore(to=tmp_path / "out")
    (copy / "model.bin").write_bytes(b"trained on")
    assert (run.save_checkpoint(copy, 3) / "model.bin").read_bytes() == b"trained on"
    with run.checkpoint(4) as folder:
        shutil.copytree(best, folder, dirs_exist_ok=True)
    assert run.restore().step == 4
    (tmp_path / "out" / "manifest.json").unlink()
    (tmp_path / "out" / "manifest.json").write_text("{}")
    with pytest.raises(aexp.CheckpointError, match="aexp's own name"):
        run.save_checkpoint(tmp_path / "out", 5)


def test_outside_of_an_attempt_checkpoints_are_only_read(
    run: Any, save: Callable[..., Any], end: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    saved = save(run, 1)
    end(run, "complete")
    for name in ("AEXP_JOB_ID", "AEXP_ATTEMPT", "AEXP_CLAIM"):
        monkeypatch.delenv(name)
    ended = aexp.run(run.id, repo_root=run.repo.root)
    assert ended.restore() == saved
    assert ended.inputs() == []
    with pytest.raises(aexp.StatusError, match="not being executed here"), ended.checkpoint(2):
        raise AssertionError


def test_a_forked_child_that_leaves_the_block_publishes_nothing(run: Any) -> None:
    with run.checkpoint(1) as folder:
        (folder / "half").write_bytes(b"half")
        child = os.fork()
        if child == 0:
            try:
                raise SystemExit(0)
            finally:
                os._exit(0)
        os.waitpid(child, 0)
        (folder / "half").write_bytes(b"whole")
    assert (run.latest_checkpoint() / "half").read_bytes() == b"whole"
