"""``run.log`` beside what else training code could call: W&B offline, MLflow, a bare file.

Each program is run with one row and with many; the difference is what the rows cost. Ours is
a queued run, so reading the rows for the final metrics, by its wrapper, is in it.
"""

import importlib.util
import json
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from benchmarks import store
from benchmarks.place import Place
from benchmarks.report import Row, compare
from benchmarks.timing import Case, Cost, environment, interleaved

_SHOWN = 10_000
_OTHERS = {
    "wandb": ("W&B offline", "wandb", 5_000),
    "mlflow-files": ("MLflow, files", "mlflow", 1_000),
    "mlflow-sqlite": ("MLflow, SQLite", "mlflow", 400),
}


def run(place: Place) -> list[Row]:
    """Measure rows of three metrics, and what stands before the first one."""
    rounds = place.size(3, 1)
    counts = {"bare": place.size(50_000, 10_000), "aexp": place.size(50_000, 10_000)}
    for kind, (words, package, count) in _OTHERS.items():
        if importlib.util.find_spec(package) is not None:
            counts[kind] = place.size(count, 100)
        else:
            print(f"{package} is not installed; {words} is left out", file=sys.stderr)
    repo = store.repository(place.folder("log"), place.aexp)
    cases = {"nothing": Case(lambda: [place.python, "-c", "pass"], repo)}
    cases["nothing, queued"] = _queued(place, repo, [place.python, "-c", "pass"], rounds, 0)
    for kind, count in counts.items():
        for rows in (1, count):
            program = place.floor("log_rows", kind, str(rows))
            name = f"{kind} {rows}"
            if kind == "aexp":
                cases[name] = _queued(place, repo, program, rounds, rows)
            else:
                folder = place.folder(kind)
                folder.mkdir()
                cases[name] = Case(lambda program=program: program, folder)
    costs = interleaved(cases, rounds)
    each = {
        kind: _scaled(_less(costs[f"{kind} {count}"], costs[f"{kind} 1"]), _SHOWN / (count - 1))
        for kind, count in counts.items()
    }
    first = {kind: _less(costs[f"{kind} 1"], costs["nothing"]) for kind in counts}
    first["aexp"] = _less(costs["aexp 1"], costs["nothing, queued"])
    what = f"run.log, {_SHOWN:,} rows"
    bounds = {
        "bare": "<= 4",
        "wandb": "<= 0.2",
        "mlflow-files": "<= 0.2",
        "mlflow-sqlite": "<= 0.2",
    }
    names = {"bare": "bare JSON line", **{kind: words for kind, (words, _, _) in _OTHERS.items()}}
    rows = [
        compare(what, each["aexp"], names[kind], each[kind], bounds[kind])
        for kind in counts
        if kind != "aexp"
    ]
    rate = _SHOWN / each["aexp"].cpu_s
    rows.append(Row("run.log: rows per second of CPU", ratio=rate, bound=">= 50000"))
    rows += [
        compare("import, current(), first row", first["aexp"], names[kind], first[kind], "<= 0.2")
        for kind in counts
        if kind in _OTHERS
    ]
    return rows


def _queued(place: Place, repo: Path, program: list[str], rounds: int, mark: int) -> Case:
    """Return the case of a queued run with this command, a fresh run each time."""
    sweep = f"mark={mark},seed=0..{rounds}"
    options = ["--no-commit", "--json", "--command", shlex.join(program)]
    done = subprocess.run(
        [place.aexp, "queue", "add", "--experiment", "E001", "--sweep", sweep, *options],
        cwd=repo,
        env=environment(),
        capture_output=True,
        check=True,
    )
    ids: Iterator[str] = iter([run["job_id"] for run in json.loads(done.stdout)["runs"]])
    return Case(lambda: [place.python, "-P", "-m", "aexp", "run-queued", next(ids)], repo)


def _less(cost: Cost, base: Cost) -> Cost:
    # CPU that is too little to be measured is a millisecond, and not nothing.
    wall = max(0.0, cost.wall_s - base.wall_s)
    return Cost(max(1e-3, cost.cpu_s - base.cpu_s), wall, cost.rss_mb)


def _scaled(cost: Cost, by: float) -> Cost:
    return Cost(cost.cpu_s * by, cost.wall_s * by, cost.rss_mb)
