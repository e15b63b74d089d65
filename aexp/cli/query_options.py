"""The conditions that ``find``, ``table`` and ``best`` have in common."""

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

import click

from aexp.cli.options import since_option
from aexp.cli.output import note
from aexp.model import STATUSES, check_experiment_id, check_hypothesis_id, check_tag, printable
from aexp.runs.known import find_repo
from aexp.runs.since import since_stamp

if TYPE_CHECKING:
    from aexp.catalogue import Catalogue
    from aexp.catalogue.filters import RunQuery

F = TypeVar("F", bound=Callable[..., Any])

_OPTIONS = (
    click.option(
        "--status", multiple=True, type=click.Choice(STATUSES), help="Only runs of this status."
    ),
    click.option("--experiment", multiple=True, metavar="E###", help="Only this experiment."),
    click.option("--hypothesis", metavar="H###", help="Only runs of this hypothesis."),
    click.option("--tag", multiple=True, metavar="TAG", help="Only runs with this tag."),
    click.option("--campaign", multiple=True, metavar="ID", help="Only runs of this campaign."),
    click.option("--outcome", multiple=True, metavar="LABEL", help="Only runs that came out so."),
    since_option,
    click.option(
        "--param",
        multiple=True,
        metavar="CONDITION",
        help="Only runs with such a parameter: 'lr<0.1', 'model=base', 'model~res*', or 'lr'.",
    ),
    click.option("--slurm-job", metavar="ID", help="Only what was executed in this Slurm job."),
    click.option(
        "--output-file", metavar="GLOB", help="Only runs that made such a file, or this one."
    ),
)


def query_options(function: F) -> F:
    """Add the conditions; the verb gets them as `query`, all but those on metrics."""

    @functools.wraps(function)
    def verb(
        *args: Any,
        status: tuple[str, ...],
        experiment: tuple[str, ...],
        hypothesis: str | None,
        tag: tuple[str, ...],
        campaign: tuple[str, ...],
        outcome: tuple[str, ...],
        since: str | None,
        param: tuple[str, ...],
        slurm_job: str | None,
        output_file: str | None,
        **kwargs: Any,
    ) -> Any:
        from aexp.catalogue.comparison import parse_comparison
        from aexp.catalogue.filters import RunQuery

        query = RunQuery(
            statuses=status,
            experiments=tuple(map(check_experiment_id, experiment)),
            hypothesis_id=None if hypothesis is None else check_hypothesis_id(hypothesis),
            tags=tuple(map(check_tag, tag)),
            campaigns=campaign,
            outcomes=outcome,
            since=since_stamp(since) if since is not None else None,
            params=tuple(map(parse_comparison, param)),
            slurm_job=slurm_job,
            output_file=output_file,
        )
        return function(*args, query=query, **kwargs)

    for option in reversed(_OPTIONS):
        verb = option(verb)
    return verb  # type: ignore[return-value]


@contextmanager
def asked_catalogue() -> "Iterator[Catalogue]":
    """Open the catalogue of this repository, and say what could not be read."""
    from aexp.catalogue import open_catalogue

    repo = find_repo()
    with open_catalogue(repo) as catalogue:
        for line in catalogue.warnings:
            note(f"warning: {printable(line)}")
        yield catalogue


def nothing(catalogue: "Catalogue", query: "RunQuery") -> str:
    """Say what was looked for, and which of its names no run has."""
    from aexp.catalogue.filters import unknown_names

    return "; ".join([query.none(), *unknown_names(catalogue, query)])
