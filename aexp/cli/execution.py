"""``run-queued`` and the verbs that the packaged rules call."""

import sys

import click

from aexp.paths import Repo


@click.command("run-queued")
@click.argument("job_id", metavar="ID")
@click.option("--force", is_flag=True, help="Run it again although it has ended.")
@click.option("--dry-run", "-n", is_flag=True, help="Print the command; execute nothing.")
@click.option("--engine", is_flag=True, help="Exit 0 for every recorded end (for Snakemake).")
@click.option("--remote", is_flag=True, hidden=True, help="Inside a job that Snakemake submitted.")
@click.option("--adopt", is_flag=True, help="Take over although the owner may be alive.")
@click.option("--wait/--no-wait", default=None, help="Wait for another process that executes it.")
def run_queued(
    job_id: str,
    force: bool,
    dry_run: bool,
    engine: bool,
    remote: bool,
    adopt: bool,
    wait: bool | None,
) -> None:
    """Execute one queued run: claim it, run its command, record how it ended.

    Exit code 0: complete (or it had ended before). 1: it ended otherwise. 75: it is queued
    and can be tried again. With --engine every recorded end is 0.

    \b
    Example:
      aexp run-queued 9f3a1b2c
    """
    from aexp.execution.run import run_queued as execute

    sys.exit(
        execute(
            job_id,
            repo_root=Repo.installed(),
            force=force,
            dry_run=dry_run,
            engine=engine,
            remote=remote,
            adopt=adopt,
            wait=wait,
        )
    )


@click.command("gate", hidden=True)
@click.argument("job_id", metavar="ID")
def gate(job_id: str) -> None:
    """Write a run's gate file if it is complete; fail if it is not.

    \b
    Example:
      aexp gate 9f3a1b2c
    """
    from aexp.runs.gate import open_gate

    open_gate(Repo.installed(), job_id)


@click.command("verdict", hidden=True)
@click.argument("session", metavar="SESSION")
def verdict(session: str) -> None:
    """Print what is not complete of a Snakemake session's runs.

    \b
    Example:
      aexp verdict 1790000000-4711-0a1b2c
    """
    from aexp.workflow.session import Session

    sys.exit(Session(Repo.installed(), session).verdict())
