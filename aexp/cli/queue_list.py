"""``aexp queue list``."""

import click

from aexp.cli.options import filter_options, json_option, run_filter
from aexp.cli.output import configuration, note, print_json, print_table
from aexp.cli.progress_text import metrics_text, progress_text
from aexp.model import short
from aexp.paths import Repo
from aexp.queue.pending import QueueEntry, list_entries

_METRICS = 3


@click.command("list")
@filter_options
@click.option("--include-terminal", is_flag=True, help="Also runs that have ended.")
@click.option("--limit", type=click.IntRange(1), metavar="N", help="At most N runs.")
@json_option
def list_(
    experiment: str | None,
    tag: str | None,
    sp: str | None,
    include_terminal: bool,
    limit: int | None,
    as_json: bool,
) -> None:
    """List what is queued, in the order in which it runs, and why it has not run yet.

    Of a run that is running: how far it is, and its newest metrics.

    \b
    Example:
      aexp queue list --tag paper --include-terminal
    """
    repo = Repo.installed()
    chosen = run_filter(experiment, tag, sp)
    entries = list_entries(repo, chosen, include_terminal=include_terminal, limit=limit)
    if as_json:
        print_json([_as_dict(entry) for entry in entries])
        return
    if not entries:
        note(f"nothing is queued under: {chosen}")
        return
    rows = [
        (
            short(entry.job_id),
            entry.status,
            entry.experiment_id,
            entry.tag,
            configuration(entry.sp),
            progress_text(entry.progress),
            metrics_text(entry.progress["metrics"], _METRICS) if entry.progress else "",
            "" if entry.state in ("ready", "ended") else entry.state,
            entry.why if entry.state != "ended" else _why_ended(entry),
        )
        for entry in entries
    ]
    print_table(
        (
            "ID",
            "STATUS",
            "EXP",
            "TAG",
            "CONFIGURATION",
            "PROGRESS",
            "METRICS",
            "WAITS",
            "WHY",
        ),
        rows,
        wrap_last=True,
    )
    note(f"{len(entries)} run(s)")


def _why_ended(entry: QueueEntry) -> str:
    error = entry.last_error or {}
    cause = entry.why or error.get("cause") or ""
    code = error.get("returncode")
    if entry.status in ("complete", "abandoned") or code is None:
        return str(cause)
    return f"{cause} (exit code {code})" if cause else f"exit code {code}"


def _as_dict(entry: QueueEntry) -> dict[str, object]:
    return {"short_id": short(entry.job_id), **entry._asdict()}
