"""``aexp sprint-audit``."""

import sys

import click

from aexp.cli.options import json_option
from aexp.cli.output import note, print_json
from aexp.model import printable


@click.command("sprint-audit")
@click.option(
    "--hours",
    type=click.FloatRange(0, 1_000_000, min_open=True),
    default=24.0,
    show_default=True,
    metavar="N",
    help="How far back to look.",
)
@click.option("--strict", is_flag=True, help="Exit with 1 when there is an alarm.")
@json_option
def sprint_audit(hours: float, strict: bool, as_json: bool) -> None:
    """Judge what all projects of this machine have done lately.

    Projects are those that aexp install has set up here. Each is charged with its own runs
    only. A share of runs (failed, not committed, stale, residual, bypassed, unknown outcome)
    is an alarm when it is surely above 10 %: few runs never are. A project that is not there
    is a warning. See docs/freshness.md.

    \b
    Examples:
      aexp sprint-audit
      aexp sprint-audit --hours 168 --strict
      aexp sprint-audit --hours 72 --json
    """
    from aexp.review.sprint import NO_CAMPAIGN, audit

    if hours != hours:
        raise click.BadParameter("nan is no number of hours", param_hint="--hours")

    found = audit(hours)
    if as_json:
        print_json(found.to_dict())
    else:
        if not found.projects and not found.warnings:
            note("no project is set up on this machine; aexp install does it")
        for project in found.projects:
            counts = ", ".join(f"{number} {word}" for word, number in project.statuses.items())
            total = sum(project.statuses.values())
            campaigns = sum(group.name != NO_CAMPAIGN for group in project.groups)
            click.echo(
                f"{printable(project.slug)}: {total} runs, {campaigns} campaigns since "
                f"{found.since}" + (f" ({counts})" if counts else "")
            )
            if project.counted_elsewhere:
                click.echo(f"  {project.counted_elsewhere} more belong to another clone of it here")
            for remark in project.remarks:
                click.echo(f"  {remark.severity}: {printable(remark.message)}")
            for group in project.groups:
                click.echo(f"  {printable(group.name)}: {group.runs} runs")
                for remark in group.remarks:
                    click.echo(f"    {remark.severity}: {printable(remark.message)}")
    for project in found.projects:
        for warning in project.warnings:
            note(f"warning: {printable(project.root)}: {printable(warning)}")
    for warning in found.warnings:
        note(f"warning: {printable(warning)}")
    if strict and found.alarms:
        sys.exit(1)
