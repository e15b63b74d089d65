"""``aexp campaign create``, ``add``, ``conclude``."""

import click

from aexp.cli.options import dry_run_option, json_option
from aexp.cli.output import note, print_json
from aexp.model import printable, short
from aexp.paths import Repo

_SHOWN = 20


@click.command("create")
@click.argument("campaign_id", metavar="ID")
@click.option(
    "--mode",
    default="exploration",
    show_default=True,
    metavar="MODE",
    help="exploration, or confirmation, which takes no run that began before it.",
)
@click.option("--question", metavar="TEXT", help="What it is to find out.")
@click.option("--hypothesis", metavar="TEXT", help="What it tests: a text, or H###.")
@click.option("--parent", metavar="ID", help="The campaign that it follows from.")
@dry_run_option
@json_option
def create(
    campaign_id: str,
    mode: str,
    question: str | None,
    hypothesis: str | None,
    parent: str | None,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Create a campaign; ID is the word that you will type for it.

    It is one file below .aexp/campaigns/, for git.

    \b
    Examples:
      aexp campaign create wider-layers --question "Do wider layers help?"
      aexp campaign create wider-again --mode confirmation --hypothesis H002 --parent wider-layers
    """
    from aexp.campaigns.write import create_campaign

    made = create_campaign(
        Repo.find(),
        campaign_id,
        mode=mode,
        question=question,
        hypothesis=hypothesis,
        parent=parent,
        dry_run=dry_run,
    )
    if as_json:
        print_json({**made._asdict(), "dry_run": dry_run})
        return
    verb = "would create" if dry_run else "created"
    click.echo(f"{verb} campaign {made.campaign_id} ({made.mode})")
    if not dry_run:
        note(f"next: aexp campaign add RUN... --campaign {made.campaign_id}")


@click.command("add")
@click.argument("runs", nargs=-1, required=True, metavar="RUN...")
@click.option("--campaign", "-c", required=True, metavar="ID", help="The campaign.")
@dry_run_option
@json_option
def add(runs: tuple[str, ...], campaign: str, dry_run: bool, as_json: bool) -> None:
    """Add runs to a campaign: all of them, or none where one is refused.

    Any run that the store or the ledger knows can be added, whatever its status.

    \b
    Examples:
      aexp campaign add 9f3a1b2c 77aa01de --campaign wider-layers
      aexp queue add --experiment E001 --sweep seed=0..4 --campaign wider-layers
    """
    from aexp.campaigns.write import add_runs

    done = add_runs(Repo.find(), campaign, runs, dry_run=dry_run)
    if as_json:
        facts = {"campaign": campaign, "dry_run": dry_run, "runs": [one._asdict() for one in done]}
        print_json(facts)
        return
    new = [short(one.job_id) for one in done if one.is_new]
    verb = "would add" if dry_run else "added"
    shown = ", ".join(new[:_SHOWN]) + (", …" if len(new) > _SHOWN else "")
    click.echo(f"{verb} {len(new)} run(s) to {campaign}" + (f": {shown}" if new else ""))
    if len(new) < len(done):
        click.echo(f"{len(done) - len(new)} belong(s) to it already")


@click.command("conclude")
@click.argument("campaign_id", metavar="ID")
@click.option(
    "--outcome",
    required=True,
    metavar="LABEL",
    help="supported, refuted, inconclusive, or any label.",
)
@click.option("--note", "text", metavar="TEXT", help="What there is to say about it.")
@dry_run_option
@json_option
def conclude(
    campaign_id: str, outcome: str, text: str | None, dry_run: bool, as_json: bool
) -> None:
    """End a campaign with its outcome. From then on nothing of it changes.

    \b
    Example:
      aexp campaign conclude wider-layers --outcome supported --note "see F003"
    """
    from aexp.campaigns.write import conclude_campaign

    done = conclude_campaign(Repo.find(), campaign_id, outcome=outcome, note=text, dry_run=dry_run)
    if as_json:
        print_json({"id": campaign_id, **done._asdict(), "dry_run": dry_run})
        return
    verb = "would be" if dry_run else "is"
    click.echo(
        f"campaign {campaign_id} {verb} concluded: {printable(done.outcome)}, "
        f"with {len(done.runs)} run(s)"
    )
