"""Every kind of remote keeps what it is given, and says what is wrong."""

import os
from pathlib import Path
from typing import Any

import pytest
from remote_servers import BUCKET, CREDENTIALS

from aexp.errors import RemoteAway, RemoteDenied, RemoteError
from aexp.remotes.check import check_remote
from aexp.remotes.config import make_remote
from aexp.remotes.store import open_store


def test_objects(away: Any, tmp_path: Path) -> None:
    store = away.store
    assert store.keys("a") == []
    assert store.size("a/b/c") is None
    assert store.get("a/b/c") is None
    assert not store.get_file("a/b/c", str(tmp_path / "none"))
    assert not (tmp_path / "none").exists()
    store.delete("a/b/c")
    sizes = {"empty": 0, "small": 5, "part": 8 << 20, "parts": (20 << 20) + 3}
    for name, size in sizes.items():
        content = os.urandom(size)
        (tmp_path / name).write_bytes(content)
        store.put_file(f"a/b/{name}", str(tmp_path / name), size)
        store.put_file(f"a/b/{name}", str(tmp_path / name), size)
        assert store.size(f"a/b/{name}") == size
        assert store.get_file(f"a/b/{name}", str(tmp_path / f"{name}.back"))
        assert (tmp_path / f"{name}.back").read_bytes() == content
    store.put("a/other", b"1")
    store.put("a/other", b"22")
    assert store.get("a/other") == b"22"
    assert store.keys("a/b") == sorted(f"a/b/{name}" for name in sizes)
    assert store.keys("a") == sorted([*(f"a/b/{name}" for name in sizes), "a/other"])
    store.delete("a/other")
    assert store.get("a/other") is None
    assert check_remote(away.remote).steps[0] == "write"
    assert store.keys("test") == []


def test_remote_test(in_rclone: Any) -> None:
    in_rclone.add()
    assert in_rclone.research.json("remote", "test")["ok"] is True
    in_rclone.add(options={"endpoint": "http://127.0.0.1:9"})
    done = in_rclone.research.aexp("remote", "test", rc=75)
    assert "remote r" in done.stderr


def test_wrong_credentials(in_rclone: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "other")
    for call in (lambda s: s.put("k", b"x"), lambda s: s.get("k"), lambda s: s.keys("k")):
        with pytest.raises(RemoteDenied) as caught:
            call(in_rclone.store)
        assert "aexp remote test r" in str(caught.value.hint)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "nobody")
    with pytest.raises(RemoteDenied, match="InvalidAccessKeyId"):
        in_rclone.store.put("k", b"x")


def test_no_bucket(away: Any) -> None:
    if away.url.startswith("/"):
        away.folder.rmdir()
        with pytest.raises(RemoteAway, match="there is no folder"):
            away.store.put("k", b"x")
        assert not away.folder.exists()
        return
    store = open_store(make_remote("r", "s3://no-such-bucket/x", options=away.options))
    for call in (lambda: store.put("k", b"x"), lambda: store.keys("k"), lambda: store.get("k")):
        with pytest.raises(RemoteError, match="NoSuchBucket"):
            call()
    with pytest.raises(RemoteError):
        open_store(make_remote("r", "az://container/x"))


def test_a_way_that_is_cut(in_rclone: Any, way: Any) -> None:
    store = open_store(make_remote("r", in_rclone.url, options={"endpoint": way.endpoint}))
    store.put("k", b"x")
    way.change("500")
    with pytest.raises(RemoteAway):
        store.get("k")
    assert way.connections >= 3  # the library itself tries again
    way.change("shut")
    with pytest.raises(RemoteAway):
        store.put("k", b"y")
    way.change("open")
    assert store.get("k") == b"x"


def test_a_folder_that_cannot_be_written(in_folder: Any) -> None:
    store = in_folder.store
    store.put("a/b", b"x")
    (in_folder.folder / "a").rename(in_folder.folder / "old")
    (in_folder.folder / "a").write_bytes(b"in the way")
    with pytest.raises(RemoteError, match="a/b"):
        store.put("a/b", b"x")
    assert list((in_folder.folder / ".incoming").iterdir()) == []


def test_profiles_of_the_aws_command_line(
    in_rclone: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in CREDENTIALS:
        monkeypatch.delenv(name)
    path = tmp_path / "credentials"
    path.write_text(
        "[research]\naws_access_key_id = {AWS_ACCESS_KEY_ID}\n"
        "aws_secret_access_key = {AWS_SECRET_ACCESS_KEY}\n".format(**CREDENTIALS)
    )
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(path))
    monkeypatch.setenv("AWS_PROFILE", "research")
    in_rclone.store.put("k", b"x")
    assert in_rclone.store.get("k") == b"x"
    monkeypatch.setenv("AWS_PROFILE", "nobody")
    with pytest.raises(RemoteError, match="nobody"):
        in_rclone.store.put("k", b"x")
    assert BUCKET in in_rclone.url
