"""What the projects of this machine have done lately, and what is suspicious about it."""

import os
import time
from collections import Counter
from collections.abc import Sequence
from typing import Any, NamedTuple

from aexp.errors import AexpError
from aexp.freshness.check import states_of
from aexp.ledger.rates import Rate
from aexp.model import STATUSES, printable, utc_at
from aexp.paths import MARKER, Repo
from aexp.project import project_slug
from aexp.registry import Registered, read_registry, registry_path
from aexp.review.review import Remark, rate_remarks, run_rates
from aexp.review.rows import Row, read_rows

NO_CAMPAIGN = "no campaign"
# What a run was executed for, by its record; and only runs that are the project's own.
_RECENT = """
SELECT job_id, ended_at, machine FROM runs
WHERE project_slug = $slug AND greatest(ended_at, started_at, queued_at) >= $since::TIMESTAMP
ORDER BY job_id
"""
_MEMBERS = """
SELECT campaign_id, job_id FROM campaign_runs
WHERE counts AND job_id IN (SELECT unnest($runs::VARCHAR[])) ORDER BY ALL
"""
# Two clones of one project have the same record of a run: its id, end and machine.
Record = tuple[str, str, str]


class Group(NamedTuple):
    """The recent runs of one campaign, or of none.

    Attributes
    ----------
    name : str
        The campaign's id, or ``no campaign``.
    runs : int
        How many.
    rates : list of Rate
        Shares of them that are suspicious.
    remarks : list of Remark
        What a person should know about these.
    """

    name: str
    runs: int
    rates: list[Rate]
    remarks: list[Remark]


class ProjectAudit(NamedTuple):
    """The recent runs of one project.

    Attributes
    ----------
    root : str
        Its repository.
    slug : str
        Its name.
    statuses : dict
        Status word to number of runs.
    rates : list of Rate
        Shares of all of them that are suspicious.
    remarks : list of Remark
        What a person should know.
    groups : list of Group
        The same by campaign; empty when no run is in one.
    counted_elsewhere : int
        How many of them another clone on this machine has executed, which is charged.
    warnings : list of str
        Files that cannot be read.
    """

    root: str
    slug: str
    statuses: dict[str, int]
    rates: list[Rate]
    remarks: list[Remark]
    groups: list[Group]
    counted_elsewhere: int
    warnings: list[str]

    @property
    def alarms(self) -> list[Remark]:
        """The remarks that ``--strict`` fails for."""
        found = [*self.remarks, *(remark for group in self.groups for remark in group.remarks)]
        return [remark for remark in found if remark.severity == "alarm"]

    def to_dict(self) -> dict[str, Any]:
        """Return it for ``--json``."""
        return {
            "root": self.root,
            "project": self.slug,
            "runs": sum(self.statuses.values()),
            "statuses": self.statuses,
            "rates": {one.name: one.to_dict() for one in self.rates},
            "remarks": [remark._asdict() for remark in self.remarks],
            "campaigns": [
                {
                    "campaign": None if group.name == NO_CAMPAIGN else group.name,
                    "runs": group.runs,
                    "rates": {one.name: one.to_dict() for one in group.rates},
                    "remarks": [remark._asdict() for remark in group.remarks],
                }
                for group in self.groups
            ],
            "counted_elsewhere": self.counted_elsewhere,
            "warnings": self.warnings,
            "alarms": len(self.alarms),
        }


class SprintAudit(NamedTuple):
    """What all projects of this machine have done lately.

    Attributes
    ----------
    hours : float
        How far back.
    since : str
        Since when.
    projects : list of ProjectAudit
        Each with its own runs only.
    warnings : list of str
        Registered projects that are not there, or cannot be read.
    """

    hours: float
    since: str
    projects: list[ProjectAudit]
    warnings: list[str]

    @property
    def alarms(self) -> int:
        """How many remarks ``--strict`` fails for."""
        return sum(len(project.alarms) for project in self.projects)

    def to_dict(self) -> dict[str, Any]:
        """Return it for ``--json``."""
        return {
            "hours": self.hours,
            "since": self.since,
            "projects": [project.to_dict() for project in self.projects],
            "warnings": self.warnings,
            "alarms": self.alarms,
        }


