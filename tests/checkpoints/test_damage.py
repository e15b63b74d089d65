"""Damage of every kind is named, and the checkpoint before it is used."""

import json
import os
import shutil
import signal
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import aexp
from aexp.checkpoints.manifest import Component, make_manifest, parse_manifest
from aexp.checkpoints.objects import Objects
from aexp.checkpoints.store import list_checkpoints


def writable(path: Path) -> Path:
    """Make a file of a checkpoint one of its own that can be changed."""
    data = path.read_bytes()
    path.unlink()
    path.write_bytes(data)
    return path


def truncate(folder: Path) -> None:
    os.truncate(writable(folder / "model.bin"), 10)


def flip(folder: Path) -> None:
    path = writable(folder / "model.bin")
    data = bytearray(path.read_bytes())
    data[5] ^= 1
    path.write_bytes(data)


def lose(folder: Path) -> None:
    (folder / "optim" / "frozen.bin").unlink()


def link(folder: Path) -> None:
    path = folder / "model.bin"
    copy = folder.parent / "copy"
    copy.write_bytes(path.read_bytes())
    path.unlink()
    path.symlink_to(copy)


def link_folder(folder: Path) -> None:
    outside = folder.parent / "outside"
    (folder / "optim").rename(outside)
    (folder / "optim").symlink_to(outside)


def link_whole(folder: Path) -> None:
    outside = folder.parent / "outside"
    folder.rename(outside)
    folder.symlink_to(outside)


def pipe(folder: Path) -> None:
    (folder / "model.bin").unlink()
    os.mkfifo(folder / "model.bin")


def edit(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    path = writable(folder / "manifest.json")
    body = json.loads(path.read_bytes())
    change(body)
    path.write_text(json.dumps(body))


def escape(folder: Path) -> None:
    edit(folder, lambda body: body["components"][0].update(path="../../../secret"))


def absolute(folder: Path) -> None:
    edit(folder, lambda body: body["components"][0].update(path="/etc/hostname"))


def other_digest(folder: Path) -> None:
    edit(folder, lambda body: body["components"][0].update(sha256="0" * 64))


def other_step(folder: Path) -> None:
    edit(folder, lambda body: body.update(step=99))


def later_schema(folder: Path) -> None:
    edit(folder, lambda body: body.update(schema=2))


def torn(folder: Path) -> None:
    os.truncate(writable(folder / "manifest.json"), 100)


def unnamed(folder: Path) -> None:
    (folder / "manifest.json").unlink()


def emptied(folder: Path) -> None:
    shutil.rmtree(folder)
    folder.mkdir()


HARM: tuple[Callable[[Path], None], ...] = (
    truncate,
    flip,
    lose,
    link,
    link_folder,
    link_whole,
    pipe,
    escape,
    absolute,
    other_digest,
    other_step,
    later_schema,
    torn,
    unnamed,
    emptied,
)


@pytest.mark.parametrize("harm", HARM, ids=lambda harm: harm.__name__)
def test_the_checkpoint_before_is_used(
    run: Any, save: Callable[..., Any], harm: Callable[[Path], None], tmp_path: Path
) -> None:
    older, newest = save(run, 1), save(run, 2)
    harm(newest.path)
    with pytest.warns(aexp.CheckpointWarning, match="step-000000002"):
        assert run.restore() == older
    with pytest.warns(aexp.CheckpointWarning):
        copy = run.restore(to=tmp_path / "here")
    assert copy.id == older.id
    assert (copy / "optim/frozen.bin").read_bytes() == b"frozen" * 10_000
    if harm is flip:
        assert run.latest_checkpoint() == newest, "sizes do not tell"
        with pytest.warns(aexp.CheckpointWarning, match="has other content"):
            assert run.latest_checkpoint(verify="hash") == older
    else:
        with pytest.warns(aexp.CheckpointWarning):
            assert run.latest_checkpoint() == older
    with pytest.raises(aexp.CheckpointDamaged, match=r"step-000000002"):
        run.restore(newest)
    assert save(run, 2).step == 2, "the step can be saved again"
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=aexp.CheckpointWarning)
        assert run.restore().step == 2


