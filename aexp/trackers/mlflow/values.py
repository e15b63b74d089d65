"""What MLflow takes: names of a limited alphabet, text of a limited length, numbers.

Pure functions; nothing here knows the SDK.
"""

import hashlib
import json
import math
import posixpath
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from aexp.numbers import as_number

RUN_ID_TAG = "aexp.run_id"  # by it a run is found again: MLflow gives runs ids of its own
OPENED_TAG = "aexp.opened_at"  # milliseconds; who opened the run last says how it ended
GROUP_TAG = "aexp.group"
TAGS_TAG = "aexp.tags"
ALIAS_TAG = "aexp.metric."  # a metric that could not be stored under its own name
NOTE_TAG = "mlflow.note.content"
MAX_METRICS = 1000  # in one request, as in all of MLflow's versions
MAX_PAIRS = 100  # params, or tags, in one request
MAX_PARAM = 6000
MAX_TAG = 5000  # MLflow's own limit has been 5000 and 8000
_MAX_NAME = 240  # bytes; a name can be a file's
_REFUSED = re.compile(r"[^\w.\- /]")
_LARGEST = 1.7976931348623157e308  # MLflow's databases keep an infinity as this


def metric_name(name: str) -> str:
    """Return `name` as MLflow takes it: letters, digits, ``_ - . /`` and blanks; no odd path."""
    clean = posixpath.normpath(_REFUSED.sub("_", name).strip(" /") or "_")
    parts = [part if part.strip(".") else "_" for part in clean.split("/")]
    return _of_length("/".join(parts))


def pair_name(name: str) -> str:
    """Return the name of a param or a tag: as above, without folders."""
    return metric_name(name.replace("/", "."))


def _of_length(name: str) -> str:
    data = name.encode()
    if len(data) <= _MAX_NAME:
        return name
    digest = hashlib.sha256(data).hexdigest()[:10]
    return f"{data[: _MAX_NAME - 11].decode(errors='ignore').rstrip(' /')}-{digest}"


def flat(mapping: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, Any]]:
    """Return the leaves of nested mappings with dotted names."""
    for key, value in mapping.items():
        name = f"{before}{key}"
        if isinstance(value, Mapping) and value:
            yield from flat(value, name + ".")
        else:
            yield name, value


def numbers(metrics: Mapping[str, Any]) -> dict[str, float]:
    """Return what of a row is a number, by MLflow's names; the rest stays in the run's series."""
    found: dict[str, float] = {}
    for key, value in flat(metrics):
        number = _number(value)
        if number is not None:
            found[metric_name(key)] = number
    return found


def _number(value: object) -> float | None:
    if isinstance(value, (str, int, float)):
        return as_number(value)
    try:
        return float(value)  # type: ignore[arg-type]  # numpy's scalars are numbers too
    except (TypeError, ValueError):
        return None


def same_number(one: float, other: float) -> bool:
    """Return whether MLflow gives `one` back for `other`."""
    return exact(one) == exact(other)


def exact(number: float) -> str:
    """Return a number as text that is equal exactly if MLflow holds the same."""
    if math.isnan(number):
        return "NaN"
    return repr(max(-_LARGEST, min(_LARGEST, float(number))))


def params(config: Mapping[str, Any]) -> dict[str, str]:
    """Return the params of a run: its state point and id, which never change."""
    leaves = {key: value for key, value in config.items() if key not in ("aexp", "frame")}
    return _named({key: _text(value, MAX_PARAM) for key, value in flat(leaves)})


def tags(
    config: Mapping[str, Any], labels: Iterable[str], *, group: str | None, notes: str | None
) -> dict[str, str]:
    """Return the tags of a run: its labels, its link and its frame, which may be edited."""
    found: dict[str, str] = {}
    for section in ("aexp", "frame"):
        value = config.get(section)
        if isinstance(value, Mapping):
            for key, leaf in flat(value, section + "."):
                if leaf is not None:
                    found[key] = _text(leaf, MAX_TAG)
    listed = list(labels)
    for label in listed:
        key, equals, value = label.partition("=")
        found[key] = _text(value, MAX_TAG) if equals else "true"
    if listed:
        found[TAGS_TAG] = json.dumps(listed, ensure_ascii=False)
    if group:
        found[GROUP_TAG] = group
    if notes:
        found[NOTE_TAG] = _text(notes, MAX_TAG)
    return _named(found)


def _named(pairs: Mapping[str, str]) -> dict[str, str]:
    """Give every pair a name MLflow takes, and no two of them the same one."""
    found: dict[str, str] = {}
    for key, value in pairs.items():
        name = pair_name(key)
        number = 2
        while name in found:
            name = f"{pair_name(key)}_{number}"
            number += 1
        found[name] = value
    return found


def _text(value: object, limit: int) -> str:
    if not isinstance(value, str):
        value = json.dumps(value, ensure_ascii=False, default=str)
    return value if len(value) <= limit else value[: limit - 1] + "…"


def labels(tag: str | None) -> list[str]:
    """Return a run's labels from the tag that lists them."""
    try:
        value = json.loads(tag or "[]")
    except ValueError:
        return []
    return [item for item in value if isinstance(item, str)] if isinstance(value, list) else []


def group_filter(prefix: str) -> str:
    """Return a filter that finds at least the runs whose group begins with `prefix`.

    MLflow's filters have no escape. ``%`` and ``_`` match themselves too, and what cannot be
    in a quoted text stands as ``_``, any one character: the caller compares what comes back.
    """
    pattern = re.sub(r"['\"`\\;\n\r]|[^\x20-\x7e]", "_", prefix)
    return f"tags.`{GROUP_TAG}` LIKE '{pattern}%'"


def run_filter(run_id: str, tag: str = RUN_ID_TAG) -> str:
    """Return a filter for the run with our id."""
    return f"tags.`{tag}` = '{run_id}'"


def alias(name: str, taken: Iterable[str]) -> str:
    """Return the name of a metric in a store of files, where ``a`` and ``a/b`` exclude each other.

    Parameters
    ----------
    name : str
        The metric's name.
    taken : iterable of str
        Names that are files already.
    """
    known = set(taken)
    if name in known or not _collides(name, known):
        return name
    other = name.replace("/", ".") if "/" in name else name + ".value"
    while other in known or _collides(other, known):
        other += "_"
    return other


def by_own_names(metrics: Mapping[str, Any], tags: Mapping[str, str]) -> dict[str, Any]:
    """Return metrics by the names they were logged under."""
    return {tags.get(ALIAS_TAG + name, name): value for name, value in metrics.items()}


def _collides(name: str, known: set[str]) -> bool:
    above = {name[:at] for at, letter in enumerate(name) if letter == "/"}
    return bool(above & known) or any(item.startswith(name + "/") for item in known)


def status(exit_code: int) -> str:
    """Return MLflow's word for an exit code; ends by a signal are ``KILLED``."""
    if exit_code == 0:
        return "FINISHED"
    return "KILLED" if exit_code < 0 or exit_code in _SIGNALLED else "FAILED"


_SIGNALLED = frozenset({128 + 2, 128 + 9, 128 + 15})


def pieces(items: Sequence[Any], size: int) -> Iterator[Sequence[Any]]:
    """Return `items` in pieces of at most `size`."""
    for start in range(0, len(items), size):
        yield items[start : start + size]
