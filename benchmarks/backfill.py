"""``ledger backfill`` of ended runs: linear, and against the peer."""

import shutil
from pathlib import Path

from benchmarks import store
from benchmarks.place import Place
from benchmarks.report import Row, compare
from benchmarks.timing import Case, interleaved


def run(place: Place) -> list[Row]:
    """Measure a store of a tenth, and the whole one."""
    large = place.size(10_000, 1_000)
    small = large // 10
    cases = {}
    for count in (small, large):
        cases[f"ours {count}"] = _case(place, place.aexp, count)
        if place.peer:
            cases[f"peer {count}"] = _case(place, place.peer, count)
    costs = interleaved(cases, place.size(5, 3))
    ours = costs[f"ours {large}"]
    growth = (ours.cpu_s / large) / (costs[f"ours {small}"].cpu_s / small)
    rows = [
        Row(
            f"ledger backfill, {large:,} entries: per run",
            f"per run of {small:,}",
            ours,
            costs[f"ours {small}"],
            growth,
            "<= 1.5",
        )
    ]
    if place.peer:
        what = f"ledger backfill, {large:,} entries"
        rows.append(compare(what, ours, "the peer", costs[f"peer {large}"], ">= 5"))
    return rows


def _case(place: Place, program: str, count: int) -> Case:
    repo = store.repository(place.folder(f"backfill-{count}"), program)
    store.fill(repo, count, ended=True)

    def prepare() -> list[str]:
        _forget(repo)
        return [program, "ledger", "backfill"]

    return Case(prepare, repo)


def _forget(repo: Path) -> None:
    shutil.rmtree(repo / ".aexp" / "ledger", ignore_errors=True)
