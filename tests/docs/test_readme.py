"""What the README claims: its session, its make targets, its pages, the Python it asks for."""

import re
import tomllib
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).parents[2]
# Folders that every Linux has, and the one that stands for a site's shared file system.
SYSTEM = frozenset({"bin", "dev", "etc", "proc", "shared", "usr"})
README = (ROOT / "README.md").read_text()


def test_every_command_of_the_tour_prints_what_it_says(replay: Callable[[Path], int]) -> None:
    assert replay(ROOT / "README.md") >= 10


def test_its_make_targets_exist() -> None:
    makefile = (ROOT / "Makefile").read_text()
    targets = set(re.findall(r"^([a-z]+):", makefile, re.MULTILINE))
    named = set(re.findall(r"^    make (\w+)", README, re.MULTILINE))
    assert {"demo", "test"} <= named <= targets


def test_it_links_every_page_of_the_documentation() -> None:
    pages = {path.name for path in (ROOT / "docs").glob("*.md")}
    reached = set(re.findall(r"\(docs/([\w-]+\.md)", README))
    for page in sorted(reached):
        reached |= set(re.findall(r"\(([\w-]+\.md)", (ROOT / "docs" / page).read_text()))
    assert pages - reached == set()


def test_it_asks_for_the_python_that_the_package_asks_for() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    least = project["requires-python"].removeprefix(">=")
    assert set(re.findall(r"Python (3\.\d+)", README)) == {least}


def test_pages_are_neutral_about_machines() -> None:
    """No page names a folder, host or tool of whoever wrote it."""
    for page in [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]:
        text = page.read_text()
        assert not re.search(r"localhost:\d", text), page.name
        for path in re.findall(r"(?<![\w.~:/<>)\]}*-])(/[a-z]+/\w+)", text):
            assert path.split("/")[1] in SYSTEM or path == "/tmp/aexp", (page.name, path)
