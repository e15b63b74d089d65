"""One campaign as rows: what it is, how it ended, which runs it has."""

import os
from collections.abc import Collection

from aexp.campaigns.campaign import (
    CONCLUDED,
    OPEN,
    Conclusion,
    parse_campaign,
    parse_conclusion,
    parse_membership,
)
from aexp.campaigns.read import CAMPAIGN, CONCLUSION, RUNS, campaign_file
from aexp.catalogue.rows import Rows
from aexp.catalogue.values import moment
from aexp.errors import CorruptFile
from aexp.files import read_bytes
from aexp.model import JOB_ID
from aexp.paths import Repo


def add_campaign(
    repo: Repo, rows: Rows, campaign_id: str, files: Collection[str]
) -> dict[str, str]:
    """Add a campaign; return what is wrong with its files, by their paths."""
    faults: dict[str, str] = {}
    reader = _Files(repo, files, faults)
    conclusion = reader.conclusion(campaign_id)
    members = reader.members(campaign_id)
    counted = members if conclusion is None else set(conclusion.runs)
    rows.campaign_runs += [
        (campaign_id, job_id, job_id in counted) for job_id in sorted(members | counted)
    ]
    name = campaign_file(campaign_id, CAMPAIGN)
    data = reader.content(name)
    if data is None:
        return faults
    try:
        campaign = parse_campaign(data, name, campaign_id)
    except CorruptFile as error:
        faults[name] = _reason(error, name)
        return faults
    ended = conclusion or Conclusion("", None, "", None, ())
    rows.campaigns.append(
        (
            campaign_id,
            campaign.mode,
            OPEN if conclusion is None else CONCLUDED,
            campaign.question,
            campaign.hypothesis,
            campaign.parent,
            moment(campaign.created_at),
            campaign.created_commit,
            ended.outcome or None,
            ended.note,
            moment(ended.concluded_at),
            ended.concluded_commit,
        )
    )
    return faults


class _Files:
    """The files of campaigns, as they were found."""

    def __init__(self, repo: Repo, files: Collection[str], faults: dict[str, str]) -> None:
        self._repo = repo
        self._files = files
        self._faults = faults

    def content(self, name: str) -> bytes | None:
        """Return a file's content, None without one, or when it cannot be read."""
        if name not in self._files:
            return None
        if not os.path.isfile(self._repo.at(name)) or os.path.islink(self._repo.at(name)):
            self._faults[name] = "is no plain file"
            return None
        try:
            return read_bytes(self._repo.at(name))
        except CorruptFile as error:
            self._faults[name] = _reason(error, self._repo.at(name))
            return None

    def conclusion(self, campaign_id: str) -> Conclusion | None:
        """Return how a campaign ended."""
        name = campaign_file(campaign_id, CONCLUSION)
        data = self.content(name)
        try:
            return None if data is None else parse_conclusion(data, name, campaign_id)
        except CorruptFile as error:
            self._faults[name] = _reason(error, name)
            return None

    def members(self, campaign_id: str) -> set[str]:
        """Return the runs that have a file in the campaign's folder."""
        folder = campaign_file(campaign_id, RUNS) + "/"
        found = set()
        for name in [path for path in self._files if path.startswith(folder)]:
            job_id = name[len(folder) :].removesuffix(".json")
            if name != f"{folder}{job_id}.json" or not JOB_ID.fullmatch(job_id):
                self._faults[name] = "is not called <run id>.json"
                continue
            data = self.content(name)
            try:
                if data is not None:
                    found.add(parse_membership(data, name, campaign_id, job_id).job_id)
            except CorruptFile as error:
                self._faults[name] = _reason(error, name)
        return found


def _reason(error: CorruptFile, name: str) -> str:
    return error.message.removeprefix(name).lstrip(": ").strip() or error.message
