"""What of one record another one lacks: entries by the rule of the ledger, campaigns, a filter.

The two sides are folders that are laid out like ``.aexp``. The same function plans both
directions, and so the same rule holds in both: what is newer is never replaced by what is older.
"""

import os
import stat
from collections.abc import Iterator
from typing import NamedTuple

from aexp.campaigns.campaign import (
    CAMPAIGN_ID,
    parse_campaign,
    parse_conclusion,
    parse_membership,
)
from aexp.campaigns.read import CAMPAIGN, CONCLUSION, RUNS
from aexp.errors import AexpError, CorruptFile
from aexp.files import parse_object, read_bytes
from aexp.ledger.merge import merge_bytes
from aexp.model import JOB_ID, printable
from aexp.sharing.bundle import checked_entry

ENTRIES = "ledger"
CAMPAIGNS = "campaigns"
MAX_BYTES = 16_000_000


class Item(NamedTuple):
    """A file that is to travel.

    Attributes
    ----------
    name : str
        Relative to ``.aexp``: ``ledger/<id>.json`` or a file below ``campaigns/``.
    data : bytes
        Its content.
    old : bytes or None
        What it replaces; None when there is nothing.
    """

    name: str
    data: bytes
    old: bytes | None

    @property
    def job_id(self) -> str | None:
        """The run whose entry it is; None of a campaign's file."""
        folder, _, base = self.name.partition("/")
        return base.removesuffix(".json") if folder == ENTRIES else None


class Plan(NamedTuple):
    """What a record has for another one.

    Attributes
    ----------
    items : list of Item
        What is to travel.
    kept : list of str
        Ids of runs whose entry at the target is the record, and stays.
    unchanged : int
        Number of runs whose entries are the same.
    foreign : set of str
        Ids of runs of other projects, which were left out.
    problems : list of str
        What was left out otherwise, and why.
    """

    items: list[Item]
    kept: list[str]
    unchanged: int
    foreign: set[str]
    problems: list[str]


def plan_travel(source: str, target: str, slug: str | None) -> Plan:
    """Compare two records and return what the target lacks.

    Parameters
    ----------
    source, target : str
        Folders that are laid out like ``.aexp``.
    slug : str or None
        Only runs of this project, and those that name none; None for all.
    """
    plan = Plan([], [], 0, set(), [])
    same = 0
    for job_id in _entry_ids(source):
        name = f"{ENTRIES}/{job_id}.json"
        try:
            data = _content(source, name)
            old = _present(target, name)
            project = parse_object(data, name).get("project")
            if slug is not None and project is not None and project != slug:
                plan.foreign.add(job_id)
                continue
            if data == old:
                same += 1
                continue
            checked_entry(job_id, data, name)
        except AexpError as error:
            plan.problems.append(printable(error.message))
            continue
        if merge_bytes(old, data) == data:
            plan.items.append(Item(name, data, old))
        else:
            plan.kept.append(job_id)
    for campaign_id in _campaign_ids(source):
        try:
            plan.items.extend(_campaign(source, target, campaign_id, plan))
        except AexpError as error:
            plan.problems.append(printable(error.message))
    return plan._replace(unchanged=same)


def _campaign(source: str, target: str, campaign_id: str, plan: Plan) -> list[Item]:
    """Return what the target lacks of a campaign; its files are never replaced."""
    own = f"{CAMPAIGNS}/{campaign_id}"
    found: list[Item] = []
    members = list(_member_ids(os.path.join(source, own, RUNS)))
    ours = [job_id for job_id in members if job_id not in plan.foreign]
    if members and not ours:
        return []
    ends: list[Item] = []
    for base in (CAMPAIGN, CONCLUSION):
        name = f"{own}/{base}"
        if base == CONCLUSION and not os.path.lexists(os.path.join(source, name)):
            continue
        data, old = _content(source, name), _present(target, name)
        if base == CAMPAIGN:
            parse_campaign(data, name, campaign_id)
        else:
            parse_conclusion(data, name, campaign_id)
        if old is None:
            (found if base == CAMPAIGN else ends).append(Item(name, data, None))
        elif old != data:
            plan.problems.append(f"{name} differs on both sides; each keeps its own")
    is_concluded = os.path.lexists(os.path.join(source, own, CONCLUSION))
    # One that a conclusion counts and that is missing there would look like one removed by hand.
    for job_id in members if is_concluded else ours:
        name = f"{own}/{RUNS}/{job_id}.json"
        if _present(target, name) is not None:
            continue
        data = _content(source, name)
        parse_membership(data, name, campaign_id, job_id)
        found.append(Item(name, data, None))
    return found + ends  # so that a kill half-way leaves none of its runs out


def _entry_ids(record: str) -> list[str]:
    return list(_member_ids(os.path.join(record, ENTRIES)))


def _member_ids(folder: str) -> Iterator[str]:
    for name in _listing(folder):
        job_id = name.removesuffix(".json")
        if name.endswith(".json") and JOB_ID.fullmatch(job_id):
            yield job_id


def _campaign_ids(record: str) -> list[str]:
    names = _listing(os.path.join(record, CAMPAIGNS))
    return [name for name in names if CAMPAIGN_ID.fullmatch(name)]


def _listing(folder: str) -> list[str]:
    try:
        return sorted(os.listdir(folder))
    except OSError:
        return []


def _content(record: str, name: str) -> bytes:
    path = os.path.join(record, name)
    try:
        found = os.lstat(path)
    except OSError as error:
        raise CorruptFile(
            f"{name} cannot be read: {error.strerror}", "see: aexp validate"
        ) from None
    if not stat.S_ISREG(found.st_mode) or found.st_size > MAX_BYTES:
        raise CorruptFile(f"{name} is no plain file, or a huge one", "see: aexp ledger verify")
    return read_bytes(path) or b""


def _present(record: str, name: str) -> bytes | None:
    path = os.path.join(record, name)
    if os.path.lexists(path) and not (os.path.isfile(path) and not os.path.islink(path)):
        raise CorruptFile(f"{name} is no plain file on the other side", "remove it there")
    return read_bytes(path)
