"""``aexp list-runs``, ``show-run``, ``new-run``."""

import click

from aexp.cli.options import json_option, run_filter
from aexp.cli.output import configuration, note, number, print_json, print_table
from aexp.cli.progress_text import duration, progress_text
from aexp.ledger.projection import final_metrics
from aexp.model import STATUSES, Run, printable, section, short
from aexp.paths import Repo
from aexp.runs.facts import last_log, run_details, run_facts
from aexp.runs.jobs import batch_slug
from aexp.runs.progress import first_remaining_s, run_progress
from aexp.runs.select import find_matching
from aexp.runs.store import read_run, resolve_id


@click.command("list-runs")
@click.option("--experiment", metavar="E###", help="Only runs of this experiment.")
@click.option("--hypothesis", metavar="H###", help="Only runs of this hypothesis.")
@click.option("--status", type=click.Choice(STATUSES), help="Only runs of this status.")
@click.option("--tag", metavar="TAG", help="Only runs with this tag.")
@click.option("--sp", metavar="K=V,...", help="Only runs with these state-point values.")
@click.option("--limit", type=click.IntRange(1), metavar="N", help="At most N runs.")
@json_option
def list_runs(
    experiment: str | None,
    hypothesis: str | None,
    status: str | None,
    tag: str | None,
    sp: str | None,
    limit: int | None,
    as_json: bool,
) -> None:
    """List runs with their configuration and final metrics, in queue order.

    Of a run that is running: how far it is, and its newest metrics.

    \b
    Example:
      aexp list-runs --experiment E001 --status complete
    """
    repo = Repo.installed()
    chosen = run_filter(experiment, tag, sp, hypothesis=hypothesis, status=status)
    runs = find_matching(repo, chosen)[:limit]
    if as_json:
        print_json([run_facts(repo, run) for run in runs])
        return
    if not runs:
        note(chosen.none())
        return
    progress = [run_progress(repo, run) for run in runs]
    metrics = [
        final_metrics(run) if known is None else {**final_metrics(run), **known.metrics}
        for run, known in zip(runs, progress, strict=True)
    ]
    names = list(dict.fromkeys(name for found in metrics for name in found))
    rows = [
        (
            short(run.job_id),
            run.status,
            run.experiment_id,
            run.tag,
            configuration(run.sp),
            progress_text(known),
            run.doc.get("wallclock_s"),
            *(number(found[name]) if name in found else "" for name in names),
        )
        for run, known, found in zip(runs, progress, metrics, strict=True)
    ]
    columns = ("ID", "STATUS", "EXP", "TAG", "CONFIGURATION", "PROGRESS", "SECONDS", *names)
    print_table([printable(name) for name in columns], rows)
    note(f"{len(runs)} run(s)")


@click.command("show-run")
@click.argument("job_id", metavar="ID")
@json_option
def show_run(job_id: str, as_json: bool) -> None:
    """Show one run: configuration, attempts, error, and where its log lies.

    \b
    Example:
      aexp show-run 9f3a1b2c
    """
    repo = Repo.installed()
    run = read_run(repo, resolve_id(repo, job_id))
    if as_json:
        print_json(run_details(repo, run))
        return
    _print_run(repo, run)


def _print_run(repo: Repo, run: Run) -> None:
    from aexp.runs.heartbeat import age_s

    def field(name: str, value: object) -> None:
        if value not in (None, "", [], {}):
            click.echo(f"{name:<14}{printable(value)}")

    field("run", run.job_id)
    field("status", run.status)
    field("cause", run.record.get("cause"))
    field("batch", batch_slug(run))
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
