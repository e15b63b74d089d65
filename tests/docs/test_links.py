"""Links between pages: every relative one leads to a file, every anchor to a heading."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
GLOBS = ("*.md", "docs/*.md", "examples/**/*.md", "benchmarks/*.md", "aexp/**/*.md")
PAGES = sorted(path for glob in GLOBS for path in ROOT.glob(glob))


def prose(path: Path) -> str:
    """Return a page without its code."""
    text = re.sub(r"^```.*?^```$", "", path.read_text(), flags=re.MULTILINE | re.DOTALL)
    return re.sub(r"`[^`\n]*`", lambda match: match[0].replace("](", "] ("), text)


def anchors(path: Path) -> set[str]:
    """Return the anchors that GitHub gives to the headings of a page."""
    found: set[str] = set()
    for heading in re.findall(r"^#{1,6} +(.+?) *#*$", prose(path), re.MULTILINE):
        plain = re.sub(r"[`*]|\[([^\]]*)\]\([^)]*\)", r"\1", heading).lower()
        base = re.sub(r"[^\w\- ]", "", plain).replace(" ", "-")
        name, number = base, 0
        while name in found:
            number += 1
            name = f"{base}-{number}"
        found.add(name)
    return found


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_resolve(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", prose(page)):
        if re.match(r"[a-z]+:", target):
            assert target.startswith(("https://", "mailto:")), target
            continue
        name, _, anchor = target.partition("#")
        file = (page.parent / name).resolve() if name else page
        assert file.exists(), f"{page.name}: {target}"
        assert file.is_relative_to(ROOT), target
        if anchor:
            assert anchor in anchors(file), f"{page.name}: {target}"


def test_paths_named_in_the_code_lead_to_pages() -> None:
    """Messages and comments that send the reader to a page name one that exists."""
    sources = [*ROOT.glob("aexp/**/*.py"), *ROOT.glob("aexp/**/*.smk"), ROOT / "pyproject.toml"]
    for path in sources:
        for name in re.findall(r"\bdocs/[\w-]+\.md", path.read_text()):
            assert (ROOT / name).is_file(), (path.name, name)
