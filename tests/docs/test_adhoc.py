"""docs/adhoc.md: its session is typed, and its table of exit codes holds elsewhere."""

from collections.abc import Callable
from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs" / "adhoc.md"


def test_the_session_of_the_page(replay: Callable[[Path], int]) -> None:
    assert replay(PAGE) == 4
