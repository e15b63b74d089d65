"""Garbage collection takes what nobody needs, and nothing else, whatever happens beside it."""

import contextlib
import os
import random
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aexp.checkpoints.discard import discard
from aexp.checkpoints.gc import collect, references
from aexp.checkpoints.objects import Objects
from aexp.checkpoints.pins import pin
from aexp.checkpoints.retention import prune
from aexp.checkpoints.staging import open_staging
from aexp.checkpoints.store import Damage, drop, list_checkpoints
from aexp.checkpoints.verify import problems
from aexp.kb.retention import Retention

ROUNDS = int(os.environ.get("AEXP_KILL_ROUNDS", "24"))
SCRIPT = str(Path(__file__).with_name("collector.py"))


def digests(repo: Any) -> set[str]:
    return {item.sha256 for item in Objects(repo).all()}


def test_it_is_dry_and_leaves_what_is_young(
    research: Any, repo: Any, run: Any, save: Callable[..., Any]
) -> None:
    save(run, 1)
    save(run, 2)
    drop(repo, run.latest_checkpoint())
    staging = open_staging(repo, run.id)
    (Path(staging.folder) / "half").write_bytes(b"x" * 500)
    dead = Path(research.root) / ".aexp" / "objects" / "00" / ".1.2-3.tmp"
    dead.parent.mkdir(exist_ok=True)
    dead.write_bytes(b"y" * 10)
    before = digests(repo)
    assert len(before) == 3
    assert research.json("gc")["young"] == 1  # used a moment ago
    assert research.json("gc", "--delete")["garbage"] == []
    found = research.json("gc", "--min-age", "0")
    assert [(item["kind"], item["bytes"]) for item in found["garbage"]] == [
        ("object", 1000),
        ("temporary", 10),
    ]  # and not what this process is saving
    assert digests(repo) == before
    done = research.json("gc", "--min-age", "0", "--delete")
    assert (done["bytes"], done["objects"]) == (1010, 2)
    assert digests(repo) == references(repo)
    assert (Path(staging.folder) / "half").exists()
    assert research.json("gc", "--min-age", "0")["garbage"] == []
    assert problems(run.latest_checkpoint(), "hash") == []


def test_what_a_dead_save_left_goes(repo: Any, run: Any) -> None:
    code = (
        "import aexp, os\n"
        "with aexp.current().checkpoint(1) as folder:\n"
        "    (folder / 'a').write_bytes(b'z' * 300)\n"
        "    os.kill(os.getpid(), 9)\n"
    )
    subprocess.run([sys.executable, "-P", "-c", code], cwd=repo.root, check=False)
    dry = collect(repo)
    assert {item.kind for item in dry.garbage} == {"staged"}
    assert dry.bytes >= 300
    assert collect(repo, delete=True).garbage == dry.garbage
    assert collect(repo).garbage == []
    assert os.listdir(run.workspace / "checkpoints" / ".staging") == []


def test_an_object_that_is_taken_meanwhile_is_put_back(
    repo: Any, run: Any, save: Callable[..., Any], monkeypatch: Any, tmp_path: Path
) -> None:
    save(run, 1)
    (saved,) = list_checkpoints(repo, run.id)
    objects = Objects(repo)
    digest = saved.manifest.components[0].sha256
    drop(repo, saved)
    rename = os.rename

    def taken(source: str, target: str) -> None:
        with contextlib.suppress(FileExistsError):
            os.link(source, tmp_path / "mine")  # a save links it between the look and the rename
        rename(source, target)

    monkeypatch.setattr("aexp.checkpoints.discard.os.rename", taken)
    assert discard(objects, digest) is None
    assert objects.is_whole(digest)
    monkeypatch.undo()
    (tmp_path / "mine").unlink()
    assert discard(objects, digest) is not None
    assert not objects.has(digest)


Step = st.tuples(
    st.sampled_from(["save", "save", "save", "drop", "pin", "prune", "gc", "own", "tear"]),
    st.integers(0, 5),
)


@settings(
    max_examples=20,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(steps=st.lists(Step, min_size=1, max_size=14))
def test_a_referenced_object_is_never_removed(run: Any, repo: Any, steps: list[Any]) -> None:
    """Whatever is saved, dropped, pinned, pruned and damaged between collections."""
    objects = Objects(repo)
    for what, number in steps:
        found = list_checkpoints(repo, run.id)
        one = found[number % len(found)] if found else None
        if what == "save":
            with run.checkpoint(time.monotonic_ns() % 10**14) as folder:
                (folder / "a").write_bytes(b"%d" % number * 50)
                (folder / "b").write_bytes(b"%d" % (number // 2) * 60)
        elif one is None:
            continue
        elif what == "drop":
            drop(repo, one)
        elif what == "pin":
            pin(repo, one)
        elif what == "prune":
            prune(repo, run.id, Retention(keep_last=1 + number))
        elif what == "own":  # a checkpoint whose file is a copy, as after a move between disks
            data = (one / "a").read_bytes()
            (one / "a").unlink()
            (one / "a").write_bytes(data)
        elif what == "tear":
            os.chmod(one / "manifest.json", 0o600)
            (one / "manifest.json").write_bytes(b"{")
        before = digests(repo)
        named = references(repo)
        linked = {item.sha256 for item in objects.all() if item.links > 1}
        whole = [item for item in list_checkpoints(repo, run.id) if not problems(item, "hash")]
        collect(repo, delete=True, min_age_s=0)
        assert digests(repo) == before & (named | linked)
        assert all(problems(item, "hash") == [] for item in whole)


def test_kills_of_prune_and_gc_beside_a_run_that_saves(repo: Any, run: Any) -> None:
    chance = random.Random(7)
    saver = subprocess.Popen(
        [sys.executable, "-P", SCRIPT], cwd=repo.root, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )  # fmt: skip
    assert saver.stdout is not None
    first = saver.stdout.readline()  # now there is a checkpoint
    try:
        for _ in range(ROUNDS):
            collector = subprocess.Popen(
                [sys.executable, "-P", SCRIPT, repo.root, run.id],
                cwd=repo.root,
                stdout=subprocess.PIPE,
            )
            assert collector.stdout is not None
            with collector.stdout:
                assert collector.stdout.readline() == b"ready\n"
                time.sleep(chance.uniform(0, 0.2))  # the moment of the kill
                collector.kill()
                collector.wait()
            assert saver.poll() is None
            damaged: list[Damage] = []
            found = list_checkpoints(repo, run.id, damaged=damaged)
            assert found
            assert damaged == []
    finally:
        saver.kill()
        output, errors = saver.communicate()
    assert b"Error" not in errors, errors.decode()
    steps = [int(line) for line in (first + output).split()]
    assert len(steps) > ROUNDS
    found = list_checkpoints(repo, run.id)
    assert found[0].step in (steps[-1], steps[-1] + 1)
    assert all(problems(item, "hash") == [] for item in found)
    assert {item.step for item in found} >= {step for step in steps if step % 40 == 0}
    prune(repo, run.id, Retention(keep_every=40))
    collect(repo, delete=True, min_age_s=0)
    objects = Objects(repo)
    assert all(objects.is_whole(item.sha256) for item in objects.all())
    assert digests(repo) <= references(repo)
    assert list((run.workspace / "checkpoints" / ".staging").iterdir()) == []
