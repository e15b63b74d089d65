"""``aexp list-runs``, ``show-run``, ``new-run``."""

import click

from aexp.cli.options import json_option, run_filter, since_option
from aexp.cli.output import configuration, note, number, print_json, print_table
from aexp.cli.progress_text import duration, progress_text
from aexp.cli.rendering import JSON, Output, output_options
from aexp.cli.run_table import print_runs
from aexp.ledger.entries import list_ledger_job_ids
from aexp.ledger.projection import final_metrics
from aexp.model import STATUSES, TERMINAL_STATUSES, printable, section, short
from aexp.paths import Repo
from aexp.runs.facts import known_details, known_facts, last_log
from aexp.runs.jobs import batch_slug
from aexp.runs.known import (
    KnownRun,
    RunRecord,
    find_known,
    find_repo,
    known_run,
    read_known,
    record_of,
)
from aexp.runs.progress import first_remaining_s, run_progress
from aexp.runs.select import RunFilter
from aexp.runs.since import since_stamp

# With fewer entries to read them all is quicker than to load DuckDB.
_MANY = 2000


@click.command("list-runs")
@click.option("--experiment", metavar="E###", help="Only runs of this experiment.")
@click.option("--hypothesis", metavar="H###", help="Only runs of this hypothesis.")
@click.option("--status", type=click.Choice(STATUSES), help="Only runs of this status.")
@click.option("--tag", metavar="TAG", help="Only runs with this tag.")
@click.option("--sp", metavar="K=V,...", help="Only runs with these state-point values.")
@since_option
@click.option("--limit", type=click.IntRange(1), metavar="N", help="At most N runs.")
@output_options
def list_runs(
    experiment: str | None,
    hypothesis: str | None,
    status: str | None,
    tag: str | None,
    sp: str | None,
    since: str | None,
    limit: int | None,
    out: Output,
) -> None:
    """List runs with their configuration and final metrics, the newest first.

    The newest is the run that was queued, started or ended last. Runs of other machines are
    known from the ledger. Of a run that is running: how far it is, and its newest metrics.

    \b
    Examples:
      aexp ls --since 7d
      aexp list-runs --experiment E001 --status complete --csv
    """
    repo = find_repo()
    chosen = run_filter(experiment, tag, sp, hypothesis=hypothesis, status=status)
    moment = since_stamp(since) if since is not None else None
    is_json = out.form == JSON
    if len(list_ledger_job_ids(repo)) >= _MANY and (limit is not None or not is_json):
        records = _of_catalogue(chosen, moment, limit)
        found = {
            run.job_id: known_run(repo, run.job_id)
            for run in records
            if is_json or run.status not in TERMINAL_STATUSES
        }
    else:
        known = find_known(repo, chosen, since=moment)[:limit]
        records = [record_of(one) for one in known]
        found = {one.run.job_id: one for one in known}
    progress = [
        run_progress(repo, found[run.job_id].run) if run.job_id in found else None
        for run in records
    ]
    facts = [known_facts(repo, found[run.job_id]) for run in records] if is_json else None
    words = f"{chosen.none()} since {since}" if since is not None else chosen.none()
    print_runs(out, records, facts=facts, progress=progress, none=words)


def _of_catalogue(chosen: RunFilter, since: str | None, limit: int | None) -> list[RunRecord]:
    """Return the runs by the catalogue, which does not open every entry of a long ledger."""
    from aexp.catalogue.listing import list_runs
    from aexp.cli.query_options import asked_catalogue

    with asked_catalogue() as catalogue:
        return list_runs(catalogue, chosen, since=since, limit=limit)


@click.command("show-run")
@click.argument("job_id", metavar="ID")
@json_option
def show_run(job_id: str, as_json: bool) -> None:
    """Show one run: configuration, metrics, attempts, error, and where its log lies.

    \b
    Examples:
      aexp show 9f3a1b2c
      aexp show-run 9f3a1b2c --json
    """
    repo = find_repo()
    known = read_known(repo, job_id)
    if as_json:
        print_json(known_details(repo, known))
        return
    _print_run(repo, known)


