"""Each family of tools, with real effects in a real repository."""

import json
import os
from collections.abc import Callable
from typing import Any


def test_a_sweep_is_queued_and_shown(agent: Any, research: Any) -> None:
    added = agent.call(
        "queue_add",
        experiment_id="E001",
        sweep={"condition": ["full", "cls"], "seed": [0, 1]},
        tag="paper",
        resources={"mem_mb": 8000},
    )
    assert added["num_queued"] == 4
    assert [job["sp"]["seed"] for job in added["jobs"]] == [0, 1, 0, 1]
    first = added["jobs"][0]
    assert first["status"] == research.status(first["job_id"]) == "queued"
    assert first["sp"]["lr"] == 0.1  # from the experiment's block full
    assert added["first_command"] == "echo full 0"

    queue = agent.call("queue_list", tag="paper")
    assert [entry["job_id"] for entry in queue["jobs"]] == [job["job_id"] for job in added["jobs"]]
    assert (queue["jobs"][0]["state"], queue["jobs"][0]["resources"]) == ("ready", {"mem_mb": 8000})
    assert agent.call("status")["experiments"]["E001"]["queued"] == 4
    assert agent.call("list_runs", sp="condition=cls,seed=1")["total"] == 1
    assert agent.call("list_runs", sp={"seed": 1}, limit=1)["total"] == 2


def test_texts_are_read_as_the_command_line_reads_them(agent: Any, research: Any) -> None:
    dry = agent.call("queue_add", experiment_id="E001", sweep="seed=0..2", dry_run=True)
    assert (dry["num_queued"], dry["dry_run"]) == (3, True)
    assert agent.call("queue_list")["total"] == 0
    done = research.json(
        "queue", "add", "--experiment", "E001", "--sweep", "seed=0..2", "--dry-run"
    )
    assert [job["job_id"] for job in dry["jobs"]] == [run["job_id"] for run in done["runs"]]


def test_a_duplicate_is_part_of_the_result(agent: Any) -> None:
    agent.call("queue_add", experiment_id="E001", statepoint={"condition": "full", "seed": 0})
    again = agent.call(
        "queue_add", experiment_id="E001", statepoint={"condition": "full", "seed": 0}
    )
    assert (again["num_queued"], again["jobs"][0]["action"]) == (0, "duplicate")
    assert "queued already" in again["notices"][0]


def test_runs_are_removed_cleared_and_queued_again(agent: Any, research: Any) -> None:
    first, second = research.add("seed=0|1", "--tag", "smoke")
    third = research.one("seed=2")
    removed = agent.call("queue_remove", job_ids=[first[:8]])
    assert removed["changes"][0]["done"]
    assert research.status(first) == "abandoned"
    cleared = agent.call("queue_clear", tag="smoke", dry_run=True)
    assert (cleared["num_done"], research.status(second)) == (1, "queued")
    agent.call("queue_clear", tag="smoke")
    assert (research.status(second), research.status(third)) == ("abandoned", "queued")
    retried = agent.call("queue_retry", job_ids=[first, second])
    assert retried["num_done"] == 2
    assert research.status(first) == research.status(second) == "queued"


def test_a_running_run_is_stopped(
    agent: Any, research: Any, wait_until: Callable[..., Any]
) -> None:
    research.experiment("sleep 600")
    job_id = research.one("seed=0")
    research.start_aexp("run-queued", job_id)
    wait_until(lambda: research.doc(job_id).get("queue", {}).get("proc"))
    stopped = agent.call("queue_stop", job_ids=[job_id], grace_s=5)
    assert stopped["changes"][0]["done"]
    wait_until(lambda: research.status(job_id) == "stopped")
    assert "not running" in agent.fail("queue_stop", job_ids=[job_id])


def test_what_a_failed_run_left_behind(agent: Any, research: Any) -> None:
    research.experiment("echo one; echo two; echo why >&2; exit 3")
    job_id = research.one("seed=0")
    research.aexp("run-queued", job_id, rc=1)
    shown = agent.call("show_run", job_id=job_id[:8])
    assert shown["status"] == "failed"
    assert shown["last_error"]["returncode"] == 3
    assert [attempt["returncode"] for attempt in shown["attempts"]] == [3]
    assert shown["log"].endswith("logs/1.log")
    log = agent.call("logs", job_id=job_id)
    assert (log["text"], log["attempt"], log["left_out"]) == ("one\ntwo\nwhy\n", 1, 0)
    tail = agent.call("logs", job_id=job_id, max_bytes=6)
    assert (tail["text"], tail["left_out"], tail["size"]) == ("why\n", 8, 12)
    queue = agent.call("queue_list", include_terminal=True)
    assert queue["jobs"][0]["last_error"]["returncode"] == 3
    assert agent.call("queue_retry", status="failed")["num_done"] == 1


def test_a_run_is_created_and_not_queued(agent: Any, research: Any) -> None:
    arguments = {"experiment_id": "E001", "statepoint": {"condition": "cls"}}
    assert agent.call("new_run", **arguments, dry_run=True)["created"]
    made = agent.call("new_run", **arguments)
    assert (made["created"], research.status(made["job_id"])) == (True, "created")
    assert not agent.call("new_run", **arguments)["created"]


