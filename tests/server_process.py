"""A server on loopback in a process of its own, for tests that talk to the real thing."""

import contextlib
import os
import signal
import socket
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path


def free_port() -> int:
    """Return a port of loopback that nobody listens at."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


class ServerProcess:
    """Started when it is made; `wait` for it, and `close` it.

    Parameters
    ----------
    words : sequence of str
        Its command.
    folder : pathlib.Path
        Where it runs and its log lies.
    port : int
        Where it is to listen.
    env : mapping, optional
        What its environment has besides ours.
    start_s : float, default 60
        How long it may take, in seconds.
    """

    def __init__(
        self,
        words: Sequence[str],
        folder: Path,
        port: int,
        env: Mapping[str, str] | None = None,
        start_s: float = 60,
    ) -> None:
        self.port = port
        self._start_s = start_s
        self._log = (folder / "server.log").open("wb")
        self.process = subprocess.Popen(
            words,
            cwd=folder,
            env={**os.environ, **(env or {})},
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    def ask(self) -> None:
        """Raise OSError while it does not answer."""
        socket.create_connection(("127.0.0.1", self.port), 1).close()

    def wait(self) -> None:
        """Wait until it answers."""
        end = time.monotonic() + self._start_s
        while True:
            try:
                return self.ask()
            except OSError:
                assert self.process.poll() is None, Path(self._log.name).read_text()
                assert time.monotonic() < end, Path(self._log.name).read_text()
                time.sleep(0.05)

    def close(self) -> None:
        """End it, and what it has started."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self._log.close()
