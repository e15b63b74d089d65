"""``aexp list-hypotheses``, ``list-experiments``, ``list-findings``, ``list-threads``."""

import click

from aexp.cli.options import json_option
from aexp.cli.output import note, print_json, print_table

status_option = click.option("--status", metavar="WORD", help="Only those of this status.")
tag_option = click.option("--tag", metavar="TAG", help="Only those with this tag.")


def _list(
    letter: str,
    columns: tuple[str, ...],
    as_json: bool,
    *,
    status: str | None = None,
    tag: str | None = None,
    parents: tuple[str | None, ...] = (),
) -> None:
    from aexp.kb.artifacts import KINDS, kind_of
    from aexp.kb.change import check_status_word
    from aexp.kb.record import list_kb_artifacts

    kind = KINDS[letter]
    if status is not None:
        status = check_status_word(kind, status)
    wanted = [parent for parent in parents if parent is not None]
    for parent in wanted:
        kind_of(parent)
    found = list_kb_artifacts(kind=letter, status=status, tag=tag)
    for parent in wanted:
        having = {one.artifact_id for one in list_kb_artifacts(kind=letter, parent=parent)}
        found = [one for one in found if one.artifact_id in having]
    if as_json:
        print_json([one._asdict() for one in found])
        return
    if not found:
        is_filtered = status or tag or wanted
        note(f"no {kind.name} matches" if is_filtered else f"there is no {kind.name}")
        return
    rows = [
        (*(one._asdict()[name] for name in columns), one.title, ", ".join(one.tags))
        for one in found
    ]
    headers = tuple("ID" if name == "artifact_id" else name.upper() for name in columns)
    print_table((*headers, "TITLE", "TAGS"), rows)


@click.command("list-hypotheses")
@status_option
@tag_option
@click.option("--thread", metavar="T###", help="Only those of this thread.")
@json_option
def list_hypotheses(status: str | None, tag: str | None, thread: str | None, as_json: bool) -> None:
    """List the hypotheses.

    \b
    Example:
      aexp list-hypotheses --status TESTING
    """
    columns = ("artifact_id", "status", "thread", "created")
    _list("H", columns, as_json, status=status, tag=tag, parents=(thread,))


@click.command("list-experiments")
@status_option
@tag_option
@click.option("--hypothesis", metavar="H###", help="Only those that test this hypothesis.")
@json_option
def list_experiments(
    status: str | None, tag: str | None, hypothesis: str | None, as_json: bool
) -> None:
    """List the experiments.

    \b
    Example:
      aexp list-experiments --hypothesis H001
    """
    columns = ("artifact_id", "status", "hypothesis", "created")
    _list("E", columns, as_json, status=status, tag=tag, parents=(hypothesis,))


@click.command("list-findings")
@tag_option
@click.option("--hypothesis", metavar="H###", help="Only those about this hypothesis.")
@click.option("--experiment", metavar="E###", help="Only those from this experiment.")
@json_option
def list_findings(
    tag: str | None, hypothesis: str | None, experiment: str | None, as_json: bool
) -> None:
    """List the findings.

    \b
    Example:
      aexp list-findings --experiment E001
    """
    columns = ("artifact_id", "impact", "hypothesis", "experiment", "created")
    _list("F", columns, as_json, tag=tag, parents=(hypothesis, experiment))


@click.command("list-threads")
@status_option
@tag_option
@json_option
def list_threads(status: str | None, tag: str | None, as_json: bool) -> None:
    """List the threads.

    \b
    Example:
      aexp list-threads --status EXPLORING
    """
    _list("T", ("artifact_id", "status", "created"), as_json, status=status, tag=tag)