def test_the_ledger_is_written_and_read(agent: Any, research: Any) -> None:
    job_id = research.one("condition=full,seed=0")
    research.aexp("run-queued", job_id)
    entry = research.entry(job_id)
    os.remove(research.root / ".aexp" / "ledger" / f"{job_id}.json")
    verified = agent.call("ledger_verify")
    assert (verified["ok"], verified["problems"][0]["code"]) == (False, "run.no_entry")
    assert agent.call("ledger_backfill", dry_run=True)["promoted"] == [job_id]
    assert agent.call("ledger_backfill")["promoted"] == [job_id]
    assert not agent.call("ledger_promote", job_id=job_id)["changed"]
    listed = agent.call("ledger_list", experiment_id="E001")
    assert [row["job_id"] for row in listed["entries"]] == [job_id]
    assert agent.call("ledger_list", status="failed")["total"] == 0
    shown = agent.call("ledger_show", job_id=job_id[:6])
    assert shown["entry"] == research.entry(job_id)
    assert shown["entry"]["statepoint"] == entry["statepoint"]
    assert agent.call("ledger_verify")["ok"]


def test_a_script_is_written_for_a_person(agent: Any, research: Any) -> None:
    jobs = research.add("seed=0|1", "--tag", "paper")
    arguments = {"output_path": "scripts/paper.sh", "tag": "paper"}
    assert agent.call("queue_materialize", **arguments, dry_run=True)["job_ids"] == jobs
    assert not (research.root / "scripts").exists()
    written = agent.call("queue_materialize", **arguments)
    script = (research.root / "scripts" / "paper.sh").read_text()
    assert written["num_jobs"] == script.count("aexp run-queued") == 2
    # Its own script is renewed.
    agent.call("queue_materialize", **arguments, runner="slurm", slurm_kwargs={"time": "04:00:00"})
    assert "#SBATCH --time=04:00:00" in (research.root / "scripts" / "paper.sh").read_text()
    assert {research.status(job) for job in jobs} == {"queued"}
    for name in ("scripts/paper.sbatch", "scripts/paper.txt"):
        agent.call("queue_materialize", **{**arguments, "output_path": name})
        assert (research.root / name).is_file()


def test_experiments_are_listed_and_shown(agent: Any, research: Any) -> None:
    (row,) = agent.call("list_experiments")["artifacts"]
    assert (row["artifact_id"], row["hypothesis"]) == ("E001", "H001")
    assert row["path"] == "kb/research/experiments/E001-test.md"
    shown = agent.call("show_experiment", experiment_id="E001")
    assert shown["meta"]["runner_command"] == "echo {condition} {seed}"
    assert shown["text"] == (research.root / row["path"]).read_text()
    assert "aexp" in agent.fail("show_finding", finding_id="F001")


def test_from_a_hypothesis_to_a_finding_that_holds(agent: Any, research: Any) -> None:
    """The whole way, as an agent goes it; only the runs are executed by somebody else."""
    thread = agent.call("new_thread", title="Width")
    hypothesis = agent.call("new_hypothesis", title="Wider is better", thread_id="T001")
    assert (thread["artifact_id"], hypothesis["artifact_id"]) == ("T001", "H001")
    assert hypothesis["backlinks_patched"] == ["T001"]
    planned = agent.call("new_experiment", title="Widths", hypothesis_id="H001", dry_run=True)
    assert not (research.root / planned["path"]).exists()
    made = agent.call(
        "new_experiment",
        title="Widths",
        hypothesis_id="H001",
        conditions={"wide": {"width": 9}, "slim": {"width": 3}},
        tags=["width"],
    )
    assert made["artifact_id"] == "E002"
    refused = agent.call(
        "queue_add", experiment_id="E002", sweep={"condition": ["wide"]}, dry_run=True
    )
    assert "no runner_command" in refused["notices"][0]
    path = research.root / made["path"]
    score = 'echo {\\"score\\": {width}} > $AEXP_JOB_WORKSPACE/metrics.json'
    text = path.read_text()
    assert 'runner_command: ""' in text
    path.write_text(text.replace('runner_command: ""', f"runner_command: '{score}'"))
    research.git("add", "-A")
    research.git("commit", "-qm", "the experiment")

    sweep = {"condition": ["wide", "slim"], "seed": [0, 1]}
    added = agent.call("queue_add", experiment_id="E002", sweep=sweep)
    research.aexp("queue", "run")
    batches = agent.call("list_batches", experiment_id="E002")
    assert [batch["selector"] for batch in batches["batches"]] == [
        {"condition": "slim"},
        {"condition": "wide"},
    ]
    batch = agent.call("show_batch", experiment_id="E002", selector={"condition": "wide"})
    assert (batch["total"], batch["metrics"]["score"]["mean"]) == (2, 9)
    linked = agent.call("link_run", job_id=added["jobs"][0]["job_id"], experiment_id="E002")
    assert not linked["changed"]

    finding = agent.call("new_finding", title="Wider is better", experiment_id="E002")
    cited = agent.call(
        "finding_cite", finding_id="F001", batch="E002", selector="condition=wide", pin=True
    )
    assert (cited["changed"], cited["runs"]) == (True, [2])
    path = research.root / finding["path"]
    claim = "\nclaims:\n  - {metric: score, over: {condition: wide}, stat: mean, value: %s, n: 2}\n"
    text = path.read_text()
    path.write_text(text.replace("\nsupporting_runs:", claim % 8 + "supporting_runs:"))
    checked = agent.call("finding_check", finding_id="F001")
    assert not checked["ok"]
    assert "finding.claim_mismatch" in {issue["code"] for issue in checked["issues"]}
    path.write_text(text.replace("\nsupporting_runs:", claim % 9 + "supporting_runs:"))
    assert agent.call("finding_check", finding_id="F001")["ok"]
    assert agent.call("finding_write", finding_id="F001")["changed"]
    assert not agent.call("finding_write", finding_id="F001")["changed"]
    codes = {issue["code"] for issue in agent.call("validate", files=[finding["path"]])["errors"]}
    assert codes == set()

    status = agent.call("set_status", artifact_id="H001", status="confirmed")
    assert status["changed"]
    closed = agent.call("close_thread", thread_id="T001", conclusion="It is.")
    assert (closed["new_status"], closed["conclusion_written"]) == ("CLOSED", True)
    (row,) = agent.call("list_threads", status="CLOSED")["artifacts"]
    assert row["title"] == "Width"
    (row,) = agent.call("list_findings", parent="E002")["artifacts"]
    assert row["path"] == finding["path"]
    assert "It is." in agent.call("show_thread", thread_id="T001")["text"]
    assert agent.call("show_hypothesis", hypothesis_id="H001")["thread"] == "T001"
    assert agent.call("show_finding", finding_id="F001")["meta"]["claims"][0]["value"] == 9


