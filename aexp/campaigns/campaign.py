"""What a campaign is: its words, its limits, and the JSON of its three kinds of files."""

import re
from typing import Any, NamedTuple

from aexp.errors import CorruptFile, UsageError
from aexp.files import parse_object, pretty_json
from aexp.ledger.entries import conflict_mend, has_conflict
from aexp.model import JOB_ID, printable

SCHEMA_VERSION = 1
EXPLORATION = "exploration"
CONFIRMATION = "confirmation"
MODES = (EXPLORATION, CONFIRMATION)
OPEN = "open"
CONCLUDED = "concluded"

CAMPAIGN_ID = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")
_MAX_TEXT = 20_000
_MAX_LABEL = 100
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")
_COMMIT = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")


class Campaign(NamedTuple):
    """What is said of a campaign when it is created; it never changes afterwards.

    Attributes
    ----------
    campaign_id : str
        The word that people type.
    mode : str
        ``exploration``, or ``confirmation``, which takes no run that began before it.
    question, hypothesis : str or None
        What it is to find out; what it tests (a text, or ``H###``).
    parent : str or None
        The campaign that it follows from.
    created_at : str
        When it was created.
    created_commit : str or None
        The commit it was created on; None where there was none.
    """

    campaign_id: str
    mode: str
    question: str | None
    hypothesis: str | None
    parent: str | None
    created_at: str
    created_commit: str | None


class Conclusion(NamedTuple):
    """How a campaign ended.

    Attributes
    ----------
    outcome : str
        A label: ``supported``, ``refuted``, ``inconclusive``, or any other.
    note : str or None
        What there is to say about it.
    concluded_at : str
        When.
    concluded_commit : str or None
        The commit it was concluded on.
    runs : tuple of str
        Ids of the runs that it is about: those of the campaign at that moment.
    """

    outcome: str
    note: str | None
    concluded_at: str
    concluded_commit: str | None
    runs: tuple[str, ...]


class Membership(NamedTuple):
    """That a run belongs to a campaign."""

    campaign_id: str
    job_id: str


def check_campaign_id(value: str) -> str:
    """Return `value` if it can be a campaign's id and the name of its folder."""
    if not CAMPAIGN_ID.fullmatch(value) or value.endswith("."):
        from aexp.kb.slug import FALLBACK, slug

        made = slug(value)
        example = f"for instance {made}" if made != FALLBACK else "for instance wider-layers"
        raise UsageError(
            f"{value!r} cannot be a campaign's id",
            "use small letters, digits, dashes, dots and underscores, at most 63, "
            f"beginning with a letter or a digit; {example}",
        )
    return value


def check_mode(value: str) -> str:
    """Return `value` if it is a mode."""
    if value not in MODES:
        raise UsageError(f"{value!r} is not a mode", "one of: " + ", ".join(MODES))
    return value


def check_label(value: str) -> str:
    """Return `value` if it can be an outcome's label: one short line."""
    if not value.strip() or len(value) > _MAX_LABEL or printable(value) != value:
        raise UsageError(
            f"{value!r} cannot be an outcome",
            f"give one line of 1 to {_MAX_LABEL} printable characters, for instance supported",
        )
    return value


def check_text(value: str | None, what: str) -> str | None:
    """Return `value` if it is a text that can be kept as it is."""
    if value is None:
        return None
    try:
        value.encode()
    except UnicodeEncodeError:
        raise UsageError(f"the {what} is not UTF-8", "write it in UTF-8") from None
    if not value.strip() or len(value) > _MAX_TEXT or "\0" in value:
        raise UsageError(
            f"the {what} is empty, longer than {_MAX_TEXT} characters, or has a zero byte",
            f"write the {what} as text, or leave it out",
        )
    return value


def campaign_bytes(campaign: Campaign) -> bytes:
    """Return the content of ``campaign.json``."""
    fields = campaign._asdict()
    return pretty_json(
        {"schema_version": SCHEMA_VERSION, "id": fields.pop("campaign_id"), **fields}
    )


