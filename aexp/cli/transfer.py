"""``aexp push``, ``aexp pull`` and ``aexp uploads``."""

import contextlib
import os
import sys
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click

from aexp.cli.group import LazyGroup
from aexp.cli.options import dry_run_option, ids_argument, json_option
from aexp.cli.output import note, print_json, print_table
from aexp.errors import AexpError
from aexp.model import printable, short, utc_at
from aexp.paths import Repo
from aexp.runs.store import resolve_id, run_ids

if TYPE_CHECKING:
    from aexp.checkpoints.pull import RemoteCheckpoint
    from aexp.checkpoints.push import Pushed
    from aexp.remotes.config import Remote

VERBS = {"ls": ("aexp.cli.transfer:list_uploads", "List what is on its way to remotes.")}
remote_option = click.option(
    "--remote", "remote_name", metavar="NAME", help="Only this one; see: aexp remote list"
)


@click.command("push")
@ids_argument
@remote_option
@click.option("--again", is_flag=True, help="Send also what is there: it may be damaged.")
@dry_run_option
@json_option
def push(
    ids: tuple[str, ...], remote_name: str | None, again: bool, dry_run: bool, as_json: bool
) -> None:
    """Upload checkpoints that a remote lacks: of some runs, or of all.

    Call it again after any failure or kill: what has arrived is not sent again. A run that
    is uploading by itself may go on beside it. Exit code 75: a remote did not answer.

    \b
    Example:
      aexp push
      aexp push 9f3a1b2c --remote archive
    """
    from aexp.checkpoints.push import plan_push, push_run, try_open

    repo = Repo.installed()
    jobs = [resolve_id(repo, text) for text in ids] or run_ids(repo)
    results: list[Pushed] = []

    def show(result: "Pushed") -> None:
        results.append(result)
        if not as_json:
            click.echo(_line(result))

    with _leaving_at_once():
        for chosen in _remotes(repo, remote_name):
            if dry_run:
                for job_id in jobs:
                    for result in plan_push(repo, job_id, chosen, again=again):
                        show(result)
                continue
            store = try_open(chosen)
            for job_id in jobs:
                done = push_run(repo, job_id, chosen, store, again=again, on_result=show)
                if done and _is_of_remote(done[-1].error):
                    break  # of this remote; the next one may answer
    if as_json:
        print_json([_as_object(result) for result in results])
    elif not results:
        click.echo("nothing to push")
    elif dry_run:
        note("nothing was sent (--dry-run)")
    errors = [result.error for result in results if result.error is not None]
    for hint in dict.fromkeys(error.hint for error in errors if error.hint):
        note(f"hint: {printable(hint)}")
    if errors:
        sys.exit(max(error.exit_code for error in errors))


