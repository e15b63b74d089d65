"""What is known about runs, and how it is looked up."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aexp.kb.values import same_value
from aexp.model import Run
from aexp.paths import Repo
from aexp.runs.select import RunFilter
from aexp.validation.evidence import Evidence, Record

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-3, 3)
    | st.sampled_from([0.5, 1.0, "0.5", "0.50", "1", "1.0", "1e0", "True", "true", "null", "a"]),
    lambda inner: (
        st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from("xy"), inner, max_size=2)
    ),
    max_leaves=4,
)
POINTS = st.dictionaries(st.sampled_from("abc"), VALUES, max_size=3)


@given(st.lists(POINTS, max_size=12), POINTS)
def test_a_batch_is_what_the_filter_of_the_queue_verbs_selects(
    points: list[dict[str, Any]], selector: dict[str, Any]
) -> None:
    evidence = Evidence()
    for number, sp in enumerate(points):
        job_id = f"{number:032x}"
        evidence.local[job_id] = Record(job_id, "E001", sp, "complete", "store", {})
    wanted = [
        job_id
        for job_id, record in sorted(evidence.local.items())
        if RunFilter(sp=selector).matches(Run(job_id, record.sp, {}))
    ]
    assert [record.job_id for record in evidence.batch("E001", selector)] == wanted
    assert [record.job_id for record in evidence.batch("E001", dict(selector))] == wanted


@given(VALUES, VALUES)
def test_the_index_agrees_with_the_comparison(have: Any, wanted: Any) -> None:
    evidence = Evidence()
    evidence.local["a" * 32] = Record("a" * 32, "E001", {"k": have}, "complete", "store", {})
    assert bool(evidence.batch("E001", {"k": wanted})) == same_value(have, wanted)
    assert same_value(have, have)
    plain = (json.dumps(have, sort_keys=True), json.dumps(wanted, sort_keys=True))
    if not (isinstance(have, str) or isinstance(wanted, str)):
        assert same_value(have, wanted) == same_value(wanted, have)
        assert same_value(have, wanted) or plain[0] != plain[1]


@pytest.mark.parametrize(
    ("have", "wanted", "is_same"),
    [
        (True, 1, False),
        (1, True, False),
        (0, False, False),
        ([True], [1], False),
        ({"a": 0}, {"a": False}, False),
        (1, 1.0, True),
        ({"a": [1]}, {"a": [1.0]}, True),
        (True, "true", True),
        (True, "True", True),
        (True, "1", False),
        (None, "null", True),
        (None, "None", True),
        (1.0, "1", True),
        (1, "1.0", True),
        (1000, "1e3", True),
        (0.5, "0.50", True),
        ("1", 1, False),
        ("1", "1.0", False),
        ([1, 2], "[1, 2]", True),
        (10**400, "1" + "0" * 400, True),
        (10**400, 0.5, False),
        (float("nan"), float("nan"), True),
    ],
)
def test_values_are_compared_as_json(have: Any, wanted: Any, is_same: bool) -> None:
    evidence = Evidence()
    evidence.local["a" * 32] = Record("a" * 32, "E001", {"k": have}, "complete", "store", {})
    assert same_value(have, wanted) is is_same
    assert bool(evidence.batch("E001", {"k": wanted})) is is_same


def test_both_verbs_select_alike(lab: Any) -> None:
    ids = {
        name: lab.entry({"f": value})
        for name, value in {"one": 1.0, "true": True, "null": None, "text": "1"}.items()
    }
    for text, names in {
        "f=1": {"one", "text"},
        "f=1.0": {"one"},
        "f:=1": {"one"},
        "f=true": {"true"},
        "f:=true": {"true"},
        "f=null": {"null"},
    }.items():
        batch = json.loads(
            lab.cli("show-batch", "--experiment", "E001", "--select", text, "--json")
        )
        assert {run["job_id"] for run in batch["runs"]} == {ids[name] for name in names}, text
        cited = ("finding", "cite", "F001", "--batch", "E001", "--select", text, "--json")
        assert json.loads(lab.cli(*cited, "--dry-run"))["runs"] == [len(names)], text
    batch = json.loads(
        lab.cli("show-batch", "--experiment", "E001", "--select", "f=true", "--json")
    )
    assert batch["batch_slug"].endswith("/E001/f=true")


def test_layers_have_an_order(lab: Any) -> None:
    job_id = lab.entry({"seed": 1}, metrics={"acc": 0.5, "loss": "NaN", "word": "x", "n": 3})
    lab.run({"seed": 1}, status="queued")
    other = lab.run({"seed": 2}, summary_metrics={"acc": 0.75}, ended_at="2026-01-01T00:00:00Z")
    running = lab.run({"seed": 3}, status="running")
    for known in (job_id, "d" * 32):
        lab.index(known[:3], {"job_id": known, "status": "failed", "experiment_id": "E001"})
    evidence = Evidence.read(Repo(lab.root))
    record = evidence.get(job_id)
    assert record is not None
    assert (record.source, record.status) == ("ledger", "complete")
    assert record.metrics["acc"] == 0.5
    assert record.metrics["loss"] != record.metrics["loss"]
    assert set(record.metrics) == {"acc", "loss", "n"}
    local = evidence.get(other)
    assert local is not None
    assert (local.source, local.metrics, local.ended_at) == (
        "store",
        {"acc": 0.75},
        "2026-01-01T00:00:00Z",
    )
    assert evidence.local[running].entry == {}
    assert [item.source for item in evidence.experiment("E001")].count("index") == 1
    assert evidence.get("e" * 32) is None
    assert len(evidence.batch("E001", {})) == 4


def test_an_entry_of_another_writer_is_read(lab: Any) -> None:
    job_id = lab.entry(
        {"experiment_id": "E777", "code_commit": "c0ffee", "code_dirty": True},
        run_link={"experiment_id": "E001"},
        schema_version=2,
        unknown=[1],
    )
    record = Evidence.read(Repo(lab.root)).get(job_id)
    assert record is not None
    assert (record.experiment_id, record.code_commit, record.code_dirty) == ("E001", "c0ffee", True)
    assert record.attempts == []
    assert json.loads(json.dumps(record.entry))["unknown"] == [1]
