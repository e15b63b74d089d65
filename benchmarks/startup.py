"""What it costs to import the package and to ask for help, and what must not be loaded for it."""

import re
import subprocess
from collections.abc import Sequence
from pathlib import Path

from benchmarks.place import Place
from benchmarks.report import Row, compare
from benchmarks.timing import Case, interleaved

HEAVY = frozenset(
    {"duckdb", "numpy", "pandas", "pydantic", "rich", "signac", "sklearn", "snakemake", "wandb"}
)
_IMPORT = re.compile(r"^import time: .*\| +(\w+)", re.MULTILINE)


def heavy_imports(python: str, arguments: Sequence[str], cwd: Path) -> list[str]:
    """Return the heavy packages that ``python -m aexp ARGUMENTS`` imports."""
    done = subprocess.run(
        [python, "-X", "importtime", "-P", "-m", "aexp", *arguments],
        cwd=cwd,
        capture_output=True,
        text=True,
        check=True,
    )
    return sorted(HEAVY & set(_IMPORT.findall(done.stderr)))


def import_row(what: str, found: list[str]) -> Row:
    """Return the row that says whether something heavy was imported."""
    return Row(
        f"{what}: heavy imports", ratio=float(len(found)), bound="<= 0", note=" ".join(found)
    )


def run(place: Place) -> list[Row]:
    """Measure ``import aexp`` and ``--help`` against a bare interpreter."""
    folder = place.folder("startup")
    folder.mkdir()
    verbs = {"aexp --help": ["--help"], "aexp queue list --help": ["queue", "list", "--help"]}
    cases = {
        code: Case(lambda code=code: [place.python, "-c", code.removeprefix("python -c ")], folder)
        for code in ("python -c pass", "python -c import aexp")
    }
    for name, arguments in verbs.items():
        cases[name] = Case(lambda arguments=arguments: [place.aexp, *arguments], folder)
    if place.peer:
        cases["peer --help"] = Case(lambda: [str(place.peer), "--help"], folder)
    costs = interleaved(cases, place.size(25, 7))
    bare = costs["python -c pass"]
    rows = [compare("import aexp", costs["python -c import aexp"], "python -c pass", bare, "<= 2")]
    for name, arguments in verbs.items():
        rows.append(compare(name, costs[name], "python -c pass", bare, "<= 12"))
        rows.append(import_row(name, heavy_imports(place.python, arguments, folder)))
    if place.peer:
        rows.append(compare("aexp --help", costs["aexp --help"], "the peer", costs["peer --help"]))
    return rows
