"""``aexp queue run`` and ``aexp queue materialize``."""

import sys

import click

from aexp.cli.options import filter_options, run_filter
from aexp.errors import EXIT_OK, EXIT_TEMPFAIL


@click.command("run")
@filter_options
@click.option(
    "--index", type=click.IntRange(0), metavar="N", help="Only the Nth run of the array's list."
)
@click.option("--array-id", metavar="ID", help="Names the array; default SLURM_ARRAY_JOB_ID.")
@click.option("--limit", type=click.IntRange(1), metavar="N", help="At most N runs.")
@click.option("--continue-on-failure", is_flag=True, help="Go on after a run that failed.")
@click.option("--force", is_flag=True, help="Run runs again that ended in the meantime.")
@click.option("--adopt", is_flag=True, help="Take over runs whose owner may be alive.")
@click.option("--dry-run", "-n", is_flag=True, help="Print the commands; execute nothing.")
def run(
    experiment: str | None,
    tag: str | None,
    sp: str | None,
    index: int | None,
    array_id: str | None,
    limit: int | None,
    continue_on_failure: bool,
    force: bool,
    adopt: bool,
    dry_run: bool,
) -> None:
    """Execute queued runs without Snakemake, one after the other, or one task of an array.

    With --index the list of runs is frozen when the array's first task starts, so every
    task finds its own run, however the tasks are staggered. Exit code: 0 if every run is
    complete, 1 if one ended otherwise, 75 if one is still queued.

    \b
    Examples:
      aexp queue run --tag paper
      aexp queue run --tag paper --index "$SLURM_ARRAY_TASK_ID"
    """
    from aexp.queue.run import run_queue

    chosen = run_filter(experiment, tag, sp)
    codes = run_queue(
        experiment_id=chosen.experiment_id,
        tag=chosen.tag,
        sp=chosen.sp,
        index=index,
        array=array_id,
        limit=limit,
        continue_on_failure=continue_on_failure,
        force=force,
        adopt=adopt,
        dry_run=dry_run,
    )
    worst = [code for code in codes if code not in (EXIT_OK, EXIT_TEMPFAIL)]
    if worst:
        sys.exit(max(worst))
    sys.exit(EXIT_TEMPFAIL if EXIT_TEMPFAIL in codes else EXIT_OK)


@click.command("materialize")
@filter_options
@click.option(
    "--runner",
    type=click.Choice(["shell", "slurm", "manual"]),
    help="Default: the runs' hint, or shell.",
)
@click.option(
    "--output",
    "-o",
    metavar="PATH",
    default="run_queue.sh",
    show_default=True,
    help="Where to write the script; - prints it.",
)
@click.option("--slurm-time", metavar="TIME", help="#SBATCH --time")
@click.option("--slurm-mem", metavar="MEM", help="#SBATCH --mem")
@click.option("--slurm-gpus", metavar="N", help="#SBATCH --gpus")
@click.option("--slurm-partition", metavar="P", help="#SBATCH --partition")
@click.option("--slurm-account", metavar="A", help="#SBATCH --account")
@click.option(
    "--slurm-extra", metavar="OPTIONS", help='More options, for instance "--qos=x --nice".'
)
@click.option(
    "--array-size",
    type=click.IntRange(1),
    default=1000,
    show_default=True,
    help="At most so many tasks per array (MaxArraySize of the cluster).",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON for programs.")
@click.option("--dry-run", "-n", is_flag=True, help="Say what would be written; write nothing.")
def materialize(
    experiment: str | None,
    tag: str | None,
    sp: str | None,
    runner: str | None,
    output: str,
    as_json: bool,
    dry_run: bool,
    array_size: int,
    **slurm: str | None,
) -> None:
    """Write a script that executes the queue: for a shell, for sbatch, or a plain list.

    \b
    Examples:
      aexp queue materialize --tag paper -o run.sh && bash run.sh
      aexp queue materialize --tag paper --runner slurm --slurm-time 04:00:00 -o paper.sh
    """
    from aexp.cli.output import note, print_json
    from aexp.queue.materialize import materialize_queue

    chosen = run_filter(experiment, tag, sp)
    result = materialize_queue(
        runner=runner,
        output_path=output,
        experiment_id=chosen.experiment_id,
        tag=chosen.tag,
        sp=chosen.sp,
        slurm_kwargs={key.removeprefix("slurm_"): value for key, value in slurm.items() if value},
        array_size=array_size,
        dry_run=dry_run,
    )
    if as_json:
        print_json(result._asdict())
    elif output == "-":
        click.echo(result.script, nl=False)
    else:
        verb = "would write" if dry_run else "wrote"
        click.echo(f"{verb} {result.output_path}: {result.num_jobs} run(s) for {result.runner}")
        note(f"next: {result.next_command}")
    if not result.num_jobs:
        note(f"{chosen.none('queued run')}: the script executes nothing")
