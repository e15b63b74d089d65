"""Whatever happens to the files, in whatever order: the catalogue says what a rebuild says."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from typing import Any, ClassVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule, run_state_machine_as_test

from aexp.catalogue.schema import TABLES

STAMPS = [f"2026-01-02T03:04:{second:02}Z" for second in range(4)]
ENDS = ("complete", "failed", "stopped", "abandoned")
NUMBERS = st.integers(0, 5)
STAMP = st.sampled_from(STAMPS)
NAMES = st.text(max_size=6)

RACY_NS = 20_000_000  # not 2 s, in which all of this happens

# Each line it reads is one look at the catalogue; what it prints tells every row of it.
WORKER = f"""
import json, sys
import aexp.catalogue.open
import aexp.catalogue.scan
aexp.catalogue.open.KEEP_FROM = 4
aexp.catalogue.scan.RACY_NS = {RACY_NS}
from aexp.catalogue import open_catalogue
from aexp.paths import Repo
for line in sys.stdin:
    with open_catalogue(Repo(line.rstrip("\\n"))) as catalogue:
        told = {{}}
        for name in {[table.name for table in TABLES]}:
            sql = f"SELECT count(*), sum(hash(t)::HUGEINT)::VARCHAR FROM {{name}} t"
            told[name] = catalogue.rows(sql).rows[0]
    print(json.dumps(told), flush=True)
"""


class Look:
    """Another process that reads, and refreshes, the catalogue."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", WORKER],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def begin(self, root: Any) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{root}\n")
        self._process.stdin.flush()

    def end(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        return json.loads(self._process.stdout.readline() or '"the process has died"')

    def close(self) -> None:
        self._process.communicate(timeout=60)


class Histories(RuleBasedStateMachine):
    """Files come, change, break, and go; several processes look meanwhile."""

    make: ClassVar[Callable[[], Any]]
    looks: ClassVar[list[Look]]
    looked: ClassVar[int] = 0

    def __init__(self) -> None:
        super().__init__()
        self.place = type(self).make()

    @rule(number=NUMBERS, status=st.sampled_from(ENDS), ended=STAMP, tag=NAMES, loss=st.floats())
    def entry(self, number: int, status: str, ended: str, tag: str, loss: float) -> None:
        outputs = [{"path": tag, "sha256": f"{number:064x}", "size": 1}]
        self.place.entry(
            number, status=status, ended_at=ended, tag=tag, metrics={"loss": loss}, outputs=outputs
        )

    @rule(number=NUMBERS, status=st.sampled_from(["created", "queued", "running"]), at=STAMP)
    def unended(self, number: int, status: str, at: str) -> None:
        self.place.run(number, {"status": status, "queue": {"queued_at": at}})

    @rule(number=NUMBERS, status=st.sampled_from(ENDS), at=STAMP, own=st.booleans())
    def ended(self, number: int, status: str, at: str, own: bool) -> None:
        record = {"registered_machine": "there", "promoted_at": at} if own else {}
        self.place.run(number, {"status": status, "ended_at": at, "aexp_run": record})

    @rule(number=NUMBERS, where=st.sampled_from(["ledger", "store", "point"]), how=NUMBERS)
    def damage(self, number: int, where: str, how: int) -> None:
        path = self._file(number, where)
        if path.exists():
            data = path.read_bytes()
            broken = [b"", b"{", b"[]", b'{"a": "\\ud800"}', data[: len(data) // 2], data + b"x"]
            path.write_bytes(broken[how])

    @rule(number=NUMBERS, where=st.sampled_from(["ledger", "store", "folder"]))
    def vanish(self, number: int, where: str) -> None:
        path = self._file(number, "store" if where == "folder" else where)
        for found in path.parent.iterdir() if where == "folder" and path.exists() else [path]:
            found.unlink(missing_ok=True)

    @rule(number=NUMBERS, title=NAMES)
    def note(self, number: int, title: str) -> None:
        kind, letter = [("hypotheses", "H"), ("experiments", "E"), ("findings", "F")][number % 3]
        head = f"id: {letter}00{number}\nimpact: HIGH\nstatus: {title!r}\n"
        cited = f"supporting_runs:\n  - {{type: job, id: '{number:032x}'}}\n"
        name = f"kb/research/{kind}/{letter}00{number}-x.md"
        self.place.write(name, f"---\n{head}{cited}---\n# {title}\n".encode())

    @rule(number=NUMBERS, what=st.sampled_from(["campaign", "run", "conclusion", "none"]))
    def campaign(self, number: int, what: str) -> None:
        folder, job_id = f".aexp/campaigns/c{number % 2}", f"{number:032x}"
        own = {"schema_version": 1, "id": f"c{number % 2}", "campaign": f"c{number % 2}"}
        if what == "campaign":
            more = {"mode": "exploration", "created_at": STAMPS[0], "question": str(number)}
            self.place.write(f"{folder}/campaign.json", {**own, **more})
        elif what == "run":
            self.place.write(f"{folder}/runs/{job_id}.json", {**own, "job_id": job_id})
        elif what == "conclusion":
            more = {"outcome": "yes", "concluded_at": STAMPS[1], "runs": [job_id]}
            self.place.write(f"{folder}/conclusion.json", {**own, **more})
        else:
            (self.place.root / folder / "conclusion.json").unlink(missing_ok=True)

    @rule()
    def look_here(self) -> None:
        assert self.place.differences() == []

    @rule()
    def look_at_once(self) -> None:
        for look in self.looks:
            look.begin(self.place.root)
        told = [look.end() for look in self.looks]
        with self.place.open(in_memory=True) as truth:
            sql = "SELECT count(*), sum(hash(t)::HUGEINT)::VARCHAR FROM "
            wanted = {
                table.name: list(truth.rows(f"{sql}{table.name} t").rows[0]) for table in TABLES
            }
        assert told == [wanted] * len(told)
        type(self).looked += 1

    def teardown(self) -> None:
        if hasattr(self, "place"):
            self.look_at_once()
            assert self.place.differences() == []

    def _file(self, number: int, where: str) -> Any:
        import hashlib

        sp = json.dumps({"experiment_id": "E001", "seed": number}, sort_keys=True)
        job_id = hashlib.md5(sp.encode()).hexdigest()
        if where == "ledger":
            return self.place.root / f".aexp/ledger/{job_id}.json"
        name = "signac_statepoint.json" if where == "point" else "signac_job_document.json"
        return self.place.root / ".runs/workspace" / job_id / name


def test_it_always_equals_a_rebuild(
    make_place: Any, keeping: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("aexp.catalogue.scan.RACY_NS", RACY_NS)
    Histories.make = staticmethod(make_place)
    Histories.looks, Histories.looked = [Look(), Look()], 0
    examples = int(os.environ.get("HISTORIES", "6"))
    try:
        run_state_machine_as_test(
            Histories,
            settings=settings(
                max_examples=examples,
                stateful_step_count=14,
                deadline=None,
                suppress_health_check=list(HealthCheck),
            ),
        )
    finally:
        for look in Histories.looks:
            look.close()
    assert Histories.looked >= examples  # each one at its end
