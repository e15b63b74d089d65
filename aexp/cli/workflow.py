"""``aexp run``: the short form of calling Snakemake."""

import os
import sys

import click

from aexp.errors import EngineFailed
from aexp.model import check_experiment_id, check_tag
from aexp.paths import Repo


def check_cores(value: str | None) -> str | None:
    """Refuse what Snakemake would wait on for ever: no cores."""
    if value is None or value == "all" or (value.isdecimal() and int(value) > 0):
        return value
    raise click.BadParameter(f"{value!r} is neither a number above 0 nor all")


@click.command("run", context_settings={"ignore_unknown_options": True})
@click.option(
    "--cores",
    metavar="N",
    callback=lambda _context, _option, value: check_cores(value),
    help="Cores on this machine, or all (default 1 without a profile).",
)
@click.option("--profile", metavar="DIR", help="A Snakemake profile, for instance profiles/slurm.")
@click.option("--experiment", metavar="E###", help="Only runs of this experiment.")
@click.option("--tag", metavar="TAG", help="Only runs with this tag.")
@click.option(
    "--limit", type=click.IntRange(1), metavar="N", help="At most N runs, first in the queue."
)
@click.option("--adopt", is_flag=True, help="Take over runs whose owner may be alive.")
@click.option("--dry-run", "-n", is_flag=True, help="Let Snakemake say what it would do.")
@click.argument(
    "snakemake_arguments", nargs=-1, type=click.UNPROCESSED, metavar="[-- SNAKEMAKE...]"
)
def run(
    cores: str | None,
    profile: str | None,
    experiment: str | None,
    tag: str | None,
    limit: int | None,
    adopt: bool,
    dry_run: bool,
    snakemake_arguments: tuple[str, ...],
) -> None:
    """Execute the queue with Snakemake and the packaged workflow.

    The same as calling snakemake in the repository; further arguments are Snakemake's own.
    Exit code 1: something of this session's runs is not complete.

    \b
    Examples:
      aexp run --cores 4
      aexp run --profile profiles/slurm --tag paper
      aexp run --cores 2 -- --quiet rules
    """
    from aexp.workflow import snakefile

    repo = Repo.installed()
    command = [sys.executable, "-P", "-m", "snakemake", "--snakefile", snakefile()]
    if profile is not None:
        command += ["--profile", os.path.abspath(profile)]
    command += ["--directory", repo.root]
    own = repo.at("workflow", "profiles", "default")
    if os.path.isdir(own):
        command += ["--workflow-profile", own]
    else:
        command += ["--workflow-profile", _packaged_profile()]
    if cores is not None or profile is None:
        command += ["--cores", cores or "1"]
    if dry_run:
        command.append("--dry-run")
    further, config = _split_config(snakemake_arguments)
    if experiment is not None:
        config.append("experiment=" + check_experiment_id(experiment))
    if tag is not None:
        config.append("tag=" + check_tag(tag))
    if limit is not None:
        config.append(f"limit={limit}")
    if adopt:
        config.append("adopt=true")
    command += further
    if config:
        command += ["--config", *config]
    sys.stdout.flush()
    os.chdir(repo.root)
    try:
        os.execv(command[0], command)
    except OSError as error:
        raise EngineFailed(f"Snakemake cannot be started: {error.strerror}", None) from error


def _split_config(arguments: tuple[str, ...]) -> tuple[list[str], list[str]]:
    """Take what ``--config`` says out of Snakemake's arguments: it may be given only once."""
    others: list[str] = []
    config: list[str] = []
    inside = False
    for word in arguments:
        if word.startswith("--config="):
            config.append(word.removeprefix("--config="))
        elif word.startswith("-"):
            inside = word in ("--config", "-C")
            others += [] if inside else [word]
        else:
            (config if inside else others).append(word)
    return others, config


def _packaged_profile() -> str:
    from aexp.install.scaffold import TEMPLATES

    return os.path.join(TEMPLATES, "workflow", "profiles", "default")
