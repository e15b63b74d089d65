"""``aexp status``."""

from collections import Counter

import click

from aexp.cli.options import json_option, run_filter
from aexp.cli.output import note, print_json, print_table
from aexp.model import STATUSES
from aexp.paths import Repo
from aexp.runs.store import scan_runs


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
    counts: dict[str, Counter[str]] = {}
    for run in scan_runs(Repo.installed()):
        if chosen.matches(run):
            counts.setdefault(run.experiment_id or "-", Counter())[run.status] += 1
    if as_json:
        print_json(
            {name: {word: counts[name][word] for word in STATUSES} for name in sorted(counts)}
        )
        return
    if not counts:
        note(chosen.none())
        return
    rows: list[tuple[object, ...]] = [
        (name, *(counts[name][word] or None for word in STATUSES), sum(counts[name].values()))
        for name in sorted(counts)
    ]
    if len(rows) > 1:
        total: Counter[str] = sum(counts.values(), Counter())
        rows.append(("all", *(total[word] or None for word in STATUSES), sum(total.values())))
    print_table(("EXPERIMENT", *(word.upper() for word in STATUSES), "RUNS"), rows)
