"""Since when: spans and dates, and nothing else."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aexp.errors import UsageError
from aexp.model import epoch
from aexp.runs.since import since_stamp

NOW = 1_767_268_800.0  # 2026-01-01T12:00:00Z


@pytest.mark.parametrize(
    ("text", "stamp"),
    [
        ("24h", "2025-12-31T12:00:00Z"),
        ("7d", "2025-12-25T12:00:00Z"),
        ("2w", "2025-12-18T12:00:00Z"),
        ("30min", "2026-01-01T11:30:00Z"),
        ("90m", "2026-01-01T10:30:00Z"),
        (" 10 s ", "2026-01-01T11:59:50Z"),
        ("999999999w", "1970-01-01T00:00:00Z"),
        ("2026-01-31", "2026-01-31T00:00:00Z"),
        ("2026-01-31T12:00", "2026-01-31T12:00:00Z"),
        ("2026-01-31 12:00:05Z", "2026-01-31T12:00:05Z"),
    ],
)
def test_what_is_meant(text: str, stamp: str) -> None:
    assert since_stamp(text, NOW) == stamp


@pytest.mark.parametrize(
    "text", ["", "d", "7", "-7d", "7 days", "2026-1-1", "2026-13-01", "\u0667d"]
)
def test_what_is_refused(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        since_stamp(text, NOW)
    assert "7d" in str(caught.value.hint)


@settings(deadline=None)
@given(st.integers(0, 99_999), st.sampled_from([("s", 1), ("h", 3600), ("d", 86400)]))
def test_a_span_is_that_long(count: int, unit: tuple[str, int]) -> None:
    assert epoch(since_stamp(f"{count}{unit[0]}", NOW)) == max(0, NOW - count * unit[1])
