"""Old checkpoints go, and never one that somebody may need."""

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import aexp
from aexp.checkpoints.objects import Objects
from aexp.checkpoints.pins import pin, pins_of, unpin
from aexp.checkpoints.retention import judge, policy_of, prune
from aexp.checkpoints.store import list_checkpoints
from aexp.errors import CorruptFile, ParameterError
from aexp.kb.retention import Best, Retention, read_retention


def steps(repo: Any, run: Any) -> list[int | None]:
    return [item.step for item in reversed(list_checkpoints(repo, run.id))]


@pytest.fixture
def ten(run: Any, save: Callable[..., Any]) -> Any:
    """Return a run with the steps 0 to 9, whose loss is lowest at 6."""
    for step in range(10):
        save(run, step, metrics={"loss": abs(step - 6), "acc": {"top": step % 4}})
    return run


@pytest.mark.parametrize(
    ("policy", "kept"),
    [
        ({"keep_last": 3}, [7, 8, 9]),
        ({"keep_every": 4}, [0, 4, 8, 9]),
        ({"keep_best": "loss"}, [6, 9]),
        ({"keep_best": "loss:max:2"}, [0, 1, 9]),
        ({"keep_best": [{"metric": "acc.top", "mode": "max"}, "loss:min:2"]}, [6, 7, 9]),
        ({"keep_last": 2, "keep_every": 5, "keep_best": "loss"}, [0, 5, 6, 8, 9]),
    ],
)
def test_policies(repo: Any, ten: Any, policy: dict[str, Any], kept: list[int]) -> None:
    wanted = read_retention(policy)
    announced = prune(repo, ten.id, wanted, dry_run=True)
    assert steps(repo, ten) == list(range(10))
    done = prune(repo, ten.id, wanted)
    assert [item.id for item in done.dropped] == [item.id for item in announced.dropped]
    assert steps(repo, ten) == kept
    assert not prune(repo, ten.id, wanted).dropped
    # What is left is whole, and the space of the others has been given back at once.
    files = {c.sha256 for item in list_checkpoints(repo, ten.id) for c in item.manifest.components}
    assert {item.sha256 for item in Objects(repo).all()} == files
    assert done.freed_bytes == (10 - len(kept)) * 1000


def test_final_ones_and_snapshots_stay(repo: Any, run: Any, save: Callable[..., Any]) -> None:
    save(run, 1)
    save(run, 2, reason="final")
    save(run, None, kind="snapshot")
    save(run, 3)
    save(run, 4)
    prune(repo, run.id, Retention())
    assert steps(repo, run) == [2, 4, None]
    prune(repo, run.id, Retention(keep_final=False))
    assert steps(repo, run) == [4, None]


def test_damaged_ones_do_not_count(repo: Any, ten: Any) -> None:
    found = list_checkpoints(repo, ten.id)
    newest, second = found[0].path, found[1].path
    os.remove(newest / "model.bin")  # seen by size
    data = bytearray((second / "model.bin").read_bytes())
    data[0] ^= 1
    os.chmod(second / "model.bin", 0o644)
    (second / "model.bin").write_bytes(data)  # seen by hash only
    prune(repo, ten.id, Retention(keep_last=1))
    assert steps(repo, ten) == [7, 8, 9]
    assert ten.latest_checkpoint(verify="none").step == 9
    prune(repo, ten.id, None, damaged=True)
    assert steps(repo, ten) == [7]
    # When nothing is whole, what is damaged may be all that can be rescued.
    (last,) = list_checkpoints(repo, ten.id)
    os.remove(last.path / "model.bin")
    prune(repo, ten.id, Retention(), damaged=True)
    assert steps(repo, ten) == [7]


