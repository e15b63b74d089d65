"""``aexp campaign ls``, ``show``."""

from typing import Any

import click

from aexp.cli.options import json_option
from aexp.cli.output import configuration, note, number, print_json, print_table
from aexp.cli.rendering import Output, output_options, render
from aexp.model import printable, short
from aexp.paths import Repo

_COLUMNS = ("id", "mode", "status", "runs", "outcome", "created_at", "question")
_METRICS = 3


@click.command("ls")
@click.option("--status", type=click.Choice(["open", "concluded"]), help="Only those.")
@click.option(
    "--mode", type=click.Choice(["exploration", "confirmation"]), help="Only those of this mode."
)
@output_options
def ls(status: str | None, mode: str | None, out: Output) -> None:
    """List the campaigns, newest first.

    \b
    Examples:
      aexp campaign ls
      aexp campaign ls --status open --json
    """
    from aexp.campaigns.read import scan_campaigns

    found = [
        files
        for files in scan_campaigns(Repo.find())
        if status in (None, files.status) and mode in (None, files.campaign.mode)
    ]
    found.sort(key=lambda files: files.campaign.created_at, reverse=True)
    rows = [
        (
            files.campaign_id,
            files.campaign.mode,
            files.status,
            len(files.runs),
            files.conclusion.outcome if files.conclusion else None,
            files.campaign.created_at,
            files.campaign.question or files.campaign.hypothesis,
        )
        for files in found
    ]
    none = "no campaign matches" if status or mode else "there is no campaign yet"
    render(out, _COLUMNS, rows, none=none, types=_TYPES)


_TYPES = ("VARCHAR", "VARCHAR", "VARCHAR", "BIGINT", "VARCHAR", "VARCHAR", "VARCHAR")


@click.command("show")
@click.argument("campaign_id", metavar="ID")
@json_option
def show(campaign_id: str, as_json: bool) -> None:
    """Show what a campaign is about, how it ended, and its runs.

    \b
    Example:
      aexp campaign show wider-layers
    """
    from aexp.campaigns.members import campaign_facts

    facts = campaign_facts(Repo.find(), campaign_id)
    if as_json:
        print_json(facts)
        return
    _print_head(facts)
    rows = [
        (
            short(run["job_id"]),
            run["status"],
            run["experiment_id"],
            configuration(run["sp"]),
            _metrics(run["metrics"]),
            run["machine"],
        )
        for run in facts["runs"]
    ]
    if rows:
        click.echo()
        print_table(("ID", "STATUS", "EXPERIMENT", "CONFIGURATION", "METRICS", "MACHINE"), rows)
    else:
        note(f"it has no runs yet: aexp campaign add RUN... --campaign {campaign_id}")


def _metrics(metrics: dict[str, Any]) -> str:
    return " ".join(f"{key}={number(metrics[key])}" for key in list(metrics)[:_METRICS])


def _print_head(facts: dict[str, Any]) -> None:
    click.echo(f"{facts['id']}  {facts['mode']}, {facts['status']}")
    for key in ("question", "hypothesis", "parent", "created_at", "created_commit"):
        if facts[key] is not None:
            click.echo(f"  {key}: {printable(facts[key])}")
    conclusion = facts["conclusion"]
    if conclusion is not None:
        click.echo(f"  outcome: {printable(conclusion['outcome'])}, {conclusion['concluded_at']}")
        if conclusion["note"]:
            click.echo(f"  note: {printable(conclusion['note'])}")
    if facts["late"]:
        shown = ", ".join(short(job_id) for job_id in facts["late"])
        click.echo(f"  added after its conclusion, not counted: {shown}")
    if facts["lost"]:
        shown = ", ".join(short(job_id) for job_id in facts["lost"])
        click.echo(f"  concluded with, but their files are gone: {shown}")
    click.echo(f"  runs: {len(facts['runs'])}")
