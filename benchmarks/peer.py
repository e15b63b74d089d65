"""The published peer, in an environment of its own: for benchmarks, and for tests of files."""

import fcntl
import os
import subprocess
import sys
from pathlib import Path

PEER = "agentic-experiments==0.6.1"
CATALOGUE_PEER = "bathos==0.4.0"
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
    return install(build, "peer", PEER, "aexp")


def install(
    build: Path, name: str, requirement: str, script: str, *, python: str = sys.executable
) -> Path:
    """Return a console script of a published package, in an environment of its own.

    Parameters
    ----------
    build : Path
        Git-ignored folder that keeps the environment between calls.
    name : str
        The environment's folder in it.
    requirement : str
        What pip installs.
    script : str
        The console script.
    python : str
        The interpreter.

    Raises
    ------
    PeerUnavailable
        If it cannot be installed; the message says why.
    """
    home = build / name
    build.mkdir(parents=True, exist_ok=True)
    with open(build / f"{name}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (home / requirement).exists():
            print(f"installing {requirement} into {home} ...", file=sys.stderr)
            _run(python, "-m", "venv", "--clear", str(home))
            _run(str(home / "bin" / "python"), "-m", "pip", "install", *_PIP_OPTIONS, requirement)
            (home / requirement).touch()
    return home / "bin" / script


def _run(*command: str) -> None:
    environment = {**os.environ, "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    environment.pop("PYTHONPATH", None)
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        lines = (done.stderr or done.stdout).strip().splitlines()
        raise PeerUnavailable(f"{' '.join(command[:4])} failed: {lines[-1] if lines else ''}")
