"""Tools that show campaigns, and what their review says."""

from typing import Annotated, Literal

from pydantic import Field

from aexp.campaigns.members import campaign_facts
from aexp.campaigns.read import scan_campaigns
from aexp.mcp.results import Object, Objects, Result, Text, Value, plain
from aexp.mcp.tool import Effect, Toolbox
from aexp.paths import Repo
from aexp.review.review import review_campaign

tools = Toolbox()

CampaignId = Annotated[
    str,
    Field(description="A campaign's id.", pattern=r"^[a-z0-9][a-z0-9._-]{0,62}$"),
]


class CampaignRow(Value):
    """One campaign."""

    id: str
    mode: Text
    status: str
    runs: int
    outcome: Text
    created_at: Text
    question: Text
    hypothesis: Text


class Campaigns(Result):
    """Campaigns."""

    campaigns: list[CampaignRow]


class CampaignDetails(Result):
    """A campaign with its runs."""

    campaign: Object
    runs: Objects


class CampaignReview(Result):
    """What the runs of a campaign say together."""

    review: Object


@tools.add(Effect.READS)
def campaign_list(
    repo: Repo,
    status: Annotated[Literal["open", "concluded"] | None, Field(description="Only those.")] = None,
) -> Campaigns:
    """List the campaigns: runs that answer one question together, the newest first."""
    found = [files for files in scan_campaigns(repo) if status in (None, files.status)]
    found.sort(key=lambda files: files.campaign.created_at, reverse=True)
    return Campaigns(
        campaigns=[
            CampaignRow(
                id=files.campaign_id,
                mode=files.campaign.mode,
                status=files.status,
                runs=len(files.runs),
                outcome=files.conclusion.outcome if files.conclusion else None,
                created_at=files.campaign.created_at,
                question=files.campaign.question,
                hypothesis=files.campaign.hypothesis,
            )
            for files in found
        ]
    )


@tools.add(Effect.READS)
def campaign_show(repo: Repo, campaign_id: CampaignId) -> CampaignDetails:
    """Show what a campaign is about, how it was concluded, and its runs."""
    facts = campaign_facts(repo, campaign_id)
    runs = facts.pop("runs")
    return CampaignDetails(campaign=plain(facts), runs=plain(runs))


@tools.add(Effect.READS)
def campaign_review(repo: Repo, campaign_id: CampaignId) -> CampaignReview:
    """Judge the runs of a campaign: rates with bounds, arms, outliers, duplicates, gaps.

    A rate is an alarm when at least five runs tell it and its lower bound is above 10 %.
    """
    return CampaignReview(review=plain(review_campaign(repo, campaign_id).to_dict()))
