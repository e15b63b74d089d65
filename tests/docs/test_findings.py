"""The page about findings: its example is executed, its tables are those of the code."""

import re
from collections.abc import Callable
from pathlib import Path

from aexp.kb.claim import COMPARISONS, KEYS, STATISTICS
from aexp.validation.codes import CODES

PAGE = Path(__file__).parents[2] / "docs" / "findings.md"
TEXT = PAGE.read_text()


def section(title: str) -> str:
    return re.split(r"^## ", TEXT.split(f"\n## {title}\n")[1], flags=re.MULTILINE)[0]


def first_cells(title: str) -> list[str]:
    cells = re.findall(r"^\| (`.*?) \|", section(title), re.MULTILINE)
    return [name for cell in cells for name in re.findall(r"`([\w.]+)`", cell)]


def test_every_command_of_the_example_prints_what_it_says(replay: Callable[[Path], int]) -> None:
    assert replay(PAGE) >= 10


def test_the_keys_are_those_of_the_grammar() -> None:
    assert sorted(first_cells("The grammar of claims")) == sorted(KEYS)


def test_every_statistic_has_its_formula() -> None:
    assert {*STATISTICS, *COMPARISONS} <= set(first_cells("Statistics"))


def test_the_severities_are_those_of_the_table() -> None:
    rows = re.findall(
        r"^\| `(finding\.\w+)` \| (\w+) \|", section("What is reported"), re.MULTILINE
    )
    assert len(rows) == 8
    assert {code: CODES[code].severity for code, _ in rows} == dict(rows)
