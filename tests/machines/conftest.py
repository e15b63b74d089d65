"""Two machines for the tests of this folder: this one, and one behind a real sshd on loopback.

``AEXP_SSHD`` says what a missing sshd, ssh or rsync means, see tests/real_service.py.
"""

import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from aexp.files import pretty_json
from aexp.runs.store import compute_job_id
from tests.in_process import CommandLine
from tests.real_service import in_one_place, keep_on_one_worker, started

HERE = Path(__file__).parent
_SERVER = """
Port {port}
ListenAddress 127.0.0.1
HostKey {folder}/host
PidFile {folder}/sshd.pid
AuthorizedKeysFile {folder}/authorized
AuthenticationMethods publickey
PermitRootLogin prohibit-password
StrictModes no
UsePAM no
SetEnv PATH={path}
ForceCommand cd {folder}/home && HOME={folder}/home exec sh -c "$SSH_ORIGINAL_COMMAND"
"""
_CLIENT = """
Host cluster
  HostName 127.0.0.1
  Port {port}
  ControlMaster auto
  ControlPath {control}/%C
  ControlPersist 600
Host stranger
  HostName 127.0.0.1
  Port {port}
  UserKnownHostsFile /dev/null
Host nokey
  HostName 127.0.0.1
  Port {port}
  IdentityFile {folder}/unknown
Host * !nokey
  IdentityFile {folder}/key
Host *
  IdentitiesOnly yes
  UserKnownHostsFile {folder}/known
  GlobalKnownHostsFile /dev/null
  StrictHostKeyChecking yes
"""


class NoServer(Exception):
    """The server cannot be started; the text says why, in one line."""


class Cluster(NamedTuple):
    """A machine that ssh reaches as ``cluster``.

    Attributes
    ----------
    home : pathlib.Path
        Where commands begin there.
    port : int
        Where its sshd listens.
    bin : pathlib.Path
        A folder with an ``ssh`` that knows it, for PATH.
    """

    home: Path
    port: int
    bin: Path


@contextlib.contextmanager
def serving(folder: Path) -> Iterator[Cluster]:
    """Start an sshd of its own on a free port, and end it by its process."""
    search = f"{os.environ['PATH']}:/usr/sbin:/usr/local/sbin"
    sshd = shutil.which("sshd", path=search)
    missing = [name for name in ("ssh", "ssh-keygen", "rsync") if not shutil.which(name)]
    missing += [] if sshd else ["sshd"]
    if missing or sshd is None:
        raise NoServer(f"not installed: {', '.join(missing)}")
    control = tempfile.mkdtemp(prefix="aexp-", dir="/tmp")  # the path of a socket is short
    (folder / "home").mkdir()
    (folder / "bin").mkdir()
    for name in ("host", "key", "unknown"):
        words = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name)]
        subprocess.run(words, check=True, stdin=subprocess.DEVNULL)
    shutil.copy(folder / "key.pub", folder / "authorized")
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port = one.getsockname()[1]
    known = (folder / "host.pub").read_text()
    (folder / "known").write_text(f"[127.0.0.1]:{port} {known}")
    path = f"{os.path.dirname(sys.executable)}:/usr/local/bin:/usr/bin:/bin"
    (folder / "sshd_config").write_text(_SERVER.format(port=port, folder=folder, path=path))
    (folder / "ssh_config").write_text(_CLIENT.format(port=port, folder=folder, control=control))
    wrapper = folder / "bin" / "ssh"
    wrapper.write_text(f'#!/bin/sh\nexec {shutil.which("ssh")} -F {folder}/ssh_config "$@"\n')
    wrapper.chmod(0o755)
    if os.getuid() == 0:
        os.makedirs("/run/sshd", exist_ok=True)
    with open(folder / "sshd.log", "wb") as log:
        server = subprocess.Popen(
            [sshd, "-D", "-e", "-f", str(folder / "sshd_config")],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
    try:
        # The server speaks first; ssh tries until it listens.
        hello = ["-o", "BatchMode=yes", "-o", "ConnectionAttempts=20", "cluster", "true"]
        # From here on there is one connection, as docs/sync.md proposes.
        done = subprocess.run([str(wrapper), *hello], stderr=subprocess.DEVNULL, timeout=60)
        if done.returncode != 0:
            said = (folder / "sshd.log").read_text().splitlines()
            raise NoServer(f"sshd does not let us in: {said[-1] if said else 'silent'}")
        yield Cluster(folder / "home", port, folder / "bin")
    finally:
        subprocess.run([str(wrapper), "-O", "exit", "cluster"], capture_output=True, timeout=60)
        server.terminate()
        server.wait(10)
        shutil.rmtree(control, ignore_errors=True)


@pytest.fixture(scope="session")
def _cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with started(
        "AEXP_SSHD", "sshd", lambda: serving(tmp_path_factory.mktemp("sshd")), NoServer
    ) as made:
        yield made


class Desk(CommandLine):
    """A repository with as many entries as a test wants, and a way to the other machine."""

    def __init__(self, research: Any, cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
        self.research = research
        self.root: Path = research.root
        self.cluster = cluster
        self.there = cluster.home / self.root.parent.name / "research"
        self._monkeypatch = monkeypatch

    def entry(self, number: int, root: Path | None = None, **fields: Any) -> str:
        """Write the ledger entry of a run and return its id."""
        sp = {"experiment_id": "E001", "seed": number}
        job_id = str(compute_job_id(sp))
        time = "2026-01-02T03:04:05Z"
        body = {
            "schema_version": 1,
            "job_id": job_id,
            "statepoint": sp,
            "status": "complete",
            "started_at": time,
            "ended_at": time,
            "promoted_at": time,
            "registered_machine": "here",
            **fields,
        }
        path = self.path(job_id, root)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(pretty_json(body))
        return job_id

    def path(self, job_id: str, root: Path | None = None) -> Path:
        """Return where a run's entry lies: here, or in another record."""
        return (root or self.root) / ".aexp" / "ledger" / f"{job_id}.json"

    def read(self, job_id: str, root: Path | None = None) -> Any:
        """Return a run's entry."""
        return json.loads(self.path(job_id, root).read_bytes())

    def cli(self, *arguments: str, rc: int = 0, root: Path | None = None) -> str:
        """Call the command line in this process; return what it said, errors too."""
        return super().cli(*arguments, rc=rc, cwd=root) + self.stderr

    def json(self, *arguments: str, rc: int = 0, root: Path | None = None) -> Any:
        """Return what a verb prints with ``--json``."""
        return json.loads(super().cli(*arguments, "--json", rc=rc, cwd=root))

    def add_remote(self, name: str = "engaging") -> None:
        """Name the folder at the other machine; it does not exist yet."""
        self.cli("remote", "add", name, f"cluster:{self.root.parent.name}/research")

    def by_folder(self) -> None:
        """Reach the same place as a folder: where ssh is not the point, it only takes time."""
        self.there.mkdir(parents=True)
        self.cli("remote", "add", "engaging", str(self.there), "--replace")


@pytest.fixture
def desk(research: Any, _cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> Desk:
    """Return a repository with a remote ``engaging``."""
    monkeypatch.setenv("PATH", f"{_cluster.bin}:{os.environ['PATH']}")
    research.env["PATH"] = f"{_cluster.bin}:{research.env['PATH']}"
    made = Desk(research, _cluster, monkeypatch)
    made.add_remote()
    return made


@pytest.hookimpl(tryfirst=True)  # before xdist reads the groups
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep these on one worker: one server is enough."""
    keep_on_one_worker(items, HERE, "sshd")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport]:
    return in_one_place((yield), item, HERE)
