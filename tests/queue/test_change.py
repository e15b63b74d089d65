"""remove, clear, retry: by id, by filter, with children, and when nothing matches."""

import shutil
from typing import Any

import pytest

import aexp


def statuses(research: Any, ids: list[str]) -> list[str]:
    return [research.status(job_id) for job_id in ids]


@pytest.fixture
def ended(research: Any) -> dict[str, str]:
    """One run of each kind of end, and one that is queued."""
    research.experiment("test {seed} = 0")
    ids = research.add("seed=0..3", "--tag", "t")
    research.aexp("run-queued", ids[0])
    research.aexp("run-queued", ids[1], rc=1)
    research.aexp("queue", "remove", ids[2])
    return dict(zip(("complete", "failed", "abandoned", "queued"), ids, strict=True))


def test_remove_by_id_abandons(research: Any) -> None:
    first, second = research.add("seed=0..1")
    assert "removed" in research.aexp("queue", "remove", first[:8]).stdout
    assert statuses(research, [first, second]) == ["abandoned", "queued"]
    assert research.entry(first)["cause"] == "removed"
    assert (research.workspace(first) / "terminal.json").exists()
    research.aexp("queue", "run", "--dry-run")
    assert [entry["job_id"] for entry in research.json("queue", "list")] == [second]


def test_remove_by_filter(research: Any) -> None:
    ids = research.add("condition=full|cls,seed=0..1", "--tag", "smoke")
    other = research.one("seed=9", "--tag", "paper")
    changes = research.json("queue", "remove", "--tag", "smoke", "--sp", "condition=cls")
    assert [(c["job_id"], c["status"], c["done"]) for c in changes] == [
        (job_id, "abandoned", True) for job_id in ids[2:]
    ]
    assert statuses(research, [*ids, other]) == ["queued"] * 2 + ["abandoned"] * 2 + ["queued"]


@pytest.mark.parametrize("kind", ["complete", "failed", "abandoned"])
def test_what_has_ended_cannot_be_removed(research: Any, ended: dict[str, str], kind: str) -> None:
    before = research.doc(ended[kind])
    done = research.aexp("queue", "remove", ended[kind], rc=1)
    assert "it has ended" in done.stdout
    assert research.doc(ended[kind]) == before
    with pytest.raises(aexp.StatusError):
        aexp.remove_from_queue(ended[kind], repo_root=research.root)


def test_what_runs_is_neither_removed_nor_cleared(research: Any, wait_until: Any) -> None:
    research.experiment("test {seed} = 1 || sleep 66")
    running, queued = research.add("seed=0..1")
    research.start_aexp("run-queued", running)
    wait_until(lambda: "proc" in research.doc(running)["queue"])
    assert "aexp queue stop" in research.aexp("queue", "remove", running, rc=1).stdout
    research.aexp("queue", "clear", "--yes")
    assert statuses(research, [running, queued]) == ["running", "abandoned"]
    assert "proc" in research.doc(running)["queue"]


@pytest.mark.parametrize("verb", ["remove", "stop", "retry"])
def test_a_verb_that_changes_runs_wants_ids_or_a_filter(research: Any, verb: str) -> None:
    job_id = research.one("seed=0")
    assert "--all" in research.aexp("queue", verb, rc=2).stderr
    done = research.aexp("queue", verb, job_id, "--tag", "x", rc=2)
    assert "not both" in done.stderr
    assert research.status(job_id) == "queued"


@pytest.mark.parametrize(
    "arguments",
    [
        ("queue", "remove", "--tag", "nope"),
        ("queue", "clear", "--yes", "--tag", "nope"),
        ("queue", "retry", "--tag", "nope"),
        ("queue", "retry", "--failed"),
        ("queue", "stop", "--tag", "nope"),
        ("queue", "run", "--tag", "nope"),
        ("queue", "list", "--tag", "nope"),
        ("queue", "list", "--sp", "seed=77"),
        ("list-runs", "--tag", "nope"),
        ("list-runs", "--status", "stopped"),
        ("status", "--tag", "nope"),
        ("queue", "materialize", "--tag", "nope", "-o", "-"),
    ],
)
def test_a_filter_that_matches_nothing_says_so(research: Any, arguments: tuple[str, ...]) -> None:
    research.one("seed=0")
    done = research.aexp(*arguments)
    words = done.stderr.replace(":", "")
    assert any(
        text in words
        for text in ("no run matches", "no queued run matches", "nothing is queued under")
    ), done.stderr
    assert next(word for word in (*arguments, "failed") if word in done.stderr)


def test_clear_wants_yes_where_it_cannot_ask(research: Any) -> None:
    ids = research.add("seed=0..2")
    assert "--yes" in research.aexp("queue", "clear", rc=2).stderr
    assert statuses(research, ids) == ["queued"] * 3
    research.aexp("queue", "clear", "--yes")
    assert statuses(research, ids) == ["abandoned"] * 3