def test_pinned_ones_stay(repo: Any, ten: Any) -> None:
    by_step = {item.step: item for item in list_checkpoints(repo, ten.id)}
    assert pin(repo, by_step[3], "of the paper")
    assert not pin(repo, by_step[3], "of the paper")
    prune(repo, ten.id, Retention())
    assert steps(repo, ten) == [3, 9]
    assert pins_of(repo, ten.id)[by_step[3].id]["note"] == "of the paper"
    assert unpin(repo, ten.id, by_step[3].id)
    assert not unpin(repo, ten.id, by_step[3].id)
    prune(repo, ten.id, Retention())
    assert steps(repo, ten) == [9]
    with pytest.raises(aexp.CheckpointNotFound):
        pin(repo, by_step[3])


def test_nothing_is_dropped_when_the_pins_cannot_be_read(repo: Any, ten: Any) -> None:
    (ten.workspace / "checkpoints" / "pins.json").write_text("{")
    with pytest.raises(CorruptFile):
        prune(repo, ten.id, Retention())
    assert steps(repo, ten) == list(range(10))


def test_what_a_run_needs_stays(
    research: Any, repo: Any, begin: Callable[..., Any], end: Callable[..., None], ten: Any
) -> None:
    by_step = {item.step: item for item in list_checkpoints(repo, ten.id)}
    end(ten)
    # One branch waits, one was given up, one is being executed; the run itself goes on, too.
    made = research.json("checkpoints", "branch", by_step[2].id[:9], "--set", "lr=1e-4")
    (waiting,) = made["runs"]
    assert waiting["sp"]["init_from"] == by_step[2].id
    given_up = research.json("checkpoints", "branch", by_step[4].id, "--set", "lr=2e-4")["runs"][0]
    research.aexp("queue", "remove", given_up["job_id"])
    other = begin("seed=5")
    assert other.restore(by_step[5].id).step == 5
    again = begin(job_id=ten.id)
    assert again.restore(by_step[7]).step == 7
    done = prune(repo, ten.id, Retention())
    assert steps(repo, ten) == [2, 5, 7, 9]
    why = {item.checkpoint.step: item.reasons for item in done.verdicts if item.is_kept}
    assert "begins with it" in why[2][0]
    assert "goes on from it" in why[5][0]
    end(other)
    end(again)
    # One whose document is damaged may be mended, and begin then.
    Path(repo.run_file(waiting["job_id"], "signac_job_document.json")).write_text("{")
    prune(repo, ten.id, Retention())
    assert steps(repo, ten) == [2, 9]


def test_what_a_required_remote_lacks_stays(research: Any, repo: Any, ten: Any) -> None:
    folder = research.root.parent / "archive"
    folder.mkdir()
    research.aexp("remote", "add", "archive", str(folder), "--required", "--manual")
    prune(repo, ten.id, Retention())
    assert steps(repo, ten) == list(range(10))
    assert {item.reasons for item in judge(repo, ten.id, Retention())[1:]} == {
        ("not yet at a required remote",)
    }
    research.aexp("push", ten.id)
    prune(repo, ten.id, Retention())
    assert steps(repo, ten) == [9]


def test_the_experiment_says_what_is_kept(
    research: Any, repo: Any, begin: Callable[..., Any], save: Callable[..., Any]
) -> None:
    note = research.experiment("true {seed}", "checkpoints: {keep_last: 2, keep_best: loss}\n")
    run = begin()
    assert policy_of(repo, run.id) == Retention(2, None, (Best("loss"),))
    for step, loss in enumerate([3, 1, 2, 4, 5]):
        save(run, step, metrics={"loss": loss})
    assert steps(repo, run) == [1, 3, 4]
    # It may be changed while the run trains; what cannot be understood drops nothing.
    note.write_text(note.read_text().replace("keep_last: 2", "keep_lost: 2"))
    with pytest.warns(aexp.CheckpointWarning, match="keep_lost"):
        save(run, 5, metrics={"loss": 6})
    assert steps(repo, run) == [1, 3, 4, 5]
    run.keep_checkpoints(1, every=3)  # the code's word is the last one
    save(run, 6, metrics={"loss": 7})
    assert steps(repo, run) == [1, 3, 6]


