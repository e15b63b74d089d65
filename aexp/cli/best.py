"""``aexp best``."""

from typing import TYPE_CHECKING

import click

from aexp.cli.output import configuration, note, number, print_table
from aexp.cli.query_options import asked_catalogue, nothing, query_options
from aexp.cli.rendering import Output, exact, output_options, render
from aexp.model import printable, short

if TYPE_CHECKING:
    from aexp.catalogue.best import Ranking
    from aexp.catalogue.filters import RunQuery


@click.command("best")
@query_options
@click.option(
    "--metric",
    multiple=True,
    required=True,
    metavar="NAME|CONDITION",
    help="The metric to compare by; further ones with a condition: only such runs.",
)
@click.option(
    "--mode",
    type=click.Choice(("max", "min")),
    default="max",
    help="Which value is the best; default max.",
)
@click.option("--per", metavar="KEY,...", help="The best of each value of these parameters.")
@click.option(
    "--top", type=click.IntRange(1), default=1, metavar="N", help="The best N; default 1."
)
@output_options
def best(
    query: "RunQuery",
    metric: tuple[str, ...],
    mode: str,
    per: str | None,
    top: int,
    out: Output,
) -> None:
    """Show the run with the highest, or lowest, final value of a metric.

    Only complete runs take part, or those of --status; NaN and infinity never win. Runs with
    equal values share their rank. For the best average over seeds: aexp table --sort=-NAME.

    \b
    Examples:
      aexp best --metric accuracy
      aexp best --metric val_loss --mode min --per condition --experiment E001
      aexp best --metric accuracy --metric 'loss<1' --top 3 --json
    """
    from aexp.catalogue.best import best_runs
    from aexp.catalogue.comparison import parse_comparison
    from aexp.catalogue.filters import find_runs

    asked = [parse_comparison(one) for one in metric]
    names = [one.name for one in asked if not one.operator]
    if len(names) != 1:
        raise click.UsageError("give one --metric NAME to compare by, for instance accuracy")
    query = query._replace(metrics=tuple(one for one in asked if one.operator))
    with asked_catalogue() as catalogue:
        found = find_runs(catalogue, query)
        none = nothing(catalogue, query) if not found else ""
    keys = list(dict.fromkeys(key.strip() for key in (per or "").split(",") if key.strip()))
    ranking = best_runs(
        found, names[0], mode=mode, per=keys, top=top, any_status=bool(query.statuses)
    )
    if found and not ranking.best:
        none = f"none of {len(found)} run(s) is complete with a finite {printable(names[0])}"
    _print(out, ranking, names[0], mode, keys, none)


def _print(
    out: Output, ranking: "Ranking", name: str, mode: str, keys: list[str], none: str
) -> None:
    columns = [*(f"p_{key}" for key in keys), "rank", "job_id", f"m_{name}", "experiment_id"]
    rows = [
        [
            *(one.group.get(key) for key in keys),
            one.rank,
            one.run.job_id,
            one.value,
            one.run.experiment_id,
        ]
        for one in ranking.best
    ]

    def text() -> None:
        shown = [
            [
                *(exact(one.group[key]) if key in one.group else "-" for key in keys),
                one.rank if len(ranking.best) > 1 else None,
                short(one.run.job_id),
                number(one.value),
                one.run.experiment_id,
                configuration(one.run.sp),
            ]
            for one in ranking.best
        ]
        head = ["RANK", "ID", printable(name), "EXP", "CONFIGURATION"]
        print_table([*map(printable, keys), *head], shown)
        note(_told(ranking, name, mode))

    facts = [
        {
            "per": one.group,
            "rank": one.rank,
            "metric": name,
            "mode": mode,
            "value": one.value,
            **one.run._asdict(),
        }
        for one in ranking.best
    ]
    render(out, columns, rows, text=text, facts=facts, none=none)


def _told(ranking: "Ranking", name: str, mode: str) -> str:
    which = "highest" if mode == "max" else "lowest"
    parts = [f"{which} {printable(name)} of {ranking.compared} run(s)"]
    if ranking.not_finite:
        parts.append(f"{ranking.not_finite} not finite")
    if ranking.not_complete:
        parts.append(f"{ranking.not_complete} not complete")
    return ", ".join(parts)