def test_the_api_clears_under_a_filter(research: Any) -> None:
    first = research.one("seed=0", "--tag", "a")
    second = research.one("seed=1", "--tag", "b")
    assert aexp.clear_queue(tag="a", repo_root=research.root) == [first]
    assert statuses(research, [first, second]) == ["abandoned", "queued"]
    assert aexp.remove_from_queue(second, repo_root=research.root) == "abandoned"


# --- retry ---------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["complete", "failed", "abandoned"])
def test_retry_by_id_queues_any_ended_run(research: Any, ended: dict[str, str], kind: str) -> None:
    job_id = ended[kind]
    attempts = research.doc(job_id)["aexp_run"].get("attempts", [])
    assert f"was {kind}" in research.aexp("queue", "retry", job_id).stdout
    doc = research.doc(job_id)
    assert doc["status"] == "queued"
    assert doc["queue"]["tag"] == "t"
    assert doc["aexp_run"].get("attempts", []) == attempts
    assert not (research.workspace(job_id) / "terminal.json").exists()
    assert "last_error" not in doc["queue"]


@pytest.mark.parametrize(
    ("arguments", "again"),
    [
        (("--failed",), {"failed"}),
        (("--tag", "t"), {"failed"}),
        (("--status", "complete"), {"complete"}),
        (("--all",), {"failed"}),
        (("--sp", "seed=1"), {"failed"}),
    ],
)
def test_retry_by_filter(
    research: Any, ended: dict[str, str], arguments: tuple[str, ...], again: set[str]
) -> None:
    changes = research.json("queue", "retry", *arguments)
    assert [change["job_id"] for change in changes] == [ended[kind] for kind in again]
    for kind, job_id in ended.items():
        assert research.status(job_id) == ("queued" if kind in again else kind)


def test_a_queued_run_is_not_retried(research: Any, ended: dict[str, str]) -> None:
    done = research.aexp("queue", "retry", ended["queued"], rc=1)
    assert "is queued already" in done.stdout


def test_a_retried_run_goes_to_the_end_of_the_queue(research: Any, ended: dict[str, str]) -> None:
    research.aexp("queue", "retry", "--failed")
    assert [e["job_id"] for e in research.json("queue", "list")] == [
        ended["queued"],
        ended["failed"],
    ]


def test_a_retry_starts_the_counts_anew(research: Any) -> None:
    research.experiment("test -e go")
    job_id = research.one("seed=0", "--retries", "1")
    research.aexp("run-queued", job_id, rc=1)
    research.aexp("queue", "retry", job_id)
    research.aexp("run-queued", job_id, rc=1)
    attempts = research.doc(job_id)["aexp_run"]["attempts"]
    assert [attempt["attempt"] for attempt in attempts] == [1, 2, 3, 4]
    entry = research.entry(job_id)
    assert entry["wallclock_s"] == pytest.approx(
        sum(attempt["wallclock_s"] for attempt in attempts[2:]), abs=0.01
    )


# --- children ------------------------------------------------------------------------------


@pytest.fixture
def family(research: Any) -> list[str]:
    """A parent that fails, its child, its grandchild: all three ended."""
    research.experiment("test -e fixed && echo {seed} >> ran")
    parent = research.one("seed=0")
    child = research.one("seed=1", "--after", parent)
    grandchild = research.one("seed=2", "--after", child)
    research.aexp("queue", "run", "--continue-on-failure", rc=1)
    return [parent, child, grandchild]


def test_children_of_a_failed_parent_are_abandoned(research: Any, family: list[str]) -> None:
    assert statuses(research, family) == ["failed", "abandoned", "abandoned"]
    for job_id in family[1:]:
        assert research.entry(job_id)["cause"] == "parent_failed"
        assert "parent_failed" in research.aexp("show-run", job_id).stdout
    assert not (research.root / "ran").exists()


@pytest.mark.parametrize("how", [("ids",), ("--failed",), ("--all",)])
def test_children_come_back_with_their_parent(
    research: Any, family: list[str], how: tuple[str, ...]
) -> None:
    (research.root / "fixed").touch()
    arguments = (family[0],) if how == ("ids",) else how
    changes = research.json("queue", "retry", *arguments)
    assert [change["job_id"] for change in changes] == family
    research.aexp("queue", "run")
    assert statuses(research, family) == ["complete"] * 3
    assert (research.root / "ran").read_text().split() == ["0", "1", "2"]


def test_a_removed_child_does_not_come_back(research: Any) -> None:
    research.experiment("exit 1")
    parent = research.one("seed=0")
    child = research.one("seed=1", "--after", parent)
    research.aexp("queue", "remove", child)
    research.aexp("run-queued", parent, rc=1)
    research.aexp("queue", "retry", parent)
    assert statuses(research, [parent, child]) == ["queued", "abandoned"]


