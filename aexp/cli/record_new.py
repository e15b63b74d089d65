"""``aexp new-hypothesis``, ``new-experiment``, ``new-finding``, ``new-thread``."""

import json
import shlex
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

from aexp.cli.options import dry_run_option, json_option
from aexp.cli.output import note, print_json
from aexp.paths import Repo

if TYPE_CHECKING:
    from aexp.preregistration.scaffold import ScriptDraft

F = TypeVar("F", bound=Callable[..., Any])

title_option = click.option("--title", required=True, metavar="TEXT", help="One line.")


def common_options(function: F) -> F:
    """Add the options that every kind has."""
    for option in (
        json_option,
        dry_run_option,
        click.option("--tag", "tags", multiple=True, metavar="TAG", help="A tag; repeatable."),
        click.option(
            "--link", "links", multiple=True, metavar="NOTE", help="A note to link; repeatable."
        ),
        click.option("--id", "artifact_id", metavar="ID", help="Default: the smallest unused."),
    ):
        function = option(function)
    return function


def _tell(
    kind: str, made: Any, dry_run: bool, as_json: bool, draft: "ScriptDraft | None" = None
) -> None:
    if as_json:
        files = {"script": draft.script, "sidecar": draft.sidecar} if draft else {}
        print_json({"kind": kind, **made._asdict(), **files, "dry_run": dry_run})
        return
    click.echo(f"{'would create' if dry_run else 'created'} {kind} {made.artifact_id}")
    click.echo(f"  path: {made.path}")
    if made.backlinks_patched:
        verb = "would link back" if dry_run else "link back"
        click.echo(f"  {verb}: {', '.join(made.backlinks_patched)}")


@click.command("new-hypothesis")
@title_option
@click.option("--thread", metavar="T###", help="The thread it belongs to.")
@common_options
def new_hypothesis(
    title: str,
    thread: str | None,
    artifact_id: str | None,
    links: tuple[str, ...],
    tags: tuple[str, ...],
    dry_run: bool,
    as_json: bool,
) -> None:
    """Write down a claim that experiments can contradict.

    \b
    Example:
      aexp new-hypothesis --title "Warmup lowers the loss" --thread T001
    """
    from aexp.kb import record

    made = record.new_hypothesis(
        title=title,
        thread_id=thread,
        artifact_id=artifact_id,
        extra_links=links,
        tags=tags,
        dry_run=dry_run,
    )
    _tell("hypothesis", made, dry_run, as_json)


@click.command("new-experiment")
@click.option("--title", metavar="TEXT", help="One line.")
@click.option("--hypothesis", metavar="H###", help="The hypothesis it tests.")
@click.option(
    "--script",
    metavar="NAME",
    help="Make scripts/experiments/NAME.py and its sidecar; without --title nothing else.",
)
@click.option(
    "--runner-command", metavar="COMMAND", help="The command of one run (default: the script)."
)
@click.option(
    "--condition",
    "conditions",
    multiple=True,
    metavar="NAME=JSON",
    help="A named configuration; repeatable.",
)
@common_options
def new_experiment(
    title: str | None,
    hypothesis: str | None,
    script: str | None,
    runner_command: str | None,
    conditions: tuple[str, ...],
    artifact_id: str | None,
    links: tuple[str, ...],
    tags: tuple[str, ...],
    dry_run: bool,
    as_json: bool,
) -> None:
    """Design runs that test a hypothesis: a command, and named configurations.

    With --script also the program that they execute, and the sidecar that says what its
    results will mean; both are sound as they are, and yours to rewrite.

    \b
    Examples:
      aexp new-experiment --title Warmup --hypothesis H001 --condition 'none={"warmup": 0}'
      aexp new-experiment --script train_warmup
      aexp new-experiment --script train_warmup --title Warmup --hypothesis H001
    """
    from aexp.kb import record

    if script is None and (title is None or hypothesis is None):
        raise click.UsageError("give --title and --hypothesis, or --script")
    if title is None or hypothesis is None:
        given = [title, hypothesis, runner_command, artifact_id, *conditions, *links, *tags]
        if any(each is not None for each in given):
            raise click.UsageError("an experiment's page needs --title and --hypothesis")
    blocks = _conditions(conditions)
    draft = _write_script(script, dry_run) if script is not None else None
    if title is None or hypothesis is None:
        assert draft is not None
        _tell_script(draft, dry_run, as_json)
        return
    try:
        made = record.new_experiment(
            title=title,
            hypothesis_id=hypothesis,
            artifact_id=artifact_id,
            extra_links=links,
            tags=tags,
            runner_command=runner_command or (draft.command if draft else None),
            conditions=blocks,
            dry_run=dry_run,
        )
    except BaseException:
        if draft is not None and not dry_run:
            _remove_script(draft)
        raise
    if draft is not None:
        runner_command = runner_command or draft.command
        if not as_json:
            _tell_script(draft, dry_run, as_json)
    _tell("experiment", made, dry_run, as_json, draft)
    if not dry_run and not as_json:
        if runner_command:
            names = [text.partition("=")[0].strip() for text in conditions]
            clauses = ["condition=" + "|".join(names)] if names else []
            clauses += ["seed=0..3"] if "{seed}" in runner_command else []
            sweep = f" --sweep {shlex.quote(','.join(clauses))}" if clauses else ""
            note(f"next: aexp queue add --experiment {made.artifact_id}{sweep}")
        else:
            note("next: write its runner_command into the file")


