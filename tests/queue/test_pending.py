"""`queue list` says why a run has not run yet."""

import json
from typing import Any

import aexp


def why(research: Any) -> dict[str, tuple[str, str]]:
    return {e["job_id"]: (e["state"], e["why"]) for e in research.json("queue", "list")}


def test_ready_and_waiting_and_blocked(research: Any) -> None:
    parent = research.one("seed=0", "--command", "exit 1")
    child = research.one("seed=1", "--after", parent)
    grandchild = research.one("seed=2", "--after", child)
    found = why(research)
    assert found[parent] == ("ready", "")
    assert found[child] == ("waiting", f"waits for {parent[:8]}")
    assert found[grandchild] == ("waiting", f"waits for {child[:8]}")
    research.aexp("run-queued", parent, rc=1)
    found = why(research)
    assert found[child] == ("blocked", f"blocked by {parent[:8]}, which is failed")
    assert found[grandchild][0] == "blocked"
    assert f"blocked by {child[:8]}" in found[grandchild][1]
    shown = research.aexp("queue", "list").stdout
    assert f"blocked by {parent[:8]}, which is failed" in shown


def test_a_complete_parent_blocks_nobody(research: Any) -> None:
    parent = research.one("seed=0", "--command", "true")
    child = research.one("seed=1", "--after", parent)
    research.aexp("run-queued", parent)
    assert why(research) == {child: ("ready", "")}


def test_a_parent_that_is_queued_again_is_waited_for(research: Any) -> None:
    """That it was complete before is no news; Snakemake gets the edge."""
    parent = research.one("seed=0", "--command", "true")
    child = research.one("seed=1", "--command", "true", "--after", parent)
    research.aexp("run-queued", parent)
    research.aexp("queue", "retry", parent)
    assert why(research) == {parent: ("ready", ""), child: ("waiting", f"waits for {parent[:8]}")}
    assert "waits for" in research.aexp("run-queued", child, rc=75).stderr
    research.snakemake("--cores", "2", "--config", "experiment=E001")
    began = [research.doc(job_id)["aexp_run"]["attempts"][-1] for job_id in (parent, child)]
    assert [attempt["attempt"] for attempt in began] == [2, 1]
    sequence = [
        (research.workspace(job_id) / "terminal.json").stat().st_mtime_ns
        for job_id in (parent, child)
    ]
    assert sequence == sorted(sequence)


def test_running_and_claimed(research: Any, wait_until: Any) -> None:
    research.experiment("sleep 68")
    job_id = research.one("seed=0")
    wrapper = research.start_aexp("run-queued", job_id)
    wait_until(lambda: "proc" in research.doc(job_id)["queue"])
    state, text = why(research)[job_id]
    assert (state, f"process {wrapper.pid} on" in text) == ("running", True)
    path = research.workspace(job_id) / "signac_job_document.json"
    document = research.doc(job_id)
    path.write_text(json.dumps({**document, "status": "queued"}))
    state, text = why(research)[job_id]
    assert (state, f"claimed by process {wrapper.pid}" in text) == ("claimed", True)
    path.write_text(json.dumps(document))


def test_done_elsewhere(research: Any) -> None:
    """The ledger entry that git pulled says that another machine has finished it."""
    job_id = research.one("condition=full,seed=0")
    child = research.one("condition=full,seed=1", "--after", job_id)
    doc = research.doc(job_id)
    research.aexp("run-queued", job_id)
    entry = research.entry(job_id)
    path = research.workspace(job_id) / "signac_job_document.json"
    (research.workspace(job_id) / "terminal.json").unlink()
    path.write_text(json.dumps(doc))
    ledger = research.root / ".aexp" / "ledger" / f"{job_id}.json"
    entry.update(ended_at="2999-01-01T00:00:00Z", registered_machine="cluster")
    ledger.write_text(json.dumps(entry))
    found = why(research)
    assert found[job_id] == ("done elsewhere", "done on cluster, see its ledger entry")
    assert found[child] == ("ready", "")
    done = research.aexp("queue", "run")
    assert "full 1" in done.stdout
    assert "full 0" not in done.stdout
    assert research.status(child) == "complete"
    assert research.status(job_id) == "queued"
    assert json.loads(ledger.read_text()) == entry


def test_an_older_ledger_entry_is_not_this_run(research: Any) -> None:
    job_id = research.one("condition=full,seed=0")
    research.aexp("run-queued", job_id)
    path = research.root / ".aexp" / "ledger" / f"{job_id}.json"
    entry = json.loads(path.read_text())
    entry["ended_at"] = "2001-01-01T00:00:00Z"
    path.write_text(json.dumps(entry))
    research.aexp("queue", "retry", job_id)
    assert why(research) == {job_id: ("ready", "")}


def test_a_parent_that_only_the_ledger_knows_counts(research: Any) -> None:
    parent = research.one("seed=0", "--command", "true")
    child = research.one("seed=1", "--after", parent)
    research.aexp("run-queued", parent)
    import shutil

    shutil.rmtree(research.workspace(parent))
    assert why(research) == {child: ("ready", "")}
    research.experiment("echo child ran")
    assert research.aexp("run-queued", child).stdout == "child ran\n"


def test_a_parent_that_is_nowhere_blocks(research: Any) -> None:
    parent = research.one("seed=0")
    child = research.one("seed=1", "--after", parent)
    import shutil

    shutil.rmtree(research.workspace(parent))
    assert why(research) == {
        child: ("blocked", f"blocked by {parent[:8]}, which is not in this store")
    }
    assert research.aexp("run-queued", child, rc=75).stdout == ""


def test_filters_and_limit(research: Any) -> None:
    ids = research.add("condition=full|cls,seed=0..2", "--tag", "a")
    other = research.one("condition=full,seed=9", "--tag", "b")

    def listed(*arguments: str) -> list[str]:
        return [e["job_id"] for e in research.json("queue", "list", *arguments)]

    assert listed("--tag", "b") == [other]
    assert listed("--sp", "condition=cls") == ids[3:]
    assert listed("--sp", "seed=1,condition=full") == [ids[1]]
    assert listed("--experiment", "E002") == []
    assert listed("--limit", "2") == ids[:2]
    research.aexp("run-queued", ids[0])
    assert ids[0] not in listed()
    assert listed("--include-terminal") == [*ids, other]


def test_the_api_lists_the_same(research: Any) -> None:
    ids = research.add("seed=0..2", "--tag", "a")
    entries = aexp.list_queue(tag="a", repo_root=research.root)
    assert [entry.job_id for entry in entries] == ids
    assert {entry.status for entry in entries} == {"queued"}
    assert entries[0].sp["seed"] == 0
    assert aexp.list_queue(sp={"seed": 2}, repo_root=research.root)[0].job_id == ids[2]


def test_a_table_of_hostile_values_is_one_line_per_run(research: Any) -> None:
    job_id = research.one('note:="a\\nb\\u001b[31mred"', "--no-commit", "--command", "true")
    research.one("note=[/x]", "--tag", "[bold]", "--command", "true")
    shown = research.aexp("queue", "list").stdout
    assert len(shown.splitlines()) == 3
    assert "\x1b" not in shown
    assert "a\\nb\\x1b[31mred" in shown
    assert "note=[/x]" in shown
    assert "[bold]" in shown
    assert "\x1b" not in research.aexp("show-run", job_id).stdout
