"""``aexp campaign review``, ``report``."""

from typing import TYPE_CHECKING

import click

from aexp.cli.options import json_option
from aexp.cli.output import note, print_json, print_table
from aexp.errors import EXIT_FAILED
from aexp.model import printable
from aexp.paths import Repo

if TYPE_CHECKING:
    from aexp.review.review import Review


@click.command("review")
@click.argument("campaign_id", metavar="ID")
@click.option("--metric", "metrics", multiple=True, metavar="NAME", help="Only this metric.")
@click.option("--strict", is_flag=True, help="Exit 1 when there is an alarm.")
@json_option
@click.pass_context
def review(
    context: click.Context, campaign_id: str, metrics: tuple[str, ...], strict: bool, as_json: bool
) -> None:
    """Judge the runs of a campaign: rates with bounds, arms, outliers, duplicates, gaps.

    A rate is an alarm when at least five runs tell it and its lower bound (95 %) is above
    10 %; of fewer runs, or with a lower bound below, it may be by chance.

    \b
    Examples:
      aexp campaign review wider-layers
      aexp campaign review wider-layers --metric accuracy --strict
      aexp campaign review wider-layers --json
    """
    from aexp.review.review import review_campaign

    found = review_campaign(Repo.find(), campaign_id)
    if as_json:
        print_json(found.to_dict())
    else:
        _print(found, metrics)
    if strict and found.alarms:
        context.exit(EXIT_FAILED)


def _print(found: "Review", metrics: tuple[str, ...]) -> None:
    from aexp.review.report import ARM_COLUMNS, RATE_COLUMNS, counted, rate_row, text_tables

    files = found.files
    click.echo(
        f"{files.campaign_id}  {files.campaign.mode}, {files.status}: "
        f"{len(found.runs)} run(s) ({counted(found.statuses)})"
    )
    if found.outcomes:
        click.echo(f"outcomes of complete runs: {printable(counted(found.outcomes))}")
    if not found.runs:
        note(f"it has no runs yet: aexp campaign add RUN... --campaign {files.campaign_id}")
        return
    click.echo()
    print_table([name.upper() for name in RATE_COLUMNS], [rate_row(one) for one in found.rates])
    rows, left_out = text_tables(found, metrics)
    if rows:
        click.echo()
        print_table([name.upper() for name in ARM_COLUMNS], rows)
    if left_out:
        note(f"{left_out} more metric(s): --metric NAME, or --json")
    if found.remarks:
        click.echo()
    for remark in found.remarks:
        click.echo(f"{remark.severity}: {printable(remark.message)}")


@click.command("report")
@click.argument("campaign_id", metavar="ID")
@click.option(
    "--format",
    "form",
    type=click.Choice(["md", "html"]),
    default="md",
    show_default=True,
    help="Markdown, or one HTML file.",
)
@click.option("--output", "-o", metavar="FILE", help="Write it there instead of printing it.")
def report(campaign_id: str, form: str, output: str | None) -> None:
    """Write a campaign's review as one page, in Markdown or HTML.

    \b
    Examples:
      aexp campaign report wider-layers -o report.md
      aexp campaign report wider-layers --format html -o report.html
    """
    from aexp.files import write_atomic
    from aexp.review.report import report as page
    from aexp.review.review import review_campaign

    text = page(review_campaign(Repo.find(), campaign_id), form)
    if output is None:
        click.echo(text, nl=False)
        return
    write_atomic(output, text.encode(errors="backslashreplace"))
    note(f"wrote {printable(output)}")
