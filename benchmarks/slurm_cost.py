"""What a run of ``true`` costs on Slurm: by a plain job, by an array, by Snakemake; in parts."""

import itertools
import shutil
import statistics
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from benchmarks import store
from benchmarks.cluster import NoSlurm
from benchmarks.engine import bare_workflow
from benchmarks.lab import Lab, Process, Told, running
from benchmarks.place import Place
from benchmarks.report import Row
from benchmarks.timing import Cost, median

_PARTS = (
    "Snakemake starts, to sbatch",
    "Slurm starts the job",
    "first Snakemake of the job, to srun",
    "second Snakemake, to the run",
    "aexp run-queued",
    "both Snakemakes end",
    "until Snakemake looks",
    "verdict, and Snakemake ends",
)
_WRAPPER = "run-queued"


class Session(NamedTuple):
    """One call of Snakemake: all it cost, by whom, and the way of one run through it."""

    whole: Cost
    main: Cost
    first: Cost
    second: Cost
    wrapper: Cost
    way: list[float]


def run(place: Place) -> list[Row]:
    """Measure on a cluster of this machine; one row that says so if there is none."""
    scratch = place.folder("slurm")
    scratch.mkdir()
    try:
        with running(scratch) as lab:
            rows = _measure(place, lab)
        with running(scratch, nodes=1, cpus=4) as lab:
            return rows + _by_group(place, lab)
    except NoSlurm as reason:
        return [Row("runs on Slurm: not run", note=f"no Slurm here: {reason}")]


def _measure(place: Place, lab: Lab) -> list[Row]:
    repo = store.repository(place.folder("slurm-runs"), place.aexp)
    bare = bare_workflow(place, repo)
    shutil.copytree(repo / "profiles", bare / "profiles")
    many = place.size(24, 2)
    counts = (1, many) if place.quick else (1, 8, many)
    rounds = {1: place.size(3, 1), 8: 3, many: place.size(2, 1)}
    rows = _by_sbatch(lab, repo, place.size(7, 2))
    rows += _by_array(place, lab, repo, many, place.size(3, 1))
    for count in counts:
        rows += _by_snakemake(lab, repo, bare, count, rounds[count])
    return rows


def _by_sbatch(lab: Lab, repo: Path, rounds: int) -> list[Row]:
    submitted, ended = [], []
    for _ in range(rounds):
        told = lab.measure(["sbatch", "-o", "/dev/null", "--wrap", "true"], repo)
        submitted.append(told.cost)
        ended.append(Cost(told.cost.cpu_s, lab.wait_idle() - told.began, told.cost.rss_mb))
    return [
        Row("sbatch: the call", cost=median(submitted)),
        Row("sbatch of true: to the end of the job", cost=median(ended)),
    ]


def _by_array(place: Place, lab: Lab, repo: Path, count: int, rounds: int) -> list[Row]:
    """Compare an array, and workers that share the queue, with one run after another."""
    tasks = [f"--array=0-{count - 1}", "aexp queue run --index $SLURM_ARRAY_TASK_ID"]
    workers = ["--array=0-1", "aexp queue run --continue-on-failure || test $? = 75"]
    costs: dict[str, list[Cost]] = {"array": [], "workers": [], "here": []}
    for _ in range(rounds):
        for name, (array, command) in (("array", tasks), ("workers", workers)):
            _refill(repo, count)
            submit = ["sbatch", "--parsable", "-o", "/dev/null", array, "--wrap", command]
            told = lab.measure(submit, repo)
            wall = lab.wait_idle() - told.began
            _check(repo, count)
            processes = [p for p in lab.processes() if p.has("queue")]
            cpu = sum(p.cpu_s + p.below_cpu_s for p in processes)
            costs[name].append(Cost(told.cost.cpu_s + cpu, wall, _largest(processes).rss_mb))
        ids = _refill(repo, count)
        each = "for id; do aexp run-queued $id || exit; done"
        costs["here"].append(lab.measure(["sh", "-c", each, "sh", *ids], repo).cost)
        lab.processes()
    here = median(costs["here"])
    against = "run-queued, without Slurm"
    return [
        _row(f"array of {count} `queue run --index`", costs["array"], against, costs["here"]),
        Row("the same, for each run", cost=_share(median(costs["array"]), count)),
        _row(f"{count} runs, 2 jobs of `queue run`", costs["workers"], against, costs["here"]),
        Row("the same, for each run", cost=_share(median(costs["workers"]), count)),
        Row(f"{count} `run-queued` here, for each run", cost=_share(here, count)),
    ]


