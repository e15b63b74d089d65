"""``aexp ledger``: the verbs that exchange entries with other clones, and check them."""

import sys

import click

from aexp.cli.options import dry_run_option, json_option
from aexp.cli.output import note, print_json
from aexp.model import check_experiment_id, printable, short
from aexp.paths import Repo

_SHOWN = 20


def _list(ids: list[str]) -> None:
    for job_id in ids[:_SHOWN]:
        click.echo(f"  {short(job_id)}")
    if len(ids) > _SHOWN:
        click.echo(f"  … and {len(ids) - _SHOWN} more")


@click.command("sync")
@click.option("--remote", metavar="NAME", help="A configured remote; default: the tracked one.")
@click.option("--branch", metavar="BRANCH", help="The branch there; default: the tracked one.")
@click.option("--no-push", is_flag=True, help="Commit and merge, but push nothing.")
@click.option("--no-pull", is_flag=True, help="Commit and push, but merge nothing.")
@click.option("-m", "--message", metavar="TEXT", help="Message of the commit.")
@click.option(
    "--retries",
    type=click.IntRange(0, 100),
    default=8,
    show_default=True,
    help="How often to merge and push again when others push meanwhile.",
)
@dry_run_option
@json_option
def sync(
    remote: str | None,
    branch: str | None,
    no_push: bool,
    no_pull: bool,
    message: str | None,
    retries: int,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Promote, commit, merge and push the ledger; call it again after any failure.

    Only .aexp/ledger, .aexp/campaigns and .aexp/runs-index are committed. What else is staged
    or changed stays as it is. Two entries of one run are settled by a rule; if other files
    conflict, nothing is changed. Exit code 75: the remote cannot be reached just now.

    \b
    Example:
      aexp ledger sync
      aexp ledger sync --no-push
    """
    from aexp.sharing.sync import sync as exchange

    done = exchange(
        Repo.find(),
        remote=remote,
        branch=branch,
        pull=not no_pull,
        push_too=not no_push,
        message=message,
        retries=retries,
        dry_run=dry_run,
    )
    if as_json:
        print_json(done.to_dict())
    else:
        would = "would be " if dry_run else ""
        click.echo(f"{len(done.promoted)} run(s) {would}promoted")
        click.echo(f"{len(done.committed)} file(s) {would}committed")
        if done.remote is not None:
            name = f"{done.remote}/{done.branch}"
            if dry_run:
                click.echo(f"{name} has {'news' if done.behind else 'nothing new'}")
            else:
                click.echo(f"{len(done.received)} entries received from {name}")
            click.echo(f"{name}: {would + 'pushed' if done.pushed else 'nothing to push'}")
    for name in done.left_out:
        note(f"left out, no ledger entry: {printable(name)}    (aexp ledger verify)")
    for problem in done.problems:
        note(f"problem: {problem}")
    sys.exit(1 if done.problems else 0)


@click.command("verify")
@click.option("--fix", is_flag=True, help="Rewrite entries of which only the layout differs.")
@json_option
def verify(fix: bool, as_json: bool) -> None:
    """Check schema, names, ids and layout of every entry, and that every ended run has one.

    The exit code is 1 if there is an error. Warnings and remarks do not count.

    \b
    Example:
      aexp ledger verify
    """
    from aexp.sharing.verify import verify as check

    result = check(Repo.find(), fix=fix)
    if as_json:
        print_json({**result._asdict(), "problems": [p._asdict() for p in result.problems]})
    else:
        for problem in result.problems:
            path, message = printable(problem.path), printable(problem.message)
            click.echo(f"{problem.severity.upper()} {problem.code} [{path}]: {message}")
            click.echo(f"  mend: {printable(problem.mend)}")
        for path in result.mended:
            click.echo(f"rewritten {path}")
        errors = sum(problem.severity == "error" for problem in result.problems)
        away = f", {len(result.elsewhere)} of them of runs in other stores"
        click.echo(f"{result.entries} entries{away if result.elsewhere else ''}")
        click.echo("OK" if result.ok else f"FAILED {errors} error(s)")
    sys.exit(0 if result.ok else 1)


@click.command("bundle")
@click.argument("file", type=click.Path(dir_okay=True))
@click.option("--since", metavar="COMMIT", help="Only what is new or changed since then.")
@click.option("--experiment", metavar="E###", help="Only runs of this experiment.")
@click.option("--force", is_flag=True, help="Replace FILE even if it is no bundle.")
@dry_run_option
@json_option
def bundle(
    file: str, since: str | None, experiment: str | None, force: bool, dry_run: bool, as_json: bool
) -> None:
    """Write ledger entries into one file, for machines that no git remote reaches.

    An existing bundle is replaced, and no other file unless you say --force.

    \b
    Example:
      aexp ledger bundle results.tar --experiment E001
    """
    from aexp.sharing.bundle import bundle as pack

    chosen = check_experiment_id(experiment) if experiment else None
    repo = Repo.find()
    ids = pack(repo, file, since=since, experiment_id=chosen, force=force, dry_run=dry_run)
    if as_json:
        print_json({"file": file, "entries": ids, "dry_run": dry_run})
    else:
        click.echo(f"{'would write' if dry_run else 'wrote'} {len(ids)} entries to {file}")


@click.command("unbundle")
@click.argument("file", type=click.Path(dir_okay=True))
@dry_run_option
@json_option
def unbundle(file: str, dry_run: bool, as_json: bool) -> None:
    """Take the entries of a bundle into the ledger; the rule for two entries of one run holds.

    \b
    Example:
      aexp ledger unbundle results.tar
    """
    from aexp.sharing.bundle import unbundle as unpack

    result = unpack(Repo.find(), file, dry_run=dry_run)
    if as_json:
        print_json({**result._asdict(), "dry_run": dry_run})
    else:
        would = "would be " if dry_run else ""
        click.echo(f"{len(result.added)} {would}added")
        _list(result.added)
        click.echo(f"{len(result.renewed)} {would}renewed")
        _list(result.renewed)
        click.echo(f"{len(result.kept)} kept as they are")


@click.command("merge-driver", hidden=True)
@click.argument("base", type=click.Path())
@click.argument("ours", type=click.Path())
@click.argument("theirs", type=click.Path())
def merge_driver(base: str, ours: str, theirs: str) -> None:
    """Settle two versions of a ledger entry for git, which calls this during a merge.

    \b
    Example:
      aexp ledger merge-driver BASE OURS THEIRS
    """
    from aexp.sharing.driver import merge_files

    merge_files(ours, theirs)
