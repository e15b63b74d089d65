"""Checkpoints go to a remote and come back whole, whatever happens to either side."""

import contextlib
import os
import sqlite3
import time
from pathlib import Path
from typing import Any

import pytest

from aexp.checkpoints.outbox import NAME, delay_after, pushed_ids
from aexp.checkpoints.pull import pull_run
from aexp.checkpoints.push import object_key, push_run
from aexp.checkpoints.uploads import missing_at_required, wait_for_uploads
from aexp.errors import CheckpointDamaged, CheckpointWarning, UploadsIncomplete
from aexp.remotes.config import get_remote


def test_there_and_back(away: Any, tmp_path: Path) -> None:
    away.add()
    saved = {step: away.save(step) for step in (1, 2, 3)}
    files = {step: (item / "model.bin").read_bytes() for step, item in saved.items()}
    pushed = away.research.json("push")
    assert [item["folder"] for item in pushed] == [f"step-{n:09d}" for n in (3, 2, 1)]
    frozen = 300_000
    assert pushed[0]["sent_bytes"] == pushed[0]["bytes"]
    assert pushed[1]["sent_bytes"] == pushed[1]["bytes"] - frozen  # sent once
    assert away.arrived() == [1, 2, 3]
    assert away.research.json("push") == []
    away.lose()
    shown = away.research.json("pull", away.job, "--dry-run")
    assert [item["step"] for item in shown] == [3, 2, 1]
    assert away.checkpoints() == []
    pulled = away.research.json("pull", away.job[:8])
    assert [item["step"] for item in pulled] == [3]
    assert pulled[0]["id"] == saved[3].id
    assert not pulled[0]["was_here"]
    away.research.aexp("pull", away.job, "--step", "1")
    assert [item.step for item in away.checkpoints()] == [3, 1]
    again = away.research.json("pull", away.job, "--all")
    assert [item["was_here"] for item in again] == [True, False, True]
    for item in away.checkpoints():
        assert (item / "model.bin").read_bytes() == files[item.step]
        assert item.manifest == saved[item.step].manifest
    # Elsewhere, by its id.
    to = tmp_path / "copy"
    away.research.aexp("pull", away.job, "--checkpoint", saved[2].id, "--to", str(to))
    assert (to / "model.bin").read_bytes() == files[2]
    assert "exists" in away.research.aexp("pull", away.job, "--to", str(to), rc=2).stderr
    assert "no such checkpoint" in away.research.aexp("pull", away.job, "--step", "9", rc=1).stderr
    # What is pulled is pushed no second time: one look at each manifest.
    assert {item["state"] for item in away.research.json("push")} == {"already there"}


def test_damage_at_the_remote(away: Any) -> None:
    away.add()
    saved = {step: away.save(step) for step in (1, 2, 3, 4)}
    away.research.aexp("push")
    store = away.store

    def key(step: int) -> str:
        digests = {item.path: item.sha256 for item in saved[step].manifest.components}
        return object_key(digests["model.bin"])

    data = store.get(key(4))
    store.put(key(4), data[:-1] + b"!")
    store.put(key(3), data[:100])
    store.delete(key(2))
    away.lose()
    with pytest.warns(CheckpointWarning) as caught:
        found = pull_run(away.repo, away.job, away.remote)
    assert [item.checkpoint.step for item in found] == [1]
    texts = [str(item.message) for item in caught]
    assert [text.split(" ")[-1] for text in texts] == ["pushed", "pushed", "missing"]
    assert all("model.bin" in text for text in texts)
    assert [item.step for item in away.checkpoints()] == [1]
    assert list((away.research.workspace(away.job) / "checkpoints" / ".staging").iterdir()) == []
    done = away.research.aexp("pull", away.job, "--step", "4", rc=1)
    assert "other content" in done.stderr
    assert "aexp push --again" in done.stderr


