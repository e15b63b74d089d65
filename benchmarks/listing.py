"""The verbs that read the whole store, against reading the same files in plain Python."""

from benchmarks import store
from benchmarks.place import Place
from benchmarks.report import Row, compare
from benchmarks.timing import Case, Cost, interleaved


def run(place: Place) -> list[Row]:
    """Measure the listings and the question of the Snakefile."""
    count = place.size(10_000, 1_000)
    repo = store.repository(place.folder("list"), place.aexp)
    store.fill(repo, count)
    workspace = repo / ".runs" / "workspace"
    cases = {
        "floor": Case(lambda: place.floor("read_runs", workspace), repo),
        "queue list": Case(lambda: [place.aexp, "queue", "list"], repo),
        "list-runs": Case(lambda: [place.aexp, "list-runs"], repo),
        "watch --once": Case(lambda: [place.aexp, "watch", "--once"], repo),
        "1 look": Case(lambda: place.floor("looks", "1"), repo),
        "11 looks": Case(lambda: place.floor("looks", "11"), repo),
        "due runs for the Snakefile": Case(lambda: place.floor("due", str(count)), repo),
    }
    costs = interleaved(cases, place.size(7, 5))
    rows = [
        compare(f"{name}, {count:,} runs", costs[name], "read the files", costs["floor"], "<= 4")
        for name in ("queue list", "list-runs", "watch --once", "due runs for the Snakefile")
    ]
    rows.append(_refresh(count, costs))
    if place.peer:
        names = {"ours": place.aexp, "peer": place.peer}
        pair = {
            name: Case(lambda program=program: [program, "queue", "list"], repo)
            for name, program in names.items()
        }
        costs = interleaved(pair, 2, warm=False)
        what = f"queue list, {count:,} runs"
        rows.append(compare(what, costs["ours"], "the peer", costs["peer"]))
    return rows


def _refresh(count: int, costs: dict[str, Cost]) -> Row:
    """Return what one refresh of a live view costs, when nothing has changed since the last."""
    once, often = costs["1 look"], costs["11 looks"]
    each = Cost((often.cpu_s - once.cpu_s) / 10, (often.wall_s - once.wall_s) / 10, often.rss_mb)
    what = f"watch: one refresh, {count:,} runs"
    return compare(what, each, "read the files", costs["floor"], "<= 1")
