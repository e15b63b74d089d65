"""The files of campaigns: created, joined, concluded; by several people, and damaged."""

import json
import shutil
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aexp.campaigns.campaign import (
    Conclusion,
    campaign_bytes,
    conclusion_bytes,
    membership_bytes,
    parse_campaign,
    parse_conclusion,
)
from aexp.campaigns.read import load_campaign
from aexp.campaigns.write import add_runs, conclude_campaign, create_campaign
from aexp.errors import AexpError, CampaignRefused, CorruptFile, UsageError
from aexp.paths import Repo
from aexp.validation.validate import validate_repo

ODD = 'it\'s "so" | <b>\N{SNOWMAN}</b> `x` \\ ~ \u202e\n# second; DROP TABLE runs; --\n- line'
CAMPAIGN = ".aexp/campaigns/wide/campaign.json"


def test_the_id_is_the_word_that_people_type_and_works_before_any_catalogue(lab: Any) -> None:
    """Create, add, ls, show, conclude by the slug; nothing but the campaign's files is made."""
    run, other = lab.entry(0), lab.entry(1, status="failed")
    before = lab.tree()
    assert lab.json("campaign", "ls") == []
    lab.cli("campaign", "create", "wide", "--question", ODD, "--hypothesis", "wider | better")
    assert set(lab.tree()) - set(before) == {CAMPAIGN}
    assert lab.json("campaign", "show", "wide")["runs"] == []
    assert "it has no runs yet" in lab.cli("campaign", "show", "wide") + lab.stderr

    lab.cli("campaign", "add", run[:7], other, "--campaign", "wide")
    added = lab.json("campaign", "add", run, other[:9], run, "-c", "wide")["runs"]
    assert [(one["job_id"], one["is_new"]) for one in added] == [(run, False), (other, False)]
    assert set(lab.tree()) - set(before) == {
        CAMPAIGN,
        *(f".aexp/campaigns/wide/runs/{job_id}.json" for job_id in (run, other)),
    }
    shown = lab.json("campaign", "show", "wide")
    assert (shown["question"], shown["hypothesis"]) == (ODD, "wider | better")
    assert (shown["mode"], shown["status"]) == ("exploration", "open")
    assert {one["job_id"]: one["status"] for one in shown["runs"]} == {
        run: "complete",
        other: "failed",
    }
    text = lab.cli("campaign", "show", "wide")
    assert run[:8] in text
    assert "accuracy=0.5" in text
    assert "second" in next(line for line in text.splitlines() if "question" in line)

    lab.campaign("next", "--mode", "confirmation", "--parent", "wide")
    lab.cli("campaign", "conclude", "wide", "--outcome", "supported", "--note", ODD)
    rows = lab.json("campaign", "ls")
    assert {row["id"] for row in rows} == {"next", "wide"}
    wide = next(row for row in rows if row["id"] == "wide")
    assert (wide["status"], wide["runs"], wide["outcome"]) == ("concluded", 2, "supported")
    assert lab.json("campaign", "ls", "--status", "open")[0]["id"] == "next"
    assert lab.json("campaign", "show", "wide")["conclusion"]["note"] == ODD
    assert lab.cli("campaign", "ls", "--csv").startswith("id,mode,status,runs")


def test_what_is_wrong_is_said_and_nothing_is_written(lab: Any) -> None:
    run = lab.entry(0)
    lab.campaign("wide", runs=[run])
    lab.campaign("done", runs=[run])
    lab.cli("campaign", "conclude", "done", "--outcome", "refuted")
    before = lab.tree()
    for words, rc, told in (
        (("create", "wide"), 2, "there is a campaign wide already"),
        (("create", "Wider Layers!"), 2, "for instance wider-layers"),
        (("create", "../up"), 2, "cannot be a campaign's id"),
        (("create", "x" * 64), 2, "at most 63"),
        (("create", "a\x1b[31m"), 2, "'a\\x1b[31m' cannot be"),
        (("create", "new", "--parent", "nosuch"), 1, "there is no campaign 'nosuch'"),
        (("create", "new", "--hypothesis", "H099"), 1, "no hypothesis H099"),
        (("create", "new", "--mode", "guess"), 2, "one of: exploration, confirmation"),
        (("create", "new", "--question", " "), 2, "the question is empty"),
        (("show", "wode"), 1, "did you mean wide"),
        (("review", "nosuch"), 1, "there is no campaign 'nosuch'"),
        (("report", "nosuch"), 1, "there is no campaign 'nosuch'"),
        (("conclude", "nosuch", "--outcome", "x"), 1, "there is no campaign 'nosuch'"),
        (("add", run, "-c", "nosuch"), 1, "there is no campaign 'nosuch'"),
        (("add", run, "ffff", "-c", "wide"), 1, "no run begins with ffff"),
        (("add", "zzz", "-c", "wide"), 2, "'zzz' is not a run id"),
        (("add", run, "-c", "done"), 1, "was concluded at"),
        (("conclude", "done", "--outcome", "supported"), 1, "was concluded already"),
        (("conclude", "wide", "--outcome", "two\nlines"), 2, "cannot be an outcome"),
    ):
        lab.cli("campaign", *words, rc=rc)
        assert told in lab.stderr, (words, lab.stderr)
        assert lab.tree() == before, words
    for words in (
        ("create", "new", "--parent", "wide"),
        ("add", run, "-c", "wide"),
        ("conclude", "wide", "--outcome", "x"),
    ):
        assert "would" in lab.cli("campaign", *words, "--dry-run")
        assert lab.tree() == before
    assert lab.json("campaign", "show", "done")["conclusion"]["outcome"] == "refuted"