def test_push_again_mends_a_remote(away: Any) -> None:
    away.add()
    saved = away.save(1)
    away.research.aexp("push")
    store, component = away.store, saved.manifest.components[0]
    store.put(object_key(component.sha256), b"!" * component.size)
    manifest = store.keys("manifests")[0]
    store.put(manifest, b"{")
    lying = _Lying(store, manifest)
    with pytest.warns(CheckpointWarning), pytest.raises(CheckpointDamaged):
        pull_run(away.repo, away.job, away.remote, prefix="0" * 12, store=lying)
    away.research.aexp("push", "--again")
    assert away.arrived() == [1]


class _Lying:
    """A store in which a manifest has another checkpoint's name."""

    def __init__(self, store: Any, key: str) -> None:
        self._store, self._key = store, key

    def keys(self, prefix: str) -> list[str]:
        folder, _, name = self._key.rpartition("/")
        return [f"{folder}/{name.split('.')[0]}.{'0' * 12}.json"]

    def get(self, key: str) -> Any:
        return self._store.get(self._key)


@pytest.mark.parametrize("path", ["../../evil", "/tmp/evil", "a/../../evil", "manifest.json"])
def test_a_manifest_with_a_path_that_leads_out(in_folder: Any, path: str) -> None:
    import json

    in_folder.add()
    in_folder.save(1)
    in_folder.research.aexp("push")
    key = in_folder.store.keys("manifests")[0]
    body = json.loads(in_folder.store.get(key))
    body["components"][0]["path"] = path
    in_folder.store.put(key, json.dumps(body).encode())
    in_folder.lose()
    before = set(in_folder.research.root.parent.rglob("*"))
    done = in_folder.research.aexp("pull", in_folder.job, rc=1)
    assert "Traceback" not in done.stderr
    after = set(in_folder.research.root.parent.rglob("*"))
    assert not [item for item in after - before if item.is_file()]


def test_damage_here_is_never_pushed(in_folder: Any) -> None:
    in_folder.add(required=True)
    good, bad = in_folder.save(1), in_folder.save(2)
    path = bad / "model.bin"
    path.chmod(0o644)
    path.write_bytes(b"!" + path.read_bytes()[1:])
    done = in_folder.research.aexp("push", rc=1)
    assert "step-000000002" in done.stdout
    assert "model.bin is not what the manifest says" in done.stdout
    assert in_folder.arrived() == [1]
    states = {item["folder"]: item["state"] for item in in_folder.research.json("uploads", "ls")}
    assert states == {"step-000000002": "damaged"}
    assert missing_at_required(in_folder.repo, in_folder.job) == {bad.id}
    assert pushed_ids(in_folder.repo, in_folder.job, [in_folder.remote]) == {"r": {good.id}}
    with pytest.raises(UploadsIncomplete, match="step-000000002 to r"):
        wait_for_uploads(in_folder.repo, in_folder.job)


@pytest.mark.parametrize("how", ["lost", "torn", "torn inside", "other version", "a folder"])
def test_the_outbox_is_made_anew(in_folder: Any, how: str) -> None:
    in_folder.add()
    in_folder.save(1)
    in_folder.research.aexp("push")
    path = in_folder.research.workspace(in_folder.job) / "checkpoints" / NAME
    if how == "torn":
        path.write_bytes(path.read_bytes()[:5000] + b"\0garbage" * 100)
        path.write_bytes(b"garbage" + path.read_bytes()[7:])
    elif how == "torn inside":
        path.write_bytes(path.read_bytes()[:8192] + b"\0garbage" * 512)
    elif how == "other version":
        with contextlib.closing(sqlite3.connect(path)) as connection:
            connection.execute("PRAGMA user_version = 99")
    else:
        path.unlink()
    if how == "a folder":
        path.mkdir()
    in_folder.save(2)
    states = {item["folder"]: item["state"] for item in in_folder.research.json("push")}
    assert states == {"step-000000001": "already there", "step-000000002": "pushed"}
    assert in_folder.arrived() == [1, 2]


