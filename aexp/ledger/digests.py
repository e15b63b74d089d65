"""Fingerprints of ledger entries, so that a citation can pin what it has seen.

The digest of an entry is the SHA-256 of its bytes in the ledger's own form, without what is no
evidence: who promoted it and when, which may differ between clones that hold the same, and where
a tracker shows the run, which is known only after an offline run has been synced. The digest of
a batch is the SHA-256 over one line per run, ``<job_id> <digest>``, sorted by id: it changes when
a run changes, joins or leaves.
"""

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any

from aexp.errors import CorruptFile
from aexp.files import pretty_json
from aexp.numbers import json_number

_NOT_EVIDENCE = frozenset({"promoted_at", "registered_machine", "tracker"})


def entry_digest(entry: Mapping[str, Any]) -> str:
    """Return ``sha256:…`` of a ledger entry, whoever promoted it and whenever.

    Raises
    ------
    CorruptFile
        If the entry cannot be written as JSON (nested beyond any sense).
    """
    evidence = {key: value for key, value in entry.items() if key not in _NOT_EVIDENCE}
    try:
        return _sha256(_canonical(evidence))
    except (RecursionError, TypeError) as error:
        raise CorruptFile(
            f"the entry of run {entry.get('job_id')} has no canonical form: {error}",
            "restore the file from git, or promote the run again: aexp ledger promote",
        ) from error


def batch_digest(entries: Iterable[Mapping[str, Any]]) -> str:
    """Return ``sha256:…`` of a set of ledger entries, in whatever order they come.

    Raises
    ------
    CorruptFile
        If one of them cannot be written as JSON.
    """
    return digest_of_runs((str(entry.get("job_id")), entry_digest(entry)) for entry in entries)


def digest_of_runs(digests: Iterable[tuple[str, str]]) -> str:
    """Return the digest of a batch from the ids of its runs and the digests of their entries."""
    lines = sorted(f"{job_id} {digest}\n" for job_id, digest in digests)
    return _sha256("".join(lines).encode("utf-8", "backslashreplace"))


def _canonical(evidence: dict[str, Any]) -> bytes:
    try:
        return pretty_json(evidence)
    except ValueError:
        # Another writer put a bare NaN into the file; ours writes its name.
        return pretty_json(_named(evidence))


def _named(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _named(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_named(item) for item in value]
    return json_number(value) if isinstance(value, float) else value


def _sha256(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()
