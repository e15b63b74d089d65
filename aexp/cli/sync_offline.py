"""``aexp sync-offline``."""

import sys
from collections import Counter
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from aexp.cli.options import dry_run_option, ids_argument, json_option
from aexp.cli.output import note, print_json
from aexp.model import printable, short
from aexp.paths import Repo
from aexp.runs.store import resolve_id

if TYPE_CHECKING:
    from aexp.trackers.sync.sync import OfflineSync


@click.command("sync-offline")
@ids_argument
@click.option("--backend", metavar="NAME", help="Only this tracker's: wandb, mlflow, ...")
@click.option(
    "--jobs",
    "-j",
    type=click.IntRange(1, 64),
    default=4,
    show_default=True,
    help="How many runs at a time.",
)
@click.option("--again", is_flag=True, help="Send also what has been synced.")
@click.option("--running", is_flag=True, help="Send also what there is of runs that are running.")
@click.option(
    "--timeout",
    type=click.FloatRange(min=1),
    default=600.0,
    show_default=True,
    metavar="SECONDS",
    help="How long one offline run may take.",
)
@dry_run_option
@json_option
def sync_offline(
    ids: tuple[str, ...],
    backend: str | None,
    jobs: int,
    again: bool,
    running: bool,
    timeout: float,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Bring offline runs of W&B and other trackers to their service, each once.

    Call it where there is a network, and again after any failure: what has succeeded is not
    sent again. Attempts of one run are sent in order. Runs that are running are left alone.
    Exit code 1: something could not be synced.

    \b
    Example:
      aexp sync-offline
      aexp sync-offline 9f3a1b2c --dry-run
    """
    from aexp.trackers.sync.sync import sync_offline_runs

    repo = Repo.installed()
    bar: Any = None

    def begin(number: int) -> None:
        nonlocal bar
        if sys.stderr.isatty():
            bar = click.progressbar(length=number, label="syncing", file=sys.stderr)
            bar.render_progress()

    def show(result: "OfflineSync") -> None:
        if bar is not None:
            bar.update(1)

    try:
        results = sync_offline_runs(
            repo,
            dry_run,
            job_ids={resolve_id(repo, text) for text in ids} if ids else None,
            backend=backend,
            jobs=jobs,
            again=again,
            running=running,
            timeout_s=timeout,
            on_start=begin,
            on_result=show,
        )
    finally:
        if bar is not None:
            bar.render_finish()
    if as_json:
        print_json([{**asdict(result), "path": str(result.path)} for result in results])
    else:
        _print(repo, results, dry_run=dry_run)
    sys.exit(0 if all(result.ok for result in results) else 1)


def _print(repo: Repo, results: "list[OfflineSync]", *, dry_run: bool) -> None:
    width = max((len(result.state) for result in results), default=0)
    for result in results:
        if result.state == "already synced":
            continue
        words = [result.state.ljust(width), short(result.job_id or "-"), result.backend]
        words.append(printable(result.path.name))
        if result.url:
            words.append(printable(result.url))
        click.echo("  ".join(words))
        if not result.ok:
            click.echo(f"{' ' * width}  {result.reason}")
    counts = Counter(result.state for result in results)
    if results:
        click.echo(", ".join(f"{number} {state}" for state, number in counts.items()))
    else:
        click.echo("no offline runs")
    for hint in dict.fromkeys(result.hint for result in results if result.hint):
        note(f"hint: {printable(hint)}")
    if counts["running"]:
        note("running runs are synced when they have ended, or now with --running")
    if dry_run and counts["would sync"]:
        note("nothing was sent (--dry-run)")