def test_nothing_is_left(run: Any, save: Callable[..., Any]) -> None:
    for step in (1, 2):
        truncate(save(run, step).path)
    with pytest.warns(aexp.CheckpointWarning) as caught:
        assert run.restore() is None
    assert len(caught) == 2


def test_a_damaged_object_is_healed_by_the_next_save(
    run: Any, repo: Any, save: Callable[..., Any], research: Any
) -> None:
    """A trainer with the rights to has written into a finished checkpoint, which is shared."""
    one, two = save(run, 1), save(run, 2)
    shared = one / "optim/frozen.bin"
    os.chmod(shared, 0o644)
    with open(shared, "r+b") as file:
        file.write(b"XXXX")
    with pytest.raises(aexp.CheckpointDamaged, match="other content"):
        run.restore(two)
    three = save(run, 3)
    assert run.restore() == three, "what is good is never replaced by what is not"
    (digest,) = (item.sha256 for item in three.manifest.components if "frozen" in item.path)
    assert Objects(repo).is_whole(digest)
    assert save(run, 4).path.joinpath("optim/frozen.bin").stat().st_ino == (
        (three / "optim/frozen.bin").stat().st_ino
    )


def test_an_old_damaged_one_is_not_told_at_every_look(run: Any, save: Callable[..., Any]) -> None:
    torn(save(run, 1).path)
    newest = save(run, 2)
    assert run.latest_checkpoint() == newest
    assert [item.step for item in run.checkpoints()] == [2]


def test_a_folder_with_other_files_is_not_touched(
    run: Any, save: Callable[..., Any], tmp_path: Path
) -> None:
    save(run, 1)
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "thesis.tex").write_text("years")
    with pytest.raises(aexp.CheckpointError, match="holds other files"):
        run.restore(to=mine)
    with pytest.raises(aexp.CheckpointError, match="is no folder"):
        run.restore(to=mine / "thesis.tex")
    assert (mine / "thesis.tex").read_text() == "years"
    assert [path.name for path in tmp_path.iterdir() if "mine" in path.name] == ["mine"]


def test_restoring_again_replaces_the_copy(
    run: Any, save: Callable[..., Any], tmp_path: Path
) -> None:
    save(run, 1)
    copy = run.restore(to=tmp_path / "resume")
    (copy / "model.bin").write_bytes(b"trained on")
    (copy / "extra").write_bytes(b"stale")
    save(run, 2)
    with pytest.warns(aexp.CheckpointWarning, match="extra, and all else"):
        copy = run.restore(to=tmp_path / "resume")
    assert copy.step == 2
    (moved,) = tmp_path.glob("resume.old-*")
    assert [path.name for path in moved.iterdir()] == ["extra"]
    assert (moved / "extra").read_bytes() == b"stale"
    assert sorted(path.name for path in copy.path.iterdir()) == [
        "manifest.json",
        "model.bin",
        "optim",
    ]
    assert (copy / "model.bin").read_bytes() == b"2" * 1000
    assert run.restore("ck_" + copy.id[3:12], to=tmp_path / "new" / "deep").step == 2


def test_two_of_one_step(run: Any, save: Callable[..., Any], tmp_path: Path) -> None:
    save(run, 0)
    newer = save(run, 0, metrics={"again": 1})
    flip(newer.path)
    with pytest.warns(aexp.CheckpointWarning, match="an earlier one is used"):
        assert run.restore(to=tmp_path / "resume").metrics == {}


def test_a_copy_that_another_run_may_be_reading_is_not_replaced(
    begin: Callable[..., Any],
    end: Callable[..., Any],
    save: Callable[..., Any],
    tmp_path: Path,
) -> None:
    one = begin("seed=0")
    save(one, 1)
    end(one)
    again = begin(job_id=one.id)
    folder = again.restore(to=tmp_path / "resume")
    other = begin("seed=1")
    save(other, 2)
    with pytest.raises(aexp.CheckpointError, match="which is being executed"):
        other.restore(to=tmp_path / "resume")
    assert (folder / "model.bin").read_bytes() == b"1" * 1000
    end(again)
    assert other.restore(to=tmp_path / "resume").step == 2


