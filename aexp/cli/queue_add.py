"""``aexp queue add``."""

from collections import Counter
from typing import Any

import click

from aexp.cli.options import dry_run_option, json_option
from aexp.cli.output import configuration, note, print_json, print_table
from aexp.model import short
from aexp.paths import Repo
from aexp.queue.plan import Adder, AddPlan, Planned, QueueOptions

_SHOWN = 20
_WORDS = {
    "new": "queued",
    "again": "queued again",
    "duplicate": "duplicate, not queued twice",
    "running": "running, left alone",
    "kept": "ended, kept",
    "unreadable": "unreadable, left alone",
}


@click.command("add")
@click.option(
    "--experiment", required=True, metavar="E###", help="The experiment the runs belong to."
)
@click.option("--hypothesis", metavar="H###", help="Default: the experiment's.")
@click.option("--sub-hypothesis", metavar="H###", help="A sub-hypothesis of the experiment.")
@click.option("--sp", metavar="K=V,...", help="Keys fixed for every run; K:=JSON gives any type.")
@click.option(
    "--sweep", metavar="K=V|V,K=A..B", help="Keys to combine: all combinations are queued."
)
@click.option(
    "--zip", "zipped", multiple=True, metavar="K=V|V,K=V|V", help="Keys that advance together."
)
@click.option("--sweep-file", metavar="FILE", help="YAML, JSON or CSV rows; - reads stdin.")
@click.option("--sweep-format", type=click.Choice(["yaml", "csv"]), help="Format of --sweep-file.")
@click.option("--exclude", multiple=True, metavar="K=V,K=V", help="Leave these combinations out.")
@click.option("--tag", metavar="TAG", help="A label for the batch, to filter by.")
@click.option("--command", metavar="TEMPLATE", help="A command instead of the experiment's.")
@click.option("--after", multiple=True, metavar="ID", help="Wait until this run is complete.")
@click.option("--retries", type=click.IntRange(0, 1000), help="More attempts if the command fails.")
@click.option(
    "--max-faults",
    type=click.IntRange(1, 1000),
    help="Faults (node lost, killed for memory) after which a run has failed (default 3).",
)
@click.option("--timeout", metavar="TIME", help="Time limit of one attempt: 90s, 15m, 2h, 1d.")
@click.option(
    "--resources", metavar="K=V,...", help="mem_mb=8000*2,runtime=120,gpus=1,partition=P,..."
)
@click.option("--tracker", metavar="BACKEND", help="wandb, mlflow, noop, ...; none turns it off.")
@click.option("--tracker-project", metavar="P", help="The tracker's project.")
@click.option(
    "--offline/--online", "offline", default=None, help="Track without a network, sync later."
)
@click.option("--priority", type=int, default=0, help="Higher runs first (default 0).")
@click.option(
    "--runner-hint", type=click.Choice(["shell", "slurm", "manual"]), help="For materialize."
)
@click.option("--no-commit", is_flag=True, help="Leave the code version out of the identity.")
@click.option("--no-resolve", is_flag=True, help="Store condition names as bare labels.")
@click.option(
    "--allow-dup-on-recommit", is_flag=True, help="Queue again what waits from another commit."
)
@click.option(
    "--skip-finished", is_flag=True, help="Leave ended runs alone instead of running them again."
)
@dry_run_option
@json_option
def add(**given: Any) -> None:
    """Queue runs: one configuration, or a sweep of them.

    In a sweep | separates values, A..B is an inclusive range of integers, and every
    combination is queued in the written order. A configuration that is queued already is
    not queued twice; one that has ended is queued again, its attempts are kept.

    \b
    Examples:
      aexp queue add --experiment E001 --sp condition=full,seed=0
      aexp queue add --experiment E001 --sweep "condition=full|cls,seed=0..3" --tag paper
      aexp queue add --experiment E001 --sweep "lr:=0.1|0.01" --resources mem_mb=8000,runtime=60
      aexp queue add --experiment E001 --sweep-file grid.csv --dry-run
      aexp queue add --experiment E001 --sp seed=0 --tracker wandb --tracker-project p --offline
    """
    from aexp.kb.experiments import parse_duration
    from aexp.queue.resources import parse_resources
    from aexp.queue.sweep import expand, parse_assignments
    from aexp.queue.sweep_file import read_rows

    repo = Repo.installed()
    options = QueueOptions(
        tag=given["tag"],
        hypothesis_id=given["hypothesis"],
        sub_hypothesis_id=given["sub_hypothesis"],
        runner_hint=given["runner_hint"],
        command=given["command"],
        after=given["after"],
        retries=given["retries"],
        max_faults=given["max_faults"],
        timeout_s=parse_duration(_number(given["timeout"])) if given["timeout"] else None,
        resources=parse_resources(given["resources"]) if given["resources"] else {},
        priority=given["priority"],
        include_commit=not given["no_commit"],
        resolve_conditions=not given["no_resolve"],
        allow_dup_on_recommit=given["allow_dup_on_recommit"],
        skip_finished=given["skip_finished"],
        tracker=given["tracker"],
        tracker_project=given["tracker_project"],
        offline=given["offline"],
    )
    rows = None
    if given["sweep_file"]:
        rows = read_rows(given["sweep_file"], format=given["sweep_format"])
    base = parse_assignments(given["sp"]) if given["sp"] else {}
    grid = expand(base, given["sweep"], given["zipped"], rows, given["exclude"])
    adder = Adder(repo, given["experiment"], options)
    plan = adder.plan(grid)
    done = plan.runs if given["dry_run"] else adder.carry_out(plan)
    if given["as_json"]:
        _print_json(plan, done, given["dry_run"])
    else:
        _print(plan, done, given["dry_run"])


def _number(text: str) -> object:
    try:
        return float(text)
    except ValueError:
        return text


def _print_json(plan: AddPlan, done: list[Planned], dry_run: bool) -> None:
    print_json(
        {
            "dry_run": dry_run,
            "num_queued": sum(planned.action in ("new", "again") for planned in done),
            "command": plan.command,
            "warnings": plan.warnings,
            "runs": [planned._asdict() for planned in done],
        }
    )


def _print(plan: AddPlan, done: list[Planned], dry_run: bool) -> None:
    for text in plan.warnings:
        note(f"warning: {text}")
    if dry_run or len(done) <= 20:
        rows = [
            (short(planned.job_id), planned.action, configuration(planned.sp), planned.note)
            for planned in done
        ]
        print_table(("ID", "WHAT", "CONFIGURATION", "NOTE"), rows)
    counts = Counter(planned.action for planned in done)
    words = ", ".join(f"{counts[key]} {text}" for key, text in _WORDS.items() if counts[key])
    if dry_run:
        click.echo(f"would add: {words or 'nothing'}; nothing was written (--dry-run)")
        if plan.command is not None:
            click.echo(f"first command: {plan.command}")
        return
    click.echo(words or "no configuration is left to queue")
    notable = [p for p in done if p.action in ("duplicate", "unreadable")]
    for planned in notable[:_SHOWN]:
        note(f"warning: {short(planned.job_id)}: {planned.note}")
    if len(notable) > _SHOWN:
        note(f"warning: ... and {len(notable) - _SHOWN} more")
    finished = sum(p.action == "again" and p.note == "was complete" for p in done)
    if finished:
        note(
            f"warning: {finished} of them were complete and will be executed again; "
            "aexp queue remove takes that back, --skip-finished leaves them out"
        )
    if counts["new"] or counts["again"]:
        note("next: snakemake --cores 4    (or: aexp run --cores 4, aexp queue run)")