def _print_run(repo: Repo, known: KnownRun) -> None:
    from aexp.runs.heartbeat import age_s

    run = known.run

    def field(name: str, value: object) -> None:
        if value not in (None, "", [], {}):
            click.echo(f"{name:<14}{printable(value)}")

    field("run", run.job_id)
    field("status", run.status)
    field("cause", run.record.get("cause"))
    verdict = section(run.record, "verdict")
    residual = " (none of the others)" if verdict.get("residual") is True else ""
    field("outcome", verdict.get("outcome") and f"{verdict['outcome']}{residual}")
    if known.machine is not None:
        field("machine", f"{known.machine} (it is known from the ledger alone)")
    field("name", run.record.get("name"))
    field("batch", batch_slug(run) if run.experiment_id else None)
    field("tag", run.tag)
    field("configuration", " " + configuration(run.sp))
    commit = run.sp.get("code_commit")
    dirty = " (with uncommitted changes)" if run.sp.get("code_dirty") else ""
    field("code", f"{commit}{dirty}" if commit else None)
    if run.record.get("tracker") or run.doc.get("tracker"):
        from aexp.trackers.binding import describe

        field("tracker", describe(run))
    field("after", ", ".join(short(parent) for parent in run.after))
    field("queued", run.queue.get("queued_at"))
    field("started", run.doc.get("started_at"))
    field("ended", run.doc.get("ended_at"))
    field("seconds", run.doc.get("wallclock_s"))
    if run.status == "running":
        age = age_s(repo, run.job_id)
        field("heartbeat", None if age is None else f"{age:.0f} s ago")
    progress = run_progress(repo, run)
    if progress is not None:
        field("progress", progress_text(progress))
        field("left", duration(first_remaining_s(run, progress)))
    for name, value in final_metrics(run).items():
        field("metric", f"{name} = {number(value)}")
    for name, value in (progress.metrics if progress is not None else {}).items():
        field("latest", f"{name} = {number(value)}")
    if run.attempts:
        click.echo()
        print_table(
            (
                "ATTEMPT",
                "STATUS",
                "CAUSE",
                "EXIT",
                "SECONDS",
                "CPU S",
                "PEAK MB",
                "HOST",
                "SLURM",
                "STARTED",
            ),
            [
                tuple(
                    attempt.get(key)
                    for key in (
                        "attempt",
                        "status",
                        "cause",
                        "returncode",
                        "wallclock_s",
                        "cpu_s",
                        "max_rss_mb",
                        "host",
                        "slurm_job_id",
                        "started_at",
                    )
                )
                for attempt in run.attempts
            ],
        )
        field("command", run.attempts[-1].get("command"))
    error = section(run.queue, "last_error")
    if error:
        click.echo()
        field("error", error.get("message") or f"exit code {error.get('returncode')}")
        for line in str(error.get("stderr_tail") or "").splitlines()[-15:]:
            click.echo("  | " + printable(line))
    log = last_log(repo, run)
    if log:
        click.echo()
        field("log", repo.relative(log))
        if run.status in ("failed", "stopped"):
            note(f"again: aexp queue retry {short(run.job_id)}")


@click.command("new-run")
@click.option("--experiment", required=True, metavar="E###", help="The experiment it belongs to.")
@click.option("--hypothesis", metavar="H###", help="Default: the experiment's.")
@click.option("--sub-hypothesis", metavar="H###", help="A sub-hypothesis of the experiment.")
@click.option("--sp", metavar="K=V,...", help="Its configuration; K:=JSON gives any type.")
@click.option("--no-commit", is_flag=True, help="Leave the code version out of the identity.")
@click.option("--no-resolve", is_flag=True, help="Store the condition name as a bare label.")
@click.option("--dry-run", "-n", is_flag=True, help="Say what would be created; write nothing.")
@json_option
def new_run(
    experiment: str,
    hypothesis: str | None,
    sub_hypothesis: str | None,
    sp: str | None,
    no_commit: bool,
    no_resolve: bool,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Create a run without queueing it, for code that drives it by itself.

    \b
    Example:
      aexp new-run --experiment E001 --sp condition=full,seed=0
    """
    from aexp.kb.conditions import Resolver
    from aexp.kb.experiments import load_experiment
    from aexp.queue.sweep import parse_assignments
    from aexp.runs.create import create_plain_run

    repo = Repo.installed()
    loaded = load_experiment(repo, experiment)
    resolved = Resolver(loaded, resolve_conditions=not no_resolve).state_point(
        parse_assignments(sp) if sp else {}
    )
    job_id, created = create_plain_run(
        repo,
        experiment,
        resolved,
        hypothesis_id=hypothesis or loaded.hypothesis_id,
        sub_hypothesis_id=sub_hypothesis,
        include_commit=not no_commit,
        dry_run=dry_run,
    )
    if as_json:
        print_json({"job_id": job_id, "created": created, "dry_run": dry_run, "sp": resolved})
        return
    verb = "would create" if dry_run else "created" if created else "exists already:"
    click.echo(f"{verb} {job_id}")
