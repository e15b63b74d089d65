"""``aexp campaign``: the group of the campaigns' verbs."""

import click

from aexp.cli.group import LazyGroup

VERBS = {
    "create": ("aexp.cli.campaign_change:create", "Create a campaign."),
    "add": ("aexp.cli.campaign_change:add", "Add runs to a campaign."),
    "ls": ("aexp.cli.campaign_look:ls", "List the campaigns."),
    "show": ("aexp.cli.campaign_look:show", "Show a campaign and its runs."),
    "review": (
        "aexp.cli.campaign_review:review",
        "Judge a campaign: rates, arms, outliers, gaps.",
    ),
    "conclude": ("aexp.cli.campaign_change:conclude", "End a campaign with its outcome."),
    "report": ("aexp.cli.campaign_review:report", "Write a campaign's review as one page."),
}


@click.group("campaign", cls=LazyGroup, verbs=VERBS)
def campaign() -> None:
    """Group runs that answer one question together, and judge them together.

    \b
    Examples:
      aexp campaign create wider-layers --question "Do wider layers help?"
      aexp queue add --experiment E001 --sweep "width=64|256,seed=0..4" --campaign wider-layers
      aexp campaign review wider-layers
      aexp campaign conclude wider-layers --outcome supported
    """