def test_what_a_killed_copy_left_goes(run: Any, save: Callable[..., Any], tmp_path: Path) -> None:
    save(run, 1)
    code = (
        "import os, signal, aexp, aexp.checkpoints.restore as r\n"
        "r._copy = lambda *_: os.kill(os.getpid(), signal.SIGKILL)\n"
        f"aexp.current().restore(to={str(tmp_path / 'resume')!r})\n"
    )
    done = subprocess.run([sys.executable, "-c", code], check=False)
    assert done.returncode == -signal.SIGKILL
    assert len(list(tmp_path.glob(".resume.*"))) == 2
    run.restore(to=tmp_path / "resume")
    assert list(tmp_path.glob(".resume.*")) == []


def test_several_processes_restore_to_one_folder(
    run: Any, save: Callable[..., Any], tmp_path: Path
) -> None:
    code = (
        "import sys, aexp\nrun = aexp.current()\nprint(flush=True)\nsys.stdin.readline()\n"
        f"copy = run.restore(to={str(tmp_path / 'resume')!r})\n"
        "[(copy / name).read_bytes() for name in copy.files]\n"
    )
    for step in range(3):  # into no folder, then in place of an earlier copy
        save(run, step)
        pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        ranks = [subprocess.Popen([sys.executable, "-c", code], **pipes) for _ in range(4)]
        for rank in ranks:
            assert rank.stdout is not None
            rank.stdout.readline()
        for rank in ranks:
            assert rank.stdin is not None
            rank.stdin.write(b"\n")
            rank.stdin.flush()
        for rank in ranks:
            rank.communicate()
        assert [rank.returncode for rank in ranks] == [0] * 4
    assert [path.name for path in tmp_path.iterdir() if "resume" in path.name] == ["resume"]


TEXT = st.text(max_size=20)


@settings(max_examples=60)
@given(
    path=TEXT,
    size=st.integers(-1, 5),
    step=st.integers(-2, 10**16),
    metrics=st.dictionaries(TEXT, st.floats()),
)
def test_manifests_are_read_as_they_were_written(
    path: str, size: int, step: int, metrics: dict[str, float]
) -> None:
    try:
        manifest = make_manifest(
            kind="checkpoint",
            job="0" * 32,
            variation="v",
            attempt=1,
            step=step,
            metrics=metrics,
            components=[Component(path, size, "a" * 64)],
            created_at="2026-01-01T00:00:00.000000Z",
            save_seconds=0.1,
        )
    except aexp.CheckpointError:
        parts = path.split("/")
        is_bad_path = not path.isprintable() or any(part in ("", ".", "..") for part in parts)
        assert is_bad_path or size < 0 or not 0 <= step <= 10**15 or path == "manifest.json"
        return
    data = manifest.to_bytes()
    assert parse_manifest(data, "here") == manifest
    for cut in (0, 1, len(data) // 2, len(data) - 3):
        with pytest.raises(aexp.CheckpointDamaged, match="here"):
            parse_manifest(data[:cut], "here")


def test_no_bit_of_a_manifest_can_change(run: Any, save: Callable[..., Any]) -> None:
    manifest = (save(run, 1, metrics={"loss": 0.5}) / "manifest.json").read_bytes()
    known = parse_manifest(manifest, "here")
    for at in range(0, len(manifest), 3):
        data = bytearray(manifest)
        data[at] ^= 1
        try:
            found = parse_manifest(bytes(data), "here")
        except aexp.CheckpointDamaged:
            continue
        # When it was is not what it is.
        same = found._replace(created_at=known.created_at, save_seconds=known.save_seconds)
        assert same == known, (at, bytes(data[at - 20 : at + 20]))


def test_names_that_are_no_checkpoints_are_left_alone(
    run: Any, repo: Any, save: Callable[..., Any]
) -> None:
    folder = save(run, 1).path.parent
    for name in ("step-1", "step-00000000x", "best", ".hidden", "step-000000001.zzz", "incoming"):
        (folder / name).mkdir()
    damaged: list[Any] = []
    assert len(list_checkpoints(repo, run.id, damaged=damaged)) == 1
    assert damaged == []
