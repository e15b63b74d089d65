"""The tutorial is a true story: its commands are executed in order, in CI."""

from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_every_command_of_the_tutorial_prints_what_it_says(replay: Callable[[Path], int]) -> None:
    assert replay(ROOT / "docs" / "tutorial.md") >= 20
