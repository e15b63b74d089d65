"""``aexp remote``: where checkpoints and the record go besides this machine."""

import sys
from typing import TYPE_CHECKING, Any

import click

from aexp.cli.group import LazyGroup
from aexp.cli.options import dry_run_option, json_option
from aexp.cli.output import note, print_json, print_table
from aexp.errors import AexpError
from aexp.git import run_git
from aexp.paths import Repo

if TYPE_CHECKING:
    from aexp.remotes.config import Remote

VERBS = {
    "add": ("aexp.cli.remote:add", "Name a bucket, a folder or a machine."),
    "list": ("aexp.cli.remote:list_remotes", "List the remotes."),
    "remove": ("aexp.cli.remote:remove", "Forget a remote; what lies there stays."),
    "test": ("aexp.cli.remote:test", "Try what a run will need of a remote."),
}


@click.group("remote", cls=LazyGroup, verbs=VERBS)
def remote() -> None:
    """Remotes: buckets and folders for checkpoints, machines and folders for the record.

    \b
    Examples:
      aexp remote add archive s3://my-bucket/project
      aexp remote add cluster me@login.example.org:research
    """


@click.command("add")
@click.argument("name")
@click.argument("url")
@click.option("--manual", is_flag=True, help="Upload only when aexp push is called.")
@click.option("--required", is_flag=True, help="A run is done only when its checkpoints are there.")
@click.option(
    "--option", "options", multiple=True, metavar="K=V", help="endpoint=URL, region=R, ..."
)
@click.option("--replace", is_flag=True, help="Change the remote of this name.")
@dry_run_option
@json_option
def add(
    name: str,
    url: str,
    manual: bool,
    required: bool,
    options: tuple[str, ...],
    replace: bool,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Name a bucket, a folder or a machine, in a file to commit: .aexp/remotes/NAME.json.

    URL: s3://bucket/prefix, gs://bucket/prefix, az://container/prefix or file:///folder for
    checkpoints; ssh://[user@]host[:port]/folder, host:folder or file:///folder for aexp sync. It
    holds no credentials: they come from the environment, and ssh has its keys. Nothing is
    contacted; try it with: aexp remote test NAME

    \b
    Examples:
      aexp remote add archive s3://my-bucket/project --option endpoint=https://s3.example.org
      aexp remote add cluster me@login.example.org:research
    """
    from aexp.remotes.config import AUTO, MANUAL, add_remote, make_remote

    repo = Repo.find()
    given: dict[str, object] = {}
    for option in options:
        key, equals, value = option.partition("=")
        if not equals:
            raise click.UsageError(f"--option {key}: write it like --option endpoint=URL")
        given[key.strip()] = value.strip()
    made = make_remote(name, url, push=MANUAL if manual else AUTO, required=required, options=given)
    if not dry_run:
        add_remote(repo, made, replace=replace)
    if as_json:
        print_json({"name": made.name, **made.to_object(), "dry_run": dry_run})
        return
    click.echo(f"{'would add' if dry_run else 'added'} {made.name}: {made.url}")
    if not dry_run:
        note(f"try it: aexp remote test {name}; then commit .aexp/remotes/{name}.json")
        if run_git(repo, "check-ignore", "-q", f".aexp/remotes/{name}.json").code == 0:
            note("git ignores that file: call aexp install, which renews .gitignore")


@click.command("list")
@json_option
def list_remotes(as_json: bool) -> None:
    """List the remotes.

    \b
    Example:
      aexp remote list
    """
    from aexp.remotes.config import readable_remotes

    remotes = readable_remotes(Repo.find())
    if as_json:
        print_json([{"name": item.name, **item.to_object()} for item in remotes])
        return
    if not remotes:
        click.echo("no remotes")
        note("add one: aexp remote add NAME s3://bucket/prefix")
        return
    rows = []
    for item in remotes:
        words = " ".join(f"{key}={value}" for key, value in sorted(item.options.items()))
        rows.append((item.name, item.url, item.push, "yes" if item.required else "no", words))
    print_table(("NAME", "URL", "PUSH", "REQUIRED", "OPTIONS"), rows)


@click.command("remove")
@click.argument("name")
@dry_run_option
def remove(name: str, dry_run: bool) -> None:
    """Forget a remote. What lies there stays there.

    \b
    Example:
      aexp remote remove archive
    """
    from aexp.remotes.config import get_remote, remove_remote

    repo = Repo.find()
    if dry_run:
        click.echo(f"would remove {get_remote(repo, name).name}")
        return
    click.echo(f"removed {remove_remote(repo, name).name}")


@click.command("test")
@click.argument("name", required=False)
@json_option
def test(name: str | None, as_json: bool) -> None:
    """Write, list, read and remove a few objects at a remote, and measure its speed.

    At a machine (ssh://): try ssh and rsync, and look for git, Python, aexp and Slurm.

    \b
    Example:
      aexp remote test archive
    """
    from aexp.remotes.check import check_remote
    from aexp.remotes.config import get_remote, takes_checkpoints

    chosen = get_remote(Repo.find(), name)
    if not takes_checkpoints(chosen):
        _test_machine(chosen, as_json)
        return
    try:
        found = check_remote(chosen)
    except AexpError as error:
        if as_json:
            _print_failure(chosen.name, error)
        raise
    if as_json:
        print_json({"name": chosen.name, "ok": True, **found._asdict()})
        return
    click.echo(f"{chosen.name} works: {', '.join(found.steps)}")
    speed = f"up {found.put_mb_s:.0f} MB/s, down {found.get_mb_s:.0f} MB/s"
    click.echo(f"{speed} with a file of 12 MB, {found.seconds:.1f} s in all")


def _test_machine(chosen: "Remote", as_json: bool) -> None:
    from aexp.remotes.check_machine import check_machine

    steps = check_machine(chosen)
    ok = all(step.ok for step in steps if step.needed)
    if as_json:
        print_json({"name": chosen.name, "ok": ok, "steps": [step._asdict() for step in steps]})
    else:
        rows = []
        for step in steps:
            state = "ok" if step.ok else "FAILED" if step.needed else "-"
            took = "" if step.seconds is None else f"{step.seconds * 1000:.0f} ms"
            rows.append((step.name, state, took, step.detail))
        print_table(("WHAT", "STATE", "TOOK", "DETAIL"), rows)
        for step in steps:
            if step.hint:
                note(f"hint: {step.name}: {step.hint}")
    sys.exit(0 if ok else 1)


def _print_failure(name: str, error: AexpError) -> None:
    body: dict[str, Any] = {"name": name, "ok": False, "error": error.message}
    print_json({**body, "hint": error.hint})
