"""``aexp status``."""

from collections import Counter

import click

from aexp.cli.options import json_option, run_filter
from aexp.cli.output import note, print_json, print_table
from aexp.model import STATUSES
from aexp.paths import Repo
from aexp.runs.facts import count_statuses


@click.command("status")
@click.option("--experiment", metavar="E###", help="Only this experiment.")
@click.option("--tag", metavar="TAG", help="Only runs with this tag.")
@json_option
def status(experiment: str | None, tag: str | None, as_json: bool) -> None:
    """Count runs per experiment and status, from one scan of the store.

    \b
    Example:
      aexp status
    """
    chosen = run_filter(experiment, tag)
    counts = count_statuses(Repo.installed(), chosen)
    if as_json:
        print_json(counts)
        return
    if not counts:
        note(chosen.none())
        return
    rows: list[tuple[object, ...]] = [
        (name, *(counts[name][word] or None for word in STATUSES), sum(counts[name].values()))
        for name in counts
    ]
    if len(rows) > 1:
        total = sum((Counter(found) for found in counts.values()), Counter[str]())
        rows.append(("all", *(total[word] or None for word in STATUSES), sum(total.values())))
    print_table(("EXPERIMENT", *(word.upper() for word in STATUSES), "RUNS"), rows)
