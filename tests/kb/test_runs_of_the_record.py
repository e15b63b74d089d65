"""Runs and the record: links that the ledger follows, batches over store and ledger."""

import json
import time
from typing import Any

import pytest

import aexp
from aexp.errors import ArtifactNotFound, CorruptFileWarning, UsageError


@pytest.fixture
def linked(research: Any) -> Any:
    """Two hypotheses, three experiments."""
    research.aexp("new-hypothesis", "--title", "first")
    research.aexp("new-hypothesis", "--title", "second")
    research.aexp("new-hypothesis", "--title", "part of it")
    research.aexp("new-experiment", "--title", "other", "--hypothesis", "H002")
    path = next((research.root / "kb" / "research" / "experiments").glob("E002-*.md"))
    path.write_text(path.read_text().replace("conditions:", "sub_hypotheses: [H003]\nconditions:"))
    return research


def test_the_ledger_entry_follows(linked: Any) -> None:
    job_id = linked.one()
    linked.aexp("run-queued", job_id)
    before, sp = linked.entry(job_id), linked.doc(job_id)
    done = linked.json("link", job_id[:8], "--experiment", "E002", "--sub-hypothesis", "H003")
    assert done["changed"]
    after = linked.entry(job_id)
    assert after["run_link"] == {
        "experiment_id": "E002",
        "experiment_path": "kb/research/experiments/E002-*.md",
        "hypothesis_id": "H002",
        "sub_hypothesis_id": "H003",
    }
    same = [{**e, "run_link": 0, "promoted_at": 0} for e in (before, after)]
    assert same[0] == same[1]
    assert linked.doc(job_id)["aexp"] == after["run_link"]
    assert linked.doc(job_id)["created_at"] == sp["created_at"]
    linked.aexp("ledger", "verify")
    assert linked.json("list-runs", "--experiment", "E002")[0]["job_id"] == job_id
    # Again: nothing changes, not even a byte.
    tree = linked.tree()
    again = linked.json("link", job_id, "--experiment", "E002", "--sub-hypothesis", "H003")
    assert not again["changed"]
    assert linked.tree() == tree


def test_another_machines_later_entry_stays(linked: Any) -> None:
    job_id = linked.one()
    linked.aexp("run-queued", job_id)
    path = linked.root / ".aexp" / "ledger" / f"{job_id}.json"
    soon = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 3600))
    later = {**linked.entry(job_id), "registered_machine": "cluster", "ended_at": soon}
    path.write_text(json.dumps(later, indent=2, sort_keys=True) + "\n")
    before = path.read_bytes()
    linked.aexp("link", job_id, "--experiment", "E002")
    assert linked.doc(job_id)["aexp"]["experiment_id"] == "E002"
    assert path.read_bytes() == before


def test_a_run_is_linked_while_it_executes(linked: Any, wait_until: Any) -> None:
    linked.experiment("while ! test -e go; do sleep 0.05; done")
    job_id = linked.one()
    process = linked.start_aexp("run-queued", job_id)
    wait_until(lambda: "proc" in linked.doc(job_id)["queue"])
    linked.aexp("link", job_id, "--experiment", "E002")
    (linked.root / "go").touch()
    assert process.wait(60) == 0
    assert linked.status(job_id) == "complete"
    assert linked.entry(job_id)["run_link"]["experiment_id"] == "E002"


@pytest.mark.parametrize(
    ("words", "rc", "told"),
    [
        (("--experiment", "E099"), 1, "no experiment E099"),
        (("--experiment", "nope"), 2, "not an experiment id"),
        (("--experiment", "E002", "--hypothesis", "H001"), 2, "tests H002, not H001"),
        (("--experiment", "E002", "--hypothesis", "H099"), 1, "no hypothesis H099"),
        (("--experiment", "E002", "--sub-hypothesis", "H001"), 2, "no sub-hypothesis"),
    ],
)
def test_a_link_that_would_not_hold_is_refused(
    linked: Any, words: tuple[str, ...], rc: int, told: str
) -> None:
    job_id = linked.one()
    before = linked.doc(job_id)
    assert told in linked.aexp("link", job_id, *words, rc=rc).stderr
    assert linked.doc(job_id) == before
    assert "no run begins" in linked.aexp("link", "ffff", "--experiment", "E001", rc=1).stderr