def test_two_clones_merge_with_plain_git(lab: Any, clone: Callable[[str], Any]) -> None:
    """Both add runs, also the same one, while one concludes: git has nothing to ask."""
    runs = [lab.entry(seed) for seed in range(5)]
    lab.campaign("wide", runs=runs[:1])
    lab.commit()
    other = clone("other")
    lab.cli("campaign", "add", *runs[1:3], "-c", "wide")
    lab.campaign("ours")
    lab.commit("ours")
    other.cli("campaign", "add", *runs[2:4], "-c", "wide")
    other.campaign("theirs")
    theirs = other.commit("theirs")
    lab.git("fetch", "-q", str(other.root), "main")
    lab.git("merge", "-q", "--no-edit", theirs)
    assert [one["job_id"] for one in lab.json("campaign", "show", "wide")["runs"]] == runs[:4]
    assert {row["id"] for row in lab.json("campaign", "ls")} == {"ours", "theirs", "wide"}

    # One clone concludes, another adds before it knows: the run is named, and does not count.
    other.git("pull", "-q", "--no-rebase", str(lab.root), "main")
    lab.cli("campaign", "conclude", "wide", "--outcome", "supported")
    lab.commit("concluded")
    other.cli("campaign", "add", runs[4], "-c", "wide")
    other.commit("late")
    lab.git("pull", "-q", "--no-rebase", "--no-edit", str(other.root), "main")
    shown = lab.json("campaign", "show", "wide")
    assert shown["late"] == [runs[4]]
    assert len(shown["runs"]) == 4
    assert runs[4][:8] in lab.cli("campaign", "show", "wide")

    # What is gone of a concluded campaign is named as well.
    (lab.root / f".aexp/campaigns/wide/runs/{runs[0]}.json").unlink()
    assert lab.json("campaign", "show", "wide")["lost"] == [runs[0]]
    assert runs[0] in {one["job_id"] for one in lab.json("campaign", "show", "wide")["runs"]}

    # Both conclude: that is for people to settle, and until then the file is named.
    lab.commit()
    other.git("pull", "-q", "--no-rebase", "--no-edit", str(lab.root), "main")
    for one, label in ((lab, "supported"), (other, "refuted")):
        one.cli("campaign", "conclude", "ours", "--outcome", label)
        one.commit(label)
    lab.git("fetch", "-q", str(other.root), "main")
    lab.git("merge", "-q", "FETCH_HEAD", rc=1)
    lab.cli("campaign", "show", "ours", rc=1)
    assert ".aexp/campaigns/ours/conclusion.json has a merge conflict of git" in lab.stderr
    assert "git checkout --theirs .aexp/campaigns/ours/conclusion.json" in lab.stderr
    assert {row["id"] for row in lab.json("campaign", "ls")} == {"theirs", "wide"}
    assert "ours/conclusion.json" in " ".join(lab.warnings)