def _write_script(name: str, dry_run: bool) -> "ScriptDraft":
    from aexp.preregistration.scaffold import draft_script, write_script

    repo = Repo.find()
    draft = draft_script(repo, name)
    if not dry_run:
        write_script(repo, draft)
    return draft


def _remove_script(draft: "ScriptDraft") -> None:
    from aexp.preregistration.scaffold import remove_script

    remove_script(Repo.find(), draft)


def _tell_script(draft: "ScriptDraft", dry_run: bool, as_json: bool) -> None:
    if as_json:
        paths = {"script": draft.script, "sidecar": draft.sidecar}
        print_json({"kind": "script", **paths, "made": draft.files, "dry_run": dry_run})
        return
    for path in draft.files:
        click.echo(f"{'would create' if dry_run else 'created'} {path}")
    if not dry_run:
        note(f"next: python {draft.script}    (write your outcomes into {draft.sidecar} first)")


def _conditions(given: tuple[str, ...]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for text in given:
        name, separator, value = text.partition("=")
        try:
            block = json.loads(value)
        except (ValueError, RecursionError):
            block = None
        if not separator or not isinstance(block, dict):
            raise click.UsageError(f"--condition {text!r} is not NAME={{...}}, a JSON object")
        if name.strip() in found:
            raise click.UsageError(f"--condition {name.strip()!r} is given twice")
        found[name.strip()] = block
    return found


@click.command("new-finding")
@title_option
@click.option("--experiment", required=True, metavar="E###", help="Whose runs show it.")
@click.option("--hypothesis", metavar="H###", help="Default: the one that the experiment tests.")
@click.option("--impact", default="MEDIUM", metavar="LEVEL", help="HIGH, MEDIUM (default) or LOW.")
@common_options
def new_finding(
    title: str,
    experiment: str,
    hypothesis: str | None,
    impact: str,
    artifact_id: str | None,
    links: tuple[str, ...],
    tags: tuple[str, ...],
    dry_run: bool,
    as_json: bool,
) -> None:
    """State what an experiment has shown; then cite the runs with aexp finding cite.

    \b
    Example:
      aexp new-finding --title "Warmup of 500 steps is enough" --experiment E001
    """
    from aexp.kb import record

    made = record.new_finding(
        title=title,
        experiment_id=experiment,
        hypothesis_id=hypothesis,
        impact=impact,
        artifact_id=artifact_id,
        extra_links=links,
        tags=tags,
        dry_run=dry_run,
    )
    _tell("finding", made, dry_run, as_json)
    if not dry_run and not as_json:
        note(f"next: aexp finding cite {made.artifact_id} --batch {experiment}")


@click.command("new-thread")
@title_option
@common_options
def new_thread(
    title: str,
    artifact_id: str | None,
    links: tuple[str, ...],
    tags: tuple[str, ...],
    dry_run: bool,
    as_json: bool,
) -> None:
    """Open a question that several hypotheses circle around.

    \b
    Example:
      aexp new-thread --title "What makes training start badly?"
    """
    from aexp.kb import record

    made = record.new_thread(
        title=title, artifact_id=artifact_id, extra_links=links, tags=tags, dry_run=dry_run
    )
    _tell("thread", made, dry_run, as_json)