@pytest.mark.parametrize(
    "wrong",
    [
        [], 3, {"keep_last": 0}, {"keep_last": True}, {"keep_every": 1.5}, {"keep_final": 1},
        {"keep_final": True}, {"keep_best": {"mode": "min"}}, {"keep_best": {"metric": 1}},
        {"keep_best": {"metric": "a", "mode": "up"}}, {"keep_best": ""}, {"keep_bets": "a"},
    ],
)  # fmt: skip
def test_what_is_no_policy(wrong: Any) -> None:
    with pytest.raises(ParameterError):
        read_retention(wrong)


def test_a_plain_command_is_pruned_by_its_wrapper(research: Any, repo: Any) -> None:
    research.experiment(
        "for i in 1 2 3 4 {seed}; do echo $i > $AEXP_CHECKPOINT_DIR/step-$i.txt; done",
        "checkpoints: {keep_last: 2}\n",
    )
    job_id = research.one("seed=5")
    research.aexp("run-queued", job_id)
    assert [item.step for item in list_checkpoints(repo, job_id)] == [5, 4]
    entry = research.entry(job_id)
    assert entry["checkpoint"] == {"id": list_checkpoints(repo, job_id)[0].id, "step": 5}


def test_a_branch_begins_with_its_checkpoint(research: Any, repo: Any) -> None:
    """The new run waits for its source, finds its checkpoint, and the ledger says so."""
    research.experiment(
        "echo from=${AEXP_RESUME_FROM:-nothing}; "
        "echo {lr} > $AEXP_CHECKPOINT_DIR/tmp.part; mv $AEXP_CHECKPOINT_DIR/tmp.part "
        "$AEXP_CHECKPOINT_DIR/step-7.txt",
        "parameters: {lr: {type: float, default: 0.1}, seed: int}\n",
    )
    source = research.one("seed=5", "--timeout", "1m", "--resources", "mem_mb=100")
    research.aexp("run-queued", source)
    (saved,) = list_checkpoints(repo, source)
    arguments = ("checkpoints", "branch", saved.id[:8], "--sweep", "lr=1e-4|1e-5")
    assert research.json(*arguments, "--dry-run")["dry_run"]
    twice = research.aexp(*arguments[:3], "--set", f"init_from={saved.id}", rc=2)
    assert "the checkpoint that is branched" in twice.stderr
    first, second = (row["job_id"] for row in research.json(*arguments)["runs"])
    doc = research.doc(first)
    assert (doc["aexp_run"]["timeout_s"], doc["aexp_run"]["resources"]) == (60, {"mem_mb": 100})
    assert "after" not in doc["aexp_run"]  # it is complete already
    edges = research.json("lineage", first)["edges"]  # before it has begun, too
    assert [(edge["parent"], edge["kind"]) for edge in edges] == [(source, "checkpoint")]
    research.aexp("run-queued", first)
    log = (research.workspace(first) / "logs" / "1.log").read_text()
    assert log.strip() == f"from={saved.path}"
    entry = research.entry(first)
    assert entry["init_from"] == entry["attempts"][0]["resumed_from"] == saved.id
    assert entry["init_run"] == entry["attempts"][0]["resumed_run"] == source
    assert research.json("lineage", first)["edges"] == edges
    assert entry["statepoint"]["lr"] == 1e-4
    assert entry["checkpoint"]["id"] != saved.id
    # What a complete run has saved is final, even when it is to start afresh.
    research.aexp("queue", "retry", source)
    soon = research.json(*arguments[:3], "--set", "lr=2")["runs"][0]["job_id"]
    assert "after" not in research.doc(soon)["aexp_run"]
    # While the source is to go on, a branch waits for it, unless told otherwise.
    research.aexp("queue", "remove", source)
    research.aexp("queue", "retry", source, "--resume")
    free = research.json(*arguments[:3], "--set", "lr=3", "--no-wait")["runs"][0]["job_id"]
    late = research.json(*arguments[:3], "--set", "lr=4")["runs"][0]["job_id"]
    assert research.doc(late)["aexp_run"]["after"] == [source]
    assert "after" not in research.doc(free)["aexp_run"]
    # A branch whose checkpoint has gone does not train from the beginning.
    subprocess.run(["rm", "-rf", str(saved.path)], check=True)
    failed = research.aexp("run-queued", second, rc=None)
    assert failed.returncode != 0
    assert saved.id in failed.stderr
    assert "aexp pull" in failed.stderr
    assert research.status(second) == "queued"
    refused = research.aexp(
        "queue", "add", "--experiment", "E001", "--sp", "seed=1,init_from=ck_0", rc=1
    )
    assert "ck_0" in refused.stderr


