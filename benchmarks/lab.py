"""A real Slurm of virtual nodes for the benchmark, and what every process of its jobs cost."""

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.cluster import running_cluster
from benchmarks.timing import LAUNCH, Cost, environment

_PROBE = Path(__file__).resolve().parent / "probe"


class Process(NamedTuple):
    """What one Python process said about itself; CPU without and of its children."""

    words: list[str]
    began: float
    ended: float
    cpu_s: float
    below_cpu_s: float
    rss_mb: float
    slurm_job: str | None

    def has(self, word: str) -> bool:
        """Return whether the command line has this word, or one that contains it."""
        return any(word in given for given in self.words)


class Told(NamedTuple):
    """A measured command: its cost, when it began, and when it said what."""

    cost: Cost
    began: float
    lines: list[tuple[float, str]]

    def when(self, text: str) -> list[float]:
        """Return the moments at which a line with this text was printed."""
        return [moment for moment, line in self.lines if text in line]

    @property
    def ended(self) -> float:
        """The moment at which it ended."""
        return self.began + self.cost.wall_s


class Lab:
    """A running cluster, beside a file into which the processes of its jobs say what they cost."""

    def __init__(self, folder: Path, scratch: Path) -> None:
        self._log = scratch / f"{folder.name}.jsonl"
        self._read = 0
        path = [folder / "bin", Path(sys.executable).parent, os.environ["PATH"], "/usr/sbin"]
        self.env = {
            **environment(),
            "SLURM_LAB": str(folder),
            "SLURM_CONF": str(folder / "etc" / "slurm.conf"),
            "PATH": ":".join(map(str, path)),
            "PYTHONPATH": str(_PROBE),
            "BENCH_PROBE": str(self._log),
        }

    def call(self, words: Sequence[str], cwd: Path) -> str:
        """Run a command to its end, unmeasured."""
        done = subprocess.run(
            words, cwd=cwd, env=self.env, capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise RuntimeError(f"{' '.join(words)}: {done.stderr.strip()}")
        return done.stdout

    def measure(self, words: Sequence[str], cwd: Path) -> Told:
        """Run a command; note the moment of every line that it prints."""
        lines: list[tuple[float, str]] = []
        with tempfile.NamedTemporaryFile("r") as answer:
            began = time.time()
            process = subprocess.Popen(
                [sys.executable, "-I", "-S", str(LAUNCH), answer.name, *words],
                cwd=cwd,
                env=self.env,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
            )
            output = process.stdout
            assert output is not None
            reader = threading.Thread(
                target=lambda: lines.extend((time.time(), line.rstrip()) for line in output)
            )
            reader.start()
            process.wait()
            reader.join()
            output.close()
            code, cpu, wall, rss = answer.read().split() or ("no answer", "0", "0", "0")
        if code != "0":
            text = "\n".join(line for _, line in lines[-40:])
            raise RuntimeError(f"{' '.join(words)[:300]} exited with {code}:\n{text}")
        return Told(Cost(float(cpu), float(wall), float(rss) / 1024), began, lines)

    def wait_idle(self) -> float:
        """Wait until Slurm has no job left, and return that moment."""
        while self.call(["squeue", "-h", "-o", "%i"], Path("/")):
            time.sleep(0.02)
        return time.time()

    def processes(self) -> list[Process]:
        """Return what ended since the last call."""
        if not self._log.exists():
            return []
        with self._log.open() as file:
            file.seek(self._read)
            found: list[dict[str, Any]] = [json.loads(line) for line in file]
            self._read = file.tell()
        return [Process(**line) for line in found]


@contextlib.contextmanager
def running(scratch: Path, nodes: int = 2, cpus: int = 1) -> Iterator[Lab]:
    """Start a cluster of nodes with a few CPUs each; end it, however this process ends.

    Raises
    ------
    NoSlurm
        If it cannot be started.
    """
    settings = {"SLURM_NODES": nodes, "SLURM_NODE_CPUS": cpus, "SLURM_GPUS": 0}
    env = {**environment(), **{name: str(value) for name, value in settings.items()}}
    with running_cluster(env) as folder:
        yield Lab(folder, scratch)
