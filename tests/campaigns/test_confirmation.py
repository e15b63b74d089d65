"""A confirmation takes no run that began before it: git's order first, then the clocks."""

import os
from pathlib import Path
from typing import Any

from aexp.campaigns.order import BY_GIT, BY_TIME, NOT_BEGUN, Order
from aexp.campaigns.read import load_campaign
from aexp.validation.validate import validate_repo

PAST, FUTURE = "2001-01-01T00:00:00Z", "2099-01-01T00:00:00Z"


def test_by_the_clocks_where_git_knows_nothing(lab: Any) -> None:
    lab.campaign("conf", "--mode", "confirmation")
    old, new = lab.entry(0, started_at=PAST), lab.entry(1, started_at=FUTURE)
    again = lab.entry(2, started_at=FUTURE, attempts=[{"started_at": PAST}])
    same = lab.entry(3, started_at=load_campaign(lab.repo, "conf").campaign.created_at)
    lab.cli("campaign", "add", new, same, "-c", "conf")
    for run in (old, again):
        before = lab.tree()
        lab.cli("campaign", "add", new, run, lab.entry(4, started_at=FUTURE), "-c", "conf", rc=1)
        assert f"1 run(s) began before it: {run[:8]} (at {PAST})" in lab.stderr
        assert "new seeds" in lab.stderr
        assert set(lab.tree()) - set(before) <= {
            name for name in lab.tree() if "/ledger/" in name
        }, "none is added where one is refused"
    # An exploration takes them.
    lab.campaign("open", runs=[old, again])


def test_a_result_that_git_had_then_is_refused_whatever_its_clock_says(lab: Any) -> None:
    """The peer compares clocks: a machine that is ahead gets its old results confirmed."""
    run = lab.entry(0, started_at=FUTURE)
    lab.commit()
    lab.campaign("conf", "--mode", "confirmation")
    lab.cli("campaign", "add", run, "-c", "conf", rc=1)
    assert "its ledger entry is older" in lab.stderr
    order = Order(lab.repo, load_campaign(lab.repo, "conf").campaign)
    assert order.of(run) == (True, BY_GIT, FUTURE)
    assert order.of("0" * 32) == (False, NOT_BEGUN, None)


def test_code_that_contains_the_campaign_is_later_whatever_the_clock_says(lab: Any) -> None:
    before = lab.git("rev-parse", "HEAD")
    lab.campaign("conf", "--mode", "confirmation")
    lab.write("train.py", "print(1)")
    after = lab.commit("preregistered, and the code")
    run = lab.entry(0, started_at=PAST, sp={"code_commit": after, "code_dirty": False})
    early = lab.entry(0, started_at=PAST, sp={"code_commit": before, "code_dirty": False})
    odd = lab.entry(0, started_at=PAST, sp={"code_commit": "--help"})
    lab.cli("campaign", "add", run, "-c", "conf")
    order = Order(lab.repo, load_campaign(lab.repo, "conf").campaign)
    assert [order.of(one)[:2] for one in (run, early, odd)] == [
        (False, BY_GIT), (True, BY_TIME), (True, BY_TIME),
    ]  # fmt: skip
    # A campaign of that name that was another one then says nothing.
    lab.git("rm", "-rq", "--cached", ".aexp/campaigns/conf")
    name = lab.root / ".aexp" / "campaigns" / "conf" / "campaign.json"
    name.write_text(name.read_text().replace('"question": null', '"question": "another"'))
    other = Order(lab.repo, load_campaign(lab.repo, "conf").campaign)
    assert other.of(run)[:2] == (True, BY_TIME)


def test_what_came_in_by_hand_or_by_a_merge_is_an_alarm(lab: Any) -> None:
    old = lab.entry(0, started_at=PAST)
    lab.campaign("open", runs=[old])
    lab.campaign("conf", "--mode", "confirmation")
    member = lab.root / ".aexp" / "campaigns" / "open" / "runs" / f"{old}.json"
    target = lab.root / ".aexp" / "campaigns" / "conf" / "runs" / f"{old}.json"
    target.parent.mkdir()
    target.write_text(member.read_text().replace('"open"', '"conf"'))
    found = lab.json("campaign", "review", "conf", "--strict", rc=1)
    assert [(one["severity"], one["kind"]) for one in found["remarks"]] == [("alarm", "early")]


