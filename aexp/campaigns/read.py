"""Read the files of campaigns; one that cannot be read costs a warning and itself."""

import os
import warnings
from collections.abc import Iterator
from typing import NamedTuple

from aexp.campaigns.campaign import (
    CAMPAIGN_ID,
    CONCLUDED,
    OPEN,
    Campaign,
    Conclusion,
    check_campaign_id,
    parse_campaign,
    parse_conclusion,
    parse_membership,
)
from aexp.errors import CampaignNotFound, CorruptFile, CorruptFileWarning
from aexp.files import read_bytes
from aexp.model import JOB_ID, printable
from aexp.paths import Repo

FOLDER = ".aexp/campaigns"
CAMPAIGN = "campaign.json"
CONCLUSION = "conclusion.json"
RUNS = "runs"


class CampaignFiles(NamedTuple):
    """A campaign as its files tell it.

    Attributes
    ----------
    campaign : Campaign
        What was said when it was created.
    runs : tuple of str
        Ids of its runs, sorted. Of a concluded campaign those that it was concluded with.
    conclusion : Conclusion or None
        How it ended.
    late : tuple of str
        Runs that another clone added before it knew of the conclusion: they do not count.
    lost : tuple of str
        Runs that it was concluded with, whose files are gone; they do count.
    """

    campaign: Campaign
    runs: tuple[str, ...]
    conclusion: Conclusion | None
    late: tuple[str, ...] = ()
    lost: tuple[str, ...] = ()

    @property
    def campaign_id(self) -> str:
        """The campaign's id."""
        return self.campaign.campaign_id

    @property
    def status(self) -> str:
        """``open`` or ``concluded``."""
        return OPEN if self.conclusion is None else CONCLUDED


def campaign_file(campaign_id: str, *names: str) -> str:
    """Return the path of one of a campaign's files, relative to the repository."""
    return "/".join((FOLDER, check_campaign_id(campaign_id), *names))


def campaign_ids(repo: Repo) -> list[str]:
    """Return the ids of all campaigns that have a folder with files, sorted."""
    try:
        names = sorted(os.listdir(repo.at(FOLDER)))
    except OSError:
        return []
    return [
        name
        for name in names
        if CAMPAIGN_ID.fullmatch(name)
        and any(os.path.lexists(repo.at(FOLDER, name, one)) for one in (CAMPAIGN, CONCLUSION, RUNS))
    ]


def exists(repo: Repo, campaign_id: str) -> bool:
    """Return whether a campaign has been created, whatever its file says now."""
    return CAMPAIGN_ID.fullmatch(campaign_id) is not None and os.path.lexists(
        repo.at(FOLDER, campaign_id, CAMPAIGN)
    )


def load_campaign(repo: Repo, campaign_id: str) -> CampaignFiles:
    """Return a campaign.

    Raises
    ------
    CampaignNotFound
        If there is none of that id, with those that are like it.
    CorruptFile
        If what it says of itself, or of its end, cannot be read: nothing may be guessed then.
        A membership that cannot be read costs a warning.
    """
    faults: dict[str, str] = {}
    found = _load(repo, campaign_id, faults)
    for fault in faults.values():
        warnings.warn(fault, CorruptFileWarning, stacklevel=2)
    return found


def scan_campaigns(repo: Repo) -> list[CampaignFiles]:
    """Return every campaign, in the order of their ids; what cannot be read costs a warning."""
    found, faults = read_campaigns(repo)
    for fault in faults.values():
        warnings.warn(fault, CorruptFileWarning, stacklevel=2)
    return found


def read_campaigns(repo: Repo) -> tuple[list[CampaignFiles], dict[str, str]]:
    """Return every campaign, and by path what is wrong with files that cannot be read."""
    found: list[CampaignFiles] = []
    faults: dict[str, str] = {}
    for campaign_id in campaign_ids(repo):
        name = campaign_file(campaign_id, CAMPAIGN)
        try:
            found.append(_load(repo, campaign_id, faults))
        except CampaignNotFound:
            faults[name] = f"{name} is missing; restore it: git checkout -- {name}"
        except CorruptFile as error:
            own = campaign_file(campaign_id, CONCLUSION)
            faults[own if error.message.startswith(own) else name] = error.message
    return found, faults


def _load(repo: Repo, campaign_id: str, faults: dict[str, str]) -> CampaignFiles:
    if not exists(repo, campaign_id):
        raise _unknown(repo, campaign_id)
    name = campaign_file(campaign_id, CAMPAIGN)
    campaign = parse_campaign(_content(repo, name), name, campaign_id)
    name = campaign_file(campaign_id, CONCLUSION)
    conclusion = None
    if os.path.lexists(repo.at(name)):
        conclusion = parse_conclusion(_content(repo, name), name, campaign_id)
    members = tuple(_members(repo, campaign_id, faults))
    if conclusion is None:
        return CampaignFiles(campaign, members, None)
    counted = tuple(sorted(set(conclusion.runs)))
    return CampaignFiles(
        campaign,
        counted,
        conclusion,
        late=tuple(sorted(set(members) - set(counted))),
        lost=tuple(sorted(set(counted) - set(members))),
    )


def _members(repo: Repo, campaign_id: str, faults: dict[str, str]) -> Iterator[str]:
    folder = campaign_file(campaign_id, RUNS)
    try:
        names = sorted(os.listdir(repo.at(folder)))
    except OSError:
        return
    for base in names:
        if base.startswith("."):
            continue  # of a writer at work
        name, job_id = f"{folder}/{base}", base.removesuffix(".json")
        if not base.endswith(".json") or not JOB_ID.fullmatch(job_id):
            faults[name] = f"{printable(name)} is not called <run id>.json"
            continue
        try:
            parse_membership(_content(repo, name), name, campaign_id, job_id)
        except CorruptFile as error:
            faults[name] = error.message
            continue
        yield job_id


def _content(repo: Repo, name: str) -> bytes:
    path = repo.at(name)
    # What a link leads to is not what git has.
    if os.path.islink(path) or not os.path.isfile(path):
        raise CorruptFile(f"{name} is no plain file", f"restore it: git checkout -- {name}")
    return read_bytes(path) or b""


def _unknown(repo: Repo, campaign_id: str) -> CampaignNotFound:
    from difflib import get_close_matches

    known = [one for one in campaign_ids(repo) if exists(repo, one)]
    near = get_close_matches(campaign_id, known, n=3)
    if near:
        hint = f"did you mean {', '.join(near)}? (aexp campaign ls)"
    elif known:
        hint = "see: aexp campaign ls (git pull brings those of other clones)"
    else:
        hint = "there is none yet: aexp campaign create ID --question TEXT"
    return CampaignNotFound(f"there is no campaign {campaign_id!r}", hint)
