"""Where a run is to be tracked: frontmatter, options, bind-tracker, and what is refused."""

import json
import subprocess
import sys
from typing import Any

import misbehaving
import pytest

import aexp
from aexp.trackers import NoopAdapter, bind_tracker

ADD = ("queue", "add", "--experiment", "E001", "--sp", "condition=full,seed=0")
TRACKER = "tracker: {backend: wandb, project: ecg, entity: team, offline: true}\n"


def queued(research, *more: str) -> str:
    return str(research.json(*ADD, *more)["runs"][0]["job_id"])


def settings(research, job_id: str) -> Any:
    return research.doc(job_id)["aexp_run"].get("tracker")


def test_the_options_stand_over_the_experiment_s_tracker(research) -> None:
    research.experiment("true", TRACKER)
    own = {"backend": "wandb", "project": "ecg", "entity": "team", "offline": True}
    job_id = queued(research)
    assert settings(research, job_id) == own
    assert "tracker" not in research.doc(job_id)  # bound when it executes
    cases = {
        ("--tracker", "wandb", "--tracker-project", "p"): {**own, "project": "p"},
        ("--online",): {**own, "offline": False},
        ("--tracker", "noop"): {"backend": "noop", "project": "ecg", "offline": True},
        ("--tracker", "none"): None,
    }
    for seed, (options, expected) in enumerate(cases.items(), 1):
        sp = ("--sp", f"condition=full,seed={seed}")
        added = research.json("queue", "add", "--experiment", "E001", *sp, *options)["runs"]
        assert settings(research, added[0]["job_id"]) == expected, options
    research.experiment("true", "tracker: noop\n", "E002")
    jobs = aexp.add_many_to_queue(
        experiment_id="E002",
        sweep="seed=0..1",
        tracker={"backend": "noop", "options": {"log_root": "x"}},
        repo_root=research.root,
    )
    assert [settings(research, job.id)["options"] for job in jobs] == [{"log_root": "x"}] * 2


