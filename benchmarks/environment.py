"""The record of an attempt's environment: how long a run waits for it, and what it adds."""

import shutil
import statistics
import subprocess
from collections.abc import Iterator
from pathlib import Path

from benchmarks import store
from benchmarks.place import Place
from benchmarks.report import Row, compare
from benchmarks.timing import Case, Cost, environment, interleaved

PROBE = Path(__file__).parent / "probe" / "record.py"
_BOUND_S = "<= 0.15"


def run(place: Place) -> list[Row]:
    """Measure the record by itself, cold and with changes; then its share of ``run-queued``."""
    rounds = place.size(15, 5)
    repo = store.repository(place.folder("environment"), place.aexp)
    ids = store.fill(repo, 2 * rounds + 3)
    plain = _row("the record of an attempt", place, repo, ids[0], rounds)
    cache = repo / ".aexp" / "cache"
    cold = _row("the same, site folders not read before", place, repo, ids[0], rounds, cold=cache)
    _change_files(repo, place.size(2000, 200))
    changed = _row("the same, 50 files changed, 10 new", place, repo, ids[0], rounds)
    return [plain, cold, changed, _share(place, repo, iter(ids[1:]), rounds)]


def _row(
    what: str, place: Place, repo: Path, run_id: str, rounds: int, cold: Path | None = None
) -> Row:
    """Return the median of what a wrapper waits; the first round only warms up."""
    found = []
    for number in range(rounds + 1):
        if cold is not None:
            shutil.rmtree(cold, ignore_errors=True)
        done = subprocess.run(
            [place.python, "-P", str(PROBE), str(repo), run_id, str(number + 1)],
            cwd=repo,
            env=environment(),
            capture_output=True,
            text=True,
            check=True,
        )
        wall, cpu = map(float, done.stdout.split())
        found.append(Cost(cpu, wall, 0))
    wall_s = statistics.median(cost.wall_s for cost in found[1:])
    cpu_s = statistics.median(cost.cpu_s for cost in found[1:])
    return Row(what, "wall seconds", Cost(cpu_s, wall_s, 0), None, wall_s, _BOUND_S)


def _change_files(repo: Path, count: int) -> None:
    """Commit `count` files, change 50 of them, add 10."""
    source = repo / "src"
    source.mkdir()
    for number in range(count):
        (source / f"m{number}.py").write_text(f"value = {number}\n" * 50)
    identity = ("-c", "user.name=bench", "-c", "user.email=bench@localhost")
    for command in (["add", "--all"], [*identity, "commit", "--quiet", "--message", "files"]):
        subprocess.run(["git", *command], cwd=repo, check=True)
    for number in range(50):
        (source / f"m{number}.py").write_text(f"value = -{number}\n" * 50)
    for number in range(10):
        (source / f"new{number}.py").write_text("value = 0\n" * 50)


def _share(place: Place, repo: Path, ids: Iterator[str], rounds: int) -> Row:
    """Return what the record adds to ``run-queued`` around ``true``."""
    subprocess.run(["git", "checkout", "--quiet", "--", "."], cwd=repo, check=True)
    subprocess.run(["git", "clean", "--quiet", "-fd", "src"], cwd=repo, check=True)

    def case(switch: str) -> Case:
        program = ["/usr/bin/env", f"AEXP_ENVIRONMENT={switch}", place.python, "-P", "-m", "aexp"]
        return Case(lambda: [*program, "run-queued", next(ids)], repo)

    costs = interleaved({"on": case("on"), "off": case("off")}, rounds)
    what = "run-queued around true"
    return compare(what, costs["on"], "without the record", costs["off"], "<= 2")
