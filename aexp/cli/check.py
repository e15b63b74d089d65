"""``aexp check``."""

import sys

import click

from aexp.cli.options import json_option
from aexp.cli.output import note, print_json, print_table
from aexp.freshness.verdict import REASONS
from aexp.model import STATUSES, check_experiment_id, printable, short
from aexp.runs.known import find_repo


@click.command("check")
@click.argument("runs", nargs=-1, metavar="[RUN]...")
@click.option(
    "--status",
    "statuses",
    multiple=True,
    type=click.Choice(STATUSES),
    help="Only runs with this status; can be repeated.",
)
@click.option(
    "--experiment", "experiments", multiple=True, metavar="E###", help="Only its runs; repeatable."
)
@click.option("--check-outputs", is_flag=True, help="Compare the files that runs have made, too.")
@click.option(
    "--ignore",
    multiple=True,
    type=click.Choice(REASONS),
    help="A reason that does not count; can be repeated.",
)
@click.option("--strict", is_flag=True, help="Exit with 3 when a run cannot be verified.")
@click.option("--all", "show_fresh", is_flag=True, help="List fresh runs, too.")
@json_option
def check(
    runs: tuple[str, ...],
    statuses: tuple[str, ...],
    experiments: tuple[str, ...],
    check_outputs: bool,
    ignore: tuple[str, ...],
    strict: bool,
    show_fresh: bool,
    as_json: bool,
) -> None:
    """Judge whether what runs depend on is still what it was.

    Compared by content: the code and inputs that they declare, command, parameters, sidecar,
    software, and the runs that they stand on. All runs of this project that have ended are
    judged, or those that are named. Exit code 0: all fresh, 1: something is stale, an output
    is not what it was, or a file of the ledger cannot be read, 2: a call that is not
    understood, 3 (--strict): something cannot be verified. See docs/freshness.md.

    \b
    Examples:
      aexp check
      aexp check --status complete --check-outputs --strict
      aexp check 9f3a1b2c --all
      aexp check --experiment E001 --ignore environment --json
    """
    from aexp.freshness.check import check as judge
    from aexp.runs.known import read_known

    repo = find_repo()
    report = judge(
        repo,
        job_ids={read_known(repo, run).run.job_id for run in runs} if runs else None,
        statuses=statuses or None,
        experiments={check_experiment_id(name) for name in experiments} or None,
        check_outputs=check_outputs,
        ignore=ignore,
    )
    if as_json:
        print_json(report.to_dict())
    else:
        rows = [
            (
                short(verdict.job_id),
                verdict.experiment_id,
                verdict.status,
                verdict.state,
                "; ".join(map(str, verdict.reasons)),
            )
            for verdict in report.verdicts
            if show_fresh or verdict.reasons
        ]
        if rows:
            print_table(["RUN", "EXPERIMENT", "STATUS", "STATE", "WHY"], rows)
        counts = ", ".join(f"{number} {state}" for state, number in report.counts.items() if number)
        click.echo(f"{len(report.verdicts)} runs checked" + (f": {counts}" if counts else ""))
        others = ", ".join(f"{number} {status}" for status, number in report.not_judged.items())
        if others:
            note(f"not judged, for want of a result: {others}")
        elif not report.verdicts:
            note("there is no such run" if statuses or experiments else "there is no run")
    for problem in report.problems:
        note(f"warning: {printable(problem)}")
    code = report.exit_code(strict=strict)
    if code:
        sys.exit(code)
