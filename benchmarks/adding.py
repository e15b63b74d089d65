"""``queue add`` of a sweep: against a plain loop, against the peer, and as it grows."""

import shutil
from pathlib import Path

from benchmarks import store
from benchmarks.place import Place
from benchmarks.report import Row, compare
from benchmarks.timing import Case, Cost, interleaved, measure


def add(program: str, count: int) -> list[str]:
    """Return the command that queues `count` runs."""
    sweep = f"seed=0..{count - 1}"
    return [program, "queue", "add", "--experiment", "E001", "--no-commit", "--sweep", sweep]


def run(place: Place) -> list[Row]:
    """Measure everything that adds."""
    ours = store.repository(place.folder("add"), place.aexp)
    return [*_against_floor(place, ours), *_linear(place, ours), *_against_peer(place, ours)]


def _against_floor(place: Place, ours: Path) -> list[Row]:
    count = place.size(1000, 200)
    plain = place.folder("plain")

    def floor() -> list[str]:
        shutil.rmtree(plain, ignore_errors=True)
        plain.mkdir()
        return place.floor("write_runs", plain, str(count))

    costs = interleaved(
        {"ours": _case(ours, place.aexp, count), "floor": Case(floor, place.scratch)},
        place.size(7, 3),
    )
    what = f"queue add, sweep of {count:,}"
    return [compare(what, costs["ours"], "plain loop, fsync", costs["floor"], "<= 4")]


def _linear(place: Place, ours: Path) -> list[Row]:
    small, large = place.size(10_000, 500), place.size(100_000, 5_000)
    costs = {count: _once(ours, place.aexp, count) for count in (small, large)}
    store.empty(ours)
    each = {count: cost.cpu_s / count for count, cost in costs.items()}
    return [
        Row(f"queue add, sweep of {small:,}", cost=costs[small]),
        Row(
            f"queue add, sweep of {large:,}: per run",
            f"per run of {small:,}",
            costs[large],
            costs[small],
            each[large] / each[small],
            "<= 1.5",
        ),
    ]


def _against_peer(place: Place, ours: Path) -> list[Row]:
    if place.peer is None:
        return []
    theirs = store.repository(place.folder("peer-add"), place.peer)
    rows = []
    for count in (100, 200) if place.quick else (200, 400, 1000):
        costs = {
            "peer": _once(theirs, place.peer, count),
            "ours": _once(ours, place.aexp, count),
        }
        bound = ">= 100" if count == 1000 else ""
        what = f"queue add, sweep of {count:,}"
        rows.append(compare(what, costs["ours"], "the peer", costs["peer"], bound or ""))
        if not bound:
            rows[-1] = rows[-1]._replace(ratio=costs["peer"].cpu_s / costs["ours"].cpu_s)
    return rows


def _case(repo: Path, program: str, count: int) -> Case:
    def prepare() -> list[str]:
        store.empty(repo)
        return add(program, count)

    return Case(prepare, repo)


def _once(repo: Path, program: str, count: int) -> Cost:
    store.empty(repo)
    return measure(add(program, count), repo)
