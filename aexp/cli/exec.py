"""``aexp exec``: any command as a run."""

import os
import shlex
import sys
from typing import TYPE_CHECKING, Any

import click

from aexp.cli.options import dry_run_option, sidecar_options
from aexp.cli.output import note
from aexp.errors import AexpError
from aexp.model import printable
from aexp.paths import Repo

if TYPE_CHECKING:
    from aexp.adhoc.script import Script


@click.command(
    "exec", context_settings={"ignore_unknown_options": False, "allow_interspersed_args": False}
)
@click.option("--name", metavar="NAME", help="What it is, in a word.")
@click.option("--tag", "tags", multiple=True, metavar="TAG", help="A label (repeatable).")
@click.option(
    "--derived-from",
    multiple=True,
    metavar="ID",
    help="A run that this one builds on (repeatable).",
)
@click.option("--campaign", metavar="ID", help="The campaign that it joins.")
@click.option(
    "--out",
    "outputs",
    multiple=True,
    metavar="PATH",
    help="A file or pattern that it makes; its digest is recorded (repeatable).",
)
@click.option("--sp", metavar="K=V,...", help="Its configuration; K:=JSON gives any type.")
@sidecar_options
@click.option("--script", metavar="PATH", hidden=True, help="The batch script to start again.")
@click.option("--shell", metavar="PATH", hidden=True, help="The shell that executes it.")
@click.option("--started", metavar="TEXT", hidden=True, help="How: one word on a line.")
@click.option("--beside", metavar="PATH", hidden=True, help="The helper that it has sourced.")
@dry_run_option
@click.argument("command", nargs=-1, type=click.UNPROCESSED, metavar="[--] COMMAND...")
def exec_command(
    command: tuple[str, ...],
    script: str | None,
    shell: str | None,
    started: str | None,
    beside: str | None,
    dry_run: bool,
    sp: str | None,
    **said: Any,
) -> None:
    """Execute a command at once and record it as a run, without an experiment.

    Output is shown and logged, signals are passed on, the exit code is the command's. The
    run's id is told on stderr. No shell reads the command: for pipes and the like write
    sh -c '...'.

    \b
    Examples:
      aexp exec -- python train.py --lr 0.1
      aexp exec --tag night --out 'results/*.json' -- make evaluation
      aexp exec --derived-from 9f3a1b2c --sp lr=0.1 -- python finetune.py
    """
    if script is not None:
        from aexp.adhoc.script import Script

        _execute_script(Script(script, shell or "/bin/sh", command, started), beside)
    from aexp.adhoc.execute import execute_adhoc, prepare_adhoc
    from aexp.queue.sweep import parse_assignments

    repo = Repo.installed()
    wanted = prepare_adhoc(repo, command, parameters=parse_assignments(sp) if sp else {}, **said)
    if dry_run:
        click.echo(f"would execute: {printable(wanted.plan.command)}")
        note("nothing was written (--dry-run)")
        return
    sys.exit(execute_adhoc(wanted))


def _read_options(words: list[str]) -> dict[str, Any]:
    """Return options of ``aexp exec`` that a batch script gives beside its own command.

    Raises
    ------
    click.ClickException
        If one is unknown, asks for something else than a record, or if there is a command.
    """
    try:
        given = exec_command.make_context("exec", list(words)).params
    except click.exceptions.Exit:  # --help: it has been printed
        raise click.UsageError("--help executes nothing") from None
    if given["dry_run"] or given["script"] is not None or given["command"]:
        said = shlex.join(words)
        raise click.UsageError(f"{said}: only options that describe the run can be given")
    return given


def _execute_script(script: "Script", beside: str | None) -> None:
    """Execute a batch script again, as a run; without a record rather than not at all."""
    from aexp.adhoc.script import OPTIONS, go_on_unrecorded, repo_of_script

    try:
        # Taken out: it is not meant for scripts that this one starts.
        options = shlex.split(os.environ.pop(OPTIONS, ""))
        given = _read_options(options)
        from aexp.adhoc.execute import execute_adhoc, prepare_adhoc
        from aexp.queue.sweep import parse_assignments

        names = ("name", "tags", "derived_from", "campaign", "outputs", "no_sidecar", "agent_mode")
        wanted = prepare_adhoc(
            repo_of_script(beside),
            script.argv(),
            parameters=parse_assignments(given["sp"]) if given["sp"] else {},
            script=script,
            **{name: given[name] for name in names},
        )
    except (AexpError, click.ClickException, ValueError, OSError) as error:
        hint = f" ({error.hint})" if isinstance(error, AexpError) and error.hint else ""
        text = getattr(error, "message", None) or str(error)
        note(f"aexp: this script is not recorded: {printable(text)}{printable(hint)}")
        go_on_unrecorded(script.argv())
        raise
    sys.exit(execute_adhoc(wanted))
