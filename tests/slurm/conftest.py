"""A real Slurm for the tests of this folder, started and ended by the test session itself.

``AEXP_SLURM`` says what a missing Slurm means, see tests/real_service.py.
"""

import os
import shlex
import subprocess
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple, TypeVar

import pytest

from benchmarks.cluster import SCRIPT, NoSlurm, running_cluster
from tests.real_service import in_one_place, keep_on_one_worker, started

HERE = Path(__file__).parent
T = TypeVar("T")


class SlurmJob(NamedTuple):
    """One line of ``squeue``."""

    id: str
    state: str
    name: str
    nodes: str
    reason: str
    comment: str


class SlurmLab:
    """A running cluster of nodes n1 to n4 with four CPUs each; n3 and n4 have two fake GPUs.

    Attributes
    ----------
    folder : pathlib.Path
        Config, logs and state of the cluster.
    env : dict
        The environment that finds it; set for every test of this folder.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.env = {
            **os.environ,
            "SLURM_LAB": str(folder),
            "SLURM_CONF": str(folder / "etc" / "slurm.conf"),
            "PATH": f"{folder / 'bin'}:{os.environ['PATH']}:/usr/sbin",
        }

    def run(
        self,
        command: str | Sequence[str],
        *,
        check: bool = True,
        timeout: float = 120,
        cwd: str | Path | None = None,
        env: dict[str, str] | None = None,
    ) -> subprocess.CompletedProcess[str]:
        """Run a command (a text by the shell) with the cluster in reach; return what it said."""
        words = ["bash", "-c", command] if isinstance(command, str) else list(command)
        done = subprocess.run(
            words,
            env={**self.env, **(env or {})},
            cwd=cwd,
            timeout=timeout,
            text=True,
            errors="replace",
            capture_output=True,
            stdin=subprocess.DEVNULL,
        )
        if check and done.returncode:
            shown = command if isinstance(command, str) else shlex.join(command)
            raise AssertionError(f"{shown}: exit {done.returncode}\n{done.stdout}{done.stderr}")
        return done

    def sbatch(self, *options: str, wrap: str, cwd: str | Path | None = None) -> str:
        """Submit a shell command; return the job's id."""
        words = ["sbatch", "--parsable", *options, "--wrap", wrap]
        return self.run(words, cwd=cwd or self.folder).stdout.strip()

    def squeue(self) -> list[SlurmJob]:
        """Return every job that the controller remembers, one per array task, ended ones too."""
        form = "%i\x1f%T\x1f%j\x1f%N\x1f%r\x1f%k"
        lines = self.run(["squeue", "-h", "-a", "-r", "-t", "all", "-o", form]).stdout.splitlines()
        return [SlurmJob(*line.split("\x1f")) for line in lines]

    def state(self, job_id: str) -> str | None:
        """Return a job's state word, None when the controller does not know the job."""
        return next((job.state for job in self.squeue() if job.id == job_id), None)

    def kill_node(self, n: int, *, noticed: bool = False) -> None:
        """Cut the power of node `n`: its daemon and every process of its jobs die by SIGKILL.

        The controller takes half a minute to notice; with `noticed` it is told at once.
        """
        self._cluster("kill-node", str(n))
        if noticed:
            self.run(["scontrol", "update", f"NodeName=n{n}", "State=DOWN", "Reason=power"])

    def start_node(self, n: int) -> None:
        """Switch node `n` on again and wait until it takes jobs."""
        self._cluster("start-node", str(n))
        usable = {"idle", "mix", "alloc"}

        def ready() -> bool:
            state = self.run(["sinfo", "-h", "-N", "-n", f"n{n}", "-o", "%t"]).stdout.split()
            if state and state[0].startswith("down"):
                resume = ["scontrol", "update", f"NodeName=n{n}", "State=RESUME"]
                self.run(resume, check=False)
            return bool(state) and state[0] in usable

        self.wait_until(ready, timeout=120, what=f"node n{n} to come back")

    def kill_controller(self, *, hard: bool = False) -> None:
        """End slurmctld: squeue, sbatch and scancel answer with errors, jobs run on.

        With `hard` it dies by SIGKILL and forgets up to five seconds of what it knew, as a
        crashed controller does: a job that just started may be pending again.
        """
        self._cluster("kill-ctld" if hard else "stop-ctld")

    def start_controller(self) -> None:
        """Start slurmctld again and wait until it answers."""
        self._cluster("start-ctld")

        def answers() -> bool:
            return self.run(["scontrol", "ping"], check=False).returncode == 0

        self.wait_until(answers, timeout=120, what="slurmctld to answer")

    def wait_until(
        self, predicate: Callable[[], T], timeout: float = 300, what: str = "the condition"
    ) -> T:
        """Call `predicate` until it returns something true; return that, or fail with the queue."""
        end = time.monotonic() + timeout
        while True:
            value = predicate()
            if value:
                return value
            if time.monotonic() > end:
                queue = self.run(["squeue", "-a", "-r", "-t", "all"], check=False)
                raise AssertionError(
                    f"waited {timeout:g} s for {what}\n{queue.stdout}{queue.stderr}"
                )
            time.sleep(0.1)

    def reset(self) -> None:
        """Cancel what a test left and start again what it killed."""
        if self._cluster("status", check=False).returncode:
            self._cluster("up")
        active = "pending,running,suspended,completing,configuring,stopped"
        left = ["squeue", "-h", "-a", "-t", active, "-o", "%A"]
        ids = sorted(set(self.run(left).stdout.split()))
        if not ids:
            return
        self.run(["scancel", *ids])
        self.wait_until(lambda: not self.run(left).stdout, what="cancelled jobs to end")

    def _cluster(self, *words: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        return self.run(["bash", str(SCRIPT), *words], check=check)


@pytest.fixture(scope="session")
def slurm() -> Iterator[SlurmLab]:
    """The cluster, one per test process."""
    with started("AEXP_SLURM", "Slurm", lambda: running_cluster(os.environ), NoSlurm) as folder:
        yield SlurmLab(folder)


@pytest.fixture(autouse=True)
def _in_reach(slurm: SlurmLab, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Put the cluster into each test's environment, and leave it empty and whole behind."""
    for key in ("SLURM_CONF", "PATH"):
        monkeypatch.setenv(key, slurm.env[key])
    yield
    slurm.reset()


@pytest.hookimpl(tryfirst=True)  # before xdist reads the groups
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark everything here ``slurm``, and keep it on one worker: one cluster is enough."""
    for item in keep_on_one_worker(items, HERE, "slurm"):
        item.add_marker(pytest.mark.slurm)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport]:
    return in_one_place((yield), item, HERE)
