"""Create a campaign, add runs to it, conclude it: one small file each, never written twice."""

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

from aexp.campaigns.campaign import (
    CONFIRMATION,
    EXPLORATION,
    Campaign,
    Conclusion,
    campaign_bytes,
    check_campaign_id,
    check_label,
    check_mode,
    check_text,
    conclusion_bytes,
    membership_bytes,
)
from aexp.campaigns.order import BY_GIT, Order
from aexp.campaigns.read import (
    CAMPAIGN,
    CONCLUSION,
    FOLDER,
    RUNS,
    CampaignFiles,
    campaign_file,
    exists,
    load_campaign,
)
from aexp.errors import AexpError, CampaignRefused, CorruptFile, UsageError
from aexp.files import create_exclusive, locked
from aexp.git import run_git
from aexp.kb.artifacts import find_artifact
from aexp.ledger.entries import list_ledger_job_ids
from aexp.ledger.folders import TOP, check_folders
from aexp.model import JOB_ID, short, utc_now
from aexp.paths import Repo
from aexp.runs.store import parse_prefix, run_ids, the_only_one

_SHOWN = 5


class Added(NamedTuple):
    """What adding a run came to.

    Attributes
    ----------
    job_id : str
        The run.
    is_new : bool
        False when it was a member already.
    """

    job_id: str
    is_new: bool


def create_campaign(
    repo: Repo,
    campaign_id: str,
    *,
    mode: str = EXPLORATION,
    question: str | None = None,
    hypothesis: str | None = None,
    parent: str | None = None,
    dry_run: bool = False,
) -> Campaign:
    """Create a campaign.

    Parameters
    ----------
    repo : Repo
        The repository; it needs neither a run store nor a catalogue.
    campaign_id : str
        The word that people will type for it.
    mode : str, default "exploration"
        ``confirmation`` takes no runs that began before the campaign was created.
    question, hypothesis : str, optional
        What it is to find out; what it tests: a text, or the id of a hypothesis.
    parent : str, optional
        The campaign that it follows from.
    dry_run : bool, default False
        Check, and write nothing.

    Raises
    ------
    UsageError
        If the id or a text cannot be kept, or the campaign exists already.
    CampaignNotFound
        If there is no such parent.
    ArtifactNotFound
        If `hypothesis` is an id, and there is no such hypothesis.
    """
    check_campaign_id(campaign_id)
    if parent is not None:
        load_campaign(repo, parent)
    if hypothesis is not None and hypothesis[:1] == "H" and hypothesis[1:].isdecimal():
        find_artifact(repo, hypothesis)
    campaign = Campaign(
        campaign_id,
        check_mode(mode),
        check_text(question, "question"),
        check_text(hypothesis, "hypothesis"),
        parent,
        utc_now(),
        _head(repo),
    )
    _check_place(repo, campaign_id)
    taken = UsageError(
        f"there is a campaign {campaign_id} already",
        f"see: aexp campaign show {campaign_id}; or choose another id",
    )
    if exists(repo, campaign_id):
        raise taken
    for name in (RUNS, CONCLUSION):
        if os.path.lexists(repo.at(campaign_file(campaign_id, name))):
            where = campaign_file(campaign_id, CAMPAIGN)
            raise CorruptFile(
                f"there are files of a campaign {campaign_id}, but {where} is missing",
                f"restore it: git checkout -- {where}; or remove {FOLDER}/{campaign_id}",
            )
    if not dry_run and not create_exclusive(
        repo.at(campaign_file(campaign_id, CAMPAIGN)), campaign_bytes(campaign)
    ):
        raise taken
    return campaign


def resolve_runs(repo: Repo, texts: Iterable[str]) -> list[str]:
    """Return the ids of the runs, of store or ledger, that begin with these texts, each once.

    Raises
    ------
    UsageError
        If a text is not the beginning of an id.
    RunNotFound
        If none, or more than one, begins with it.
    """
    known = {*run_ids(repo), *list_ledger_job_ids(repo)}
    found = []
    for text in texts:
        prefix = parse_prefix(text)
        ids = {prefix} & known or {one for one in known if one.startswith(prefix)}
        found.append(the_only_one(repo, prefix, sorted(ids)))
    return list(dict.fromkeys(found))


def add_runs(
    repo: Repo, campaign_id: str, runs: Sequence[str], *, dry_run: bool = False
) -> list[Added]:
    """Add runs to a campaign, all or, where one is refused, none.

    Parameters
    ----------
    repo : Repo
        The repository.
    campaign_id : str
        An open campaign.
    runs : sequence of str
        Ids of runs of the store or the ledger, or their beginnings.
    dry_run : bool, default False
        Check, and write nothing.

    Raises
    ------
    CampaignNotFound, RunNotFound
        If there is no such campaign or run.
    CampaignRefused
        If the campaign is concluded, or is a confirmation that a run began before.
    """
    open_campaign(repo, campaign_id)
    ids = resolve_runs(repo, runs)
    if dry_run:
        files = open_campaign(repo, campaign_id)
        check_order(repo, files, ids)
        return [Added(job_id, job_id not in files.runs) for job_id in ids]
    with joining(repo, campaign_id) as join:
        check_order(repo, join.files, ids)
        return [Added(job_id, join.add(job_id)) for job_id in ids]


