"""``aexp sync`` with a real sshd and rsync: counts, changes, the filter, both directions."""

import os
import threading
from pathlib import Path
from typing import Any

from aexp.paths import Repo
from aexp.sharing.exchange import _take
from aexp.sharing.travel import Item

LATER = "2026-03-04T05:06:07Z"


def test_true_counts_of_one_project_into_a_folder_that_is_made(desk: Any) -> None:
    """The peer counts 0 always, and fails when the folder is missing."""
    (desk.root / "aexp.toml").write_text('project_slug = "mine"\n')
    mine = [desk.entry(number, project="mine") for number in range(4)]
    nameless = desk.entry(4)
    others = [desk.entry(number, project="other") for number in range(10, 13)]
    assert not desk.there.exists()

    said = desk.cli("sync", "engaging", "--dry-run")
    assert "Would have pushed 5 runs (filtered 3 from other projects) to 'engaging' in " in said
    assert not desk.there.exists()

    said = desk.cli("sync")
    assert "Pushed 5 runs (filtered 3 from other projects) to 'engaging' in " in said
    names = {path.name for path in (desk.there / ".aexp" / "ledger").iterdir()}
    assert names == {f"{job_id}.json" for job_id in [*mine, nameless]}
    assert all(desk.path(i, desk.there).read_bytes() == desk.path(i).read_bytes() for i in mine)
    assert not list((desk.there / ".aexp" / ".incoming").glob("*/"))

    again = desk.json("sync", "engaging")
    assert (again["runs"], again["unchanged"], again["filtered"]) == (0, 5, 3)

    (desk.root / "aexp.toml").write_text('project_slug = "mine"\nsync_filter = "none"\n')
    every = desk.json("sync", "engaging")
    assert (every["runs"], every["unchanged"], every["filtered"]) == (3, 5, 0)
    assert sorted(every["added"]) == sorted(others)

    # Back into an empty record: the filter is the same, of those that are there.
    (desk.root / "aexp.toml").write_text('project_slug = "other"\n')
    for path in (desk.root / ".aexp" / "ledger").iterdir():
        path.unlink()
    said = desk.cli("sync", "--pull")
    assert "Pulled 4 runs (filtered 4 from other projects) from 'engaging' in " in said
    assert {path.stem for path in (desk.root / ".aexp" / "ledger").glob("*.json")} == {
        *others,
        nameless,
    }


def test_a_run_that_has_changed_is_updated_and_never_by_an_older_record(desk: Any) -> None:
    """The peer never updates what was sent once, or would replace newer by older."""
    failed, behind, same = (desk.entry(number, status="failed") for number in range(3))
    assert desk.json("sync")["runs"] == 3

    desk.entry(0, status="complete", ended_at=LATER)  # a retry here
    desk.entry(1, desk.there, status="complete", ended_at=LATER)  # one there
    pushed = desk.json("sync")
    assert pushed["updated"] == [failed]
    assert pushed["kept"] == [behind]
    assert pushed["unchanged"] == 1
    assert desk.read(failed, desk.there)["status"] == "complete"
    assert desk.read(behind, desk.there)["status"] == "complete"
    assert desk.read(behind)["status"] == "failed"

    desk.entry(0, status="complete", ended_at="2026-05-01T00:00:00Z")
    pulled = desk.json("sync", "--pull")
    assert (pulled["updated"], pulled["kept"]) == ([behind], [failed])
    assert desk.read(behind)["ended_at"] == LATER
    assert desk.read(failed)["ended_at"] == "2026-05-01T00:00:00Z"
    assert desk.json("sync")["updated"] == [failed]
    for job_id in (failed, behind, same):
        assert desk.path(job_id).read_bytes() == desk.path(job_id, desk.there).read_bytes()

    # Of the same size, and with the same time to the second.
    before = desk.path(failed).stat()
    desk.entry(0, status="complete", ended_at="2026-06-01T00:00:00Z")
    assert desk.path(failed).stat().st_size == before.st_size
    assert desk.json("sync")["updated"] == [failed]
    assert desk.read(failed, desk.there)["ended_at"] == "2026-06-01T00:00:00Z"


