"""Options and conversions that several verbs share."""

from collections.abc import Callable
from typing import Any, TypeVar

import click

from aexp.model import check_experiment_id, check_hypothesis_id, check_tag
from aexp.runs.select import RunFilter

F = TypeVar("F", bound=Callable[..., Any])

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON for programs.")
dry_run_option = click.option(
    "--dry-run", "-n", is_flag=True, help="Say what would be done; write nothing."
)
since_option = click.option(
    "--since", metavar="WHEN", help="Only runs since then: 24h, 7d, 2w, or a date (UTC)."
)
ids_argument = click.argument("ids", nargs=-1, metavar="[ID]...")


def sidecar_options(function: F) -> F:
    """Add ``--no-sidecar`` and ``--agent-mode``, of every verb that begins runs."""
    function = click.option(
        "--agent-mode",
        type=click.Choice(["collaborative", "autonomous"]),
        help="Who works here; recorded with the run (default: what its sidecar says).",
    )(function)
    return click.option(
        "--no-sidecar",
        is_flag=True,
        help="Run without what is pre-registered; that is recorded and counted.",
    )(function)


def filter_options(function: F) -> F:
    """Add ``--experiment``, ``--tag`` and ``--sp``, the filter of every queue verb."""
    function = click.option(
        "--sp", metavar="K=V,...", help="Only runs with these state-point values."
    )(function)
    function = click.option("--tag", metavar="TAG", help="Only runs with this tag.")(function)
    return click.option("--experiment", metavar="E###", help="Only runs of this experiment.")(
        function
    )


def run_filter(
    experiment: str | None,
    tag: str | None,
    sp: str | None = None,
    *,
    hypothesis: str | None = None,
    status: str | None = None,
) -> RunFilter:
    """Check the filter options and return the filter."""
    values: dict[str, Any] = {}
    if sp:
        values = selector_of(sp)
    return RunFilter(
        experiment_id=check_experiment_id(experiment) if experiment else None,
        hypothesis_id=check_hypothesis_id(hypothesis) if hypothesis else None,
        tag=check_tag(tag) if tag else None,
        status=status,
        sp=values,
    )


def selector_of(text: str) -> dict[str, Any]:
    """Read ``K=V,...`` of a selection: a plain value stays text, which matches what it spells."""
    from aexp.queue.sweep import parse_assignments

    return {
        key: str(value) if isinstance(value, str) else value
        for key, value in parse_assignments(text).items()
    }


def require_selection(ids: tuple[str, ...], chosen: RunFilter, every: bool) -> None:
    """Refuse a verb that changes runs when neither ids nor a filter were given."""
    if not ids and not every and chosen == RunFilter():
        raise click.UsageError("give run ids, a filter (--experiment, --tag, --sp), or --all")
    if ids and chosen != RunFilter():
        raise click.UsageError("give run ids or a filter, not both")
