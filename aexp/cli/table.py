"""``aexp table``."""

import math
from typing import TYPE_CHECKING, Any

import click

from aexp.cli.output import note, number, print_table
from aexp.cli.query_options import asked_catalogue, nothing, query_options
from aexp.cli.rendering import Output, exact, output_options, plain, render
from aexp.model import printable, short

if TYPE_CHECKING:
    from aexp.catalogue.filters import RunQuery
    from aexp.catalogue.table import RunTable
    from aexp.runs.batches import MetricSummary
    from aexp.runs.known import RunRecord

_MOST_DECIMALS = 8


@click.command("table")
@query_options
@click.option(
    "--metric",
    multiple=True,
    metavar="NAME|CONDITION",
    help="Show this metric instead of all; with a condition: only such runs.",
)
@click.option("--by", metavar="KEY,...", help="Parameters that make a row; default: all varied.")
@click.option(
    "--over", default="seed", metavar="KEY,...", help="Parameters to average over; default seed."
)
@click.option("--runs", "each", is_flag=True, help="One row per run instead of averages.")
@click.option("--sort", metavar="[-]NAME", help="By a metric or parameter; -NAME: largest first.")
@click.option("--limit", type=click.IntRange(1), metavar="N", help="At most N rows.")
@output_options
def table(
    query: "RunQuery",
    metric: tuple[str, ...],
    by: str | None,
    over: str,
    each: bool,
    sort: str | None,
    limit: int | None,
    out: Output,
) -> None:
    """Compare runs: the parameters that vary, and each metric's mean ± deviation over seeds.

    The averages are over complete runs, or over those of --status; the column OTHERS counts
    the rest. The deviation is the sample's.

    \b
    Examples:
      aexp table --experiment E001
      aexp table --experiment E001 --by model,lr --metric accuracy --sort=-accuracy
      aexp table --tag paper --over seed,fold --md
      aexp table --experiment E001 --runs --csv
    """
    from aexp.catalogue.comparison import parse_comparison
    from aexp.catalogue.filters import find_runs
    from aexp.catalogue.table import build_table

    asked = [parse_comparison(one) for one in metric]
    query = query._replace(metrics=tuple(one for one in asked if one.operator))
    with asked_catalogue() as catalogue:
        found = find_runs(catalogue, query)
        none = nothing(catalogue, query) if not found else ""
    made = build_table(
        found,
        by=_names(by) if by is not None else None,
        over=() if each else _names(over),
        metrics=[one.name for one in asked if not one.operator],
        sort=sort,
        any_status=each or bool(query.statuses),
        each=each,
    )
    if each:
        _print_runs(out, found, made, limit, none)
    else:
        _print_groups(out, made, limit, none)


def _names(text: str) -> list[str]:
    return list(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))


def _print_groups(out: Output, made: "RunTable", limit: int | None, none: str) -> None:
    rows = made.rows[:limit]
    columns = [*(f"p_{key}" for key in made.keys), "runs", "others"]
    columns += [f"m_{name}_{what}" for name in made.metrics for what in ("mean", "sd", "n")]
    values = [
        [
            *(row.params.get(key) for key in made.keys),
            row.runs,
            _others(row.others),
            *(
                getattr(row.metrics[name], what) if name in row.metrics else None
                for name in made.metrics
                for what in ("mean", "sd", "n")
            ),
        ]
        for row in rows
    ]

    def shown() -> tuple[list[str], list[list[Any]]]:
        return (
            [*map(printable, made.keys), "RUNS", "OTHERS", *map(printable, made.metrics)],
            [
                [
                    *(_cell(row.params, key) for key in made.keys),
                    row.runs,
                    _others(row.others),
                    *(_mean(row.metrics.get(name), row.runs) for name in made.metrics),
                ]
                for row in rows
            ],
        )

    def text() -> None:
        print_table(*shown())
        _tell(made, len(rows))

    if out.form == "md" and rows:
        columns, values = shown()
    facts = [
        {**row._asdict(), "metrics": {k: one._asdict() for k, one in row.metrics.items()}}
        for row in rows
    ]
    render(out, columns, values, text=text, facts=facts, none=none)


def _print_runs(
    out: Output, runs: "list[RunRecord]", made: "RunTable", limit: int | None, none: str
) -> None:
    from aexp.catalogue.table import parameters_of

    by_id = {run.job_id: run for run in runs}
    found = [by_id[job_id] for row in made.rows for job_id in row.job_ids][:limit]
    columns = ["job_id", "status", *(f"p_{key}" for key in made.keys)]
    columns += [f"m_{name}" for name in made.metrics]
    params = [parameters_of(run) for run in found]
    values = [
        [
            run.job_id,
            run.status,
            *(own.get(key) for key in made.keys),
            *(run.metrics.get(name) for name in made.metrics),
        ]
        for run, own in zip(found, params, strict=True)
    ]

    def text() -> None:
        head = ["ID", "STATUS", *map(printable, (*made.keys, *made.metrics))]
        rows = [
            [
                short(run.job_id),
                run.status,
                *(_cell(own, key) for key in made.keys),
                *(_number(run.metrics.get(name)) for name in made.metrics),
            ]
            for run, own in zip(found, params, strict=True)
        ]
        print_table(head, rows)
        note(f"{len(rows)} run(s)")

    facts = [
        {
            "job_id": run.job_id,
            "status": run.status,
            "params": {key: own[key] for key in made.keys if key in own},
            "metrics": {k: run.metrics[k] for k in made.metrics if k in run.metrics},
        }
        for run, own in zip(found, params, strict=True)
    ]
    render(out, columns, values, text=text, facts=plain(facts), none=none)


def _cell(params: dict[str, Any], key: str) -> str:
    if key not in params:
        return "-"
    return "null" if params[key] is None else exact(params[key])


def _number(value: Any) -> str:
    return "" if value is None else number(value)


def _others(others: dict[str, int]) -> str:
    return ", ".join(f"{count} {word}" for word, count in others.items())


def _mean(one: "MetricSummary | None", runs: int) -> str:
    if one is None:
        return "" if runs == 0 else "-"
    few = f" (n={one.n})" if one.n != runs else ""
    if one.not_finite:
        return f"{one.not_finite} of {one.n} not finite"
    if one.mean is None:
        return f"too large{few}"
    return with_deviation(one.mean, one.sd) + few


def with_deviation(mean: float, sd: float | None) -> str:
    """Return ``0.913 ± 0.012``: the deviation with two digits, the mean as exact as that."""
    if sd is None:
        return number(mean)
    decimals = 1 - math.floor(math.log10(sd)) if sd > 0 else 0
    if sd == 0 or decimals > _MOST_DECIMALS or abs(mean) >= 10**_MOST_DECIMALS:
        return f"{number(mean)} ± {sd:.2g}"
    decimals = max(0, decimals)
    return f"{mean:.{decimals}f} ± {sd:.{decimals}f}"


def _tell(made: "RunTable", shown: int) -> None:
    runs = sum(row.runs for row in made.rows)
    note(f"{shown} of {len(made.rows)} row(s), {runs} run(s)")
    if made.mixed:
        note(
            f"{made.mixed} row(s) average runs of different code versions; "
            "--by …,code_commit tells them apart"
        )