def test_removing_a_parent_gives_its_children_up(research: Any) -> None:
    parent = research.one("seed=0")
    child = research.one("seed=1", "--after", parent)
    research.aexp("queue", "remove", parent)
    assert "abandoned" in research.aexp("reconcile").stdout
    assert research.status(child) == "abandoned"
    assert research.entry(child)["cause"] == "parent_failed"


def test_ids_can_be_short_and_several_and_repeated(research: Any) -> None:
    ids = research.add("seed=0..2")
    changes = research.json("queue", "remove", ids[0][:9], ids[1], ids[0])
    assert [change["job_id"] for change in changes] == ids[:2]


def test_one_bad_id_of_several_changes_nothing(research: Any) -> None:
    ids = research.add("seed=0..1")
    research.aexp("queue", "remove", ids[0], "0" * 32, rc=1)
    assert statuses(research, ids) == ["queued"] * 2


def test_retry_through_the_api(research: Any, ended: dict[str, str]) -> None:
    (change,) = aexp.retry_queued([ended["failed"]], repo_root=research.root)
    assert (change.job_id, change.status, change.done) == (ended["failed"], "queued", True)


@pytest.mark.parametrize("verb", [["remove", "--tag", "t"], ["clear", "--tag", "t", "--yes"]])
def test_giving_a_run_up_keeps_what_another_machine_recorded(
    research: Any, verb: list[str]
) -> None:
    [job_id] = research.add("seed=0", "--tag", "t")
    research.aexp("run-queued", job_id)
    entry = research.entry(job_id)
    shutil.rmtree(research.workspace(job_id))
    research.add("seed=0", "--tag", "t")
    research.aexp("queue", *verb)
    assert research.status(job_id) == "abandoned"
    assert research.entry(job_id) == entry
    for command in (["reconcile"], ["ledger", "backfill", "--overwrite"]):
        research.aexp(*command)
        assert research.entry(job_id) == entry
    # Also when Snakemake had deleted the entry to make it again.
    (research.root / ".aexp" / "ledger" / f"{job_id}.json").unlink()
    research.aexp("reconcile")
    assert research.entry(job_id) == entry


def test_a_merge_conflict_in_an_entry_is_left_to_the_user(research: Any) -> None:
    [job_id] = research.add("seed=0")
    research.aexp("run-queued", job_id)
    path = research.root / ".aexp" / "ledger" / f"{job_id}.json"
    ours = path.read_text()
    conflict = f"<<<<<<< HEAD\n{ours}=======\n{ours}>>>>>>> theirs\n"
    path.write_text(conflict)
    said = research.aexp("reconcile").stderr
    assert "has a merge conflict of git" in said
    assert path.read_text() == conflict
    refused = research.aexp("ledger", "promote", job_id, rc=None)
    assert refused.returncode != 0
    assert "git checkout --theirs" in refused.stderr
    assert path.read_text() == conflict


def test_the_message_of_an_earlier_end_does_not_stay(research: Any) -> None:
    research.experiment("test -e mended")
    [parent] = research.add("seed=0")
    [child] = research.add("seed=1", "--after", parent)
    research.snakemake(rc=1)
    assert "is failed" in research.doc(child)["aexp_run"]["message"]
    (research.root / "mended").touch()
    research.aexp("queue", "retry", parent)
    research.snakemake()
    assert research.status(child) == "complete"
    assert "message" not in research.doc(child)["aexp_run"]


def test_taking_a_retry_back_restores_everything(research: Any) -> None:
    research.experiment("test {seed} = 0")
    [job_id] = research.add("seed=1", "--retries", "1", "--tag", "t")
    research.aexp("run-queued", job_id, rc=1)
    doc, entry = research.doc(job_id), research.entry(job_id)
    research.aexp("queue", "retry", job_id)
    research.aexp("queue", "remove", job_id)
    assert research.doc(job_id) == doc
    assert research.entry(job_id) == entry
    research.add("seed=1", "--retries", "5", "--tag", "other", "--priority", "3")
    research.aexp("queue", "remove", job_id)
    assert research.doc(job_id) == doc
    assert research.entry(job_id) == entry


@pytest.mark.parametrize("damage", [b"", b'{"aexp": {"experiment_id": "E001"}, "sta'])
def test_a_damaged_document_is_named_by_the_list(research: Any, damage: bytes) -> None:
    [job_id] = research.add("seed=1")
    path = research.workspace(job_id) / "signac_job_document.json"
    path.write_bytes(damage)
    assert str(path) in research.aexp("queue", "list").stderr
    said = research.snakemake().stderr
    assert f"aexp: {path}" in said
    assert "CorruptFileWarning" not in said
