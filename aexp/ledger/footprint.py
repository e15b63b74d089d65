"""What an entry says about the files of a run: relative names, sizes and digests.

In the document they are one object of the attempt, ``files``; signac reads no key with a dot,
so files are lists of objects there, not objects by name.
"""

import re
from collections.abc import Mapping
from typing import Any

from aexp.model import JOB_ID, section

# Of the document: of the entry. More files than `MAX_NAMED` are one object: count, size, digest.
FILE_KEYS = {"code": "code_files", "inputs": "inputs", "outputs": "outputs"}
MAX_NAMED = 1000
_SHA256 = re.compile(r"[0-9a-f]{64}")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_MAX_UPSTREAM = 1000


def footprint_of(attempt: Mapping[str, Any]) -> dict[str, Any]:
    """Return the entry's fields about an attempt's files: an allowlist, none when it has none."""
    told = section(attempt, "files")
    found: dict[str, Any] = {}
    for key, field in FILE_KEYS.items():
        if key in told:
            found[field] = _files(told[key])
    declared = {
        key: [item for item in patterns if isinstance(item, str) and is_inside(item)]
        for key, patterns in section(told, "declared").items()
        if key in FILE_KEYS and isinstance(patterns, list)
    }
    if declared:
        found["declared"] = declared
    if _is(_DIGEST, told.get("runner")):
        found["runner"] = told["runner"]
    upstream = told.get("upstream")
    if isinstance(upstream, list) and upstream:
        found["upstream"] = [
            {"job_id": item["job_id"], "ended_at": item["ended_at"]}
            for item in upstream[:_MAX_UPSTREAM]
            if isinstance(item, dict)
            and _is(JOB_ID, item.get("job_id"))
            and isinstance(item.get("ended_at"), str | None)
        ]
    return found


def is_inside(path: str) -> bool:
    """Return whether a name is relative to the repository and stays in it."""
    return bool(path) and not path.startswith(("/", "~")) and ".." not in path.split("/")


def _files(told: Any) -> Any:
    if isinstance(told, dict):
        digest, count, size = (told.get(key) for key in ("digest", "count", "size"))
        good = _is(_DIGEST, digest) and isinstance(count, int) and isinstance(size, int)
        return {"count": count, "digest": digest, "size": size} if good else []
    return [
        {"path": item["path"], "sha256": item["sha256"], "size": item["size"]}
        for item in (told if isinstance(told, list) else [])[:MAX_NAMED]
        if isinstance(item, dict)
        and isinstance(item.get("path"), str)
        and is_inside(item["path"])
        and _is(_SHA256, item.get("sha256"))
        and isinstance(item.get("size"), int)
    ]


def _is(pattern: re.Pattern[str], value: Any) -> bool:
    return isinstance(value, str) and pattern.fullmatch(value) is not None
