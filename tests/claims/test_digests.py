"""Digests of entries and batches: equal for equal evidence, different for any other."""

import hashlib
import json
import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aexp.errors import CorruptFile
from aexp.files import pretty_json
from aexp.ledger.digests import batch_digest, entry_digest

ENTRY: dict[str, Any] = {
    "schema_version": 1,
    "job_id": "a" * 32,
    "statepoint": {"seed": 0, "lr": 0.1},
    "status": "complete",
    "metrics": {"accuracy": 0.93},
    "promoted_at": "2026-01-01T00:00:00Z",
    "registered_machine": "here",
}


def test_the_digest_is_sha256_of_the_canonical_bytes() -> None:
    """Anyone can compute it with json and sha256sum."""
    rest = {k: v for k, v in ENTRY.items() if k not in ("promoted_at", "registered_machine")}
    text = json.dumps(rest, indent=2, sort_keys=True) + "\n"
    assert entry_digest(ENTRY) == "sha256:" + hashlib.sha256(text.encode()).hexdigest()
    assert re.fullmatch("sha256:[0-9a-f]{64}", entry_digest(ENTRY))


def test_who_promoted_it_does_not_matter() -> None:
    """Two clones that promoted the same run agree."""
    other = {**ENTRY, "promoted_at": "2030-01-01T00:00:00Z", "registered_machine": "there"}
    assert entry_digest(other) == entry_digest(ENTRY)
    assert entry_digest(dict(reversed(ENTRY.items()))) == entry_digest(ENTRY)


def test_where_it_is_shown_does_not_matter() -> None:
    """An offline run that is synced later breaks no pin."""
    shown = {**ENTRY, "tracker": {"backend": "wandb", "url": "https://wandb.ai/t/p/runs/a"}}
    assert entry_digest(shown) == entry_digest(ENTRY)


@pytest.mark.parametrize("change", [{"status": "failed"}, {"metrics": {"accuracy": 0.94}}])
def test_any_other_change_does(change: dict[str, Any]) -> None:
    """The evidence itself is pinned."""
    assert entry_digest({**ENTRY, **change}) != entry_digest(ENTRY)


def test_a_batch_is_its_lines_sorted() -> None:
    """The order of the runs does not matter, their set does."""
    second = {**ENTRY, "job_id": "b" * 32}
    lines = f"{'a' * 32} {entry_digest(ENTRY)}\n{'b' * 32} {entry_digest(second)}\n"
    expected = "sha256:" + hashlib.sha256(lines.encode()).hexdigest()
    assert batch_digest([ENTRY, second]) == batch_digest([second, ENTRY]) == expected
    assert batch_digest([ENTRY]) != expected


def test_a_bare_nan_has_a_digest() -> None:
    """Python's json reads what strict JSON forbids; the digest is that of its name."""
    bare = {**ENTRY, "metrics": {"loss": float("nan")}}
    assert entry_digest(bare) == entry_digest({**ENTRY, "metrics": {"loss": "NaN"}})


def test_an_entry_without_end_is_corrupt() -> None:
    """Deep nesting is an error of ours, never a crash."""
    nested: Any = 0
    for _ in range(100_000):
        nested = [nested]
    with pytest.raises(CorruptFile):
        entry_digest({**ENTRY, "x": nested})


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@settings(deadline=None)
@given(st.dictionaries(st.text(), _json, max_size=5))
def test_every_entry_has_one_and_keeps_it_on_disk(entry: dict[str, Any]) -> None:
    """Written and read again, an entry has the digest it had."""
    digest = entry_digest(entry)
    assert re.fullmatch("sha256:[0-9a-f]{64}", digest)
    try:
        again = json.loads(pretty_json(entry))
    except ValueError:
        return  # a bare NaN is never written by us
    assert entry_digest(again) == digest
