"""The published peer, in an environment of its own: for benchmarks, and for tests of files."""

import fcntl
import os
import subprocess
import sys
from pathlib import Path

PEER = "agentic-experiments==0.6.1"
_PIP_OPTIONS = ("--quiet", "--retries", "2", "--timeout", "15")


class PeerUnavailable(RuntimeError):
    """The peer cannot be installed, usually because there is no network."""


def install_peer(build: Path) -> Path:
    """Return the peer's console script, installed from PyPI into `build` when it is not yet.

    Parameters
    ----------
    build : Path
        Git-ignored folder that keeps the environment between calls. Processes that ask at
        the same time take turns.

    Raises
    ------
    PeerUnavailable
        If it cannot be installed; the message says why.
    """
    home = build / "peer"
    build.mkdir(parents=True, exist_ok=True)
    with open(build / "peer.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (home / PEER).exists():
            print(f"installing {PEER} into {home} ...", file=sys.stderr)
            _run(sys.executable, "-m", "venv", "--clear", str(home))
            _run(str(home / "bin" / "python"), "-m", "pip", "install", *_PIP_OPTIONS, PEER)
            (home / PEER).touch()
    return home / "bin" / "aexp"


def _run(*command: str) -> None:
    environment = {**os.environ, "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    environment.pop("PYTHONPATH", None)
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        lines = (done.stderr or done.stdout).strip().splitlines()
        raise PeerUnavailable(f"{' '.join(command[:4])} failed: {lines[-1] if lines else ''}")