@click.command("pull")
@click.argument("job_id", metavar="ID")
@remote_option
@click.option("--step", type=click.IntRange(min=0), metavar="N", help="The one of this step.")
@click.option("--checkpoint", "prefix", metavar="CK", help="The one whose id begins so.")
@click.option("--all", "every", is_flag=True, help="All of them.")
@click.option("--to", metavar="DIR", help="Into a new folder, instead of the run's.")
@dry_run_option
@json_option
def pull(
    job_id: str,
    remote_name: str | None,
    step: int | None,
    prefix: str | None,
    every: bool,
    to: str | None,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Download a run's newest checkpoint, verified, so that it can be resumed here.

    If the newest is damaged at the remote, the one before is taken, and a warning says so.

    \b
    Example:
      aexp pull 9f3a1b2c
      aexp pull 9f3a1b2c --step 1200 --to checkpoint-1200
    """
    from aexp.checkpoints.pull import choose, pull_run, remote_checkpoints
    from aexp.remotes.config import get_remote, takes_checkpoints
    from aexp.remotes.store import open_store

    repo = Repo.installed()
    full_id = resolve_id(repo, job_id)
    if to is not None and every:
        raise click.UsageError("--to takes one checkpoint, not --all")
    chosen = get_remote(repo, remote_name, fits=takes_checkpoints)
    store = open_store(chosen)
    with _leaving_at_once():
        if dry_run:
            found = choose(remote_checkpoints(store, full_id), step=step, prefix=prefix)
            _show_remote(found, as_json)
        elif to is not None:
            _pull_to(repo, full_id, chosen, store, step, prefix, to, as_json)
        else:
            pulled = pull_run(
                repo, full_id, chosen, step=step, prefix=prefix, every=every, store=store
            )
            rows = [
                {
                    "id": item.checkpoint.id,
                    "path": str(item.checkpoint.path),
                    "step": item.checkpoint.step,
                    "was_here": item.was_here,
                }
                for item in pulled
            ]
            if as_json:
                print_json(rows)
                return
            for row in rows:
                verb = "was here" if row["was_here"] else "pulled"
                click.echo(f"{verb}  {repo.relative(str(row['path']))}")


@click.group("uploads", cls=LazyGroup, verbs=VERBS)
def uploads() -> None:
    """List uploads: what is on its way to remotes.

    \b
    Example:
      aexp uploads ls
    """


@click.command("ls")
@ids_argument
@click.option("--all", "every", is_flag=True, help="Also what has arrived.")
@json_option
def list_uploads(ids: tuple[str, ...], every: bool, as_json: bool) -> None:
    """List the uploads of some runs, or of all: what waits, what has failed and why.

    Nothing is contacted.

    \b
    Example:
      aexp uploads ls
      aexp uploads ls 9f3a1b2c --all
    """
    from aexp.checkpoints.uploads import list_uploads as read

    repo = Repo.installed()
    jobs = [resolve_id(repo, text) for text in ids] or run_ids(repo)
    found = [(job_id, upload) for job_id in jobs for upload in read(repo, job_id)]
    shown = [(job, upload) for job, upload in found if every or not upload.is_pushed]
    if as_json:
        print_json([{"job_id": job_id, **upload._asdict()} for job_id, upload in shown])
        return
    if not shown:
        click.echo(f"nothing is waiting; {len(found)} uploads have arrived")
        return
    rows = []
    for job_id, upload in shown:
        due = ""
        if upload.error and upload.next_try > time.time():
            due = utc_at(upload.next_try)
        rows.append(
            (
                *(short(job_id), upload.folder, upload.remote, upload.state),
                *(_size(upload.bytes), upload.tries or None, due, upload.error),
            )
        )
    columns = ("RUN", "CHECKPOINT", "REMOTE", "STATE", "SIZE", "TRIES", "NEXT TRY", "ERROR")
    print_table(columns, rows, wrap_last=True)


def _remotes(repo: Repo, name: str | None) -> "list[Remote]":
    from aexp.remotes.config import get_remote, list_remotes, takes_checkpoints
    from aexp.remotes.store import check_takes_checkpoints

    if name is None:
        found = [remote for remote in list_remotes(repo) if takes_checkpoints(remote)]
        if found:
            return found
    chosen = get_remote(repo, name, fits=takes_checkpoints)
    check_takes_checkpoints(chosen)
    return [chosen]


def _is_of_remote(error: AexpError | None) -> bool:
    from aexp.errors import RemoteError

    return isinstance(error, RemoteError)


def _pull_to(
    repo: Repo,
    job_id: str,
    chosen: "Remote",
    store: Any,
    step: int | None,
    prefix: str | None,
    to: str,
    as_json: bool,
) -> None:
    from aexp.checkpoints.pull import pull_newest_to

    manifest = pull_newest_to(repo, store, chosen, job_id, to, step=step, prefix=prefix)
    if as_json:
        print_json([{"id": manifest.id, "path": os.path.abspath(to), "step": manifest.step}])
    else:
        click.echo(f"pulled  {printable(to)}  ({manifest.folder}, {manifest.id[:15]})")


def _show_remote(found: "list[RemoteCheckpoint]", as_json: bool) -> None:
    if as_json:
        print_json([item._asdict() for item in found])
        return
    if not found:
        click.echo("the remote has none")
        return
    rows = [("final" if item.step is None else item.step, item.kind, item.id) for item in found]
    print_table(("STEP", "KIND", "ID"), rows)


def _as_object(result: "Pushed") -> dict[str, Any]:
    body = result._asdict()
    body["error"] = result.error.message if result.error else None
    return body


def _line(result: "Pushed") -> str:
    words = f"{result.state}  {short(result.job)}  {result.folder}  to {result.remote}"
    if result.error is not None:
        return f"{words}: {printable(result.error.message)}"
    if result.state == "queued":
        return f"would push  {short(result.job)}  {result.folder}  to {result.remote}"
    speed = ""
    if result.sent_bytes and result.seconds:
        speed = f", {result.sent_bytes / 1e6 / result.seconds:.0f} MB/s"
    return f"{words}: {_size(result.sent_bytes)} of {_size(result.bytes)} sent{speed}"


def _size(number: int) -> str:
    value = float(number)
    for unit in ("B", "kB", "MB", "GB"):
        if value < 1000:
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1000
    return f"{value:.1f} TB"


@contextlib.contextmanager
def _leaving_at_once() -> Iterator[None]:
    """Have Ctrl-C end the process without waiting for what its threads are sending."""
    try:
        yield
    except KeyboardInterrupt:
        note("interrupted; what has arrived is not sent again: call it again")
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(130)