def test_a_name_that_leads_elsewhere_has_nothing(in_folder: Any, tmp_path: Path) -> None:
    in_folder.add()
    in_folder.save(1)
    in_folder.research.aexp("push")
    in_folder.folder = tmp_path / "other"
    in_folder.folder.mkdir()
    in_folder.url = str(in_folder.folder)
    in_folder.add(required=True)
    (row,) = in_folder.research.json("uploads", "ls", "--all")
    assert row["state"] == "queued"
    assert missing_at_required(in_folder.repo, in_folder.job) == {row["id"]}  # not pruned
    in_folder.research.aexp("push")
    assert in_folder.arrived() == [1]
    assert missing_at_required(in_folder.repo, in_folder.job) == set()


def test_a_bucket_of_another_server_has_nothing(in_rclone: Any, moto: Any) -> None:
    in_rclone.add(required=True)
    in_rclone.save(1)
    in_rclone.research.aexp("push")
    in_rclone.options = {"endpoint": moto.endpoint}
    in_rclone.add(required=True)
    assert len(missing_at_required(in_rclone.repo, in_rclone.job)) == 1
    assert [item["state"] for item in in_rclone.research.json("push")] == ["pushed"]
    assert in_rclone.arrived() == [1]


def test_training_goes_on_from_what_was_pulled(in_folder: Any) -> None:
    in_folder.add()
    newest = in_folder.save(3)
    final = in_folder.save(3, kind="snapshot", reason="final")
    in_folder.research.aexp("push")
    in_folder.lose()
    assert [item["id"] for item in in_folder.research.json("pull", in_folder.job)] == [newest.id]
    got = in_folder.research.json("pull", in_folder.job, "--checkpoint", final.id)
    assert [item["id"] for item in got] == [final.id]


def test_of_one_step_the_newest_is_pulled(in_folder: Any) -> None:
    in_folder.add()
    saved = [in_folder.save(1, {"a": b"%d" % number}) for number in range(6)]
    newest = max(saved, key=lambda item: item.manifest.order)
    in_folder.research.aexp("push")
    in_folder.lose()
    assert [item["id"] for item in in_folder.research.json("pull", in_folder.job)] == [newest.id]


def test_what_was_left_behind_is_not_pulled_instead_of_what_counts(
    in_folder: Any, tmp_path: Path
) -> None:
    import aexp

    in_folder.add(push="manual")
    with aexp.run(in_folder.job, repo_root=in_folder.research.root) as run:
        for step in (1, 2, 3):
            with run.checkpoint(step) as folder:
                (folder / "a").write_bytes(b"first %d" % step)
        run.restore(run.checkpoints()[-1])
        with run.checkpoint(2) as folder:
            (folder / "a").write_bytes(b"second 2")
        in_folder.research.aexp("push")
        in_folder.lose()
        in_folder.research.aexp("pull", in_folder.job)
        found = run.latest_checkpoint()
        assert (found / "a").read_bytes() == b"second 2"
        to = tmp_path / "copy"
        in_folder.research.aexp("pull", in_folder.job, "--to", str(to))
        assert (to / "a").read_bytes() == b"second 2"


def test_what_has_arrived_has_arrived_without_an_outbox(in_folder: Any) -> None:
    in_folder.add(required=True)
    in_folder.save(1)
    (in_folder.research.workspace(in_folder.job) / "checkpoints" / NAME).mkdir()
    assert wait_for_uploads(in_folder.repo, in_folder.job) == 1
    assert in_folder.arrived() == [1]


def test_a_remote_that_cannot_be_opened_is_named_and_holds_up_no_other(in_folder: Any) -> None:
    in_folder.research.aexp("remote", "add", "a", "az://container/without-an-account")
    in_folder.add()
    in_folder.save(1)
    done = in_folder.research.aexp("push", rc=1)
    assert "to a: " in done.stdout
    assert "--option" in done.stderr
    assert in_folder.arrived() == [1]
    (row,) = in_folder.research.json("uploads", "ls")
    assert (row["remote"], row["state"]) == ("a", "failed")
    assert "account" in row["error"].lower()


