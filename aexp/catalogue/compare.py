"""What differs between two runs: configuration, result, code, files, environment."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from aexp.catalogue.values import flat
from aexp.environment.compare import differences
from aexp.environment.record import read_environment
from aexp.errors import AexpError, GitError
from aexp.git import code_pathspec, run_git
from aexp.ledger.entries import load_ledger_entry
from aexp.ledger.footprint import FILE_KEYS
from aexp.ledger.projection import describe
from aexp.model import PROVENANCE_KEYS, section
from aexp.numbers import as_number
from aexp.paths import Repo
from aexp.runs.known import KnownRun

_RUN_KEYS = (
    "status",
    "cause",
    "returncode",
    "outcome",
    "tag",
    "registered_machine",
    "wallclock_s",
    "sidecar_mode",
    "sidecar_sha256",
    "agent_mode",
)
_CODES = frozenset({"returncode"})  # numbers whose difference says nothing
_MAX_FILES = 200


class Difference(NamedTuple):
    """One thing in which two runs differ.

    Attributes
    ----------
    group : str
        ``run``, ``state point``, ``metrics``, ``code``, ``inputs``, ``outputs``, or
        ``environment`` with the part of it.
    name : str
        What it is.
    a, b : Any
        What it is in each; None where it is not there.
    change : float or None
        By how much b is more than a, where both are numbers.
    """

    group: str
    name: str
    a: Any
    b: Any
    change: float | None = None


class Comparison(NamedTuple):
    """Two runs compared.

    Attributes
    ----------
    differences : list of Difference
        What differs, by group.
    unknown : list of str
        What could not be compared, and why.
    """

    differences: list[Difference]
    unknown: list[str]


def compare_runs(repo: Repo, a: KnownRun, b: KnownRun) -> Comparison:
    """Return what differs between two runs, by what this clone knows of them.

    Environments are compared fact by fact where both are recorded here, else by their
    digests. Between two commits the files are named that differ, as far as git has both.
    """
    one, other = _told(repo, a), _told(repo, b)
    found = _of("run", _run(one), _run(other))
    found += _of("state point", _state_point(one), _state_point(other))
    found += _of("metrics", section(one, "metrics"), section(other, "metrics"))
    unknown: list[str] = []
    found += _code(repo, one, other, unknown)
    for key, field in FILE_KEYS.items():
        found += _of(key, _files(one.get(field)), _files(other.get(field)))
    found += _environment(repo, a, b, one, other, unknown)
    return Comparison(found, unknown)


def _told(repo: Repo, known: KnownRun) -> dict[str, Any]:
    if known.machine is not None:
        entry = load_ledger_entry(repo, known.run.job_id)
        if entry is not None:
            return entry
    machine = known.run.record.get("registered_machine")
    return describe(known.run, registered_machine=machine)


def _run(told: Mapping[str, Any]) -> dict[str, Any]:
    link = section(dict(told), "run_link")
    return {
        **{key: link.get(key) for key in ("experiment_id", "hypothesis_id")},
        **{key: told.get(key) for key in _RUN_KEYS},
    }


def _state_point(told: Mapping[str, Any]) -> dict[str, Any]:
    links = ("experiment_id", "hypothesis_id", "sub_hypothesis_id")
    sp = section(dict(told), "statepoint")
    own = {key: value for key, value in sp.items() if key not in (*links, *PROVENANCE_KEYS)}
    return dict(flat(own))


def _of(group: str, a: Mapping[str, Any], b: Mapping[str, Any]) -> list[Difference]:
    return [
        Difference(
            group,
            name,
            a.get(name),
            b.get(name),
            _change(a.get(name), b.get(name)) if name not in _CODES else None,
        )
        for name in dict.fromkeys((*a, *b))
        if not _is_same(a.get(name), b.get(name)) or (name in a) != (name in b)
    ]


def _is_same(a: Any, b: Any) -> bool:
    """Compare as JSON does: 1 is 1.0, true is no number."""
    return (a == b) and (isinstance(a, bool) == isinstance(b, bool))


def _change(a: Any, b: Any) -> float | None:
    if isinstance(a, bool | str) or isinstance(b, bool | str):
        return None
    one, other = as_number(a), as_number(b)
    if one is None or other is None:
        return None
    return other - one


def _code(
    repo: Repo, one: Mapping[str, Any], other: Mapping[str, Any], unknown: list[str]
) -> list[Difference]:
    found = _of(
        "code",
        {key: one.get(key) for key in sorted(PROVENANCE_KEYS)},
        {key: other.get(key) for key in sorted(PROVENANCE_KEYS)},
    )
    a, b = one.get("code_commit"), other.get("code_commit")
    if one.get("code_dirty") or other.get("code_dirty"):
        unknown.append("code: one of the runs had changes that were not committed")
    if a == b or not isinstance(a, str) or not isinstance(b, str):
        return found
    try:
        done = run_git(
            repo, "diff", "--name-only", "--no-renames", "-z", f"{a}^{{commit}}",
            f"{b}^{{commit}}", *code_pathspec(repo),
        )  # fmt: skip
    except GitError as error:
        unknown.append(f"code: {error.message}")
        return found
    if done.code != 0:
        unknown.append("code: git does not have both commits; git fetch may bring them")
        return found
    names = done.names
    found += [Difference("code", name, None, "changed") for name in names[:_MAX_FILES]]
    if len(names) > _MAX_FILES:
        unknown.append(f"code: {len(names) - _MAX_FILES} further files differ")
    return found


def _files(told: Any) -> dict[str, Any]:
    if isinstance(told, dict):
        return {f"{told.get('count')} files": told.get("digest")}
    items = told if isinstance(told, list) else []
    return {
        str(item["path"]): item.get("sha256")
        for item in items
        if isinstance(item, dict) and "path" in item
    }


def _environment(
    repo: Repo,
    a: KnownRun,
    b: KnownRun,
    one: Mapping[str, Any],
    other: Mapping[str, Any],
    unknown: list[str],
) -> list[Difference]:
    try:
        records = [read_environment(repo, known.run) for known in (a, b)]
    except AexpError:
        digests = [section(dict(told), "environment") for told in (one, other)]
        if all(digests):
            unknown.append("environment: only digests are here; aexp env diff needs both records")
        elif any(digests):
            unknown.append("environment: only one of the runs has one")
        return _of("environment", *digests) if all(digests) else []
    return [
        Difference(f"environment {group}", name, then, now)
        for group, changed in differences(records[0], records[1]).items()
        if group != "code"
        for name, (then, now) in changed.items()
    ]
