"""A campaign's review as one page."""

from collections.abc import Sequence

from aexp.kb.values import spelling
from aexp.ledger.rates import Rate
from aexp.model import short
from aexp.review.arms import varied
from aexp.review.numbers import Summary
from aexp.review.page import Block, Facts, Heading, Items, Table, markdown, page
from aexp.review.review import ALARM, Review
from aexp.runs.batches import value_order

MARKDOWN, HTML = "md", "html"
RATE_COLUMNS = ("rate", "runs", "share", "95 %", "verdict")
ARM_COLUMNS = ("arm", "metric", "n", "mean", "median", "sd", "95 % of the mean")
_MAX_GAPS = 50
_MAX_METRICS = 6


def report(review: Review, form: str = MARKDOWN) -> str:
    """Return the page: the same facts as `Review`, every value escaped.

    It depends on the campaign and its runs alone, so that a page in git changes when they do.
    """
    blocks = _blocks(review)
    return markdown(blocks) if form == MARKDOWN else page(_title(review), blocks)


def rate_row(one: Rate) -> list[str]:
    """Return a rate as a line of a table."""
    if one.share is None:
        return [one.name, "0 of 0", "", "", one.verdict]
    bounds = f"{one.low:.0%} to {one.high:.0%}"
    return [one.name, f"{one.having} of {one.of}", f"{one.share:.0%}", bounds, one.verdict]


def arm_row(arm: str, metric: str, summary: Summary) -> list[str]:
    """Return one number of an arm as a line of a table."""
    if summary.not_finite:
        said = f"{summary.not_finite} of {summary.n} not finite"
        return [arm, metric, str(summary.n), said, "", "", ""]
    numbers = [_number(value) for value in (summary.mean, summary.median, summary.sd)]
    interval = ""
    if summary.low is not None:
        interval = f"{_number(summary.low)} to {_number(summary.high)}"
    return [arm, metric, str(summary.n), *numbers, interval]


def counted(counts: dict[str, int]) -> str:
    """Return ``3 complete, 1 failed``."""
    return ", ".join(f"{number} {word}" for word, number in counts.items()) or "none"


def _title(review: Review) -> str:
    return f"Campaign {review.files.campaign_id}"


def _blocks(review: Review) -> list[Block]:
    blocks: list[Block] = [Heading(1, _title(review)), Facts(_facts(review))]
    if review.remarks:
        items = [(one.severity == ALARM, one.message) for one in review.remarks]
        blocks += [Heading(2, "What to look at"), Items(items)]
    if review.runs:
        rates = [rate_row(one) for one in review.rates]
        blocks += [Heading(2, "Rates"), Table(RATE_COLUMNS, rates)]
    arms = [
        arm_row(arm.name, key, summary)
        for arm in review.arms
        for key, summary in arm.metrics.items()
    ]
    if arms:
        blocks += [Heading(2, "Arms"), Table(ARM_COLUMNS, arms)]
    if review.grid.gaps:
        blocks += [Heading(2, "Cells without a result"), _gaps(review)]
    if review.runs:
        blocks += [Heading(2, "Runs"), _runs(review)]
    return blocks


def _facts(review: Review) -> list[tuple[str, str]]:
    campaign, conclusion = review.files.campaign, review.files.conclusion
    facts = [
        ("Mode", campaign.mode),
        ("Question", campaign.question),
        ("Hypothesis", campaign.hypothesis),
        ("Follows from", campaign.parent),
        ("Created", _when(campaign.created_at, campaign.created_commit)),
        ("Status", review.files.status),
    ]
    if conclusion is not None:
        facts += [
            ("Outcome", conclusion.outcome),
            ("Note", conclusion.note),
            ("Concluded", _when(conclusion.concluded_at, conclusion.concluded_commit)),
        ]
    facts.append(("Runs", f"{len(review.runs)}: {counted(review.statuses)}"))
    if review.outcomes:
        facts.append(("Outcomes of complete runs", counted(review.outcomes)))
    return [(name, text) for name, text in facts if text]


def _when(stamp: str, commit: str | None) -> str:
    return stamp if commit is None else f"{stamp}, on commit {commit[:12]}"


def _gaps(review: Review) -> Table:
    axes = list(review.grid.axes)
    found = review.grid.gaps
    rows = [[_value(gap.values[key]) for key in axes] + [gap.state] for gap in found[:_MAX_GAPS]]
    if len(found) > _MAX_GAPS:
        rows.append([*[""] * len(axes), f"and {len(found) - _MAX_GAPS} more"])
    return Table([*axes, "state"], rows)


def _runs(review: Review) -> Table:
    names = sorted({key for row in review.runs for key in row.metrics})[:_MAX_METRICS]
    keys = varied(review.runs)
    rows = []
    for row in sorted(
        review.runs, key=lambda row: [value_order(row.params.get(key)) for key in keys]
    ):
        where = [_value(row.params[key]) if key in row.params else "" for key in keys]
        numbers = [_number(row.metrics.get(key)) for key in names]
        told = "" if row.wallclock_s is None else f"{row.wallclock_s:.0f}"
        rows.append([short(row.job_id), row.status, row.outcome or "", *where, *numbers, told])
    return Table(["run", "status", "outcome", *keys, *names, "seconds"], rows)


def _value(value: object) -> str:
    return spelling(value)


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.6g}"


def text_tables(review: Review, metrics: Sequence[str]) -> tuple[list[list[str]], int]:
    """Return the lines of the arms' table, of some metrics or all, and how many are left out."""
    rows, left_out = [], 0
    for arm in review.arms:
        shown = [key for key in arm.metrics if not metrics or key in metrics]
        chosen = shown if metrics else shown[:_MAX_METRICS]
        left_out = max(left_out, len(shown) - len(chosen))
        rows += [arm_row(arm.name, key, arm.metrics[key]) for key in chosen]
    return rows, left_out
