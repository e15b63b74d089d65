"""``aexp bind-tracker``, and ``aexp trackers``: list the backends, check an adapter."""

from typing import Any

import click

from aexp.cli.group import LazyGroup
from aexp.cli.options import dry_run_option, json_option
from aexp.cli.output import note, print_json, print_table
from aexp.errors import EXIT_FAILED, AexpError
from aexp.model import section, short
from aexp.paths import Repo
from aexp.runs.store import read_run, resolve_id

VERBS = {
    "list": ("aexp.cli.trackers:list_trackers", "List the backends and whether each can be used."),
    "check": ("aexp.cli.trackers:check", "Check an adapter against the contract."),
}


@click.group("trackers", cls=LazyGroup, verbs=VERBS)
def trackers() -> None:
    """Trackers: which there are, and whether an adapter keeps the contract.

    \b
    Example:
      aexp trackers list
    """


@click.command("bind-tracker")
@click.argument("job_id", metavar="ID")
@click.option("--backend", default="noop", metavar="NAME", help="wandb, mlflow, noop, ...; none.")
@click.option("--project", metavar="P", help="The tracker's project.")
@click.option("--offline/--online", default=None, help="Use no network; sync later.")
@click.option("--entity", metavar="E", help="The team, where the tracker has teams.")
@click.option("--uri", metavar="URI", help="The tracker's address, where it has one.")
@dry_run_option
@json_option
def bind_tracker(
    job_id: str,
    backend: str,
    project: str | None,
    offline: bool | None,
    entity: str | None,
    uri: str | None,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Bind a run that has not begun to a tracker: its id there is fixed from now on.

    No tracker is contacted. The tracker's run is opened when the run executes, by aexp or by
    the training code itself. --backend none takes the binding back.

    \b
    Example:
      aexp bind-tracker 9f3a1b2c --backend wandb --project ecg --offline
    """
    from aexp.trackers.binding import bind_by_hand, binding_for, check_settings

    repo = Repo.installed()
    full_id = resolve_id(repo, job_id)
    given = {"project": project, "offline": offline, "entity": entity, "uri": uri}
    settings = check_settings({"backend": backend, **given})
    if dry_run:
        run = read_run(repo, full_id)
        binding: Any = None if settings is None else binding_for(run, settings)
    else:
        binding = section(bind_by_hand(repo, full_id, settings).doc, "tracker") or None
    if as_json:
        print_json({"job_id": full_id, "tracker": binding, "dry_run": dry_run})
        return
    verb = "would bind" if dry_run else "bound"
    if binding is None:
        click.echo(f"{'would unbind' if dry_run else 'unbound'} {short(full_id)}")
        return
    words = f"run_id={binding['run_id']} group={binding['group']}"
    click.echo(f"{verb} {binding['backend']}: {words}")


@click.command("list")
@json_option
def list_trackers(as_json: bool) -> None:
    """List the backends, the class of each, and whether it can be used here.

    \b
    Example:
      aexp trackers list
    """
    from aexp.trackers.registry import BUILT_IN, backends, get_adapter

    rows = []
    for name, where in backends().items():
        problem = hint = None
        try:
            get_adapter(name)
        except AexpError as error:
            problem, hint = error.message, error.hint
        rows.append(
            {
                "name": name,
                "class": where,
                "built_in": name in BUILT_IN,
                "usable": problem is None,
                "problem": problem,
                "hint": hint,
            }
        )
    if as_json:
        print_json(rows)
        return
    print_table(
        ("NAME", "CLASS", "USABLE", "WHY NOT"),
        [
            (row["name"], row["class"], "yes" if row["usable"] else "no", row["hint"])
            for row in rows
        ],
    )


@click.command("check")
@click.argument("name")
@click.option("--online", is_flag=True, help="Use the tracker's service, too.")
@click.option("--project", default="aexp-conformance", metavar="P", help="Project of the runs.")
@click.option("--option", "options", multiple=True, metavar="K=V", help="For the adapter's class.")
@json_option
def check(name: str, online: bool, project: str, options: tuple[str, ...], as_json: bool) -> None:
    """Check an adapter against the contract, with runs that it really opens.

    Without --online nothing leaves this machine. Exit 1 if a check fails.

    \b
    Example:
      aexp trackers check wandb
    """
    import tempfile

    from aexp.queue.sweep import parse_assignments
    from aexp.trackers.conformance import check_adapter, summary
    from aexp.trackers.registry import get_adapter

    given: dict[str, Any] = {}
    for option in options:
        given |= parse_assignments(option)
    get_adapter(name, **given)
    with tempfile.TemporaryDirectory(prefix="aexp-check-", ignore_cleanup_errors=True) as folder:
        results = check_adapter(
            lambda: get_adapter(name, **given), folder, online=online, project=project
        )
    if as_json:
        print_json({"name": name, "online": online, **summary(results)})
    else:
        rows = [("ok" if result.ok else "FAILED", *result[::2]) for result in results]
        print_table(("RESULT", "CHECK", "FOUND"), rows)
    failed = sum(not result.ok for result in results)
    if not as_json:
        note(
            f"{failed} of {len(results)} checks failed" if failed else f"{name} keeps the contract"
        )
    if failed:
        raise click.exceptions.Exit(EXIT_FAILED)
