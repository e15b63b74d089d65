"""The review: rates with bounds, arms, outliers, duplicates, gaps; and its page."""

import json
import math
import re
import sys
from html.parser import HTMLParser
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from aexp.campaigns.campaign import Campaign
from aexp.campaigns.read import CampaignFiles
from aexp.ledger.rates import Rate, rate, wilson
from aexp.review.arms import find_arms, find_duplicates, find_grid
from aexp.review.numbers import outliers, summarize
from aexp.review.page import markdown, page
from aexp.review.report import report
from aexp.review.review import judge
from aexp.review.rows import Row

FILES = CampaignFiles(
    Campaign("c", "exploration", None, None, None, "2026-01-01T00:00:00Z", None), (), None
)
HOSTILE = "<script>alert(1)</script> | `x` *b* [l](http://e) \\ & \"q\" 'a' $m$ # ~s~ _i_ \x1b[31m"


def row(number: int, **given: Any) -> Row:
    """Return a complete run with these parameters, metrics and facts."""
    return Row(
        **{"job_id": f"{number:032x}", "experiment_id": "E001", "status": "complete", **given}
    )


def kinds(lab_or_review: Any) -> list[tuple[str, str]]:
    return [(one["severity"], one["kind"]) for one in lab_or_review["remarks"]]


@given(of=st.integers(0, 3000), data=st.data())
def test_bounds_are_those_of_scipy(of: int, data: Any) -> None:
    having = data.draw(st.integers(0, of))
    low, high = wilson(having, of)
    assert 0 <= low <= high <= 1
    if of:
        said = stats.binomtest(having, of).proportion_ci(method="wilson")
        assert (low, high) == pytest.approx((said.low, said.high), abs=1e-12)
        assert low <= having / of <= high


def test_few_runs_never_alarm() -> None:
    """The peer calls 1 of 1 a high rate of 100 %."""
    said = {(k, n): Rate("failed", k, n).verdict for n in (0, 1, 2, 4, 5, 8, 40) for k in (0, 1, n)}
    assert said[1, 1] == said[2, 2] == said[4, 4] == said[1, 5] == said[1, 8] == "few runs"
    assert said[5, 5] == said[40, 40] == "alarm"
    assert said[0, 40] == said[1, 40] == said[0, 1] == "ok"
    assert said[0, 0] == "no runs"
    assert rate("dirty", [True, None, None, False]) == Rate("dirty", 1, 2)


def test_one_residual_run_of_one_is_a_remark_and_eight_of_ten_an_alarm(lab: Any) -> None:
    told = {"sidecar_mode": "declared", "outcome": "other", "outcome_residual": True}
    lab.campaign("wide", runs=[lab.entry(0, **told)])
    found = lab.json("campaign", "review", "wide", "--strict")
    assert found["alarms"] == 0
    assert kinds(found) == [("remark", "residual")]
    assert found["rates"]["residual"]["share"] == 1
    assert "few runs, it may be 21% to 100%" in lab.cli("campaign", "review", "wide", "--strict")
    lab.cli("campaign", "add", *(lab.entry(n, **told) for n in range(1, 8)), "-c", "wide")
    fine = {"sidecar_mode": "declared", "outcome": "pass", "outcome_residual": False}
    lab.cli("campaign", "add", *(lab.entry(n, **fine) for n in range(8, 10)), "-c", "wide")
    found = lab.json("campaign", "review", "wide", "--strict", rc=1)
    assert kinds(found)[0] == ("alarm", "residual")
    assert found["outcomes"] == {"other": 8, "pass": 2}
    assert lab.json("campaign", "review", "wide")["alarms"] == 1
    assert "alarm: 8 of 10 runs" in lab.cli("campaign", "review", "wide", "--strict", rc=1)


def test_every_rate_says_of_how_many_runs_it_could_be_told(lab: Any) -> None:
    """Histogram and rate count the same runs: one without an outcome is unknown in both."""
    declared = {"sidecar_mode": "declared"}
    runs = [
        lab.entry(0, sp={"code_commit": "0" * 40, "code_dirty": True}, **declared),
        lab.entry(1, outcome="unknown", outcome_residual=False, **declared),
        lab.entry(2, outcome="pass", outcome_residual=False, **declared),
        lab.entry(3, sidecar_mode="bypassed"),
        lab.entry(4),
        lab.entry(5, status="failed", outcome="none", **declared),
        lab.entry(6, status="stopped"),
    ]
    lab.campaign("wide", runs=runs)
    (lab.root / ".aexp" / "ledger" / f"{runs[4]}.json").unlink()
    found = lab.json("campaign", "review", "wide")
    assert found["statuses"] == {"complete": 4, "failed": 1, "stopped": 1, "unknown": 1}
    assert found["outcomes"] == {"not registered": 1, "pass": 1, "unknown": 2}
    shares = {name: (one["count"], one["of"]) for name, one in found["rates"].items()}
    assert shares["failed"] == (1, 5)
    assert shares["dirty"] == (1, 1)
    assert shares["bypassed"] == (1, 5)
    assert shares["unknown"] == (2, 3)
    assert shares["residual"] == (0, 3)
    assert ("remark", "not here") in kinds(found)


