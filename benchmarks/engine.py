"""Snakemake over trivial runs: engine and wrapper against their own floors."""

import shutil
import statistics
from pathlib import Path

from benchmarks import store
from benchmarks.place import FLOORS, Place
from benchmarks.report import Row
from benchmarks.timing import Cost, measure, median

_CORES = 2


def run(place: Place) -> list[Row]:
    """Measure the session, the same wrappers under xargs, and Snakemake around ``true``."""
    count = place.size(1000, 100)
    repo = store.repository(place.folder("engine"), place.aexp)
    bare = bare_workflow(place, repo)
    costs: dict[str, list[Cost]] = {"session": [], "xargs": [], "snakemake": []}
    for _ in range(place.size(3, 1)):
        costs["session"].append(session(place, repo, count))
        costs["xargs"].append(under_xargs(place, repo, count))
        costs["snakemake"].append(snakemake_alone(place, bare, count))
    ours, xargs, alone = (median(costs[name]) for name in ("session", "xargs", "snakemake"))
    # A ratio per round, so that what the machine did meanwhile falls out.
    ratio = statistics.median(
        a.cpu_s / (b.cpu_s + c.cpu_s)
        for a, b, c in zip(costs["session"], costs["xargs"], costs["snakemake"], strict=True)
    )
    what = f"snakemake --cores {_CORES}, {count:,} runs of true"
    return [
        Row(what, "xargs -P2 + snakemake alone", ours, xargs + alone, ratio, "<= 1.5"),
        Row(f"the same {count:,} wrappers under xargs -P{_CORES}", cost=xargs),
        Row(f"snakemake alone, {count:,} jobs of true", cost=alone),
    ]


def bare_workflow(place: Place, repo: Path) -> Path:
    """Make a project whose Snakefile runs ``true``, with the settings that `repo` uses."""
    folder = place.folder("bare")
    shutil.copytree(repo / "workflow" / "profiles", folder / "workflow" / "profiles")
    shutil.copy(FLOORS / "Snakefile", folder / "workflow" / "Snakefile")
    return folder


def session(place: Place, repo: Path, count: int) -> Cost:
    """Fill the store and execute it with Snakemake."""
    _refill(repo, count)
    return measure([place.snakemake, "--cores", str(_CORES), "--quiet", "all"], repo)


def under_xargs(place: Place, repo: Path, count: int) -> Cost:
    """Fill the store and execute it with xargs, the wrapper being the one the rule calls."""
    ids = _refill(repo, count)
    wrapper = [place.python, "-P", "-m", "aexp", "run-queued", "{}", "--engine"]
    command = ["xargs", f"-P{_CORES}", "-I{}", *wrapper]
    return measure(command, repo, stdin="".join(f"{job_id}\n" for job_id in ids))


def snakemake_alone(place: Place, bare: Path, count: int, *arguments: str) -> Cost:
    """Execute as many ``true`` jobs with Snakemake."""
    for name in ("out", ".snakemake"):
        shutil.rmtree(bare / name, ignore_errors=True)
    config = ["--config", f"jobs={count}"]
    command = [place.snakemake, "--cores", str(_CORES), "--quiet", "all", *arguments, *config]
    return measure(command, bare)


def _refill(repo: Path, count: int) -> list[str]:
    for name in (".snakemake", ".aexp/ledger", ".aexp/cache"):
        shutil.rmtree(repo / name, ignore_errors=True)
    store.empty(repo)
    return store.fill(repo, count)