def test_nothing_is_deleted_and_damage_costs_itself(desk: Any) -> None:
    desk.by_folder()
    good, bad, torn = (desk.entry(number) for number in range(3))
    assert desk.json("sync")["runs"] == 3
    (desk.there / "notes.txt").write_text("theirs")
    only_there = desk.entry(7, desk.there)
    desk.path(good).unlink()
    desk.path(bad).write_text("{ half")
    desk.path(torn, desk.there).write_text("{ half")
    done = desk.json("sync")
    assert done["updated"] == [torn]  # mended from here
    assert len(done["problems"]) == 1
    assert bad in done["problems"][0]
    for job_id in (good, bad, torn, only_there):
        assert desk.read(job_id, desk.there)["job_id"] == job_id
    assert (desk.there / "notes.txt").read_text() == "theirs"
    pulled = desk.json("sync", "--pull")
    assert sorted(pulled["added"]) == sorted([good, only_there])
    assert pulled["updated"] == [bad]

    # What says it is another run, or is none, is not taken.
    desk.path("f" * 32, desk.there).write_bytes(desk.path(good).read_bytes())
    (desk.there / ".aexp" / "ledger" / ("e" * 32 + ".json")).symlink_to("/etc/passwd")
    pulled = desk.json("sync", "--pull")
    assert pulled["runs"] == 0
    assert [("f" * 32 in said) for said in pulled["problems"]] == [True]
    assert not desk.path("e" * 32).exists()


def test_campaigns_travel_and_keep_what_they_have(desk: Any) -> None:
    """The peer keeps campaigns in a cache that is never synced."""
    desk.by_folder()
    (desk.root / "aexp.toml").write_text('project_slug = "mine"\n')
    mine, other = desk.entry(0, project="mine"), desk.entry(1, project="other")
    for campaign, runs in (
        ("both", [mine, other]),
        ("open", [mine, other]),
        ("theirs", [other]),
        ("empty", []),
    ):
        desk.cli("campaign", "create", campaign, "--question", "Which?")
        if runs:
            desk.cli("campaign", "add", *runs, "--campaign", campaign)
    desk.cli("campaign", "conclude", "both", "--outcome", "supported")
    done = desk.json("sync")
    there = desk.there / ".aexp" / "campaigns"
    found = {str(path.relative_to(there)) for path in there.rglob("*.json")}
    assert found == {
        "both/campaign.json",
        "both/conclusion.json",
        f"both/runs/{mine}.json",
        f"both/runs/{other}.json",  # concluded with it: without it, it would look removed
        f"open/runs/{mine}.json",
        "open/campaign.json",
        "empty/campaign.json",
    }
    assert len(done["campaign_files"]) == 7
    assert desk.json("sync")["campaign_files"] == []

    path = there / "empty" / "campaign.json"
    path.write_text(path.read_text().replace("Which?", "What?"))
    for direction in ([], ["--pull"]):
        done = desk.json("sync", *direction)
        assert done["problems"] == [
            "campaigns/empty/campaign.json differs on both sides; each keeps its own"
        ]
    assert "What?" in path.read_text()
    assert desk.json("campaign", "show", "empty")["question"] == "Which?"


