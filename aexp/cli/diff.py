"""``aexp diff``."""

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from aexp.cli.output import note, number, print_table
from aexp.cli.rendering import Output, cell, exact, output_options, render
from aexp.model import printable, short
from aexp.runs.known import find_repo, read_known

if TYPE_CHECKING:
    from aexp.catalogue.compare import Comparison, Difference

_DIFFERENT = 1


@click.command("diff")
@click.argument("one", metavar="A")
@click.argument("other", metavar="B")
@click.option("--exit-code", is_flag=True, help="Exit 1 when something differs.")
@output_options
def diff(one: str, other: str, exit_code: bool, out: Output) -> None:
    """Show what differs between two runs: state point, metrics, code, files, environment.

    Runs of other machines are compared by their ledger entries. What cannot be compared is said.

    \b
    Examples:
      aexp diff 9f3a1b2c 0c41d2aa
      aexp diff 9f3a1b2c 0c41d2aa --json
    """
    from aexp.catalogue.compare import compare_runs

    repo = find_repo()
    a, b = read_known(repo, one), read_known(repo, other)
    found = compare_runs(repo, a, b)
    ids = [a.run.job_id, b.run.job_id]
    _print(out, ids, found)
    for line in found.unknown:
        note(printable(line))
    if exit_code and found.differences:
        sys.exit(_DIFFERENT)


def _print(out: Output, ids: list[str], found: "Comparison") -> None:
    def text() -> None:
        rows = []
        group = None
        for one in found.differences:
            rows.append([one.group if one.group != group else "", *_shown(one)])
            group = one.group
        print_table(["GROUP", "WHAT", *map(short, ids), "CHANGE"], rows)

    facts = {
        "compared": ids,
        "same": not found.differences,
        "differences": [one._asdict() for one in found.differences],
        "unknown": found.unknown,
    }
    render(
        out,
        ["group", "name", "a", "b", "change"],
        found.differences,
        text=text,
        facts=facts,
        none="no difference",
    )


def _shown(one: "Difference") -> list[Any]:
    from aexp.environment.compare import as_text

    def sides(spell: Callable[[Any], str]) -> list[str]:
        return [
            as_text(side) if side is None or isinstance(side, str) else spell(side)
            for side in (one.a, one.b)
        ]

    shown = sides(cell)
    if shown[0] == shown[1]:  # they differ, if not in the first digits
        shown = sides(exact)
    change = "" if one.change is None else f"{'+' if one.change >= 0 else ''}{number(one.change)}"
    return [one.name, *shown, change]
