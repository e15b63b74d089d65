"""What a campaign and its runs are, in one object for programs."""

import warnings
from typing import Any

from aexp.campaigns.read import load_campaign
from aexp.errors import AexpError, CorruptFileWarning
from aexp.ledger.entries import list_ledger_job_ids
from aexp.model import PROVENANCE_KEYS
from aexp.paths import Repo
from aexp.runs.batches import value_order
from aexp.runs.known import RunRecord, known_run, record_of
from aexp.runs.store import run_ids

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
    known = {*run_ids(repo), *list_ledger_job_ids(repo)}
    said = files.campaign._asdict()
    said["id"] = said.pop("campaign_id")
    return {
        **said,
        "status": files.status,
        "conclusion": None if files.conclusion is None else files.conclusion._asdict(),
        "late": list(files.late),
        "lost": list(files.lost),
        "runs": sorted(
            (_run(repo, job_id, job_id in known) for job_id in files.runs), key=_by_configuration
        ),
    }


def _by_configuration(run: dict[str, Any]) -> tuple[Any, ...]:
    sp = run["sp"]
    values = ((key, value_order(sp[key])) for key in sorted(sp) if key not in PROVENANCE_KEYS)
    return run["experiment_id"] or "", *values, ("", ()), (run["job_id"],)


def _run(repo: Repo, job_id: str, is_known: bool) -> dict[str, Any]:
    # Of a clone whose entry has not come yet, or with files that cannot be read.
    record = RunRecord(job_id, None, None, UNKNOWN, {}, {}, None, None, None)
    try:
        record = record_of(known_run(repo, job_id)) if is_known else record
    except AexpError as error:
        warnings.warn(error.message, CorruptFileWarning, stacklevel=4)
    return record._asdict()