def test_the_verbs(research: Any, repo: Any, ten: Any, tmp_path: Path) -> None:
    by_step = {item.step: item for item in list_checkpoints(repo, ten.id)}
    rows = research.json("checkpoints", "ls", ten.id[:6])
    assert [row["step"] for row in rows] == list(reversed(range(10)))
    assert research.json("checkpoints", "ls", "--kind", "snapshot") == []
    one = by_step[6]
    research.aexp("checkpoints", "pin", one.id[:12], "--note", "best")
    shown = research.json("checkpoints", "show", one.id[3:12])
    assert (shown["step"], shown["pinned"]["note"], shown["damage"]) == (6, "best", [])
    listed = research.aexp("checkpoints", "ls", ten.id).stdout
    assert listed.count("pinned") == 1
    target = tmp_path / "weights"
    research.aexp("checkpoints", "get", one.id, str(target), "--dry-run")
    assert not target.exists()
    research.aexp("checkpoints", "get", one.id, str(target))
    assert (target / "model.bin").read_bytes() == b"6" * 1000
    assert "10 of 10" in research.aexp("checkpoints", "verify").stdout
    os.remove(by_step[1].path / "model.bin")
    (by_step[2].path / "manifest.json").unlink()
    failed = research.json("checkpoints", "verify", ten.id, rc=1)
    assert sum(not row["ok"] for row in failed) == 2
    research.json("checkpoints", "verify", one.id, by_step[9].id)
    assert "--keep-last" in research.aexp("checkpoints", "prune", "--all").stderr
    research.aexp("checkpoints", "prune", rc=2)
    words = research.aexp("checkpoints", "prune", ten.id, "--keep-last", "2", "--dry-run").stdout
    assert "would drop" in words
    (done,) = research.json("checkpoints", "prune", ten.id, "--keep-last", "2")
    assert [row["step"] for row in done["checkpoints"] if row["kept"]] == [9, 8, 6, 1]
    research.aexp("checkpoints", "unpin", one.id)
    research.aexp("checkpoints", "show", "ck_", rc=1)
    assert json.loads(research.aexp("gc", "--json").stdout)["deleted"] is False


def test_a_run_whose_policy_cannot_be_read_does_not_stop_the_others(
    research: Any, repo: Any, begin: Callable[..., Any], save: Callable[..., Any]
) -> None:
    research.experiment("true {seed}", experiment_id="E002")
    one = research.one("seed=0")
    add = ("queue", "add", "--experiment", "E002", "--sp", "seed=0")
    other = research.json(*add)["runs"][0]["job_id"]
    for job_id in (one, other):
        run = begin(job_id=job_id)
        save(run, 1)
        save(run, 2)
    research.experiment("true {seed}", "checkpoints: {keep_last: 1}\n")
    research.experiment("true {seed}", "checkpoints: {keep_lost: 1}\n", experiment_id="E002")
    done = research.aexp("checkpoints", "prune", "--all", rc=1)
    assert f"run {other[:8]} is passed over" in done.stderr
    assert "keep_lost" in done.stderr
    assert [len(list_checkpoints(repo, job_id)) for job_id in (one, other)] == [1, 2]
    assert "keep_lost" in research.aexp("checkpoints", "prune", other, rc=1).stderr
