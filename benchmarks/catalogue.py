"""The catalogue, cold and warm, against reading the same files in plain Python and the peer."""

import json
import shutil
import sys
import time
from pathlib import Path

from aexp.catalogue.scan import RACY_NS
from benchmarks import store
from benchmarks.peer import CATALOGUE_PEER, PeerUnavailable, install
from benchmarks.place import Place
from benchmarks.report import Row, compare
from benchmarks.timing import Case, Cost, interleaved, measure

_QUERY = "SELECT experiment_id, status, count(*), avg(wallclock_s) FROM runs GROUP BY ALL"
_STAMP = "2026-01-01T00:00:00Z"
_PEER_PYTHONS = ("python3.13", "python3.12", "python3.14")


def run(place: Place) -> list[Row]:
    """Measure two sizes, and the peer at the smaller one."""
    small, large = place.size(10_000, 1_000), place.size(100_000, 5_000)
    found, costs = _measure(place, small, place.size(5, 3))
    rows = found
    found, large_costs = _measure(place, large, 1)
    rows += found
    for name in ("cold sql", "sql after one change"):
        each = large_costs[name].cpu_s / large / (costs[name].cpu_s / small)
        what, against = f"{name}, {large:,}: per entry", f"per entry of {small:,}"
        rows.append(Row(what, against, large_costs[name], costs[name], each, "<= 1.5"))
    return rows + _against_the_peer(place, small, costs)


def _measure(place: Place, count: int, rounds: int) -> tuple[list[Row], dict[str, Cost]]:
    repo = store.repository(place.folder(f"catalogue-{count}"), place.aexp)
    ledger = repo / ".aexp" / "ledger"
    _fill(ledger, count)
    cache = repo / ".aexp" / "cache" / "catalogue"

    def ask(*arguments: str) -> list[str]:
        return [place.aexp, *arguments]

    def cold() -> list[str]:
        shutil.rmtree(cache, ignore_errors=True)
        return ask("sql", _QUERY)

    def changed() -> list[str]:
        _entry(ledger, 0)
        return ask("sql", _QUERY)

    cases = {
        "parse": Case(lambda: place.floor("read_entries", ledger), repo),
        "import duckdb": Case(lambda: [place.python, "-c", "import duckdb"], repo),
        "cold sql": Case(cold, repo),
        "warm sql": Case(lambda: ask("sql", _QUERY), repo),
        "sql after one change": Case(changed, repo),
        "ls": Case(lambda: ask("ls", "--limit", "20"), repo),
        "find": Case(lambda: ask("find", "--metric", "accuracy>=0.999"), repo),
        "table": Case(lambda: ask("table", "--experiment", "E001"), repo),
    }
    costs = interleaved(cases, rounds, warm=rounds > 1)
    bounds = {
        "cold sql": ("parse", ""),
        "warm sql": ("import duckdb", "<= 3" if count <= 10_000 else ""),
    }
    rows = []
    for name in cases:
        if name in ("parse", "import duckdb"):
            continue
        other, bound = bounds.get(name, ("parse", ""))
        against = "parse the files" if other == "parse" else other
        rows.append(
            compare(f"{name}, {count:,} entries", costs[name], against, costs[other], bound)
        )
    return rows, costs


def _fill(ledger: Path, count: int) -> None:
    ledger.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        _entry(ledger, number)
    # What was written this moment is read again, for it may be written again this moment.
    time.sleep(RACY_NS / 1e9)


def _entry(ledger: Path, number: int) -> None:
    """Write an entry of the size that entries have."""
    sp = {
        **store.state_point(number),
        "condition": f"c{number % 5}",
        "lr": 10.0 ** -(number % 4),
        "model": {"depth": number % 9, "name": "wide"},
        "code_commit": "c" * 40,
        "code_dirty": False,
    }
    metrics = {"accuracy": number % 1000 / 1000, "loss": 1 / (number + 1), "val.loss": 0.5}
    environment = {"digest": "sha256:" + "a" * 64, "software": "sha256:" + "b" * 64}
    ended = {"started_at": _STAMP, "ended_at": _STAMP, "wallclock_s": 600.0, "returncode": 0}
    attempt = {
        **ended,
        "attempt": 1,
        "status": "complete",
        "host": "bench",
        "cpu_s": 500.5,
        "max_rss_mb": 812.25,
        "metrics": metrics,
        "environment": environment,
    }
    job_id = store.job_id(sp)
    entry = {
        **ended,
        "schema_version": 1,
        "job_id": job_id,
        "statepoint": sp,
        "status": "complete",
        "promoted_at": _STAMP,
        "queued_at": _STAMP,
        "registered_machine": "bench",
        "run_link": store.ended_document(number)["aexp"],
        "tag": "bench",
        "resources": {"mem_mb": 500, "runtime": 10},
        "metrics": metrics,
        "environment": environment,
        "attempts": [attempt],
        "aexp_version": "0.1.0",
    }
    text = json.dumps(entry, indent=2, sort_keys=True) + "\n"
    (ledger / f"{job_id}.json").write_text(text)


def _against_the_peer(place: Place, count: int, ours: dict[str, Cost]) -> list[Row]:
    if not place.with_peer:
        return []
    try:
        peer = _install(place)
    except (OSError, PeerUnavailable) as error:
        print(f"{CATALOGUE_PEER} cannot be installed ({error})", file=sys.stderr)
        return []
    repo = place.folder("catalogue-peer")
    repo.mkdir()
    home = ["env", f"HOME={repo}"]  # where it keeps the runs of all projects
    (repo / ".bth.toml").write_text(f'[project]\nslug = "bench"\nroot = "{repo}"\n')
    floor = place.floor("peer_runs", repo / ".bth" / "catalog", str(count))
    measure([*home, str(peer.with_name("python")), *floor[1:]], repo)
    sql = "SELECT status, count(*), avg(duration_s) FROM runs GROUP BY ALL"
    costs = {
        name: measure([*home, str(peer), *words], repo)
        for name, words in (
            ("ls before its compact", ("ls",)),
            ("its first compact", ("compact",)),
            ("its compact of nothing new", ("compact",)),
            ("its sql", ("sql", sql)),
            ("its ls", ("ls",)),
        )
    }
    pairs = (
        ("cold sql", "its first compact"),
        ("sql after one change", "its compact of nothing new"),
        ("warm sql", "its sql"),
        ("ls", "its ls"),
        ("ls", "ls before its compact"),
    )
    return [
        compare(
            f"{mine}, {count:,} entries", ours[mine], f"{CATALOGUE_PEER}: {other}", costs[other]
        )
        for mine, other in pairs
    ]


def _install(place: Place) -> Path:
    """Install the peer with a Python that it takes."""
    found = [sys.executable] if sys.version_info >= (3, 12) else []
    found += [path for name in _PEER_PYTHONS if (path := shutil.which(name))]
    reason = "it needs Python 3.12 or later, and there is none"
    for python in found:
        try:
            return install(place.build, "peer-catalogue", CATALOGUE_PEER, "bth", python=python)
        except (OSError, PeerUnavailable) as error:
            reason = str(error)
    raise PeerUnavailable(reason)