def test_what_is_written_here_during_a_pull_stays(tmp_path: Path) -> None:
    """A campaign that is concluded here and there at once: one of them, and whole."""
    repo = Repo(tmp_path)
    name = "campaigns/c/conclusion.json"
    items = [Item(name, str(number).encode() * 9999, None) for number in range(8)]
    took: list[bool] = []
    threads = [
        threading.Thread(target=lambda one=one: took.append(_take(repo, one, dry_run=False)))
        for one in items
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert took.count(True) == 1
    written = (tmp_path / ".aexp" / name).read_bytes()
    assert written in [item.data for item in items]
    assert not _take(repo, items[0], dry_run=False)
    assert not _take(repo, items[1], dry_run=True)
    assert (tmp_path / ".aexp" / name).read_bytes() == written


def test_files_of_runs_are_chosen_and_never_mix_with_the_store(desk: Any) -> None:
    research = desk.research
    research.experiment("echo hello {seed}; echo one > $AEXP_CHECKPOINT_DIR/step-1")
    job_id = research.one()
    research.aexp("run-queued", job_id)
    own = research.workspace(job_id)
    said = desk.json("sync", "--files", "logs", "--files", "environment", "--files", "*.json")
    assert said["runs"] == 1
    copies = desk.there / ".aexp" / "files" / "here" / job_id
    assert (copies / "logs" / "1.log").read_bytes() == (own / "logs" / "1.log").read_bytes()
    assert (copies / "environment").is_dir()
    assert not (copies / "checkpoints").exists()
    assert not any(path.name in ("claim", "heartbeat") for path in copies.rglob("*"))
    sent = [path for path in copies.rglob("*") if path.is_file()]
    assert said["files"] == len(sent) > 2
    assert said["bytes"] == sum(path.stat().st_size for path in sent)

    with (own / "logs" / "1.log").open("a") as log:
        log.write("more\n")
    assert desk.json("sync", "--files", "logs", "--dry-run")["files"] == 1
    done = desk.json("sync", "--files", "logs", "--files", "checkpoints")
    assert "more" in (copies / "logs" / "1.log").read_text()
    saved = list((copies / "checkpoints").rglob("step-1"))
    assert len(saved) == 1
    assert done["files"] > 1
    assert not list(copies.rglob("outbox.sqlite*"))
    assert desk.cli("sync", "--files", "../x", rc=2)

    # There is a store of its own at the other machine: what ran there comes, and stays apart.
    away = "0" * 31 + "1"
    store = desk.there / ".runs" / "workspace"
    for run in (away, job_id):
        (store / run / "logs").mkdir(parents=True)
        (store / run / "logs" / "1.log").write_text("there\n")
    (desk.there / ".aexp" / "installed.json").write_text('{"machine_label": "far"}')
    before = research.tree()
    assert desk.json("sync", "--pull", "--files", "logs", "--dry-run")["files"] == 2
    assert research.tree() == before
    assert desk.json("sync", "--pull", "--files", "logs")["files"] == 2
    assert desk.json("sync", "--pull", "--files", "logs")["files"] == 0
    for run in (away, job_id):
        got = desk.root / ".aexp" / "files" / "far" / run / "logs" / "1.log"
        assert got.read_text() == "there\n"
    assert "hello" in (own / "logs" / "1.log").read_text()
    assert research.git("status", "--porcelain", ".aexp/files", ".aexp/cache") == ""


def test_the_log_of_a_run_of_another_machine(desk: Any) -> None:
    """A copy counts where this store has none: that of the machine whose record it is first."""
    job_id = desk.entry(0, registered_machine="far")
    refused = desk.cli("logs", job_id[:9], rc=1)
    assert "it ran on far: aexp sync REMOTE --pull --files logs" in refused
    copies = desk.root / ".aexp" / "files"
    for label, number in (("also", 3), ("far", 1), ("far", 2), ("no label", 9)):
        folder = copies / label / job_id / "logs"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{number}.log").write_text(f"{label} {number}\n")
    path = f".aexp/files/far/{job_id}/logs/2.log"
    for words in ([], ["--follow"], ["--attempt", "2"]):
        said = desk.cli("logs", job_id[:9], *words)
        assert sorted(said.splitlines()) == ["far 2", f"the log of far: {path}"]
    assert "far 1" in desk.cli("logs", job_id, "--attempt", "1")
    assert "also 3" in desk.cli("logs", job_id, "--attempt", "3")
    assert desk.cli("logs", job_id, "--path").strip() == str(desk.root / path)
    assert "attempt 9" in desk.cli("logs", job_id, "--attempt", "9", rc=1)
    # Of a run of this store: its own, and those copies that it has not.
    own = desk.research.one()
    for label in ("far", "here"):
        (copies / label / own / "logs").mkdir(parents=True)
        (copies / label / own / "logs" / "1.log").write_text(f"copy of {label}\n")
    assert "copy of far" in desk.cli("logs", own)
    desk.research.aexp("run-queued", own)
    assert "copy" not in desk.cli("logs", own)
    log = desk.research.workspace(own) / "logs" / "1.log"
    log.unlink()
    os.mkfifo(log)
    assert "is no file" in desk.cli("logs", own, rc=1)
    assert desk.cli("logs", own, "--follow") == ""
    # A clone that has no store prints what was brought, too.
    (desk.root / ".runs").rename(desk.root / "elsewhere")
    assert "far 2" in desk.cli("logs", job_id)
