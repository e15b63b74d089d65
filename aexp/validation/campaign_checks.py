"""Checks of the campaigns' files, and of the runs that they name."""

from collections.abc import Iterator

from aexp.campaigns.edited import edited_files
from aexp.campaigns.read import CAMPAIGN, CONCLUSION, RUNS, campaign_file, exists
from aexp.model import short
from aexp.validation.context import Context
from aexp.validation.issue import Issue


def files(context: Context) -> Iterator[Issue]:
    """Report files of campaigns that cannot be read."""
    for path, fault in context.campaigns[1].items():
        yield Issue.of("campaign.corrupt", fault, path)


def parents(context: Context) -> Iterator[Issue]:
    """Report a campaign that follows from one that is not there."""
    for found in context.campaigns[0]:
        parent = found.campaign.parent
        if parent is not None and not exists(context.repo, parent):
            message = f"campaign {found.campaign_id} follows from {parent!r}, which is not there"
            yield Issue.of("campaign.parent", message, campaign_file(found.campaign_id, CAMPAIGN))


def frozen(context: Context) -> Iterator[Issue]:
    """Report runs that came to a concluded campaign, or have gone from it."""
    for found in context.campaigns[0]:
        for job_id in found.late:
            message = f"run {short(job_id)} was added after the conclusion and does not count"
            path = campaign_file(found.campaign_id, RUNS, f"{job_id}.json")
            yield Issue.of("campaign.late", message, path, job_id=job_id)
        for job_id in found.lost:
            message = f"run {short(job_id)}, which it was concluded with, has lost its file"
            path = campaign_file(found.campaign_id, CONCLUSION)
            yield Issue.of("campaign.lost", message, path, job_id=job_id)


def edited(context: Context) -> Iterator[Issue]:
    """Report campaigns and conclusions that were rewritten."""
    for path in edited_files(context.repo) if context.campaigns[0] else ():
        yield Issue.of("campaign.edited", "it is not what was committed first", path)


def runs(context: Context) -> Iterator[Issue]:
    """Report runs of concluded campaigns that no layer knows: their evidence is gone."""
    evidence = context.evidence
    if not evidence.has_authority:
        return
    known = {*evidence.ledger, *evidence.local, *evidence.index, *evidence.unreadable}
    for found in context.campaigns[0]:
        for job_id in found.runs if found.conclusion is not None else ():
            if job_id not in known:
                message = f"run {short(job_id)} of a concluded campaign is known nowhere"
                path = campaign_file(found.campaign_id, CONCLUSION)
                yield Issue.of("campaign.unknown_run", message, path, job_id=job_id)
