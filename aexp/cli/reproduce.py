"""``aexp reproduce``."""

import contextlib
import shlex
import sys
from typing import TYPE_CHECKING

import click

from aexp.cli.options import json_option
from aexp.paths import Repo

if TYPE_CHECKING:
    from aexp.reproduction.reproduce import Reproduction


@click.command("reproduce")
@click.argument("job_id", metavar="ID")
@click.option("--attempt", type=click.IntRange(1), metavar="N", help="Default: the last one.")
@click.option("--to", metavar="DIR", help="Make a git worktree there: a new or empty folder.")
@click.option("--link", multiple=True, metavar="PATH", help="Link to this, which git ignores.")
@click.option("--run", "run", is_flag=True, help="Execute it there, and compare the metrics.")
@json_option
@click.option("--dry-run", "-n", is_flag=True, help="Say what would be done; write nothing.")
def reproduce(
    job_id: str,
    attempt: int | None,
    to: str | None,
    link: tuple[str, ...],
    run: bool,
    as_json: bool,
    dry_run: bool,
) -> None:
    """Run a recorded attempt again: its commit, its uncommitted changes, its command.

    Without --to, only say what is recorded and what to type. With --to DIR the worktree is
    made, with a run store of its own; the repository itself stays as it is. With --run the
    exit code is 1 when the final metrics differ.

    \b
    Examples:
      aexp reproduce 9f3a1b2c
      aexp reproduce 9f3a1b2c --to ../again --run
    """
    from aexp.cli.output import print_json
    from aexp.reproduction.reproduce import execute, plan_reproduction
    from aexp.reproduction.reproduce import reproduce as make

    repo = Repo.installed()
    if to is None:
        if run or link:
            raise click.UsageError("--run and --link need --to DIR")
        result = plan_reproduction(job_id, attempt=attempt, repo_root=repo)
    else:
        result = make(job_id, to, attempt=attempt, link=link, dry_run=dry_run, repo_root=repo)
    if not as_json:
        _print_plan(result)
    if run and result.made:
        # What the command prints is not part of the JSON document.
        with contextlib.redirect_stdout(sys.stderr) if as_json else contextlib.nullcontext():
            result = execute(result)
        if not as_json:
            _print_comparison(result)
    if as_json:
        print_json(result.as_data())
    sys.exit(result.exit_code)


def _print_plan(result: "Reproduction") -> None:
    from aexp.cli.output import note
    from aexp.model import printable, short

    recorded, code = result.recorded, result.recorded.code
    facts = [
        f"{recorded.facts[key]}"
        for key in ("status", "started_at", "host")
        if recorded.facts.get(key)
    ]
    number = f", attempt {recorded.attempt}" if recorded.attempt else ""
    click.echo(printable(f"run {short(recorded.job_id)}{number}: {', '.join(facts)}"))
    places = [
        f"{word} {place}" for word, place in (("branch", code.branch), ("of", code.remote)) if place
    ]
    click.echo(printable(f"commit: {code.commit}" + (f" ({', '.join(places)})" if places else "")))
    if code.patch:
        click.echo(printable(f"uncommitted changes: {code.patch_path} ({len(code.patch)} bytes)"))
    for item in result.differences:
        then, now = (item[key] if item[key] is not None else "none" for key in ("then", "now"))
        click.echo(printable(f"differs: {item['name']}: {then} then, {now} now"))
    for remark in result.remarks:
        note(f"note: {remark}")
    if result.made:
        click.echo(f"made {result.directory}; execute the run there:")
        click.echo(f"  {result.next}")
        return
    click.echo("by hand:")
    for line in result.commands:
        click.echo("".join(f"  {printable(part)}\n" for part in line.split("\n")), nl=False)
    place = result.directory or f"../again-{short(recorded.job_id)}"
    click.echo(f"or: aexp reproduce {short(recorded.job_id)} --to {shlex.quote(place)} --run")


def _print_comparison(result: "Reproduction") -> None:
    from aexp.cli.output import note, print_table

    found = result.comparison
    if found is None:
        note(f"the run is queued again; go on with: {result.next}")
        return
    rows = [
        (metric.name, _text(metric.original), _text(metric.reproduced), _word(metric.equal))
        for metric in found.metrics
    ]
    end = (found.original_status, found.reproduced_status)
    print_table(
        ("metric", "original", "reproduced", "equal"),
        [("(status)", *end, _word(end[0] == end[1])), *rows],
    )
    if not rows:
        note("neither has final metrics: only how they ended could be compared")


def _text(value: object) -> str | None:
    return None if value is None else repr(value) if isinstance(value, float) else str(value)


def _word(equal: bool) -> str:
    return "yes" if equal else "NO"
