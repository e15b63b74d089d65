"""What differs between two recorded environments, or between one and now."""

import json
from collections.abc import Mapping
from os.path import expanduser
from typing import Any

from aexp.environment.interpreter import describe, describe_own, is_own
from aexp.environment.packages import site_folders
from aexp.environment.snapshot import lock_digests, software_python
from aexp.model import printable, section
from aexp.paths import Repo

# Different for every run, or said by another group.
_VOLATILE_PREFIXES = ("AEXP_", "SLURM_", "SLURMD_")
_VOLATILE_SLURM = frozenset(
    {"job_id", "array_job_id", "array_task_id", "restart_count", "end_time"}
)
_SOFTWARE_GROUPS = ("python", "packages", "conda", "locks")

Difference = tuple[Any, Any]
Groups = dict[str, dict[str, Any]]


def groups_of(content: Mapping[str, Any]) -> Groups:
    """Return a record's facts by group, each group flat: dotted name to value.

    Whatever the file holds is taken as data; what has another shape than ours is one value.
    """
    python = software_python(content)
    return {
        "code": {
            key: value
            for key, value in _flat(section(content, "code")).items()
            if key != "left_out_count"
        },
        "python": {
            key: _shown(value)
            for key, value in python.items()
            if key not in ("packages", "sources", "conda", "told_by")
        },
        "packages": _packages(python),
        "conda": _flat(section(python, "conda")),
        "locks": _flat(section(content, "locks")),
        "aexp": {"aexp": content["aexp"]} if "aexp" in content else {},
        "platform": _flat(section(content, "platform")),
        "container": _flat(section(content, "container")),
        "hardware": _flat(section(content, "hardware")),
        "gpu": _flat(section(content, "gpu")),
        "slurm": {
            key: value
            for key, value in _flat(section(content, "slurm")).items()
            if key not in _VOLATILE_SLURM
        },
        "command": {"command": content["command"]} if "command" in content else {},
        "variables": {
            key: value
            for key, value in _flat(section(content, "variables")).items()
            if not key.startswith(_VOLATILE_PREFIXES)
        },
        "user": _flat(section(content, "user")),
    }


def differences(
    one: Mapping[str, Any], other: Mapping[str, Any]
) -> dict[str, dict[str, Difference]]:
    """Return what differs, by group: name to the two values, None where there is none."""
    left, right = groups_of(one), groups_of(other)
    if one.get("job_id") != other.get("job_id"):  # other runs have other commands
        left.pop("command", None)
    found = {}
    for group in left:
        a, b = left[group], right[group]
        names = sorted({*a, *b})
        changed = {name: (a.get(name), b.get(name)) for name in names if a.get(name) != b.get(name)}
        if changed:
            found[group] = changed
    return found


def changed_packages(repo: Repo, content: Mapping[str, Any]) -> dict[str, dict[str, Difference]]:
    """Return how the software of a recorded environment differs from what is installed now."""
    told = software_python(content)
    prefix = expanduser(str(told.get("prefix", "")))
    # What was recorded on another machine is compared with the Python that is here.
    is_here = bool(prefix) and not is_own(prefix) and bool(site_folders(prefix))
    recorded = {"python": told, "locks": content.get("locks")}
    now = {
        "python": describe(repo, prefix) if is_here else describe_own(repo),
        "locks": lock_digests(repo),
    }
    found = differences(recorded, now)
    for key in ("implementation", "executable", "prefix", "runtime"):
        found.get("python", {}).pop(key, None)
    return {group: found[group] for group in _SOFTWARE_GROUPS if found.get(group)}


def _packages(python: Mapping[str, Any]) -> dict[str, Any]:
    """Return versions, with what else tells two installations of one version apart."""
    sources = section(dict(python), "sources")
    found = {}
    for name, version in section(dict(python), "packages").items():
        source = section(sources, name)
        words = [str(version)]
        if isinstance(source.get("commit"), str):
            words.append("@" + source["commit"][:12])
        elif source.get("url"):
            words.append("(editable)" if source.get("editable") else "(from its folder or URL)")
        found[name] = " ".join(words)
    return found


def _flat(value: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, item in value.items():
        name = f"{prefix}{key}"
        if isinstance(item, dict) and item:
            found.update(_flat(item, name + "."))
        elif isinstance(item, list) and any(isinstance(part, dict) for part in item):
            found.update(_flat({str(n): part for n, part in enumerate(item)}, name + "."))
        elif item not in (None, [], {}):
            found[name] = _shown(item)
    return found


def _shown(value: Any) -> Any:
    return json.dumps(value, sort_keys=True) if isinstance(value, (list, dict)) else value


def as_text(value: object) -> str:
    """Return a fact as tables show it: digests by their beginning."""
    if value is None:
        return "-"
    text = printable(value)
    head = text.removeprefix("sha256:")
    is_digest = len(head) in (40, 64) and all(letter in "0123456789abcdef" for letter in head)
    return head[:12] if is_digest else text