def test_the_function_takes_a_job(linked: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(linked.root)
    job = aexp.create_run(experiment_id="E001", statepoint={"seed": 1}, hypothesis_id="H001")
    job.doc["limina"] = {"experiment_id": "E001"}
    done = aexp.link_to_experiment(job, experiment_id="E002")
    assert (done.after["experiment_id"], done.after["hypothesis_id"]) == ("E002", "H002")
    assert "limina" not in linked.doc(str(job.id))
    assert aexp.summarize_run(str(job.id)).experiment_id == "E002"
    with pytest.raises(ArtifactNotFound):
        aexp.link_to_experiment(str(job.id), experiment_id="E099")


def entry(research: Any, job_id: str, **changes: Any) -> None:
    """Write a ledger entry as another machine would have pushed it."""
    content = {
        "schema_version": 1,
        "job_id": job_id,
        "statepoint": {"experiment_id": "E001", "condition": "full", "seed": 9},
        "status": "complete",
        "promoted_at": "2026-01-01T00:00:00Z",
        "registered_machine": "cluster",
        "ended_at": "2026-01-01T00:00:00Z",
        "run_link": {"experiment_id": "E001", "hypothesis_id": "H001"},
        "metrics": {"loss": 3.0},
        **changes,
    }
    folder = research.root / ".aexp" / "ledger"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{job_id}.json").write_text(json.dumps(content, indent=2, sort_keys=True) + "\n")


def test_batches_of_store_and_ledger(research: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(research.root)
    script = 'echo "{\\"loss\\": $1}" > $AEXP_JOB_WORKSPACE/metrics.json\n'
    (research.root / "run.sh").write_text(script)
    research.experiment("sh run.sh {seed}")
    full = research.add("condition=full,seed=1..2")
    research.aexp("run-queued", full[0])
    plain = research.one("seed=5")
    entry(research, "a" * 32)
    entry(research, "b" * 32, statepoint={"experiment_id": "E001", "condition": 7, "x": None})
    (research.root / ".aexp" / "ledger" / ("c" * 32 + ".json")).write_text("{")

    found = aexp.list_batches(experiment_id="E001")
    assert [(one.selector, one.runs) for one in found] == [
        ({}, 1), ({"condition": 7}, 1), ({"condition": "full"}, 3),
    ]  # fmt: skip
    assert found[2].statuses == {"queued": 1, "complete": 2}
    assert found[2].batch_slug == "H001/E001/full"
    assert found[0].job_ids == [plain]
    assert len(aexp.list_batches(selector_keys=("seed", "condition"))) == 5
    assert [one.selector for one in aexp.list_batches(selector_keys=())] == [{}]
    assert aexp.list_batches(experiment_id="E002") == []

    shown = aexp.show_batch(experiment_id="E001", selector={"condition": "full"})
    assert {one.job_id: one.machine for one in shown.runs} == {
        full[0]: None, full[1]: None, "a" * 32: "cluster",
    }  # fmt: skip
    loss = shown.metrics["loss"]
    assert (loss.n, loss.mean, loss.min, loss.max) == (2, 2.0, 1.0, 3.0)
    assert loss.sd == pytest.approx(2**0.5)
    # Any key; text also means the number that is written so.
    for seed in (9, "9"):
        found = aexp.show_batch(experiment_id="E001", selector={"seed": seed})
        assert found.summary.job_ids == ["a" * 32]
    nothing = aexp.show_batch(experiment_id="E001", selector={"model": "nope"})
    assert (nothing.summary.runs, nothing.runs, nothing.summary.experiment_id) == (0, [], "E001")
    assert len(aexp.runs_for_experiment("E001")) == 5


def test_the_verbs(research: Any) -> None:
    research.add("condition=full|cls,seed=0..1")
    research.one("seed=5")
    entry(research, "a" * 32)
    text = research.aexp("list-batches").stdout
    assert [line.split()[2] for line in text.splitlines()[1:]] == ["-", "cls", "full"]
    assert len(research.json("list-batches", "--by", "model, lr")) == 3
    shown = research.json("show-batch", "--experiment", "E001", "--model", "base")
    assert [one["sp"]["seed"] for one in shown["runs"]] == [0, 1]
    shown = research.json("show-batch", "--experiment", "E001", "--select", "condition=full,seed=9")
    assert [one["job_id"] for one in shown["runs"]] == ["a" * 32]
    assert "cluster" in research.aexp("show-batch", "--experiment", "E001").stdout
    none = research.aexp("show-batch", "--experiment", "E001", "--condition", "\x1b[31mx")
    assert "no run of E001 has" in none.stderr
    assert "\x1b" not in none.stderr
    both = ("--condition", "a", "--select", "condition=b")
    assert "both give" in research.aexp("show-batch", "--experiment", "E001", *both, rc=2).stderr
    research.aexp("list-batches", "--experiment", "E1", rc=2)


def test_a_run_queued_here_that_ended_elsewhere(
    research: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(research.root)
    job_id = research.one("condition=full,seed=1")
    sp = json.loads((research.workspace(job_id) / "signac_statepoint.json").read_text())
    entry(research, job_id, statepoint=sp, ended_at="2099-01-01T00:00:00Z")
    (one,) = aexp.runs_for_experiment("E001")
    assert (one.status, one.machine) == ("complete", "cluster")
    entry(research, job_id, statepoint=sp, ended_at="2001-01-01T00:00:00Z")
    (one,) = aexp.runs_for_experiment("E001")
    assert (one.status, one.machine) == ("queued", None)


def test_a_corrupt_run_costs_itself(research: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(research.root)
    good, bad = research.add("condition=full,seed=1..2")
    (research.workspace(bad) / "signac_job_document.json").write_text("{")
    with pytest.warns(CorruptFileWarning, match=bad):
        found = aexp.runs_for_experiment("E001")
    assert [one.job_id for one in found] == [good]
    with pytest.raises(UsageError):
        aexp.runs_for_experiment("../E001")


def test_metrics_beyond_all_numbers_are_shown(research: Any) -> None:
    cases = {
        "large": [1.5e308, 1.5e308, 1.5e308],
        "spread": [1.5e308, -1.5e308, 0.0],
        "huge": [10**400, 1, 2],
        "nan": [float("nan"), 1.0, 3.0],
        "word": ["Infinity", 1.0, 3.0],
        "plain": [1, 2.0, 3],
    }
    for number in range(3):
        metrics = {name: values[number] for name, values in cases.items()}
        entry(research, str(number) * 32, metrics=metrics)
    shown = research.json("show-batch", "--experiment", "E001")
    assert len(shown["runs"]) == 3
    found = {name: tuple(one.values()) for name, one in shown["metrics"].items()}
    assert found["large"] == (3, None, 0.0, 1.5e308, 1.5e308, 0)
    assert found["spread"] == (3, 0.0, 1.5e308, -1.5e308, 1.5e308, 0)
    for name in ("huge", "nan", "word"):
        assert found[name] == (3, None, None, None, None, 1)
    assert found["plain"] == (3, 2.0, 1.0, 1.0, 3.0, 0)
    text = research.aexp("show-batch", "--experiment", "E001").stdout
    assert text.count("1 of 3 not finite") == 3


def test_an_experiment_and_a_key_that_nobody_knows(research: Any) -> None:
    lost = research.aexp("show-batch", "--experiment", "E999", rc=1)
    assert "no experiment E999" in lost.stderr
    assert "hint:" in lost.stderr
    research.aexp("show-batch", "--experiment", "E001")  # a note without runs
    entry(research, "a" * 32, statepoint={"experiment_id": "E777"}, run_link={})
    assert len(research.json("show-batch", "--experiment", "E777")["runs"]) == 1
    assert "no run has the key nokey" in research.aexp("list-batches", "--by", "nokey").stderr
    assert "no run has" not in research.aexp("list-batches", "--by", "experiment_id").stderr


def test_a_link_that_the_ledger_did_not_get(linked: Any) -> None:
    job_id = linked.one()
    linked.aexp("run-queued", job_id)
    ledger = linked.root / ".aexp" / "ledger"
    aside = ledger.rename(ledger.with_name("aside"))
    ledger.write_text("in the way")
    done = linked.aexp("link", job_id, "--experiment", "E002", rc=1)
    assert "its ledger entry was not written" in done.stderr
    assert f"aexp ledger promote {job_id[:8]}" in done.stderr
    assert linked.doc(job_id)["aexp"]["experiment_id"] == "E002"
    linked.aexp("link", job_id, "--experiment", "E002", rc=1)
    ledger.unlink()
    aside.rename(ledger)
    assert linked.entry(job_id)["run_link"]["experiment_id"] == "E001"
    # As after a kill between document and entry: the same call again mends it.
    assert linked.json("link", job_id, "--experiment", "E002", "--dry-run")["changed"]
    assert linked.entry(job_id)["run_link"]["experiment_id"] == "E001"
    assert linked.json("link", job_id, "--experiment", "E002")["changed"]
    assert linked.entry(job_id)["run_link"] == linked.doc(job_id)["aexp"]
    assert not linked.json("link", job_id, "--experiment", "E002")["changed"]
    linked.aexp("ledger", "verify")
