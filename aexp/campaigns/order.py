"""Whether a run began before a campaign: by the order of git's commits, else by the clocks.

A confirmation must not be made of results that were known when it was set up. Clocks of
several machines cannot be trusted to tell; commits can, where they say anything:

- the ledger entry of the run is in the commit that the campaign was created on: before;
- the code that the run was queued with contains the campaign's file: after;
- neither: the run's first ``started_at`` is compared with the campaign's ``created_at``.
"""

import os
import re
from typing import Any, NamedTuple

from aexp.campaigns.campaign import Campaign
from aexp.campaigns.read import CAMPAIGN, campaign_file
from aexp.errors import AexpError, CorruptFile
from aexp.git import run_git
from aexp.ledger.entries import load_ledger_entry
from aexp.model import epoch, section
from aexp.paths import Repo
from aexp.runs.store import read_run, run_ids

_COMMIT = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_LEDGER = ".aexp/ledger/"

BY_GIT = "git"
BY_TIME = "time"
NOT_BEGUN = "not begun"


class Began(NamedTuple):
    """When a run began, as seen from a campaign.

    Attributes
    ----------
    is_before : bool
        Whether it began before the campaign was created.
    by : str
        What says so: ``git``, ``time``, or ``not begun``.
    at : str or None
        Start of its first attempt.
    """

    is_before: bool
    by: str
    at: str | None


class RunFacts(NamedTuple):
    """What the order of a run is judged by."""

    started_at: str | None
    code_commit: str | None


def run_facts(repo: Repo, job_id: str, *, is_local: bool) -> RunFacts | None:
    """Return what store and ledger know of a run; None when neither knows it.

    A run that is executed again is the same run: it began when its first attempt did,
    whichever machine that was on.

    Raises
    ------
    CorruptFile
        If what they say of it cannot be read.
    """
    starts: list[str] = []
    commits: list[str] = []
    entry = load_ledger_entry(repo, job_id, quiet=True)
    if entry is None and os.path.lexists(repo.ledger_path(job_id)):
        name = repo.relative(repo.ledger_path(job_id))
        raise CorruptFile(f"{name} is no ledger entry of its run", "see: aexp ledger verify")
    run = read_run(repo, job_id) if is_local else None
    if run is None and entry is None:
        return None
    if run is not None:
        _collect({**run.doc, "attempts": run.attempts}, run.sp, starts, commits)
        earlier = section(run.record, "superseded")
        _collect(earlier, section(earlier, "statepoint"), starts, commits)
    if entry is not None:
        _collect(entry, section(entry, "statepoint"), starts, commits)
    first = min((start for start in starts if epoch(start)), key=epoch, default=None)
    return RunFacts(first, commits[0] if commits else None)


def _collect(
    record: dict[str, Any], sp: dict[str, Any], starts: list[str], commits: list[str]
) -> None:
    attempts = record.get("attempts")
    for one in [record, *(attempts if isinstance(attempts, list) else [])]:
        if isinstance(one, dict) and isinstance(one.get("started_at"), str):
            starts.append(one["started_at"])
    commit = sp.get("code_commit")
    if isinstance(commit, str) and _COMMIT.fullmatch(commit):
        commits.append(commit)


class Order:
    """Runs against one campaign; git is asked once per campaign and once per code version."""

    def __init__(self, repo: Repo, campaign: Campaign) -> None:
        self._repo = repo
        self._campaign = campaign
        self._name = campaign_file(campaign.campaign_id, CAMPAIGN)
        self._entries: frozenset[str] | None = None
        self._own: str | None = None
        self._contains: dict[str, bool] = {}
        self._local: frozenset[str] | None = None

    def of(self, job_id: str) -> Began:
        """Return when a run began; one that nobody knows has not begun.

        Raises
        ------
        CorruptFile
            If what is recorded of the run cannot be read.
        """
        if self._local is None:
            self._local = frozenset(run_ids(self._repo))
        facts = run_facts(self._repo, job_id, is_local=job_id in self._local)
        at = None if facts is None else facts.started_at
        if f"{job_id}.json" in self._known_then():
            return Began(True, BY_GIT, at)
        if facts is None or at is None:
            return Began(False, NOT_BEGUN, None)
        if facts.code_commit is not None and self._is_in(facts.code_commit):
            return Began(False, BY_GIT, at)
        return Began(epoch(at) < epoch(self._campaign.created_at), BY_TIME, at)

    def _known_then(self) -> frozenset[str]:
        """Return the names of the ledger's files in the commit the campaign was created on."""
        if self._entries is None:
            commit = self._campaign.created_commit
            names = self._ask("ls-tree", "-z", "--name-only", commit, _LEDGER) if commit else ""
            self._entries = frozenset(name.rpartition("/")[2] for name in names.split("\0"))
        return self._entries

    def _is_in(self, commit: str) -> bool:
        """Return whether a commit contains the campaign's file, the very same."""
        if commit not in self._contains:
            if self._own is None:
                self._own = self._ask("hash-object", "--", self._name)
            there = self._ask("rev-parse", "--verify", "--quiet", f"{commit}:./{self._name}")
            self._contains[commit] = bool(there) and there == self._own
        return self._contains[commit]

    def _ask(self, *words: str) -> str:
        try:
            done = run_git(self._repo, *words)
        except AexpError:
            return ""  # without git, the clocks are all there is
        return done.text if done.code == 0 else ""
