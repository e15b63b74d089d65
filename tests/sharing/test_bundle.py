"""Bundles: the same bytes each time, the rule applied, and nothing taken from a bad one."""

import gzip
import io
import json
import os
import tarfile
from pathlib import Path
from typing import Any

import pytest

from aexp.files import pretty_json


def ledger(clone: Any) -> dict[str, bytes]:
    folder = clone.root / ".aexp" / "ledger"
    return {path.name: path.read_bytes() for path in folder.glob("*")}


def run(clone: Any, sp: str, *more: str) -> str:
    job_id = clone.one(sp, *more)
    clone.aexp("run-queued", job_id)
    return str(job_id)


@pytest.fixture
def other(clones: Any) -> Any:
    """Another clone, without a way to the first one."""
    clones.cluster.git("remote", "remove", "origin")
    return clones.cluster


def test_there_and_back(clones: Any, other: Any, tmp_path: Path) -> None:
    ids = [run(other, f"seed={n}") for n in range(3)]
    file = str(tmp_path / "results.tar")
    assert other.json("ledger", "bundle", file)["entries"] == sorted(ids)
    assert clones.laptop.json("ledger", "unbundle", file)["added"] == sorted(ids)
    assert ledger(clones.laptop) == ledger(other)
    again = clones.laptop.json("ledger", "unbundle", file)
    assert (again["added"], again["renewed"], again["kept"]) == ([], [], sorted(ids))


def test_the_same_entries_give_the_same_bytes(clones: Any, other: Any, tmp_path: Path) -> None:
    run(other, "seed=0")
    run(other, "seed=1")
    for name in ("one.tar", "two.tar"):
        other.aexp("ledger", "bundle", str(tmp_path / name))
        for path in (other.root / ".aexp" / "ledger").iterdir():
            os.utime(path, (1, 1))
    assert (tmp_path / "one.tar").read_bytes() == (tmp_path / "two.tar").read_bytes()
    with tarfile.open(tmp_path / "one.tar") as archive:
        for member in archive:
            assert (member.mtime, member.uid, member.uname, member.mode) == (0, 0, "", 0o644)


def test_the_rule_holds(clones: Any, other: Any, tmp_path: Path) -> None:
    from aexp.ledger.merge import merge

    file = str(tmp_path / "results.tar")
    pair = (clones.laptop, other)
    job_id = run(clones.laptop, "condition=full,seed=0", "--no-commit")
    assert run(other, "condition=full,seed=0", "--no-commit") == job_id
    expected = merge(clones.laptop.entry(job_id), other.entry(job_id))
    for giver, taker in (pair, pair[::-1], pair):
        giver.aexp("ledger", "bundle", file)
        taker.aexp("ledger", "unbundle", file)
    assert clones.laptop.entry(job_id) == other.entry(job_id) == expected


def test_what_goes_in_can_be_chosen(other: Any, tmp_path: Path) -> None:
    other.experiment("echo {seed}", experiment_id="E002")
    first = run(other, "seed=0")
    other.git("add", "-A")
    other.git("commit", "-qm", "first")
    second = run(other, "seed=1")
    words = ("queue", "add", "--experiment", "E002", "--sp", "seed=5")
    third = other.json(*words)["runs"][0]["job_id"]
    other.aexp("run-queued", third)
    other.git("add", ".aexp/ledger")
    file = str(tmp_path / "some.tar")

    def chosen(*words: str) -> set[str]:
        return set(other.json("ledger", "bundle", file, *words)["entries"])

    assert chosen() == {first, second, third}
    assert chosen("--since", "HEAD") == {second, third}
    assert chosen("--since", "HEAD", "--experiment", "E002") == {third}
    assert chosen("--experiment", "E001") == {first, second}
    for words in (("--since", "nope"), ("--since", "--all"), ("--experiment", "E9")):
        assert "Traceback" not in other.aexp("ledger", "bundle", file, *words, rc=2).stderr


def test_nothing_to_bundle(other: Any, tmp_path: Path) -> None:
    file = tmp_path / "none.tar"
    assert "no ledger entry" in other.aexp("ledger", "bundle", str(file), rc=2).stderr
    assert not file.exists()
    assert "folder" in other.aexp("ledger", "bundle", str(tmp_path), rc=2).stderr
    assert "no file" in other.aexp("ledger", "unbundle", str(file), rc=2).stderr


def test_junk_in_the_ledger_stays_at_home(other: Any, tmp_path: Path) -> None:
    job_id = run(other, "seed=0")
    (other.root / ".aexp" / "ledger" / ("f" * 32 + ".json")).write_text("{")
    done = other.aexp("ledger", "bundle", str(tmp_path / "x.tar"))
    assert "left out" in done.stderr
    assert "wrote 1 entries" in done.stdout
    with tarfile.open(tmp_path / "x.tar") as archive:
        assert archive.getnames() == [f"ledger/{job_id}.json"]


def test_dry_runs(clones: Any, other: Any, tmp_path: Path) -> None:
    job_id = run(other, "seed=0")
    file = tmp_path / "x.tar"
    assert other.json("ledger", "bundle", str(file), "--dry-run")["entries"] == [job_id]
    assert not file.exists()
    other.aexp("ledger", "bundle", str(file))
    before = clones.laptop.tree()
    assert clones.laptop.json("ledger", "unbundle", str(file), "-n")["added"] == [job_id]
    assert clones.laptop.tree() == before


def state(file: Path) -> tuple[int, ...]:
    """Return what tells a file from another one: all but the time it was last read."""
    found = os.lstat(file)
    return found.st_ino, found.st_mode, found.st_size, found.st_mtime_ns


