"""``aexp list-batches``, ``show-batch``."""

from typing import TYPE_CHECKING, Any

import click

from aexp.cli.options import json_option, selector_of
from aexp.cli.output import configuration, note, number, print_json, print_table
from aexp.model import STATUSES, printable, short

if TYPE_CHECKING:
    from aexp.runs.batches import MetricSummary


@click.command("list-batches")
@click.option("--experiment", metavar="E###", help="Only this experiment.")
@click.option(
    "--by",
    default="condition",
    metavar="KEY,...",
    help="State-point keys that make a batch; default condition.",
)
@json_option
def list_batches(experiment: str | None, by: str, as_json: bool) -> None:
    """Group runs by experiment and state-point values: those here, and those in the ledger.

    \b
    Example:
      aexp list-batches --experiment E001 --by model,lr
    """
    from aexp.runs import batches

    keys = tuple(dict.fromkeys(key.strip() for key in by.split(",") if key.strip()))
    found = batches.list_batches(experiment_id=experiment, selector_keys=keys)
    if as_json:
        print_json([one._asdict() for one in found])
        return
    if not found:
        note(f"{experiment} has no run" if experiment else "there is no run")
        return
    rows = [
        (
            one.experiment_id,
            one.hypothesis_id,
            *(_shown(one.selector, key) for key in keys),
            one.runs,
            *(one.statuses.get(word) for word in STATUSES),
        )
        for one in found
    ]
    columns = ("EXP", "HYP", *(printable(key) for key in keys), "RUNS")
    print_table((*columns, *(word.upper() for word in STATUSES)), rows)
    for key in keys:
        if not any(key in one.selector for one in found):
            note(f"no run has the key {printable(key)}")


def _shown(selector: dict[str, Any], key: str) -> str:
    return configuration({"": selector[key]}).removeprefix("=") if key in selector else "-"


@click.command("show-batch")
@click.option("--experiment", required=True, metavar="E###", help="The experiment.")
@click.option("--condition", metavar="NAME", help="Short for --select condition=NAME.")
@click.option("--model", metavar="NAME", help="Short for --select model=NAME.")
@click.option("--select", metavar="K=V,...", help="Any state-point values; K:=JSON for any type.")
@json_option
def show_batch(
    experiment: str,
    condition: str | None,
    model: str | None,
    select: str | None,
    as_json: bool,
) -> None:
    """Show the runs of an experiment that share some values, and their final numbers.

    Runs of other machines are known from the ledger.

    \b
    Example:
      aexp show-batch --experiment E001 --select condition=full,lr=0.1
    """
    from aexp.kb.values import spelling
    from aexp.runs import batches

    selector = selector_of(select) if select else {}
    for key, value in (("condition", condition), ("model", model)):
        if value is None:
            continue
        if key in selector:
            raise click.UsageError(f"--{key} and --select both give {key}")
        selector[key] = value
    found = batches.show_batch(experiment_id=experiment, selector=selector)
    if as_json:
        print_json(
            {
                **found.summary._asdict(),
                "runs": [one._asdict() for one in found.runs],
                "metrics": {name: one._asdict() for name, one in found.metrics.items()},
            }
        )
        return
    if not found.runs:
        words = ", ".join(f"{key}={spelling(value)}" for key, value in selector.items())
        note(
            f"no run of {experiment} has {printable(words)}"
            if words
            else f"{experiment} has no run"
        )
        return
    names = list(dict.fromkeys(name for one in found.runs for name in one.metrics))
    rows: list[tuple[object, ...]] = [
        (
            short(one.job_id),
            one.status,
            one.machine,
            configuration(one.sp),
            *(number(one.metrics[name]) if name in one.metrics else "" for name in names),
        )
        for one in found.runs
    ]
    columns = ("ID", "STATUS", "MACHINE", "CONFIGURATION", *(printable(name) for name in names))
    print_table(columns, rows)
    if found.metrics:
        click.echo()
        rows = [
            (name, one.n, _mean(one), *map(_or_none, (one.sd, one.min, one.max)))
            for name, one in found.metrics.items()
        ]
        print_table(("METRIC", "N", "MEAN", "SD", "MIN", "MAX"), rows)
    counts = ", ".join(f"{n} {word}" for word, n in found.summary.statuses.items())
    note(f"{found.summary.batch_slug}: {counts}")


def _mean(metric: "MetricSummary") -> str | None:
    if metric.not_finite:
        return f"{metric.not_finite} of {metric.n} not finite"
    return _or_none(metric.mean)


def _or_none(value: float | None) -> str | None:
    return None if value is None else number(value)