def test_a_campaign_that_was_rewritten_is_an_alarm(lab: Any) -> None:
    def seen(campaign_id: str) -> list[tuple[str, str]]:
        remarks = lab.json("campaign", "review", campaign_id)["remarks"]
        found = [one["message"].split()[0] for one in remarks if one["kind"] == "edited"]
        issues = validate_repo(lab.root, mode="runs-only").issues
        told = [issue.path for issue in issues if issue.code == "campaign.edited"]
        return [(campaign_id, path.rpartition("/")[2]) for path in found if path in told]

    lab.campaign("conf", "--mode", "confirmation", "--question", "wider?")
    lab.campaign("other", runs=[lab.entry(0)])
    path = lab.root / ".aexp" / "campaigns" / "conf" / "campaign.json"
    written = path.read_text()
    path.write_text(written.replace("wider", "deeper"))
    assert seen("conf") == [], "nobody but git can tell"
    path.write_text(written)
    lab.commit()
    lab.cli("campaign", "conclude", "conf", "--outcome", "refuted")
    lab.git("add", "-A")  # not committed yet: it is new
    assert seen("conf") == seen("other") == []
    lab.commit()
    # In the working tree, and when that is committed, for good.
    conclusion = path.with_name("conclusion.json")
    conclusion.write_text(conclusion.read_text().replace("refuted", "supported"))
    assert seen("conf") == [("conf", "conclusion.json")]
    path.unlink()
    lab.commit()
    path.write_text(written)
    lab.commit()
    assert seen("conf") == [("conf", "campaign.json"), ("conf", "conclusion.json")]
    assert seen("other") == []
    lab.cli("campaign", "review", "conf", "--strict", rc=1)


def test_a_run_that_cannot_be_judged_is_refused(lab: Any) -> None:
    lab.campaign("conf", "--mode", "confirmation")
    run = lab.entry(0, started_at=FUTURE)
    lab.write(f".aexp/ledger/{run}.json", "{")
    lab.cli("campaign", "add", run, "-c", "conf", rc=1)
    assert f".aexp/ledger/{run}.json is no ledger entry" in lab.stderr


def test_queue_add_joins_runs_as_they_are_queued(
    research: Any, make_lab: Any, tmp_path: Path
) -> None:
    """An unknown, concluded or too late campaign refuses the whole add, before anything."""
    research.experiment("true")
    here = type(make_lab(tmp_path / "other"))(research.root)  # its verbs, in this process

    def refused(*arguments: str) -> str:
        here.cli(*arguments, rc=1)
        return str(here.stderr)

    def members(campaign: str) -> set[str]:
        folder = research.root / ".aexp" / "campaigns" / campaign / "runs"
        return {path.stem for path in folder.iterdir()} if folder.is_dir() else set()

    for name, mode in (("wide", "exploration"), ("done", "exploration"), ("conf", "confirmation")):
        here.cli("campaign", "create", name, "--mode", mode)
    here.cli("campaign", "conclude", "done", "--outcome", "dropped")
    add = ("queue", "add", "--experiment", "E001", "--no-commit", "--sweep", "seed=0..1")
    before = research.tree()
    for campaign, told in (("nosuch", "there is no campaign 'nosuch'"), ("done", "was concluded")):
        assert told in refused(*add, "--campaign", campaign)
        assert research.tree() == before
    here.cli(*add, "--campaign", "wide", "--dry-run")
    assert research.tree() == before
    said = here.json(*add, "--campaign", "wide")
    ids = {run["job_id"] for run in said["runs"]}
    assert (said["campaign"], members("wide")) == ("wide", ids)

    # Runs that wait already join, too; that heals an add that was killed in between.
    one = min(ids)
    os.unlink(research.root / ".aexp" / "campaigns" / "wide" / "runs" / f"{one}.json")
    here.cli(*add, "--campaign", "wide")
    assert "belong to it now" in here.stderr
    assert members("wide") == ids

    # A confirmation takes what waits, and runs of its own seeds when they have ended.
    here.cli(*add, "--campaign", "conf")
    research.aexp("queue", "run")
    shown = here.json("campaign", "show", "conf")
    assert [run["status"] for run in shown["runs"]] == ["complete", "complete"]
    here.cli(*add, "--campaign", "conf", "--skip-finished")
    assert members("conf") == ids
    research.git("add", "-A")
    research.git("commit", "-qm", "results")
    here.cli("campaign", "create", "later", "--mode", "confirmation", "--parent", "conf")
    before = research.tree()
    more = ("queue", "add", "--experiment", "E001", "--no-commit", "--sweep", "seed=1..2")
    assert "began before it" in refused(*more, "--campaign", "later")
    assert research.tree() == before
    new = here.json(*more[:-1], "seed=2..3", "--campaign", "later")["runs"]
    assert members("later") == {run["job_id"] for run in new}

    # exec, and the Python API.
    assert research.aexp("exec", "--campaign", "nosuch", "true", rc=1).stderr.count("nosuch")
    research.aexp("exec", "--campaign", "wide", "true")
    assert len(members("wide")) == len(ids) + 1