def conclusion_bytes(campaign_id: str, conclusion: Conclusion) -> bytes:
    """Return the content of ``conclusion.json``."""
    return pretty_json(
        {"schema_version": SCHEMA_VERSION, "campaign": campaign_id, **conclusion._asdict()}
    )


def membership_bytes(campaign_id: str, job_id: str) -> bytes:
    """Return the content of ``runs/<job_id>.json``.

    It depends on nothing else, neither the time nor who adds the run: two clones that add
    the same run write the same file, and git has nothing to merge.
    """
    return pretty_json(
        {"schema_version": SCHEMA_VERSION, "campaign": campaign_id, "job_id": job_id}
    )


def parse_campaign(data: bytes, path: str, campaign_id: str) -> Campaign:
    """Return what a ``campaign.json`` says.

    Raises
    ------
    CorruptFile
        Naming `path`, if it is not the file of this campaign.
    """
    found = _object(data, path)
    _insist(path, found.get("id") == campaign_id, "names another campaign")
    _insist(path, found.get("mode") in MODES, f"has a mode that is none of {', '.join(MODES)}")
    _insist(path, _is_time(found.get("created_at")), "has no time of its creation")
    for key in ("question", "hypothesis", "parent"):
        _insist(path, isinstance(found.get(key), str | None), f"has a {key} that is no text")
    return Campaign(
        campaign_id,
        found["mode"],
        found.get("question"),
        found.get("hypothesis"),
        found.get("parent"),
        found["created_at"],
        _commit(path, found.get("created_commit")),
    )


def parse_conclusion(data: bytes, path: str, campaign_id: str) -> Conclusion:
    """Return what a ``conclusion.json`` says.

    Raises
    ------
    CorruptFile
        Naming `path`, if it is not the conclusion of this campaign.
    """
    found = _object(data, path)
    _insist(path, found.get("campaign") == campaign_id, "names another campaign")
    outcome, runs = found.get("outcome"), found.get("runs")
    _insist(path, isinstance(outcome, str) and bool(outcome), "has no outcome")
    _insist(path, isinstance(found.get("note"), str | None), "has a note that is no text")
    _insist(path, _is_time(found.get("concluded_at")), "has no time")
    is_list = isinstance(runs, list) and all(
        isinstance(item, str) and JOB_ID.fullmatch(item) for item in runs
    )
    _insist(path, is_list, "has no list of run ids")
    return Conclusion(
        found["outcome"],
        found.get("note"),
        found["concluded_at"],
        _commit(path, found.get("concluded_commit")),
        tuple(found["runs"]),
    )


def parse_membership(data: bytes, path: str, campaign_id: str, job_id: str) -> Membership:
    """Return what a file in a campaign's ``runs/`` says.

    Raises
    ------
    CorruptFile
        Naming `path`, if it is not the membership that its name promises.
    """
    found = _object(data, path)
    _insist(path, found.get("campaign") == campaign_id, "names another campaign")
    _insist(path, found.get("job_id") == job_id, "names another run")
    return Membership(campaign_id, job_id)


def _object(data: bytes, path: str) -> dict[str, Any]:
    if has_conflict(data):
        raise CorruptFile(f"{path} has a merge conflict of git", conflict_mend(path))
    found = parse_object(data, path)
    version = found.get("schema_version")
    _insist(path, isinstance(version, int) and version >= 1, "has no schema_version")
    return found


def _insist(path: str, holds: bool, fault: str) -> None:
    if not holds:
        raise CorruptFile(f"{path} {fault}", f"restore it: git checkout -- {path}")


def _is_time(value: object) -> bool:
    return isinstance(value, str) and _TIME.fullmatch(value) is not None


def _commit(path: str, value: object) -> str | None:
    if value is None:
        return None
    _insist(
        path, isinstance(value, str) and bool(_COMMIT.fullmatch(value)), "names no commit of git"
    )
    return str(value)