def test_a_result_that_came_after_the_conclusion_is_named(lab: Any) -> None:
    """Executed again, or still running then: nobody who concluded has seen it."""
    known, again, waits = lab.entry(0), lab.entry(1), lab.entry(2)
    lab.campaign(runs=[known, again, waits])
    lab.cli("campaign", "conclude", "wide", "--outcome", "supported")
    assert "after" not in dict(map(reversed, kinds(lab.json("campaign", "review", "wide"))))
    assert lab.entry(1, 0.9, ended_at="2099-01-01T00:00:00Z") == again
    (remark,) = [
        one for one in lab.json("campaign", "review", "wide")["remarks"] if one["kind"] == "after"
    ]
    assert (remark["severity"], remark["runs"]) == ("remark", [again])


def test_a_campaign_without_runs_is_reviewed(lab: Any) -> None:
    lab.campaign("wide")
    assert lab.json("campaign", "review", "wide", "--strict")["runs"] == 0
    assert "no runs yet" in lab.cli("campaign", "review", "wide") + lab.stderr
    assert "# Campaign wide" in lab.cli("campaign", "report", "wide")


def test_arms_and_their_numbers(lab: Any) -> None:
    """One arm per condition; what the condition decides is no arm of its own."""
    full, cls = [0.5, 0.75, 0.625, 0.5625], [0.25, 0.375]
    runs = [
        lab.entry(seed, value, sp={"condition": name, "model": name[:1]}, wallclock_s=10)
        for name, values in (("full", full), ("cls", cls))
        for seed, value in enumerate(values)
    ]
    lab.campaign("wide", runs=runs)
    found = lab.json("campaign", "review", "wide")
    assert [(arm["name"], arm["runs"]) for arm in found["arms"]] == [
        ("condition=cls", 2), ("condition=full", 4),
    ]  # fmt: skip
    for arm, values in zip(found["arms"], (cls, full), strict=True):
        numbers = arm["metrics"]["accuracy"]
        said = stats.ttest_1samp(values, 0).confidence_interval(0.95)
        assert numbers["n"] == len(values)
        assert [numbers[key] for key in ("mean", "sd", "low", "high")] == pytest.approx(
            [stats.tmean(values), stats.tstd(values), said.low, said.high]
        )
    assert [(gap["values"], gap["state"]) for gap in found["grid"]["gaps"]] == [
        ({"condition": "cls", "seed": 2}, "no run"), ({"condition": "cls", "seed": 3}, "no run"),
    ]  # fmt: skip
    text = lab.cli("campaign", "review", "wide", "--metric", "accuracy")
    assert re.search(r"condition=full +accuracy +4 +0\.609375 +0\.59375 ", text)
    assert "accuracy" not in lab.cli("campaign", "review", "wide", "--metric", "loss")


def test_outliers_duplicates_and_gaps() -> None:
    rows = [
        row(n, params={"seed": n}, metrics={"acc": 0.5 + n / 100}, wallclock_s=60.0 + n)
        for n in range(9)
    ]
    rows[3] = rows[3]._replace(metrics={"acc": 0.9}, wallclock_s=900.0)
    rows.append(row(99, params={"seed": 8}, metrics={"acc": 0.58}, wallclock_s=68.0))
    rows[6] = rows[6]._replace(status="failed")
    found = judge(FILES, rows)
    (arm,) = found.arms
    assert [one.job_id for one in arm.outliers["acc"]] == [rows[3].job_id]
    assert [one.job_id for one in arm.duration_outliers] == [rows[3].job_id]
    assert found.duplicates == [[rows[8].job_id, rows[9].job_id]]
    assert [(gap.values, gap.state) for gap in found.grid.gaps] == [
        ({"seed": 6}, "no complete run")
    ]
    assert {(one.severity, one.kind) for one in found.remarks} == {
        ("remark", kind) for kind in ("outliers", "duration outliers", "duplicates", "gaps")
    }
    assert not judge(FILES, rows[:4]).arms[0].outliers, "four runs have no outlier"


