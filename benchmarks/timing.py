"""Measure commands: CPU seconds, wall seconds, peak memory; several at a time, interleaved."""

import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

LAUNCH = Path(__file__).with_name("launch.py")
_NOT_OURS = ("AEXP_", "SLURM_", "SNAKEMAKE_")


def environment() -> dict[str, str]:
    """Return the environment in which everything is measured: as an ordinary user has it.

    Only the list of projects is one of its own: what is measured is no project of a person's.
    """
    config = {"XDG_CONFIG_HOME": os.path.join(tempfile.gettempdir(), "aexp-benchmarks")}
    return config | {
        name: value
        for name, value in os.environ.items()
        if name not in ("PYTHONDONTWRITEBYTECODE", "PYTHONUNBUFFERED", "XDG_CONFIG_HOME")
        and not name.startswith(_NOT_OURS)
    }


class Cost(NamedTuple):
    """What one command cost: CPU of all its processes, wall, the largest one's memory."""

    cpu_s: float
    wall_s: float
    rss_mb: float

    def __add__(self, other: "Cost") -> "Cost":  # type: ignore[override]
        return Cost(
            self.cpu_s + other.cpu_s,
            self.wall_s + other.wall_s,
            max(self.rss_mb, other.rss_mb),
        )


class Case(NamedTuple):
    """A command to measure.

    Attributes
    ----------
    arguments : callable
        Called before each round, outside the measured time: returns the command to run,
        and makes ready what it needs.
    cwd : callable or Path
        Where to run it, asked after `arguments`.
    """

    arguments: Callable[[], Sequence[str]]
    cwd: Path
    expect: int = 0


def measure(
    arguments: Sequence[str],
    cwd: Path,
    *,
    expect: int = 0,
    stdin: str | None = None,
    env: dict[str, str] | None = None,
) -> Cost:
    """Run a command to its end and say what it cost; an unexpected exit code is an error."""
    with tempfile.TemporaryFile() as output, tempfile.NamedTemporaryFile("r") as answer:
        process = subprocess.Popen(
            [sys.executable, "-I", "-S", str(LAUNCH), answer.name, *arguments],
            cwd=cwd,
            env=environment() if env is None else env,
            stdin=subprocess.PIPE if stdin is not None else subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        process.communicate(stdin.encode() if stdin is not None else None)
        code, cpu, wall, rss = answer.read().split() or ("no answer", "0", "0", "0")
        if code != str(expect):
            output.seek(0)
            text = output.read()[-2000:].decode(errors="replace")
            raise RuntimeError(f"{' '.join(arguments)[:300]} exited with {code}:\n{text}")
    unit = 1024.0 if sys.platform != "darwin" else 1024.0 * 1024.0
    return Cost(float(cpu), float(wall), float(rss) / unit)


def interleaved(cases: dict[str, Case], rounds: int, *, warm: bool = True) -> dict[str, Cost]:
    """Run every case once per round and return each one's medians (of memory, the highest).

    Unless `warm` is false a first round, whose costs are forgotten, warms the caches.
    """
    for case in cases.values() if warm else ():
        measure(case.arguments(), case.cwd, expect=case.expect)
    found: dict[str, list[Cost]] = {name: [] for name in cases}
    for number in range(rounds):
        order = list(cases) if number % 2 == 0 else list(reversed(cases))
        for name in order:
            case = cases[name]
            found[name].append(measure(case.arguments(), case.cwd, expect=case.expect))
    return {name: median(costs) for name, costs in found.items()}


def median(costs: Sequence[Cost]) -> Cost:
    """Return the medians of CPU and wall, and the highest memory."""
    return Cost(
        statistics.median(cost.cpu_s for cost in costs),
        statistics.median(cost.wall_s for cost in costs),
        max(cost.rss_mb for cost in costs),
    )