def test_campaigns_survive_the_cache_and_travel_with_git(
    lab: Any, clone: Callable[[str], Any]
) -> None:
    run = lab.entry(0)
    lab.campaign("wide", "--question", ODD, runs=[run])
    lab.commit()
    shutil.rmtree(lab.root / ".aexp" / "cache", ignore_errors=True)
    shown = lab.json("campaign", "show", "wide")
    assert clone("far").json("campaign", "show", "wide") == shown
    assert (shown["question"], [one["job_id"] for one in shown["runs"]]) == (ODD, [run])

    # A run of a clone whose ledger entry has not come is shown as what it is: not known here.
    entry = lab.root / ".aexp" / "ledger" / f"{run}.json"
    entry.unlink()
    assert [one["status"] for one in lab.json("campaign", "show", "wide")["runs"]] == ["unknown"]
    assert lab.warnings == []
    entry.write_text("{")
    assert [one["status"] for one in lab.json("campaign", "show", "wide")["runs"]] == ["unknown"]
    assert f"{run}.json" in " ".join(lab.warnings)


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b"\xff", b"null", b'{"schema_version": 1}', b"[" * 100_000]
)
def test_a_damaged_file_costs_itself(lab: Any, content: bytes) -> None:
    runs = [lab.entry(seed) for seed in range(2)]
    lab.campaign("wide", runs=runs)
    lab.campaign("other", runs=runs)
    member = lab.root / f".aexp/campaigns/wide/runs/{runs[0]}.json"
    member.write_bytes(content)
    (member.parent / "notes.txt").write_text("x")
    assert [one["job_id"] for one in lab.json("campaign", "show", "wide")["runs"]] == [runs[1]]
    assert len(lab.warnings) == 2
    assert f".aexp/campaigns/wide/runs/{runs[0]}.json" in " ".join(lab.warnings)
    (lab.root / CAMPAIGN).write_bytes(content)
    assert [row["id"] for row in lab.json("campaign", "ls")] == ["other"]
    assert CAMPAIGN in " ".join(lab.warnings)
    before = lab.tree()
    for words in (("show", "wide"), ("add", runs[0], "-c", "wide"), ("review", "wide")):
        lab.cli("campaign", *words, rc=1)
        assert CAMPAIGN in lab.stderr
        assert "git checkout" in lab.stderr or "restore" in lab.stderr
    lab.cli("campaign", "create", "wide", rc=2)
    assert lab.tree() == before


def test_hand_edited_and_missing_files(lab: Any) -> None:
    run = lab.entry(0)
    lab.campaign("wide", runs=[run])
    content = json.loads((lab.root / CAMPAIGN).read_text())
    for key, value in (
        ("mode", "guess"), ("id", "other"), ("created_at", 5), ("question", ["x"]),
        ("created_commit", "--help"), ("schema_version", "x"),
    ):  # fmt: skip
        lab.write(CAMPAIGN, json.dumps({**content, key: value}))
        lab.cli("campaign", "show", "wide", rc=1)
        assert CAMPAIGN in lab.stderr
    # A field of a later version is no fault.
    lab.write(CAMPAIGN, json.dumps({**content, "schema_version": 2, "budget": 5}))
    lab.cli("campaign", "show", "wide")
    (lab.root / CAMPAIGN).unlink()
    lab.cli("campaign", "create", "wide", rc=1)
    assert f"restore it: git checkout -- {CAMPAIGN}" in lab.stderr
    assert lab.json("campaign", "ls") == []
    assert f"{CAMPAIGN} is missing" in " ".join(lab.warnings)
    (lab.root / CAMPAIGN).symlink_to(lab.root / ".gitignore")
    lab.cli("campaign", "show", "wide", rc=1)
    assert "no plain file" in lab.stderr


def test_validate_knows_campaigns(lab: Any) -> None:
    """One issue per problem, at the file; an open campaign may wait for runs of other clones."""
    runs = [lab.entry(seed) for seed in range(3)]
    lab.campaign("wide", runs=runs[:2])
    lab.campaign("next", "--parent", "wide", runs=runs)
    lab.cli("campaign", "conclude", "wide", "--outcome", "supported")
    folder = ".aexp/campaigns/wide"

    def issues() -> list[tuple[str, str, str | None]]:
        found = validate_repo(lab.root, mode="runs-only").issues
        return [(issue.code, issue.severity, issue.path) for issue in found]

    assert issues() == []
    late = lab.write(f"{folder}/runs/{runs[2]}.json", membership_bytes("wide", runs[2]).decode())
    assert issues() == [("campaign.late", "warning", f"{folder}/runs/{runs[2]}.json")]
    late.unlink()
    member = lab.root / folder / "runs" / f"{runs[0]}.json"
    content = member.read_text()
    member.unlink()
    assert issues() == [("campaign.lost", "error", f"{folder}/conclusion.json")]
    member.write_text(content)
    entry = lab.root / ".aexp" / "ledger" / f"{runs[0]}.json"
    kept = entry.read_text()
    entry.unlink()
    assert issues() == [("campaign.unknown_run", "error", f"{folder}/conclusion.json")]
    entry.write_text(kept)
    lab.write(".aexp/campaigns/next/runs/x.json", "{")
    lab.write(f"{folder}/conclusion.json", "{")
    assert issues() == [
        ("campaign.corrupt", "error", ".aexp/campaigns/next/runs/x.json"),
        ("campaign.corrupt", "error", f"{folder}/conclusion.json"),
    ]
    shutil.rmtree(lab.root / folder)
    assert issues()[1:] == [("campaign.parent", "warning", ".aexp/campaigns/next/campaign.json")]


