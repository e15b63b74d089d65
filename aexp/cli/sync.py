"""``aexp sync``."""

from typing import TYPE_CHECKING

import click

from aexp.cli.options import dry_run_option, json_option
from aexp.cli.output import note, print_json
from aexp.model import printable
from aexp.paths import Repo

if TYPE_CHECKING:
    from aexp.sharing.exchange import Exchange


@click.command("sync")
@click.argument("remote", required=False)
@click.option("--pull", is_flag=True, help="Get instead of send.")
@click.option(
    "--files",
    "patterns",
    multiple=True,
    metavar="PATTERN",
    help="Also these files of runs: logs, environment, '*.json', checkpoints (repeatable).",
)
@dry_run_option
@json_option
def sync(
    remote: str | None, pull: bool, patterns: tuple[str, ...], dry_run: bool, as_json: bool
) -> None:
    """Bring this project's ledger and campaigns to another machine, or its here, by rsync.

    REMOTE is a machine or a folder of aexp remote list. Nothing is deleted, no entry is replaced by
    an older one, and a call after any failure goes on. aexp ledger sync does this by git.
    Exit code 75: the remote does not answer.

    \b
    Examples:
      aexp sync cluster
      aexp sync cluster --pull --files logs --files environment
    """
    from aexp.remotes.config import get_remote, takes_record
    from aexp.sharing.exchange import exchange

    repo = Repo.find()
    chosen = get_remote(repo, remote, fits=takes_record, like="ssh://host/folder")
    done = exchange(repo, chosen, pull=pull, patterns=patterns, dry_run=dry_run)
    if as_json:
        print_json({**done._asdict(), "runs": done.runs})
        return
    _print(done, asked_for_files=bool(patterns))


def _print(done: "Exchange", *, asked_for_files: bool) -> None:
    away, back = ("Pushed", "to") if done.direction == "push" else ("Pulled", "from")
    if done.dry_run:
        away = f"Would have {away.lower()}"
    click.echo(
        f"{away} {_runs(done.runs)} (filtered {done.filtered} from other projects) "
        f"{back} '{done.remote}' in {done.seconds:.1f}s"
    )
    there = "there" if done.direction == "push" else "here"
    if done.runs or done.kept:
        kept = f", {len(done.kept)} newer {there} and kept" if done.kept else ""
        changed = f"{len(done.added)} new, {len(done.updated)} changed"
        click.echo(f"  {changed}, {done.unchanged} the same{kept}")
    if done.campaign_files:
        click.echo(f"  {len(done.campaign_files)} file(s) of campaigns")
    if asked_for_files:
        where = "" if done.direction == "push" else " into .aexp/files"
        click.echo(f"  {done.files} file(s) of runs, {done.bytes / 1e6:.1f} MB{where}")
    for problem in done.problems:
        note(f"left out: {printable(problem)}")


def _runs(number: int) -> str:
    return f"{number} run{'' if number == 1 else 's'}"
