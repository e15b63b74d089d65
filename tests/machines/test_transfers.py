"""What ssh and rsync can do to a sync: kills, races, refusals; and ``aexp remote test``."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from aexp.errors import CorruptFileWarning, RemoteError
from aexp.paths import Repo
from aexp.remotes.config import get_remote, readable_remotes
from aexp.remotes.machine import Machine
from aexp.sharing.exchange import exchange
from aexp.sharing.far import own_id, take_in
from aexp.sharing.travel import Item

LATER = "2026-03-04T05:06:07Z"


def slow_rsync(folder: Path) -> str:
    """Return a PATH on which rsync takes its time with files of runs."""
    program = folder / "slow"
    program.mkdir()
    (program / "rsync").write_text(
        '#!/bin/sh\ncase "$*" in *files/here*) set -- --bwlimit=2000 "$@";; esac\n'
        f'exec {shutil.which("rsync")} "$@"\n'
    )
    (program / "rsync").chmod(0o755)
    return f"{program}:{os.environ['PATH']}"


def test_a_killed_transfer_leaves_nothing_torn_and_is_gone_on_with(
    desk: Any, tmp_path: Path, wait_until: Any
) -> None:
    research = desk.research
    job_id = research.one()
    own = research.workspace(job_id)
    (own / "logs").mkdir()
    data = os.urandom(12_000_000)
    (own / "logs" / "1.log").write_bytes(data)
    slow = {"PATH": slow_rsync(tmp_path)}
    process = research.start_aexp("sync", "--files", "logs", env=slow)
    target = desk.there / ".aexp" / "files" / "here" / job_id / "logs"
    wait_until(lambda: any(path.stat().st_size > 300_000 for path in target.glob(".1.log.*")))
    os.killpg(process.pid, signal.SIGTERM)
    process.wait()
    wait_until(lambda: (target / ".aexp-partial" / "1.log").exists())
    assert not (target / "1.log").exists()
    kept = (target / ".aexp-partial" / "1.log").stat().st_size
    assert 0 < kept < len(data)
    assert desk.json("sync", "--files", "logs")["files"] == 1
    assert (target / "1.log").read_bytes() == data
    assert not (target / ".aexp-partial").exists()


def test_a_kill_between_sending_and_taking_in(desk: Any) -> None:
    """What lies in the way of the next call, and what it must not take for its own."""
    first, second = desk.entry(0), desk.entry(1)
    assert desk.json("sync")["runs"] == 2
    repo = Repo(desk.root)
    machine = Machine(get_remote(repo, "engaging"))
    old = desk.path(first, desk.there).read_bytes()
    # Somebody else is faster: what was compared is not what is there any more.
    stale = desk.path(first).read_bytes().replace(b"complete", b"abandoned")
    desk.entry(0, desk.there, ended_at=LATER)
    made = [
        Item(f"ledger/{first}.json", stale, old),
        Item(f"ledger/{second}.json", b"never", None),
        Item("campaigns/x/campaign.json", b"new", None),
    ]
    assert take_in(repo, machine, made) == {item.name for item in made[:2]}
    assert desk.read(first, desk.there)["ended_at"] == LATER
    assert desk.read(second, desk.there)["status"] == "complete"
    assert (desk.there / ".aexp" / "campaigns" / "x" / "campaign.json").read_bytes() == b"new"
    # A call that was killed has left its folder.
    stage = desk.there / ".aexp" / ".incoming" / own_id(repo)
    (stage / "new" / "ledger").mkdir(parents=True)
    (stage / "new" / "ledger" / f"{'a' * 32}.json").write_text("torn")
    (stage / "new.entries").write_text(f"{'a' * 32}.json\n")
    third = desk.entry(2)
    assert desk.json("sync")["added"] == [third]
    assert not desk.path("a" * 32, desk.there).exists()
    assert not stage.exists()


def test_two_clones_at_once_converge(desk: Any, tmp_path: Path) -> None:
    desk.by_folder()
    other = tmp_path / "other"
    shutil.copytree(desk.root, other, symlinks=True)
    desk.entry(99)
    assert desk.json("sync")["runs"] == 1
    ids = []
    for number in range(30):
        time = f"2026-04-0{1 + number % 2}T00:00:00Z"
        ids.append(desk.entry(number, ended_at=time))
        desk.entry(number, other, ended_at="2026-04-01T12:00:00Z")

    def push(root: Path) -> int:
        repo = Repo(root)
        return exchange(repo, get_remote(repo, "engaging")).runs

    with ThreadPoolExecutor(2) as pool:
        counts = list(pool.map(push, (desk.root, other)))
    assert sum(counts) >= 30
    for number, job_id in enumerate(ids):
        expected = "2026-04-02T00:00:00Z" if number % 2 else "2026-04-01T12:00:00Z"
        assert desk.read(job_id, desk.there)["ended_at"] == expected


def test_remote_test_says_what_there_is_and_what_to_do(
    desk: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = desk.json("remote", "test", "engaging")
    steps = {step["name"]: step for step in found["steps"]}
    assert found["ok"] is True
    assert all(steps[name]["ok"] for name in ("ssh", "rsync", "folder", "git", "python", "aexp"))
    assert steps["ssh"]["seconds"] > 0
    assert steps["rsync"]["detail"].startswith("rsync  version".replace("  ", " "))
    assert steps["folder"]["detail"] == "to be made"
    assert steps["slurm"]["ok"] or steps["slurm"]["hint"]
    said = desk.cli("remote", "test", "engaging")
    assert " ms" in said

    for name, url, word in (
        ("closed", "ssh://127.0.0.1:1/x", "nothing is lost"),
        ("stranger", "stranger:x", "connect once"),
        ("nokey", "nokey:x", "ssh-copy-id"),
    ):
        desk.cli("remote", "add", name, url)
        failed = desk.json("remote", "test", name, rc=1)
        assert failed["ok"] is False
        assert word in failed["steps"][0]["hint"], failed
        said = desk.cli("sync", name, rc=75 if name == "closed" else 1)
        assert word in said
        assert "Traceback" not in said

    # The command that helps has the port, too; one that is damaged costs itself.
    desk.cli("remote", "add", "nokey", f"ssh://nokey:{desk.cluster.port}/x", "--replace")
    assert f"ssh-copy-id -p {desk.cluster.port} nokey" in desk.cli("sync", "nokey", rc=1)
    bad = desk.root / ".aexp" / "remotes" / "bad.json"
    bad.write_text('{"url": "ssh://-oProxyCommand=x/y"}')
    with pytest.warns(CorruptFileWarning, match=r"bad\.json"):
        names = [remote.name for remote in readable_remotes(Repo(desk.root))]
    assert names == ["closed", "engaging", "nokey", "stranger"]
    assert len(desk.json("remote", "list")) == 4
    assert "bad, closed, " in desk.cli("sync", "nowhere", rc=1)
    bad.unlink()

    # One that takes the call and says nothing is not waited for without end.
    monkeypatch.setattr("aexp.remotes.machine.CONNECT_S", 1)
    with socket.create_server(("127.0.0.1", 0)) as mute:
        desk.cli(
            "remote", "add", "closed", f"ssh://127.0.0.1:{mute.getsockname()[1]}/x", "--replace"
        )
        assert "the same command goes on later" in desk.cli("sync", "closed", "--pull", rc=75)
    monkeypatch.setattr("aexp.remotes.machine.CONNECT_S", 10)

    (desk.cluster.home / "file").write_text("")
    desk.cli("remote", "add", "blocked", "cluster:file/x")
    assert not desk.json("remote", "test", "blocked", rc=1)["steps"][2]["ok"]
    assert "blocked" in desk.cli("sync", "blocked", rc=1)
    (desk.cluster.home / "file").unlink()

    port = desk.cluster.port
    user = subprocess.run(["id", "-un"], capture_output=True, text=True, check=True).stdout.strip()
    url = f"ssh://{user}@127.0.0.1:{port}{tmp_path}/by-url"
    desk.cli("remote", "add", "by-url", url)
    assert desk.json("remote", "list")[1]["url"] == url
    desk.entry(0)
    assert "Pushed 1 run (" in desk.cli("sync", "by-url")
    assert (tmp_path / "by-url" / ".aexp" / "ledger").is_dir()

    without = tmp_path / "without"
    without.mkdir()
    (without / "ssh").symlink_to(desk.cluster.bin / "ssh")
    monkeypatch.setenv("PATH", f"{without}:{os.path.dirname(sys.executable)}")
    assert "rsync is not installed here" in desk.cli("sync", "engaging", rc=1)


def test_what_sync_and_checkpoints_leave_to_each_other(desk: Any, tmp_path: Path) -> None:
    desk.cli("remote", "add", "bucket", "s3://bucket/x")
    assert "it takes checkpoints, not the record" in desk.cli("sync", "bucket", rc=1)
    assert desk.json("sync", "--dry-run")["remote"] == "engaging"  # the only one that fits
    said = desk.cli("push", "--remote", "engaging", rc=1)
    assert "aexp sync engaging --files checkpoints" in said
    assert "nothing to push" in desk.cli("push", "--dry-run")
    body = json.loads((desk.root / ".aexp" / "remotes" / "engaging.json").read_text())
    assert (body["push"], body["required"]) == ("manual", False)
    said = desk.cli("remote", "add", "must", "cluster:x", "--required", rc=2)
    assert "cannot be required" in said
    assert "see: aexp remote list" in desk.cli("sync", "--pull", rc=1)
    assert not desk.there.exists()

    # A folder is synced with as a machine is; it is never made where a disk may be missing.
    disk = tmp_path / "disk"
    desk.cli("remote", "add", "disk", str(disk))
    job_id = desk.entry(0)
    assert "mount the disk" in desk.cli("sync", "disk", rc=1)
    disk.mkdir()
    assert desk.json("sync", "disk")["added"] == [job_id]
    assert desk.json("sync", "disk")["unchanged"] == 1
    (disk / ".aexp" / "ledger").rename(disk / "moved")
    (disk / ".aexp" / "ledger").symlink_to(disk / "moved")
    assert "is a link there" in desk.cli("sync", "disk", rc=1)


def test_ssh_asks_nobody_and_is_told_nothing_by_names(desk: Any) -> None:
    machine = Machine(get_remote(Repo(desk.root), "engaging"))
    said = machine.run("echo one; exit 3")
    assert (said.code, said.lines) == (3, ["one"])
    with pytest.raises(RemoteError):
        machine.copy(machine.place("nowhere"), f"{desk.root}/never/")
    assert not (desk.root / "never").exists()
    words = ("-oProxyCommand=touch x:/x", "ssh://-l/x", "h:-x", "h:x;touch y", "h:x'", "h:$HOME")
    for url in words:
        desk.cli("remote", "add", "--", "bad", url, rc=2)