@pytest.mark.parametrize(
    ("line", "options", "words"),
    [
        ("", ("--tracker", "wanbd"), "no tracker is called wanbd"),
        ("", ("--tracker-project", "p"), "these runs have no tracker"),
        ("", ("--tracker", "a b"), "no backend's name"),
        ("", ("--tracker", "noop", "--tracker-project", "a\nb"), "project is"),
        ("", ("--tracker", "absent"), "cannot be imported"),
        ("", ("--tracker", "other"), "is no subclass"),
        ("tracker: {backend: wandb, projct: p}", (), "did you mean project?"),
        ("tracker: {project: p}", (), "has no backend"),
        ("tracker: [wandb]", (), "neither a name nor a mapping"),
        ("tracker: {backend: wandb, offline: maybe}", (), "write true or false"),
        ("tracker: {backend: noop, entity: x}", (), "has no option entity"),
        ("tracker: {backend: noop, options: {x: 1}}", (), "its options: log_root"),
        ("tracker: {backend: noop, options: {log_root: 2020-01-01}}", (), "more than text"),
        ("tracker: {backend: mlflow, uri: 'http://me:secret@host'}", (), "would be written down"),
        ("tracker: {backend: mlflow, uri: 'http://h?token=secret'}", (), "query or a fragment"),
        ("tracker: {backend: wandb, project: 'a/b c'}", (), "is no project of W&B's"),
        ("tracker: {backend: wandb, options: {init_timeout_s: abc}}", (), "is no number"),
        ("tracker: {backend: mlflow, options: {hand_over: 3}}", (), "neither true nor false"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_queued(
    research, tmp_path, line: str, options: tuple[str, ...], words: str
) -> None:
    env = (
        misbehaving.publish(tmp_path / "site") if options[-1:] in [("absent",), ("other",)] else {}
    )
    research.experiment("true", line + "\n")
    before = research.tree()
    refused = research.aexp(*ADD, *options, rc=None, env=env)
    assert refused.returncode in (1, 2)
    assert words in refused.stderr
    assert "hint: " in refused.stderr
    assert "secret" not in refused.stderr
    assert "Traceback" not in refused.stderr
    assert research.tree() == before


def test_bind_tracker_fixes_the_id_and_opens_nothing(research) -> None:
    job_id = research.json("new-run", "--experiment", "E001", "--sp", "condition=full")["job_id"]
    group = "H001/E001/full"
    made = research.json("bind-tracker", job_id, "--backend", "wandb", "--project", "p")
    binding = {"backend": "wandb", "run_id": job_id, "url": None, "project": "p", "group": group}
    assert made["tracker"] == binding == research.doc(job_id)["tracker"]
    assert not (research.workspace(job_id) / "wandb").exists()
    assert research.aexp("bind-tracker", job_id, "--backend", "none").stdout.startswith("unbound")
    assert "tracker" not in research.doc(job_id)
    said = research.aexp("bind-tracker", job_id[:8], "--project", "p").stdout
    assert said == f"bound noop: run_id={job_id} group={group}\n"
    # Queued without a tracker of its own it keeps this one; executed, it has its log.
    assert research.json(*ADD[:-1], "condition=full")["runs"][0]["job_id"] == job_id
    research.aexp("run-queued", job_id)
    assert (research.workspace(job_id) / "tracker_log" / job_id / "events.jsonl").exists()
    assert research.entry(job_id)["tracker"]["run_id"] == job_id
    assert f"noop: p {job_id}" in research.aexp("show-run", job_id).stdout
    refused = research.aexp("bind-tracker", job_id, rc=1)
    assert "queue retry" in refused.stderr
    # Taking a queueing back brings the earlier binding back, too.
    research.aexp("queue", "retry", job_id)
    research.aexp("queue", "remove", job_id)
    assert research.doc(job_id)["tracker"]["run_id"] == job_id
    assert research.entry(job_id)["tracker"]["run_id"] == job_id


def test_an_ended_run_that_is_added_again_is_another_one_in_the_tracker(research) -> None:
    words = ("seed=0", "--tracker", "noop", "--tracker-project", "p")
    job_id = research.one(*words)
    research.aexp("run-queued", job_id)
    assert research.doc(job_id)["tracker"]["run_id"] == job_id
    research.one(*words)
    research.aexp("run-queued", job_id)
    assert research.doc(job_id)["tracker"]["run_id"] == f"{job_id}-2"


def test_bind_tracker_in_python_opens_the_run(research) -> None:
    (research.root / "kb" / "research" / "hypotheses").mkdir(parents=True, exist_ok=True)
    (research.root / "kb" / "research" / "hypotheses" / "H001-x.md").write_text(
        '---\nid: "H001"\ntype: hypothesis\n---\n# H001 — Wider\n\n## Statement\n\nWider wins.\n'
    )
    path = research.experiment("true")
    path.write_text(
        path.read_text().replace("# E001", "# E001 — Widths")
        + "\n## Objective\n\n<!-- Why? -->\n_Clear, falsifiable claim._\n\n## Intent\n\nMore.\n"
    )
    sp = {"condition": "full", "api_key": "sk-abcdef0123456789abcdef", "lr": 0.5}
    job = aexp.create_run(experiment_id="E001", statepoint=sp, repo_root=research.root)
    adapter = NoopAdapter()
    handle = bind_tracker(job, adapter, project="p", condition="c2", extra_tags=["x"])
    with aexp.run_lifecycle(job):
        adapter.log(handle, {"loss": 0.5}, step=1)
    adapter.finish(handle)
    doc, entry = research.doc(job.id), research.entry(job.id)
    assert doc["tracker"]["run_id"] == handle.id == job.id == entry["tracker"]["run_id"]
    assert doc["tracker"]["group"] == "H001/E001/c2"
    log = research.workspace(job.id) / "tracker_log" / job.id / "events.jsonl"
    first = json.loads(log.read_text().splitlines()[0])
    assert first["tags"] == ["kind=experiment", "H001", "E001", "condition=c2", "x"]
    assert first["config"]["api_key"] == "***"
    assert (first["config"]["job_id"], first["config"]["lr"]) == (job.id, 0.5)
    assert first["config"]["frame"] == {
        "experiment_title": "Widths",
        "success_criteria": "More.",
        "hypothesis_statement": "Wider wins.",
    }
    assert first["notes"] == "# Widths\n\n**Hypothesis:** Wider wins."


def test_a_run_without_a_tracker_loads_nothing_of_it(research) -> None:
    job_id = queued(research)
    code = (
        "import sys; from aexp.execution.run import run_queued; "
        f"assert run_queued({job_id!r}) == 0; "
        "print([name for name in sys.modules if name.startswith(('aexp.trackers', 'signac'))])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=research.root, capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == "[]"
