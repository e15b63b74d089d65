"""``aexp status``."""

from collections import Counter

import click

from aexp.cli.options import json_option, run_filter
from aexp.cli.output import configuration, note, print_json, print_table
from aexp.cli.progress_text import duration, metrics_text, progress_text
from aexp.model import STATUSES, Run, short
from aexp.paths import Repo
from aexp.runs.facts import count_and_running
from aexp.runs.progress import progress_facts

_SHOWN = 20
_METRICS = 3


@click.command("status")
@click.option("--experiment", metavar="E###", help="Only this experiment.")
@click.option("--tag", metavar="TAG", help="Only runs with this tag.")
@json_option
def status(experiment: str | None, tag: str | None, as_json: bool) -> None:
    """Count runs per experiment and status; show how far the running ones are.

    With --json only the counts; `aexp watch --json` has both.

    \b
    Example:
      aexp status
    """
    chosen = run_filter(experiment, tag)
    repo = Repo.installed()
    counts, running = count_and_running(repo, chosen)
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
    if running:
        click.echo()
        _print_running(repo, running)


def _print_running(repo: Repo, running: list[Run]) -> None:
    rows = []
    for run in running[:_SHOWN]:
        known = progress_facts(repo, run) or {}
        rows.append(
            (
                short(run.job_id),
                run.experiment_id,
                run.tag,
                configuration(run.sp),
                progress_text(known),
                duration(known.get("eta_s")),
                metrics_text(known.get("metrics", {}), _METRICS),
            )
        )
    columns = ("RUNNING", "EXP", "TAG", "CONFIGURATION", "PROGRESS", "ETA", "METRICS")
    print_table(columns, rows, wrap_last=True)
    if len(running) > _SHOWN:
        note(f"... and {len(running) - _SHOWN} more, see: aexp list-runs --status running")