def open_campaign(repo: Repo, campaign_id: str) -> CampaignFiles:
    """Return a campaign that runs can be added to.

    Raises
    ------
    CampaignNotFound
        If there is none of that id.
    CampaignRefused
        If it is concluded.
    """
    files = load_campaign(repo, campaign_id)
    if files.conclusion is not None:
        raise CampaignRefused(
            f"campaign {campaign_id} was concluded at {files.conclusion.concluded_at}: "
            "nothing is added to it any more",
            f"make one that follows from it: aexp campaign create ID --parent {campaign_id}",
        )
    return files


def check_order(repo: Repo, files: CampaignFiles, runs: Iterable[str]) -> None:
    """Refuse runs that began before a confirmation; its present members are not asked about.

    Raises
    ------
    CampaignRefused
        Naming them.
    """
    if files.campaign.mode != CONFIRMATION:
        return
    order = Order(repo, files.campaign)
    members = set(files.runs)
    early = []
    for job_id in runs:
        began = order.of(job_id) if job_id not in members else None
        if began is not None and began.is_before:
            when = "its ledger entry is older" if began.by == BY_GIT else f"at {began.at}"
            early.append(f"{short(job_id)} ({when})")
    if early:
        shown = ", ".join(early[:_SHOWN]) + (", …" if len(early) > _SHOWN else "")
        raise CampaignRefused(
            f"{files.campaign_id} is a confirmation, created at {files.campaign.created_at}; "
            f"{len(early)} run(s) began before it: {shown}",
            "confirm with runs of new seeds; what is known already belongs to an exploration",
        )


class Join:
    """A campaign that stays open while runs are added to it."""

    def __init__(self, repo: Repo, files: CampaignFiles) -> None:
        self._repo = repo
        self.files = files

    def add(self, job_id: str) -> bool:
        """Write a run's membership; False when it was there."""
        if not JOB_ID.fullmatch(job_id):
            raise UsageError(f"{job_id!r} is not a run id", "an id is 32 hex digits")
        campaign_id = self.files.campaign_id
        path = self._repo.at(campaign_file(campaign_id, RUNS, f"{job_id}.json"))
        return create_exclusive(path, membership_bytes(campaign_id, job_id))


@contextmanager
def joining(repo: Repo, campaign_id: str) -> Iterator[Join]:
    """Keep a campaign open for the block: whoever wants to conclude it waits.

    Raises
    ------
    CampaignNotFound, CampaignRefused
        As `open_campaign`.
    """
    open_campaign(repo, campaign_id)
    with _locked(repo, campaign_id):
        yield Join(repo, open_campaign(repo, campaign_id))


def conclude_campaign(
    repo: Repo,
    campaign_id: str,
    *,
    outcome: str,
    note: str | None = None,
    dry_run: bool = False,
) -> Conclusion:
    """End a campaign with the runs that it has now; from then on it is frozen.

    Parameters
    ----------
    repo : Repo
        The repository.
    campaign_id : str
        An open campaign.
    outcome : str
        A label: ``supported``, ``refuted``, ``inconclusive``, or any other line.
    note : str, optional
        What there is to say about it.
    dry_run : bool, default False
        Check, and write nothing.

    Raises
    ------
    CampaignNotFound
        If there is none of that id.
    CampaignRefused
        If it is concluded already.
    """
    check_label(outcome)
    check_text(note, "note")
    files = _unconcluded(repo, campaign_id)
    if dry_run:
        return Conclusion(outcome, note, utc_now(), _head(repo), files.runs)
    with _locked(repo, campaign_id):
        files = _unconcluded(repo, campaign_id)
        conclusion = Conclusion(outcome, note, utc_now(), _head(repo), files.runs)
        path = repo.at(campaign_file(campaign_id, CONCLUSION))
        if not create_exclusive(path, conclusion_bytes(campaign_id, conclusion)):
            _unconcluded(repo, campaign_id)
        return conclusion


def _unconcluded(repo: Repo, campaign_id: str) -> CampaignFiles:
    files = load_campaign(repo, campaign_id)
    if files.conclusion is not None:
        raise CampaignRefused(
            f"campaign {campaign_id} was concluded already, at {files.conclusion.concluded_at}: "
            f"{files.conclusion.outcome}",
            f"a new view needs a new campaign: aexp campaign create ID --parent {campaign_id}",
        )
    return files


@contextmanager
def _locked(repo: Repo, campaign_id: str) -> Iterator[None]:
    """Keep others of this machine from concluding or adding meanwhile."""
    _check_place(repo, campaign_id)
    folder = repo.cache("campaigns")
    try:
        os.makedirs(folder, exist_ok=True)
    except OSError as error:
        raise CorruptFile(
            f"{repo.relative(folder)} cannot be made: {error.strerror or error}",
            "see: aexp doctor",
        ) from error
    with locked(os.path.join(folder, f"{campaign_id}.lock")):
        yield


def _check_place(repo: Repo, campaign_id: str) -> None:
    """Insist that git sees what is written: none of the folders is a link."""
    own = campaign_file(campaign_id)
    check_folders(repo, TOP, FOLDER, own, f"{own}/{RUNS}")


def _head(repo: Repo) -> str | None:
    try:
        done = run_git(repo, "rev-parse", "--verify", "--quiet", "HEAD^{commit}")
    except AexpError:
        return None
    return done.text if done.code == 0 and done.text else None