class _Recent(NamedTuple):
    """The recent runs of one registered repository, not yet charged to anybody."""

    repo: Repo
    slug: str
    rows: list[Row]
    records: dict[str, Record]
    campaigns: dict[str, list[str]]
    warnings: list[str]


def audit(hours: float, *, now: float | None = None) -> SprintAudit:
    """Judge what the registered projects have done in the last `hours`.

    Parameters
    ----------
    hours : float
        How far back.
    now : float, optional
        Seconds since 1970; default now.

    Raises
    ------
    CorruptFile
        If the registry itself cannot be read.
    """
    since = utc_at(max(0.0, (time.time() if now is None else now) - hours * 3600))
    found: list[_Recent] = []
    warnings: list[str] = []
    for registered in read_registry():
        try:
            found.append(_read(registered, since))
        except (AexpError, OSError) as error:
            said = error.message if isinstance(error, AexpError) else error.strerror
            warnings.append(f"{printable(registered.root)}: {said}")
    charged = _charge(found)
    projects = [_judge(recent, charged) for recent in found]
    return SprintAudit(hours, since, projects, warnings)


def _read(registered: Registered, since: str) -> _Recent:
    from aexp.catalogue import open_catalogue

    root = registered.root
    if not os.path.isdir(root):
        raise AexpError(f"is not there; if it is gone for good, take it out of {registry_path()}")
    if not os.path.isfile(os.path.join(root, MARKER)):
        raise AexpError("is not set up any more; aexp install does it")
    repo = Repo(root)
    slug = project_slug(repo)
    with open_catalogue(repo) as catalogue:
        rows = catalogue.rows(_RECENT, {"slug": slug, "since": since})[1]
        records = {row[0]: (row[0], str(row[1]), str(row[2])) for row in rows}
        campaigns: dict[str, list[str]] = {}
        for campaign, job_id in catalogue.rows(_MEMBERS, {"runs": list(records)})[1]:
            campaigns.setdefault(campaign, []).append(job_id)
        runs = read_rows(catalogue, list(records))
        warnings = list(catalogue.warnings)
    return _Recent(repo, slug, runs, records, campaigns, warnings)


def _charge(found: Sequence[_Recent]) -> dict[Record, str]:
    """Decide which repository a run is charged to: the one that has executed it, else the first."""
    charged: dict[Record, str] = {}
    executed: set[Record] = set()
    for recent in found:
        for job_id, record in recent.records.items():
            is_here = os.path.isdir(recent.repo.run_dir(job_id))
            if record not in charged or (is_here and record not in executed):
                charged[record] = recent.repo.root
            if is_here:
                executed.add(record)
    return charged


def _judge(recent: _Recent, charged: dict[Record, str]) -> ProjectAudit:
    repo, warnings = recent.repo, recent.warnings
    own = [row for row in recent.rows if charged[recent.records[row.job_id]] == repo.root]
    try:
        states = states_of(repo, [row.job_id for row in own if row.is_complete]) if own else {}
    except (AexpError, OSError) as error:
        states = {}
        warnings = [*warnings, f"freshness was not judged: {error}"]
    own = [row._replace(freshness=states.get(row.job_id)) for row in own]
    counts = Counter(row.status for row in own)
    rates = run_rates(own)
    by_id = {row.job_id: row for row in own}
    grouped = {
        name: [by_id[job_id] for job_id in members if job_id in by_id]
        for name, members in sorted(recent.campaigns.items())
    }
    # Without a campaign the whole project is the one group.
    members = {job_id for ids in recent.campaigns.values() for job_id in ids}
    grouped[NO_CAMPAIGN] = [] if not members else [row for row in own if row.job_id not in members]
    return ProjectAudit(
        repo.root,
        recent.slug,
        {word: counts[word] for word in STATUSES if counts[word]},
        rates,
        rate_remarks(rates),
        [_group(name, rows) for name, rows in grouped.items() if rows],
        len(recent.rows) - len(own),
        warnings,
    )


def _group(name: str, rows: Sequence[Row]) -> Group:
    rates = run_rates(rows)
    return Group(name, len(rows), rates, rate_remarks(rates))
