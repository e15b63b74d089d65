"""The page on the research record is a true story."""

from collections.abc import Callable
from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs" / "research-record.md"


def test_every_command_prints_what_it_says(replay: Callable[[Path], int]) -> None:
    assert replay(PAGE) >= 20
