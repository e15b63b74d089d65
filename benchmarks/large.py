"""A queue of 10,000 runs: add it, list it, dry-run it, drain it; time and memory."""

import subprocess

from benchmarks import store
from benchmarks.adding import add
from benchmarks.engine import bare_workflow, snakemake_alone
from benchmarks.place import Place
from benchmarks.report import Row, compare
from benchmarks.timing import measure


def run(place: Place) -> list[Row]:
    """Measure each step once; in quick mode on a queue of 300."""
    count = place.size(10_000, 300)
    repo = store.repository(place.folder("large"), place.aexp)
    bare = bare_workflow(place, repo)
    snakemake = [place.snakemake, "--cores", "2", "--quiet", "all"]
    added = measure(add(place.aexp, count), repo)
    listed = measure([place.aexp, "queue", "list"], repo)
    planned = measure([*snakemake, "--dry-run"], repo)
    bare_planned = snakemake_alone(place, bare, count, "--dry-run")
    drained = measure(snakemake, repo)
    nothing = measure(snakemake, repo)
    _check_all_complete(place, repo, count)
    alone = "snakemake alone, true"
    return [
        Row(f"{count:,} queued runs: queue add", cost=added),
        Row(f"{count:,} queued runs: queue list", cost=listed),
        compare(f"{count:,} queued runs: snakemake -n", planned, alone, bare_planned),
        Row(f"{count:,} queued runs: drained on 2 cores", cost=drained),
        Row(f"{count:,} ended runs: snakemake, nothing due", cost=nothing),
    ]


def _check_all_complete(place: Place, repo: object, count: int) -> None:
    done = subprocess.run(
        [place.aexp, "queue", "list"], cwd=str(repo), capture_output=True, text=True, check=True
    )
    entries = list((store.Path(str(repo)) / ".aexp" / "ledger").glob("*.json"))
    if done.stdout.strip() or len(entries) != count:
        raise RuntimeError(f"{count} runs were queued, {len(entries)} have a ledger entry")