@pytest.mark.parametrize("kind", ["text", "tar", "empty", "link", "fifo"])
def test_a_file_that_is_no_bundle_is_not_replaced(other: Any, tmp_path: Path, kind: str) -> None:
    job_id = run(other, "seed=0")
    file = tmp_path / "x.tar"
    if kind == "fifo":
        os.mkfifo(file)
    elif kind == "link":
        file.symlink_to("thesis.tex")
    else:
        made = archive_of((member("thesis.tex"), b"all of it"))
        file.write_bytes({"text": b"thesis", "tar": made, "empty": b""}[kind])
    before = state(file)
    for words in ((), ("--dry-run",)):
        done = other.aexp("ledger", "bundle", str(file), *words, rc=2)
        assert "hint:" in done.stderr
        assert state(file) == before
    forced = other.aexp("ledger", "bundle", str(file), "--force", rc=None)
    assert forced.returncode == (2 if kind in ("link", "fifo") else 0)
    if forced.returncode == 0:
        assert other.json("ledger", "bundle", str(file))["entries"] == [job_id]


@pytest.mark.parametrize("name", [".git/x", "kb/x", ".runs/x", ".aexp/x", ".git/../kb/x", "l/x"])
def test_a_bundle_is_not_written_among_the_record(other: Any, name: str) -> None:
    run(other, "seed=0")
    (other.root / "l").symlink_to(".git/hooks")
    before = other.tree()
    done = other.aexp("ledger", "bundle", name, "--force", rc=2)
    assert "elsewhere" in done.stderr
    assert other.tree() == before


def test_a_bundle_beside_the_record(other: Any) -> None:
    run(other, "seed=0")
    for name in ("x.tar", "x.tar", "kb2/x.tar"):
        assert "wrote 1" in other.aexp("ledger", "bundle", name).stdout


@pytest.mark.parametrize("kind", ["a folder", "a pipe"])
def test_what_is_no_file_is_not_unbundled(other: Any, tmp_path: Path, kind: str) -> None:
    path = tmp_path / "x"
    (os.mkfifo if kind == "a pipe" else os.mkdir)(path)
    done = other.aexp("ledger", "unbundle", str(path), rc=2)
    assert kind in done.stderr
    assert "hint:" in done.stderr


def archive_of(*members: tuple[tarfile.TarInfo, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for member, data in members:
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return buffer.getvalue()


def member(name: str, kind: bytes = tarfile.REGTYPE, link: str = "") -> tarfile.TarInfo:
    made = tarfile.TarInfo(name)
    made.type, made.linkname = kind, link
    return made


BAD = [
    "traversal",
    "absolute",
    "other folder",
    "symlink",
    "hard link",
    "device",
    "twice",
    "another run",
    "another state point",
    "not ended",
    "no entry",
    "nan",
    "deep",
    "huge",
    "cut",
    "cut between entries",
    "gzip",
    "text",
    "empty",
    "zero bytes",
]


@pytest.mark.parametrize("what", BAD)
def test_a_bad_bundle_is_refused_whole(clones: Any, other: Any, tmp_path: Path, what: str) -> None:
    job_id = run(other, "seed=0")
    second = run(other, "seed=1")
    name, entry = f"ledger/{job_id}.json", other.entry(job_id)
    good = (member(f"ledger/{second}.json"), pretty_json(other.entry(second)))
    data = pretty_json(entry)
    bad: dict[str, Any] = {
        "traversal": (member(f"ledger/../../{job_id}.json"), data),
        "absolute": (member(f"/tmp/{job_id}.json"), data),
        "other folder": (member(f".git/hooks/{job_id}.json"), data),
        "symlink": (member(name, tarfile.SYMTYPE, "/etc/passwd"), b""),
        "hard link": (member(name, tarfile.LNKTYPE, good[0].name), b""),
        "device": (member(name, tarfile.CHRTYPE), b""),
        "another run": (member(f"ledger/{'f' * 32}.json"), data),
        "another state point": (member(name), pretty_json({**entry, "statepoint": {"a": 1}})),
        "not ended": (member(name), pretty_json({**entry, "status": "running"})),
        "no entry": (member(name), b"{}"),
        "nan": (member(name), json.dumps({**entry, "metrics": {"a": float("nan")}}).encode()),
        "deep": (member(name), b"[" * 100_000),
        "huge": (member(name), b" " * (17 * 2**20)),
    }
    whole = archive_of(good, (member(name), data))
    files = {
        "twice": archive_of(good, good),
        "cut": whole[:1500],
        "cut between entries": archive_of(good)[:-1].rstrip(b"\0"),
        "gzip": gzip.compress(whole),
        "text": b"hello\n" * 500,
        "empty": b"",
        "zero bytes": bytes(10_240),
    }
    file = tmp_path / "bad.tar"
    file.write_bytes(files[what] if what in files else archive_of(good, bad[what]))
    before = clones.laptop.tree()
    outside = set(tmp_path.iterdir())
    done = clones.laptop.aexp("ledger", "unbundle", str(file), rc=1)
    assert "error:" in done.stderr
    assert "nothing was taken" in done.stderr or "not valid JSON" in done.stderr
    assert clones.laptop.tree() == before
    assert set(tmp_path.iterdir()) == outside


def test_a_link_in_the_ledger_is_not_followed(clones: Any, other: Any, tmp_path: Path) -> None:
    job_id = run(other, "seed=0")
    file, victim = str(tmp_path / "x.tar"), tmp_path / "victim"
    other.aexp("ledger", "bundle", file)
    victim.write_text("precious")
    folder = clones.laptop.root / ".aexp" / "ledger"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{job_id}.json").symlink_to(victim)
    assert "is a link" in clones.laptop.aexp("ledger", "unbundle", file, rc=1).stderr
    assert victim.read_text() == "precious"