def test_a_clock_that_was_set_back_delays_nothing(in_folder: Any) -> None:
    in_folder.add()
    in_folder.save(1)
    in_folder.folder.rename(in_folder.folder.with_name("unmounted"))
    in_folder.research.aexp("push", rc=75)
    in_folder.folder.with_name("unmounted").rename(in_folder.folder)
    path = in_folder.research.workspace(in_folder.job) / "checkpoints" / NAME
    with contextlib.closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE uploads SET next_try = ?", (time.time() + 86_400,))
    assert len(push_run(in_folder.repo, in_folder.job, in_folder.remote, only_due=True)) == 1


def test_two_machines_with_one_run(in_folder: Any) -> None:
    in_folder.add()
    first = in_folder.save(1, {"a": b"1"})
    in_folder.research.aexp("push")
    in_folder.lose()
    second = in_folder.save(1, {"a": b"2"})
    in_folder.research.aexp("push")
    assert in_folder.arrived() == [1, 1]
    in_folder.research.aexp("pull", in_folder.job, "--all")
    assert {item.id for item in in_folder.checkpoints()} == {first.id, second.id}


def test_two_pushers_at_once(away: Any) -> None:
    away.add()
    for step in range(6):
        away.save(step)
    pushers = [away.research.start_aexp("push", "--json") for _ in range(3)]
    outputs = [process.communicate(timeout=60)[0].decode() for process in pushers]
    assert [process.returncode for process in pushers] == [0, 0, 0], outputs
    assert away.arrived() == list(range(6))
    sent = "".join(outputs).count('"state": "pushed"')
    assert sent == 6  # each of them once


def test_a_server_that_is_away(in_rclone: Any, way: Any) -> None:
    in_rclone.add(options={"endpoint": way.endpoint}, required=True)
    in_rclone.save(1)
    way.change("500")
    done = in_rclone.research.aexp("push", rc=75)
    assert "failed" in done.stdout
    waiting = in_rclone.research.json("uploads", "ls")[0]
    assert (waiting["state"], waiting["tries"]) == ("failed", 1)
    assert waiting["next_try"] > time.time() - 5
    assert push_run(in_rclone.repo, in_rclone.job, get_remote(in_rclone.repo), only_due=True) == []
    in_rclone.add(options={"endpoint": way.endpoint}, required=True)
    way.change("shut")
    with pytest.raises(UploadsIncomplete, match="step-000000001 to r") as caught:
        wait_for_uploads(in_rclone.repo, in_rclone.job, timeout_s=0)
    assert "aexp push" in str(caught.value.hint)
    way.change("open")
    assert wait_for_uploads(in_rclone.repo, in_rclone.job) == 1
    assert in_rclone.arrived() == [1]
    assert in_rclone.research.json("uploads", "ls") == []


def test_the_time_between_tries_doubles_up_to_five_minutes() -> None:
    times = [delay_after(tries) for tries in range(1, 12)]
    assert times[:4] == [2, 4, 8, 16]
    assert times[-1] == delay_after(10**6) == 300


def test_a_checkpoint_that_was_dropped_is_queued_no_more(in_folder: Any) -> None:
    import shutil

    in_folder.add()
    keep, gone = in_folder.save(1), in_folder.save(2)
    in_folder.folder.rename(in_folder.folder.with_name("unmounted"))
    in_folder.research.aexp("push", rc=75)
    in_folder.folder.with_name("unmounted").rename(in_folder.folder)
    shutil.rmtree(gone)
    assert [item["id"] for item in in_folder.research.json("push")] == [keep.id]
    assert in_folder.research.json("uploads", "ls") == []
    assert os.path.isdir(keep)
