"""Start a real Slurm of virtual nodes, for a benchmark and for the tests, and end it."""

import contextlib
import selectors
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

SCRIPT = Path(__file__).resolve().parent.parent / "tests" / "slurm" / "cluster.sh"
_START_TIMEOUT_S = 300  # the packages may have to be installed first
_END_TIMEOUT_S = 120


class NoSlurm(Exception):
    """The cluster could not be started; the text says why, in one line."""


@contextlib.contextmanager
def running_cluster(env: Mapping[str, str]) -> Iterator[Path]:
    """Start a cluster in a folder of its own and end it, however this process ends.

    The script ends the cluster when its standard input does, so a killed process leaves
    nothing behind.

    Parameters
    ----------
    env : mapping
        The environment, with the settings that cluster.sh names.

    Raises
    ------
    NoSlurm
        If it cannot be started.
    """
    # Below /tmp: the path of a Unix socket may have 107 bytes, and other folders are long.
    folder = Path(tempfile.mkdtemp(prefix="aexp-slurm-", dir="/tmp"))
    with tempfile.TemporaryFile("w+") as errors:
        session = subprocess.Popen(
            ["bash", str(SCRIPT), "session"],
            env={**env, "SLURM_LAB": str(folder)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            start_new_session=True,
        )
        assert session.stdin is not None
        assert session.stdout is not None
        try:
            with selectors.DefaultSelector() as selector:
                selector.register(session.stdout, selectors.EVENT_READ)
                started = selector.select(_START_TIMEOUT_S) and session.stdout.readline()
            if not started:
                errors.seek(0)
                said = errors.read().splitlines() or [f"not up after {_START_TIMEOUT_S} s"]
                raise NoSlurm(next((ln for ln in said if ln.startswith("cluster.sh:")), said[-1]))
            yield folder
        finally:
            session.stdin.close()
            session.wait(_END_TIMEOUT_S)
            session.stdout.close()
            shutil.rmtree(folder, ignore_errors=True)