def _by_snakemake(lab: Lab, repo: Path, bare: Path, count: int, rounds: int) -> list[Row]:
    sessions, alone = [], []
    for _ in range(rounds):
        sessions.append(session(lab, repo, count))
        if count <= 8:
            alone.append(snakemake_alone(lab, bare, count))
    what = f"snakemake --profile profiles/slurm, {count} run{'s' * (count > 1)}"
    whole = [s.whole for s in sessions]
    rows = [
        _row(what, whole, "Snakemake alone on Slurm", alone, bound="<= 1.5")
        if alone
        else Row(what, cost=median(whole))
    ]
    shares: dict[str, Callable[[Session], Cost]] = {
        "Snakemake on the login node": lambda s: s.main,
        "first Snakemake of the jobs, srun": lambda s: s.first,
        "second Snakemake of the jobs": lambda s: s.second,
        "aexp run-queued": lambda s: s.wrapper,
    }
    for name, share in shares.items():
        rows.append(Row(f"{count}: CPU of {name}", cost=median([share(s) for s in sessions])))
    if count == 1:
        for index, name in enumerate(_PARTS):
            wall = statistics.median(s.way[index] for s in sessions)
            rows.append(Row(f"1: wall of {name}", cost=Cost(0.0, wall, 0.0)))
    return rows


def _by_group(place: Place, lab: Lab) -> list[Row]:
    repo = store.repository(place.folder("slurm-group"), place.aexp)
    group = ["--groups", "run_job=g", "--group-components", "g=4"]
    found = [session(lab, repo, 4, *group).whole for _ in range(place.size(3, 1))]
    return [Row("snakemake --profile profiles/slurm, a group of 4 runs", cost=median(found))]


def session(lab: Lab, repo: Path, count: int, *options: str) -> Session:
    """Fill the store and execute it with Snakemake on the cluster."""
    _refill(repo, count)
    told = lab.measure(["snakemake", "--profile", "profiles/slurm", *options], repo)
    lab.wait_idle()
    _check(repo, count)
    found = lab.processes()
    steps = [p for p in found if p.has("slurm-jobstep")]
    second = [p for p in found if p.has("--target-jobs") and p not in steps]
    # One for each job: a task of the executor's own arrays has another one below it.
    first = list({p.slurm_job: p for p in sorted(steps, key=lambda p: -p.began)}.values())
    wrapper = [p for p in found if p.has(_WRAPPER)]
    return Session(
        told.cost + _sum([*first, *second], below=True),
        told.cost,
        _sum(first, below=True),
        _sum(second, below=False),  # the run is its child
        _sum(wrapper, below=True),
        _way(told, first, second, wrapper) if count == 1 and not options else [],
    )


def snakemake_alone(lab: Lab, bare: Path, count: int, *options: str) -> Cost:
    """Execute as many jobs of ``true`` with the same profile and no aexp."""
    for name in ("out", ".snakemake"):
        shutil.rmtree(bare / name, ignore_errors=True)
    config = ["--config", f"jobs={count}"]
    profile = ["--profile", "profiles/slurm"]
    told = lab.measure(["snakemake", *profile, *options, *config], bare)
    lab.wait_idle()
    nested = [p for p in lab.processes() if p.has("--target-jobs")]
    return told.cost + _sum(nested, below=True)


def _way(
    told: Told, first: list[Process], second: list[Process], wrapper: list[Process]
) -> list[float]:
    """Return how long the one run of a session was in each of the parts."""
    outer, inner, inmost = first[0], second[0], wrapper[0]
    moments = [
        told.began,
        told.when("has been submitted with SLURM jobid")[0],
        outer.began,
        inner.began,
        inmost.began,
        inmost.ended,
        outer.ended,
        told.when("(Rule: run_job)")[0],
        told.ended,
    ]
    return [after - before for before, after in itertools.pairwise(moments)]


def _sum(processes: Sequence[Process], *, below: bool) -> Cost:
    cpu = sum(p.cpu_s + (p.below_cpu_s if below else 0.0) for p in processes)
    return Cost(cpu, 0.0, _largest(processes).rss_mb)


def _largest(processes: Sequence[Process]) -> Process:
    return max(processes, key=lambda p: p.rss_mb)


def _share(cost: Cost, count: int) -> Cost:
    return Cost(cost.cpu_s / count, cost.wall_s / count, 0.0)


def _row(
    what: str, ours: Sequence[Cost], against: str, theirs: Sequence[Cost], bound: str = ""
) -> Row:
    """Return a row with the median of the ratios of each round."""
    ratio = statistics.median(a.cpu_s / b.cpu_s for a, b in zip(ours, theirs, strict=True))
    return Row(what, against, median(ours), median(theirs), ratio, bound)


def _refill(repo: Path, count: int) -> list[str]:
    for name in (".snakemake", ".aexp/ledger", ".aexp/cache"):
        shutil.rmtree(repo / name, ignore_errors=True)
    store.empty(repo)
    return store.fill(repo, count)


def _check(repo: Path, count: int) -> None:
    ended = len(list((repo / ".runs" / "workspace").glob("*/complete")))
    sentinels = len(list((repo / ".runs" / "workspace").glob("*/terminal.json")))
    if max(ended, sentinels) != count:
        raise RuntimeError(f"{sentinels} of {count} runs have ended")
