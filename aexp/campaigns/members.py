"""What a campaign and its runs are, in one object for programs."""

import warnings
from typing import Any

from aexp.campaigns.read import load_campaign
from aexp.errors import AexpError, CorruptFileWarning
from aexp.model import PROVENANCE_KEYS
from aexp.paths import Repo
from aexp.runs.batches import value_order
from aexp.runs.known import RunRecord, read_known, record_of

UNKNOWN = "unknown"


def campaign_facts(repo: Repo, campaign_id: str) -> dict[str, Any]:
    """Return a campaign with its conclusion and the facts about its runs.

    Raises
    ------
    CampaignNotFound
        If there is none of that id.
    CorruptFile
        If its own file cannot be read.
    """
    files = load_campaign(repo, campaign_id)
    said = files.campaign._asdict()
    said["id"] = said.pop("campaign_id")
    return {
        **said,
        "status": files.status,
        "conclusion": None if files.conclusion is None else files.conclusion._asdict(),
        "late": list(files.late),
        "lost": list(files.lost),
        "runs": sorted((_run(repo, job_id) for job_id in files.runs), key=_by_configuration),
    }


def _by_configuration(run: dict[str, Any]) -> tuple[Any, ...]:
    sp = run["sp"]
    values = ((key, value_order(sp[key])) for key in sorted(sp) if key not in PROVENANCE_KEYS)
    return run["experiment_id"] or "", *values, ("", ()), (run["job_id"],)


def _run(repo: Repo, job_id: str) -> dict[str, Any]:
    try:
        record = record_of(read_known(repo, job_id))
    except AexpError as error:
        # Of a clone whose entry has not come yet, or a file that cannot be read.
        warnings.warn(
            f"run {job_id} of the campaign: {error.message}", CorruptFileWarning, stacklevel=3
        )
        record = RunRecord(job_id, None, None, UNKNOWN, {}, {}, None, None, None)
    return record._asdict()
