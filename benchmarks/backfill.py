"""``ledger backfill``: entries made for the first time, and a ledger that has them all."""

import json
import shutil
from pathlib import Path

from benchmarks import store
from benchmarks.place import Place
from benchmarks.report import Row, compare
from benchmarks.timing import Case, Cost, interleaved


def run(place: Place) -> list[Row]:
    """Measure a store of a tenth, and the whole one."""
    large = place.size(10_000, 1_000)
    return [*_first_time(place, large), *_again(place, large)]


def _first_time(place: Place, large: int) -> list[Row]:
    small = large // 10
    cases = {
        "small": _fresh(place, place.aexp, small),
        "large": _fresh(place, place.aexp, large),
        "floor": _floor(place, large),
    }
    if place.peer:
        cases["peer"] = _fresh(place, place.peer, large)
    costs = interleaved(cases, place.size(1, 3), warm=False)
    what = f"ledger backfill, {large:,} new entries"
    rows = [
        compare(what, costs["large"], "plain loop, fsync", costs["floor"], "<= 4"),
        _growth(what, costs["large"], large, costs["small"], small),
    ]
    if place.peer:
        # No bound: our two writes per run reach the disk, and the plain loop above, which does
        # nothing else, already costs most of what the peer does.
        note = "the peer does not fsync and notes nothing in the document"
        rows.append(compare(what, costs["large"], "the peer", costs["peer"], note=note))
    return rows


def _again(place: Place, large: int) -> list[Row]:
    small = large // 10
    cases = {
        "small": _complete(place, place.aexp, small),
        "large": _complete(place, place.aexp, large),
    }
    if place.peer:
        cases["peer"] = _complete(place, place.peer, large)
    costs = interleaved(cases, place.size(5, 3))
    what = f"ledger backfill, {large:,} entries there"
    rows = [_growth(what, costs["large"], large, costs["small"], small)]
    if place.peer:
        rows.append(compare(what, costs["large"], "the peer", costs["peer"], ">= 5"))
    return rows


def _growth(what: str, cost: Cost, count: int, other: Cost, fewer: int) -> Row:
    ratio = (cost.cpu_s / count) / (other.cpu_s / fewer)
    return Row(f"{what}: per run", f"per run of {fewer:,}", cost, other, ratio, "<= 1.5")


def _fresh(place: Place, program: str, count: int) -> Case:
    repo = store.repository(place.folder(f"backfill-{count}"), program)

    def prepare() -> list[str]:
        _refill(repo, count)
        return [program, "ledger", "backfill"]

    return Case(prepare, repo)


def _floor(place: Place, count: int) -> Case:
    repo = store.repository(place.folder("backfill-floor"), place.aexp)

    def prepare() -> list[str]:
        _refill(repo, count)
        return place.floor("write_entries", repo / ".runs" / "workspace", repo / ".aexp" / "ledger")

    return Case(prepare, repo)


def _complete(place: Place, program: str, count: int) -> Case:
    """Return the case of a store whose runs have their entries."""
    repo = store.repository(place.folder(f"backfilled-{count}"), program)
    ids = store.fill(repo, count, ended=True)
    ledger = repo / ".aexp" / "ledger"
    ledger.mkdir(exist_ok=True)
    for job_id in ids:
        entry = {"schema_version": 1, "job_id": job_id, "statepoint": {}, "status": "complete"}
        (ledger / f"{job_id}.json").write_text(json.dumps(entry))
    return Case(lambda: [program, "ledger", "backfill"], repo)


def _refill(repo: Path, count: int) -> None:
    shutil.rmtree(repo / ".aexp" / "ledger", ignore_errors=True)
    store.empty(repo)
    store.fill(repo, count, ended=True)