def test_what_is_no_grid_has_no_gaps() -> None:
    drawn = [row(n, params={"condition": "ab"[n % 2], "seed": 100 + n}) for n in range(10)]
    search = [row(n, params={"lr": 0.1 / (n + 1), "wd": n * 3}) for n in range(10)]
    waiting = [
        row(n, params={"c": n % 2, "seed": n // 2}, status="running" if n == 3 else "complete")
        for n in range(6)
    ]
    for rows in (drawn, search, waiting, drawn[:1], []):
        assert find_grid(rows).gaps == []
    assert [len(arm.runs) for arm in find_arms(drawn)] == [5, 5]


def test_a_constant_metric_has_no_outlier_but_one_that_differs_is_one() -> None:
    same = [(str(n), 0.1 + 0.2) for n in range(8)]
    assert outliers(same) == []
    assert outliers([*same, ("rounded", 0.3)]) == []
    assert [one.job_id for one in outliers([*same, ("other", 0.4)])] == ["other"]
    assert outliers([*same[:3], ("nan", math.nan), ("inf", math.inf)]) == []


def test_numbers_that_are_none_are_named_and_hide_nothing() -> None:
    said = summarize([1.0, math.nan, math.inf])
    assert (said.n, said.mean, said.not_finite) == (3, None, 2)
    assert summarize([5.0]) == (1, 5.0, 5.0, None, None, None, 0)
    rows = [row(n, params={"seed": n}, metrics={"loss": (math.nan, 1.0)[n]}) for n in range(2)]
    assert [one.kind for one in judge(FILES, rows).remarks] == ["not finite"]
    assert "1 of 2 not finite" in report(judge(FILES, rows))


def test_without_scipy_only_the_intervals_are_missing(
    lab: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from aexp.review.numbers import _quantile

    lab.campaign("wide", runs=[lab.entry(n, n / 10) for n in range(3)])
    _quantile.cache_clear()
    monkeypatch.setitem(sys.modules, "scipy", None)
    found = lab.json("campaign", "review", "wide")
    _quantile.cache_clear()
    numbers = found["arms"][0]["metrics"]["accuracy"]
    assert (numbers["mean"], numbers["low"]) == (pytest.approx(0.1), None)
    assert "pip install 'aexp[stats]'" in found["remarks"][-1]["message"]


VALUES = st.one_of(st.none(), st.booleans(), st.integers(0, 3), st.floats(), st.text(max_size=3))
ROWS = st.builds(
    row,
    st.integers(0, 9),
    status=st.sampled_from(["complete", "failed", "queued", "unknown", "stopped"]),
    params=st.dictionaries(st.sampled_from(["seed", "lr", "condition", "x.y"]), VALUES),
    metrics=st.dictionaries(st.sampled_from(["a", "b"]), st.floats()),
    wallclock_s=st.one_of(st.none(), st.floats(0, 1e6)),
    outcome=st.one_of(st.none(), st.text(max_size=3)),
    sidecar_mode=st.sampled_from([None, "none", "declared", "bypassed"]),
    code_dirty=st.sampled_from([None, True, False]),
)


@given(st.lists(ROWS, max_size=12))
def test_any_runs_can_be_judged_and_reported(rows: list[Row]) -> None:
    """Each run is in one arm; the whole is JSON; the order of the runs changes no fact."""
    found = judge(FILES, rows)
    assert sum(arm.runs for arm in found.arms) == len(rows) == sum(found.statuses.values())
    assert sum(map(len, find_duplicates(rows))) <= len(rows)
    json.dumps(found.to_dict(), default=str)
    again = judge(FILES, rows[::-1])
    assert (again.statuses, again.rates, again.outcomes) == (
        found.statuses, found.rates, found.outcomes,
    )  # fmt: skip
    assert {arm.name for arm in again.arms} == {arm.name for arm in found.arms}
    for form in ("md", "html"):
        report(found, form)


class Parsed(HTMLParser):
    """The tags of a page, and its text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.tags.add(tag)
        assert {name for name, _ in attrs} <= {"class", "lang", "charset", "name", "content"}

    def handle_data(self, data: str) -> None:
        self.text += data


OURS = set(
    re.findall(
        r"\w+",
        "html head meta title style body h1 h2 dl dt dd ul li table thead tbody tr th td",
    )
)


def test_values_are_text_on_the_page(lab: Any) -> None:
    run = lab.entry(0, 0.5, sp={"condition": HOSTILE}, metrics={HOSTILE: 1.0}, outcome=HOSTILE)
    other = lab.entry(1, 0.25, metrics={HOSTILE: 2.0})
    lab.campaign("wide", "--question", HOSTILE, "--hypothesis", HOSTILE, runs=[run, other])
    lab.cli("campaign", "conclude", "wide", "--outcome", "<i>done</i>", "--note", HOSTILE)
    lab.cli("campaign", "report", "wide", "--format", "html", "-o", "page.html")
    parsed = Parsed((lab.root / "page.html").read_text())
    assert parsed.tags <= OURS
    shown = HOSTILE.replace("\x1b", "\\x1b")
    assert parsed.text.count(shown) >= 6
    assert "<i>done</i>" in parsed.text
    text = lab.cli("campaign", "report", "wide")
    assert not re.search(r"(?<!\\)[<>`$~]", text.replace("| --- ", ""))
    assert "\x1b" not in text
    # A cell ends where it should.
    (table,) = [part for part in text.split("\n\n") if part.startswith("| run |")]
    assert len({len(re.findall(r"(?<!\\)\|", line)) for line in table.splitlines()}) == 1
    assert text == lab.cli("campaign", "report", "wide"), "the page changes when the facts do"


@given(st.text(max_size=60))
def test_no_text_becomes_markup(text: str) -> None:
    from aexp.review.page import Facts, Heading, Items, Table

    blocks = [
        Heading(1, text),
        Facts([(text, text)]),
        Table([text], [[text]]),
        Items([(True, text)]),
    ]
    assert Parsed(page(text, blocks)).tags <= OURS
    for line in markdown(blocks).splitlines():
        assert not re.search(r"(?<!\\)(?:\\\\)*[<>`\[\]]", line)