def test_validation_is_the_same_as_on_the_command_line(agent: Any, research: Any) -> None:
    found = agent.call("validate")
    printed = research.json("validate", rc=1)
    assert not found["ok"]
    assert found["num_errors"] == printed["errors"] > 0
    assert found["errors"][0] == printed["issues"][0]
    assert agent.call("validate", limit=1)["errors"] == found["errors"][:1]
    path = "kb/research/experiments/E001-test.md"
    assert {issue["path"] for issue in agent.call("validate", files=[path])["errors"]} == {path}
    assert agent.call("validate", mode="runs-only")["ok"]


def test_the_text_of_a_result_is_its_json(agent: Any) -> None:
    result = agent.result("status")
    (content,) = result.content
    assert json.loads(content.text) == result.structured_content


def test_the_catalogue_is_asked(agent: Any, research: Any) -> None:
    """Every read verb of the catalogue and of campaigns, on runs that have really run."""
    research.experiment("echo '{\"acc\": 0.{seed}}' > $AEXP_METRICS_PATH")
    first, second = research.add("seed=1|2", "--tag", "paper")
    research.aexp("queue", "run")
    research.aexp("exec", "--derived-from", first, "--tag", "paper", "--", "true")
    research.aexp("campaign", "create", "c1", "--question", "Which?")
    research.aexp("campaign", "add", first, second, "--campaign", "c1")

    found = agent.call("find", tags=["paper"], metrics=["acc>=0.2"])
    assert [run["job_id"] for run in found["runs"]] == [second]
    found = agent.call("find", campaigns=["c1"])
    assert found["total"] == 2
    assert found["runs"] == research.json("find", "--campaign", "c1")
    assert agent.call("find", slurm_job="4711")["total"] == 0
    assert "no run has" in str(agent.call("find", params=["lrr=1"])["notices"])
    made = agent.call("table", experiment_ids=["E001"])
    (row,) = made["rows"]
    assert row["metrics"]["acc"]["n"] == 2
    ranked = agent.call("best", metric="acc")
    assert ranked["best"][0]["run"]["job_id"] == second
    assert "seed" in str(agent.call("diff", job_id=first[:8], other_job_id=second)["differences"])
    rows = agent.call("sql", query="SELECT kind, count(*) AS n FROM runs GROUP BY 1 ORDER BY 2")
    assert [row["n"] for row in rows["rows"]] == [1, 2]
    for wrong in ("DELETE FROM runs", "SELECT * FROM read_text('/etc/passwd')", "SELECT FROM"):
        agent.fail("sql", query=wrong)
    assert "more than 2 rows" in agent.fail("sql", query="SELECT unnest([1, 2, 3])", limit=2)
    assert len(agent.call("lineage", job_id=first)["runs"]) == 2
    assert agent.call("check", only_problems=False)["checked"] == 3
    assert [one["id"] for one in agent.call("campaign_list")["campaigns"]] == ["c1"]
    assert len(agent.call("campaign_show", campaign_id="c1")["runs"]) == 2
    assert agent.call("campaign_review", campaign_id="c1")["review"]["runs"] == 2
    agent.fail("campaign_show", campaign_id="nowhere")
