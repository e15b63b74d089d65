"""``aexp queue remove | retry | stop | clear | release``."""

import sys
from collections.abc import Sequence

import click

from aexp.cli.options import (
    dry_run_option,
    filter_options,
    ids_argument,
    json_option,
    require_selection,
    run_filter,
)
from aexp.cli.output import note, print_json, print_table
from aexp.errors import AexpError
from aexp.model import QUEUED, RUNNING, STATUSES, TERMINAL_STATUSES, short
from aexp.paths import Repo
from aexp.queue import change as changes
from aexp.queue.change import Change
from aexp.queue.stop import DEFAULT_GRACE_S, stop_run
from aexp.runs.select import RunFilter
from aexp.runs.store import resolve_id

all_option = click.option(
    "--all", "every", is_flag=True, help="Every run that the verb applies to."
)


@click.command("remove")
@ids_argument
@filter_options
@all_option
@dry_run_option
@json_option
def remove(
    ids: tuple[str, ...],
    experiment: str | None,
    tag: str | None,
    sp: str | None,
    every: bool,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Take queued runs out of the queue: they become abandoned, with cause removed.

    \b
    Examples:
      aexp queue remove 9f3a1b2c
      aexp queue remove --tag smoke --dry-run
    """
    repo, chosen = Repo.installed(), run_filter(experiment, tag, sp)
    require_selection(ids, chosen, every)
    runs = changes.select_for(repo, ids, chosen, frozenset({QUEUED}))
    _report(changes.remove_runs(repo, runs, dry_run=dry_run), chosen, as_json, dry_run)


@click.command("clear")
@filter_options
@click.option("--yes", "-y", is_flag=True, help="Do not ask.")
@dry_run_option
@json_option
def clear(
    experiment: str | None, tag: str | None, sp: str | None, yes: bool, dry_run: bool, as_json: bool
) -> None:
    """Take every queued run under a filter out of the queue. Running runs are left alone.

    \b
    Example:
      aexp queue clear --tag smoke --yes
    """
    repo, chosen = Repo.installed(), run_filter(experiment, tag, sp)
    runs = changes.select_for(repo, (), chosen, frozenset({QUEUED}))
    if runs and not yes and not dry_run:
        if sys.stdin is None or not sys.stdin.isatty():
            raise click.UsageError(f"this would remove {len(runs)} run(s); pass --yes")
        click.confirm(f"remove {len(runs)} queued run(s) ({chosen})?", abort=True)
    _report(changes.remove_runs(repo, runs, dry_run=dry_run), chosen, as_json, dry_run)


@click.command("retry")
@ids_argument
@filter_options
@click.option("--failed", is_flag=True, help="Only runs that failed.")
@click.option(
    "--status", type=click.Choice(sorted(TERMINAL_STATUSES)), help="Only runs of this status."
)
@all_option
@click.option("--resume", is_flag=True, help="Complete runs go on from their last checkpoint, too.")
@dry_run_option
@json_option
def retry(
    ids: tuple[str, ...],
    experiment: str | None,
    tag: str | None,
    sp: str | None,
    failed: bool,
    status: str | None,
    every: bool,
    resume: bool,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Queue ended runs again; children abandoned for them come back with them.

    Runs that failed or were stopped go on from their last checkpoint; complete ones start
    from the beginning, unless --resume.

    With a filter: runs that failed or were stopped (--failed, --status choose among them;
    --status complete runs finished ones again). Every earlier attempt is kept.

    \b
    Examples:
      aexp queue retry --failed
      aexp queue retry 9f3a1b2c
      aexp queue retry --tag paper --status stopped
    """
    repo, chosen = Repo.installed(), run_filter(experiment, tag, sp)
    require_selection(ids, chosen, every or failed or status is not None)
    statuses = changes.RETRIED_BY_DEFAULT
    if failed or status:
        statuses = frozenset({"failed"} if failed else {str(status)})
    if ids:
        runs = changes.select_for(repo, ids, chosen, frozenset(STATUSES))
    else:
        runs = changes.retriable(repo, chosen, statuses)
    shown = chosen._replace(status="failed" if failed else status)
    _report(changes.retry_runs(repo, runs, resume=resume, dry_run=dry_run), shown, as_json, dry_run)


@click.command("stop")
@ids_argument
@filter_options
@all_option
@click.option(
    "--grace-s",
    type=click.FloatRange(0),
    default=DEFAULT_GRACE_S,
    show_default=True,
    help="Seconds between SIGTERM and SIGKILL.",
)
@click.option("--force", is_flag=True, help="SIGKILL at once.")
@dry_run_option
@json_option
def stop(
    ids: tuple[str, ...],
    experiment: str | None,
    tag: str | None,
    sp: str | None,
    every: bool,
    grace_s: float,
    force: bool,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Stop runs that are executing: SIGTERM to the command's process group, then SIGKILL.

    A run in a Slurm job is cancelled with scancel, from a login node too. The run becomes
    stopped, with cause operator_stop.

    \b
    Examples:
      aexp queue stop 9f3a1b2c
      aexp queue stop --tag smoke --grace-s 30
    """
    repo, chosen = Repo.installed(), run_filter(experiment, tag, sp)
    require_selection(ids, chosen, every)
    done: list[Change] = []
    for run in changes.select_for(repo, ids, chosen, frozenset({RUNNING})):
        try:
            done.append(stop_run(repo, run, grace_s=grace_s, force=force, dry_run=dry_run))
        except AexpError as error:
            if len(ids) == 1:
                raise
            done.append(Change(run.job_id, run.status, False, error.message))
    _report(done, chosen, as_json, dry_run)


@click.command("release")
@click.argument("ids", nargs=-1, required=True, metavar="ID...")
@dry_run_option
@json_option
def release(ids: tuple[str, ...], dry_run: bool, as_json: bool) -> None:
    """Declare the owner of a run dead, where aexp cannot tell from this machine.

    The lost attempt is recorded and the run is queued again. A run whose owner is known to
    live is not released.

    \b
    Example:
      aexp queue release 9f3a1b2c
    """
    repo = Repo.installed()
    done = [changes.release_run(repo, resolve_id(repo, item), dry_run=dry_run) for item in ids]
    _report(done, RunFilter(), as_json, dry_run)


def _report(done: Sequence[Change], chosen: RunFilter, as_json: bool, dry_run: bool) -> None:
    if as_json:
        print_json([change._asdict() for change in done])
    elif not done:
        note(chosen.none())
    else:
        print_table(
            ("ID", "STATUS", "NOTE"),
            [(short(change.job_id), change.status, change.note) for change in done],
        )
        if dry_run:
            note("nothing was written (--dry-run)")
    if any(not change.done for change in done):
        sys.exit(1)
