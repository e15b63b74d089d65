"""Arguments and files are as untrusted as any user's: refused in words, and nothing escapes."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

HUGE = "x" * 3_000_000
REFUSED: list[tuple[str, dict[str, Any]]] = [
    ("show_run", {"job_id": "../../../etc/passwd"}),
    ("show_run", {"job_id": "0" * 32 + "\n"}),
    ("show_run", {"job_id": "abc"}),
    ("show_run", {"job_id": HUGE}),
    ("show_run", {"job_id": 7}),
    ("show_run", {}),
    ("show_run", {"job_id": None}),
    ("ledger_show", {"job_id": "../installed"}),
    ("ledger_promote", {"job_id": "0" * 32, "machine_label": "../../x"}),
    ("ledger_backfill", {"machine_label": "a/b"}),
    ("ledger_backfill", {"machine_label": ".."}),
    ("list_runs", {"tag": "a\x1b[2Jb"}),
    ("list_runs", {"tag": "a\nb"}),
    ("list_runs", {"status": "exploded"}),
    ("list_runs", {"limit": 0}),
    ("list_runs", {"limit": 10**30}),
    ("list_runs", {"limit": "7"}),
    ("list_runs", {"limit": True}),
    ("list_runs", {"sp": "no assignment"}),
    ("list_runs", {"sp": ["seed=0"]}),
    ("list_runs", {"expermient_id": "E001"}),
    ("show_experiment", {"experiment_id": "E001/../../x"}),
    ("show_experiment", {"experiment_id": "E\u0660\u0660\u0661"}),
    ("queue_add", {"experiment_id": "E999"}),
    ("queue_add", {"experiment_id": "E001", "statepoint": {"a.b": 1}}),
    ("queue_add", {"experiment_id": "E001", "statepoint": {"": 1}}),
    ("queue_add", {"experiment_id": "E001", "statepoint": {"a": HUGE, "b\0": 1}}),
    ("queue_add", {"experiment_id": "E001", "statepoint": 5}),
    ("queue_add", {"experiment_id": "E001", "sweep": "seed=0..99999"}),
    ("queue_add", {"experiment_id": "E001", "sweep": "a=0..999,b=0..999,c=0..999"}),
    ("queue_add", {"experiment_id": "E001", "sweep": {"a": list(range(2000))}}),
    ("queue_add", {"experiment_id": "E001", "sweep": {"a": []}}),
    ("queue_add", {"experiment_id": "E001", "sweep": HUGE}),
    ("queue_add", {"experiment_id": "E001", "tag": "\u202e\x00"}),
    ("queue_add", {"experiment_id": "E001", "tag": HUGE}),
    ("queue_add", {"experiment_id": "E001", "command": "touch x"}),
    ("queue_add", {"experiment_id": "E001", "runner_command_override": "touch x"}),
    ("queue_add", {"experiment_id": "E001", "resources": {"slurm_extra": "--wrap=x"}}),
    ("queue_add", {"experiment_id": "E001", "resources": {"mem_mb": "many"}}),
    ("queue_add", {"experiment_id": "E001", "resources": {"partition": "a --wrap=x"}}),
    ("queue_add", {"experiment_id": "E001", "resources": "constraint=$(touch made)"}),
    ("queue_add", {"experiment_id": "E001", "timeout": "soon"}),
    ("queue_add", {"experiment_id": "E001", "after": ["../.."]}),
    ("queue_add", {"experiment_id": "E001", "hypothesis_id": "E001"}),
    ("queue_remove", {"job_ids": []}),
    ("queue_remove", {"job_ids": "0123abcd"}),
    ("queue_remove", {"job_ids": ["abcd"] * 2000}),
    ("queue_clear", {}),
    ("queue_clear", {"tga": "smoke"}),
    ("queue_retry", {}),
    ("queue_stop", {"job_ids": ["abcd"], "grace_s": 1e9}),
    ("queue_stop", {"job_ids": ["abcd"], "grace_s": -1}),
    ("queue_materialize", {"output_path": "run.sh", "slurm_kwargs": {"time": "1\n#x"}}),
    ("queue_materialize", {"output_path": "run.sh", "slurm_kwargs": {"extra": "--wrap"}}),
    ("queue_materialize", {"output_path": "run.sh", "runner": "ssh"}),
    ("validate", {"mode": "none"}),
    ("validate", {"files": ["a\0b"]}),
    ("logs", {"job_id": "abcd", "attempt": -1}),
    ("finding_cite", {"finding_id": "../F001", "batch": "E001"}),
    ("finding_cite", {"finding_id": "F001", "selector": {"seed": 1}}),
    ("finding_check", {"finding_id": "E001"}),
    ("new_hypothesis", {"title": "two\nlines"}),
    ("new_hypothesis", {"title": "a\x1b]0;b\x07"}),
    ("new_hypothesis", {"title": "x" * 301}),
    ("new_hypothesis", {"title": "   "}),
    ("new_hypothesis", {"title": "x", "artifact_id": "../H001"}),
    ("new_hypothesis", {"title": "x", "thread_id": "T999"}),
    ("new_hypothesis", {"title": "x", "tags": ["a\nb: c"]}),
    ("new_hypothesis", {"title": "x", "extra_links": ["]]\n---"]}),
    ("new_experiment", {"title": "x", "hypothesis_id": "H999"}),
    ("new_experiment", {"title": "x", "hypothesis_id": "H001", "runner_command": "touch x"}),
    ("new_experiment", {"title": "x", "hypothesis_id": "H001", "conditions": {"a": 1}}),
    ("new_finding", {"title": "x", "experiment_id": "E999"}),
    ("new_finding", {"title": "x", "experiment_id": "E001", "impact": "HUGE"}),
    ("close_thread", {"thread_id": "T001"}),
    ("set_status", {"artifact_id": "E001", "status": "\x1b[2J"}),
    ("set_status", {"artifact_id": "E001/..", "status": "ACTIVE"}),
    ("link_run", {"job_id": "abcd", "experiment_id": "E001"}),
    ("show_batch", {"experiment_id": "E001", "selector": "no assignment"}),
    ("list_batches", {"selector_keys": [5]}),
    ("no_such_tool", {}),
    ("__class__", {}),
    ("a\x1b[31m", {}),
]


def test_refused_in_words_and_nothing_is_written(agent: Any, research: Any) -> None:
    before = research.tree()
    for name, arguments in REFUSED:
        shown = (name, str(arguments)[:200])
        message = agent.fail(name, **arguments)
        assert len(message) < 2000, shown
        assert message.replace("\n", "").isprintable(), (shown, message)
        assert research.tree() == before, shown


def test_a_script_is_written_inside_the_repository_only(
    agent: Any, research: Any, tmp_path: Path
) -> None:
    research.one("seed=0")
    outside = tmp_path / "outside"
    outside.mkdir()
    (research.root / "link").symlink_to(outside)
    (research.root / "hooks").symlink_to(research.root / ".git" / "hooks")
    (research.root / "dangling.sh").symlink_to(outside / "made.sh")
    (research.root / "code.py").write_text("print('mine')\n")
    (research.root / "folder").mkdir()
    os.mkfifo(research.root / "pipe")
    before = {path: path.lstat().st_mtime_ns for path in research.root.rglob("*")}
    refused = [
        "../made.sh",
        "scripts/../../made.sh",
        str(outside / "made.sh"),
        ".git/hooks/post-checkout",
        "hooks/post-checkout",
        "sub/.git/hooks/post-checkout",
        ".envrc",
        ".github/workflows/x.yml",
        ".aexp/ledger/x.json",
        ".runs/workspace/x.sh",
        "kb/research/findings/F001-x.md",
        "link/made.sh",
        "dangling.sh",
        "code.py",
        "conftest.py",
        "Makefile",
        "GNUmakefile",
        "setup.cfg",
        "scripts/paper",
        "scripts/paper.sh.py",
        "folder",
        "pipe",
        "Snakefile/x.sh/",
        "a//b.sh",
        "./run.sh",
        "a\x1b[2J.sh",
        "a\nb.sh",
        "-",
        "~/x.sh\0",
    ]
    assert ".sh, .sbatch, .txt" in agent.fail("queue_materialize", output_path="conftest.py")
    for path in refused:
        message = agent.fail("queue_materialize", output_path=path)
        assert message.replace("\n", "").isprintable()
    assert os.listdir(outside) == []
    assert {path: path.lstat().st_mtime_ns for path in research.root.rglob("*")} == before


def test_a_log_that_is_no_file_is_not_read(agent: Any, research: Any, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("key")
    job_id = research.one("condition=full,seed=0")
    research.aexp("run-queued", job_id)
    log = research.workspace(job_id) / "logs" / "1.log"
    log.unlink()
    log.symlink_to(secret)
    assert "key" not in agent.fail("logs", job_id=job_id)
    log.unlink()
    os.mkfifo(log)
    assert "no plain file" in agent.fail("logs", job_id=job_id)


def test_bytes_of_a_log_that_are_no_text(agent: Any, research: Any) -> None:
    job_id = research.one("condition=full,seed=0")
    research.aexp("run-queued", job_id)
    log = research.workspace(job_id) / "logs" / "1.log"
    log.write_bytes(b"\xff\xfe\x00\x1b[2J\nend\n")
    assert agent.call("logs", job_id=job_id)["text"].endswith("\x1b[2J\nend\n")
    log.write_bytes("é".encode() * 100_000)
    assert len(agent.call("logs", job_id=job_id, max_bytes=101)["text"]) <= 102


def test_a_corrupt_store_costs_a_notice_and_that_run(agent: Any, research: Any) -> None:
    good, bad, odd = research.add("seed=0..2")
    (research.workspace(bad) / "signac_job_document.json").write_text('{"status": "queued", ')
    document = research.doc(odd)
    document.update(started_at=5, wallclock_s="long", tracker=[], summary_metrics={"loss": "NaN"})
    document["aexp_run"]["resources"] = "many"
    document["queue"].update(tag=7, last_error="bad")
    path = research.workspace(odd) / "signac_job_document.json"
    path.write_text(json.dumps(document)[:-1] + ', "ended_at": "\\ud800", "x": NaN}')
    listed = agent.call("list_runs")
    assert {run["job_id"] for run in listed["runs"]} == {good, odd}
    assert any(bad in notice for notice in listed["notices"])
    queue = agent.call("queue_list")
    assert [job["job_id"] for job in queue["jobs"]] == [good, odd]
    assert any(bad in notice for notice in queue["notices"])
    shown = agent.call("show_run", job_id=odd)
    assert (shown["started_at"], shown["wallclock_s"], shown["resources"]) == ("5", None, {})
    assert shown["metrics"] == {"loss": "NaN"}
    assert bad in agent.fail("show_run", job_id=bad)
    # The same warning again in the next call: nothing is said once only.
    assert any(bad in notice for notice in agent.call("status")["notices"])


def test_a_corrupt_ledger_and_record(agent: Any, research: Any) -> None:
    job_id = research.one("condition=full,seed=0")
    research.aexp("run-queued", job_id)
    ledger = research.root / ".aexp" / "ledger"
    (ledger / ("0" * 32 + ".json")).write_text("not JSON")
    (ledger / "notes.json").write_text("{}")
    (ledger / ("1" * 32 + ".json")).symlink_to("/etc/passwd")
    listed = agent.call("ledger_list")
    assert [row["job_id"] for row in listed["entries"]] == [job_id]
    assert len(listed["notices"]) == 3
    assert "root:" not in str(agent.result("ledger_show", job_id="1" * 32))
    assert not agent.call("ledger_verify")["ok"]
    folder = research.root / "kb" / "research" / "experiments"
    (folder / "E002-bad.md").write_text("---\n{unclosed: [\n---\n# E002\n")
    (folder / "E003-out.md").symlink_to("/etc/passwd")
    found = agent.call("list_experiments")
    assert [row["artifact_id"] for row in found["artifacts"]] == ["E001"]
    assert len(found["notices"]) == 2
    assert "root:" not in agent.fail("show_experiment", experiment_id="E003")


def test_a_marker_that_cannot_be_read(agent: Any, research: Any) -> None:
    marker = research.root / ".aexp" / "installed.json"
    kept = marker.read_text()
    marker.write_text('{"run_store_path": "../elsewhere"}')
    assert "installed.json" in agent.fail("list_runs") or "run store" in agent.fail("list_runs")
    assert not agent.call("doctor")["ok"]
    marker.write_text(kept)
    assert agent.call("list_runs")["total"] == 0


def test_values_reach_the_command_as_data(agent: Any, research: Any) -> None:
    research.experiment("printf %s {text} > out-{seed}")
    nasty = "'; touch injected; echo $(touch injected) `touch injected` \n\x1b[2J"
    added = agent.call("queue_add", experiment_id="E001", statepoint={"text": nasty, "seed": 0})
    (job,) = added["jobs"]
    research.aexp("run-queued", job["job_id"])
    assert (research.root / "out-0").read_text() == nasty
    assert not (research.root / "injected").exists()


def test_a_server_without_a_repository_stays_up(
    connect: Callable[..., Any], samples: Callable[..., Any], tmp_path: Path
) -> None:
    folder = tmp_path / "empty"
    folder.mkdir()
    agent = connect(folder)
    for name, arguments in samples("0123456789abcdef" * 2).items():
        if name != "doctor":
            message = agent.fail(name, **arguments)
            assert "no git repository" in message, name
            assert "git init && aexp install" in message, name
    assert not agent.call("doctor")["ok"]
    assert "no folder" in connect(tmp_path, "--repo", str(tmp_path / "nowhere")).fail("status")


def test_the_repository_is_found_and_looked_for_anew(
    connect: Callable[..., Any], research: Any, tmp_path: Path
) -> None:
    inside = research.root / "src" / "deep"
    inside.mkdir(parents=True)
    project = {"CLAUDE_PROJECT_DIR": str(inside)}
    assert connect(inside).call("status")["experiments"] == {}
    assert connect(tmp_path, "--repo", str(inside)).call("status")["experiments"] == {}
    agent = connect(tmp_path, env=project)
    store = research.root / ".runs"
    store.rename(research.root / "away")
    assert "aexp install" in agent.fail("status")
    assert agent.call("list_experiments")["total"] == 1  # needs no store
    (research.root / "away").rename(store)
    assert agent.call("status")["experiments"] == {}
