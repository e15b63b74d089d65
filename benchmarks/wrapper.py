"""``run-queued`` around the command ``true``: what a run costs beside its own work."""

from collections.abc import Iterator
from pathlib import Path

from benchmarks import store
from benchmarks.place import Place
from benchmarks.report import Row, compare
from benchmarks.startup import heavy_imports, import_row
from benchmarks.timing import Case, interleaved


def run(place: Place) -> list[Row]:
    """Measure one run at a time, each a fresh one."""
    rounds = place.size(25, 7)
    ours = store.repository(place.folder("wrapper"), place.aexp)
    ids = store.fill(ours, rounds + 2)
    cases = {
        "floor": Case(lambda: place.floor("shell"), ours),
        "ours": _case(ours, [place.python, "-P", "-m", "aexp"], iter(ids[1:])),
    }
    if place.peer:
        theirs = store.repository(place.folder("peer-wrapper"), place.peer)
        cases["peer"] = _case(theirs, [place.peer], iter(store.fill(theirs, rounds + 1)))
    costs = interleaved(cases, rounds)
    what = "run-queued around true"
    rows = [compare(what, costs["ours"], "python running sh -c true", costs["floor"])]
    if place.peer:
        rows.append(compare(what, costs["ours"], "the peer", costs["peer"], "<= 0.3"))
    heavy = heavy_imports(place.python, ["run-queued", ids[0], "--engine"], ours)
    return [*rows, import_row("run-queued", heavy)]


def _case(repo: Path, program: list[str], ids: Iterator[str]) -> Case:
    return Case(lambda: [*program, "run-queued", next(ids)], repo)