def test_nothing_is_written_through_a_link(lab: Any, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (lab.root / ".aexp" / "campaigns").symlink_to(tmp_path / "out")
    lab.cli("campaign", "create", "wide", rc=1)
    assert ".aexp/campaigns is a link" in lab.stderr
    (lab.root / ".aexp" / "campaigns").unlink()
    run = lab.entry(0)
    lab.campaign("wide")
    (lab.root / ".aexp" / "campaigns" / "wide" / "runs").symlink_to(tmp_path / "out")
    lab.cli("campaign", "add", run, "-c", "wide", rc=1)
    assert ".aexp/campaigns/wide/runs is a link" in lab.stderr
    assert list((tmp_path / "out").iterdir()) == []


def test_of_many_who_conclude_at_once_one_does_and_no_run_joins_unseen(lab: Any) -> None:
    """What joined is in the conclusion, whatever the order; what came too late was refused."""
    runs = [lab.entry(seed) for seed in range(12)]
    create_campaign(lab.repo, "wide")
    told: list[str] = []
    joined: list[str] = []

    def conclude(label: str) -> None:
        try:
            told.append(conclude_campaign(Repo(lab.root), "wide", outcome=label).outcome)
        except CampaignRefused:
            told.append("refused")

    def add(job_id: str) -> None:
        try:
            joined.extend(one.job_id for one in add_runs(Repo(lab.root), "wide", [job_id]))
        except CampaignRefused:
            told.append("too late")

    threads = [threading.Thread(target=add, args=(run,)) for run in runs]
    threads[6:6] = [threading.Thread(target=conclude, args=(f"o{n}",)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    files = load_campaign(lab.repo, "wide")
    assert files.conclusion is not None
    assert told.count("refused") == 3
    assert files.conclusion.outcome in told
    assert list(files.conclusion.runs) == sorted(joined)
    assert (files.late, files.lost) == ((), ())
    assert told.count("too late") == len(runs) - len(joined)


TEXT = st.one_of(st.none(), st.text(min_size=1, max_size=60))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(question=TEXT, label=st.text(min_size=1, max_size=20), note=TEXT)
def test_texts_come_out_as_they_went_in(
    tmp_path_factory: pytest.TempPathFactory, question: Any, label: str, note: Any
) -> None:
    """Whatever is accepted is read back equal; the rest is refused before anything is written."""
    repo = Repo(tmp_path_factory.mktemp("texts"))
    try:
        made = create_campaign(repo, "c", question=question)
    except UsageError:
        assert question is not None
        assert not question.strip() or "\0" in question
        return
    assert parse_campaign(campaign_bytes(made), "x", "c") == made
    assert load_campaign(repo, "c").campaign.question == question
    try:
        done = conclude_campaign(repo, "c", outcome=label, note=note)
    except UsageError:
        assert load_campaign(repo, "c").conclusion is None
        return
    assert parse_conclusion(conclusion_bytes("c", done), "x", "c") == done
    assert load_campaign(repo, "c").conclusion == done


@given(st.binary(max_size=200))
def test_no_content_is_more_than_a_fault(data: bytes) -> None:
    for parse in (parse_campaign, parse_conclusion):
        with pytest.raises(CorruptFile) as caught:
            parse(data, "the file", "c")
        assert caught.value.message.startswith("the file")


def test_a_conclusion_names_ids_only() -> None:
    fine = Conclusion("x", None, "2026-01-02T03:04:05Z", None, ("0" * 32,))
    for runs in ([5], ["../x"], "0" * 32, None):
        broken = json.loads(conclusion_bytes("c", fine)) | {"runs": runs}
        with pytest.raises(AexpError, match="run ids"):
            parse_conclusion(json.dumps(broken).encode(), "x", "c")
