"""``aexp logs``."""

import os
import sys
import time

import click

from aexp.cli.output import note
from aexp.errors import RunNotFound
from aexp.model import RUNNING
from aexp.paths import Repo
from aexp.runs.known import find_repo, read_known
from aexp.runs.logs import find_log
from aexp.runs.store import read_run

_POLL_S = 0.3


@click.command("logs")
@click.argument("job_id", metavar="ID")
@click.option("--follow", "-f", is_flag=True, help="Go on until the run has ended.")
@click.option("--attempt", type=click.IntRange(1), metavar="N", help="Default: the last one.")
@click.option("--path", "only_path", is_flag=True, help="Print where the log lies.")
def logs(job_id: str, follow: bool, attempt: int | None, only_path: bool) -> None:
    """Print a run's output, byte for byte as its command wrote it.

    Of a run of another machine: what aexp sync --pull --files logs has brought here.

    \b
    Examples:
      aexp logs 9f3a1b2c
      aexp logs 9f3a1b2c --follow
    """
    repo = find_repo()
    if follow and not only_path and (known := read_known(repo, job_id)).machine is None:
        _follow(repo, known.run.job_id, attempt)
        return
    found = find_log(repo, job_id, attempt)
    if only_path:
        click.echo(found.path)
        return
    if not os.path.isfile(found.path):  # a pipe would be waited for without end
        raise RunNotFound(f"{repo.relative(found.path)} is no file", "see what has replaced it")
    if found.machine is not None:
        note(f"the log of {found.machine}: {repo.relative(found.path)}")
    with open(found.path, "rb") as file:
        while data := file.read(1 << 20):
            sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()


def _follow(repo: Repo, job_id: str, attempt: int | None) -> None:
    """Print what there is and what comes, also across attempts, until the run has ended."""
    number, position = attempt, 0
    while True:
        # First the status: what is written before an end is then read after it.
        run = read_run(repo, job_id)
        last = max((item.get("attempt", 0) for item in run.attempts), default=0)
        number = number or last or None
        if number is not None:
            position += _copy(repo.log_path(job_id, number), position)
            if attempt is None and number < last:
                number, position = number + 1, 0
                continue
        if run.is_terminal or (attempt is not None and (attempt < last or run.status != RUNNING)):
            return
        time.sleep(_POLL_S)


def _copy(path: str, position: int) -> int:
    copied = 0
    if not os.path.isfile(path):
        return 0
    try:
        with open(path, "rb") as file:
            file.seek(position)
            while data := file.read(1 << 20):
                sys.stdout.buffer.write(data)
                copied += len(data)
    except FileNotFoundError:
        return 0
    sys.stdout.buffer.flush()
    return copied
