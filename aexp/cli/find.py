"""``aexp find``."""

from typing import TYPE_CHECKING

import click

from aexp.cli.query_options import asked_catalogue, nothing, query_options
from aexp.cli.rendering import Output, output_options
from aexp.cli.run_table import print_runs

if TYPE_CHECKING:
    from aexp.catalogue.filters import RunQuery


@click.command("find")
@query_options
@click.option(
    "--metric",
    multiple=True,
    metavar="CONDITION",
    help="Only runs with such a final number: 'accuracy>=0.9', 'loss=nan', or 'loss'.",
)
@click.option("--limit", type=click.IntRange(1), metavar="N", help="At most N runs.")
@output_options
def find(query: "RunQuery", metric: tuple[str, ...], limit: int | None, out: Output) -> None:
    """Find runs by what they are, what they got and what they made, the newest first.

    Every condition must hold; of --status, --experiment, --tag, --campaign and --outcome given
    several times, one. A file is looked for by path and, where it exists, by its content.

    \b
    Examples:
      aexp find --param 'lr<0.1' --metric 'accuracy>=0.9'
      aexp find --status failed --since 7d --experiment E001
      aexp find --output-file results/model.pt
      aexp find --slurm-job 4711 --json
    """
    from aexp.catalogue.comparison import parse_comparison
    from aexp.catalogue.filters import find_runs

    query = query._replace(metrics=tuple(map(parse_comparison, metric)))
    with asked_catalogue() as catalogue:
        found = find_runs(catalogue, query, limit)
        none = nothing(catalogue, query) if not found else ""
    print_runs(out, found, none=none)
