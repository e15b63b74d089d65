"""The rule for two entries of one run, as a function and as git's merge driver."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aexp.files import pretty_json
from aexp.ledger.merge import merge, merge_bytes

TIMES = st.sampled_from(
    ["2026-01-01T00:00:00Z", "2026-01-01T00:00:01Z", "2026-01-02T00:00:00Z", "nonsense", None, 7]
)
ENTRIES = st.fixed_dictionaries(
    {
        "job_id": st.sampled_from(["a" * 32, "b" * 32, "short"]),
        "status": st.sampled_from(["complete", "failed", "queued", None, ["x"]]),
        "statepoint": st.sampled_from([{}, {"seed": 1}, []]),
    },
    optional={
        "ended_at": TIMES,
        "promoted_at": TIMES,
        "attempts": st.sampled_from([[], [{}], [{}, {"attempt": 2}], "x", None]),
        "metrics": st.dictionaries(st.text(max_size=3), st.floats() | st.booleans(), max_size=2),
    },
)
FILES = st.none() | st.binary(max_size=8) | ENTRIES.map(lambda entry: json.dumps(entry).encode())


def text(entry: dict[str, Any]) -> str:
    return json.dumps(entry, sort_keys=True)


@given(ENTRIES, ENTRIES, ENTRIES)
def test_it_is_commutative_associative_and_idempotent(a: Any, b: Any, c: Any) -> None:
    assert text(merge(a, a)) == text(a)
    assert text(merge(a, b)) == text(merge(b, a))
    assert text(merge(merge(a, b), c)) == text(merge(a, merge(b, c)))
    assert text(merge(a, b)) in (text(a), text(b))


@given(FILES, FILES, FILES)
def test_so_it_is_for_files(a: bytes | None, b: bytes | None, c: bytes | None) -> None:
    assert merge_bytes(a, a) == a
    assert merge_bytes(a, b) == merge_bytes(b, a)
    assert merge_bytes(merge_bytes(a, b), c) == merge_bytes(a, merge_bytes(b, c))
    assert merge_bytes(a, None) == a


def entry(**fields: Any) -> dict[str, Any]:
    return {
        "job_id": "a" * 32,
        "status": "failed",
        "statepoint": {},
        "ended_at": "2026-01-01T00:00:05Z",
        "promoted_at": "2026-01-01T00:00:05Z",
        "attempts": [{"attempt": 1}],
        **fields,
    }


LADDER = [
    ("an end beats none", entry(), entry(status="running", ended_at="2027-01-01T00:00:00Z")),
    (
        "the later end",
        entry(ended_at="2026-01-01T00:00:06Z"),
        entry(attempts=[{}, {}, {}], promoted_at="2027-01-01T00:00:00Z"),
    ),
    ("an end with a time", entry(), {k: v for k, v in entry().items() if k != "ended_at"}),
    ("more attempts", entry(attempts=[{}, {}]), entry(promoted_at="2027-01-01T00:00:00Z")),
    (
        "the later promotion",
        entry(promoted_at="2026-01-01T00:00:06Z"),
        entry(status="stopped", registered_machine="z"),
    ),
    ("the greater text", entry(registered_machine="b"), entry(registered_machine="a")),
]


@pytest.mark.parametrize(
    ("winner", "loser"), [row[1:] for row in LADDER], ids=[r[0] for r in LADDER]
)
def test_the_steps_of_the_rule(winner: Any, loser: Any) -> None:
    assert merge(winner, loser) is winner
    assert merge(loser, winner) is winner
    assert merge_bytes(pretty_json(loser), pretty_json(winner)) == pretty_json(winner)


@pytest.mark.parametrize("junk", [b"", b"{", b"[]", b"\xff", b"<<<<<<< ours", b"[" * 100_000])
def test_an_entry_beats_junk(junk: bytes) -> None:
    good = pretty_json(entry())
    assert merge_bytes(junk, good) == good
    assert merge_bytes(good, junk) == good


def test_the_driver_leaves_the_winner_in_our_file(research: Any, tmp_path: Path) -> None:
    names = [tmp_path / name for name in ("base", "ours", "theirs")]
    later = entry(ended_at="2026-01-01T00:00:06Z")
    for path, data in zip(names, (b"", pretty_json(entry()), pretty_json(later)), strict=True):
        path.write_bytes(data)
    research.aexp("ledger", "merge-driver", *map(str, names))
    assert names[1].read_bytes() == pretty_json(later)
    assert names[2].read_bytes() == pretty_json(later)
