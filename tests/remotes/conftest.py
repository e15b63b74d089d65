"""What the tests of remotes share: real servers, a run with checkpoints."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))

import remote_run
import remote_servers

KINDS = ("folder", "rclone", "moto")


@pytest.fixture(scope="session")
def _rclone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    with remote_servers.serving("rclone", tmp_path_factory.mktemp("rclone")) as server:
        yield server


@pytest.fixture(scope="session")
def _moto(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    with remote_servers.serving("moto", tmp_path_factory.mktemp("moto")) as server:
        yield server


@pytest.fixture
def credentials(research: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Give the credentials to this process and to what the test starts."""
    for name, value in remote_servers.CREDENTIALS.items():
        monkeypatch.setenv(name, value)
        research.env[name] = value


@pytest.fixture(params=KINDS)
def away(
    request: pytest.FixtureRequest, research: Any, credentials: None, tmp_path: Path
) -> remote_run.RemoteRun:
    """Return a run and a remote of each kind (`RemoteRun` of remote_run.py)."""
    where = tmp_path if request.param == "folder" else request.getfixturevalue(f"_{request.param}")
    return remote_run.RemoteRun(research, request.param, where)


@pytest.fixture
def in_folder(research: Any, tmp_path: Path) -> remote_run.RemoteRun:
    """Return a run and a remote that is a folder."""
    return remote_run.RemoteRun(research, "folder", tmp_path)


@pytest.fixture
def in_rclone(research: Any, credentials: None, _rclone: Any) -> remote_run.RemoteRun:
    """Return a run and a remote at a real S3 server."""
    return remote_run.RemoteRun(research, "rclone", _rclone)


@pytest.fixture
def moto(_moto: Any) -> Any:
    """Return a second S3 server."""
    return _moto


@pytest.fixture
def way(_rclone: Any) -> Iterator[remote_servers.Way]:
    """Return a way to the S3 server that the test can cut."""
    found = remote_servers.Way(_rclone.port)
    yield found
    found.close()
