"""The log of an attempt: in this store, or a copy that has come from another machine."""

import os
import re
from typing import NamedTuple

from aexp.errors import RunNotFound, UsageError
from aexp.model import check_machine_label, short
from aexp.paths import Repo
from aexp.runs.known import read_known

COPIES = os.path.join(".aexp", "files")
_LOG = re.compile(r"([1-9]\d{0,8})\.log")


class AttemptLog(NamedTuple):
    """Where the output of an attempt lies.

    Attributes
    ----------
    job_id : str
        The run.
    attempt : int
        Number of the attempt.
    path : str
        The file.
    machine : str or None
        Of a copy: the machine that has executed the attempt.
    """

    job_id: str
    attempt: int
    path: str
    machine: str | None = None


def find_log(repo: Repo, text: str, attempt: int | None = None) -> AttemptLog:
    """Return the log of the run whose id begins with `text`.

    What this store has comes first; then copies of `aexp sync --pull --files logs`, those of
    the machine that wrote the ledger's entry before others.

    Parameters
    ----------
    repo : Repo
        An installed repository.
    text : str
        The id, or its beginning.
    attempt : int, optional
        Which attempt; default: the last one that has a log.

    Raises
    ------
    UsageError
        If `text` is not hexadecimal.
    RunNotFound
        If there is no such run, or no log of it here.
    """
    known = read_known(repo, text)
    job_id, machine = known.run.job_id, known.machine
    labels = _labels(repo)
    order: list[str | None] = [None, *labels]
    if machine in labels:  # its record is what counts here, too
        order.sort(key=lambda label: label != machine)
    recorded = [n for item in known.run.attempts if isinstance(n := item.get("attempt"), int)]
    for label in order:
        of_run = repo.run_dir(job_id) if label is None else repo.at(COPIES, label, job_id)
        folder = os.path.join(of_run, "logs")
        # While an attempt begins, the log of the one before is not its log.
        wanted = max(recorded, default=None) if label is None and machine is None else None
        number = _chosen(folder, attempt or wanted)
        if number is not None:
            return AttemptLog(job_id, number, os.path.join(folder, f"{number}.log"), label)
    hint = f"see: aexp show-run {short(job_id)}"
    if machine is not None:
        hint = f"it ran on {machine}: aexp sync REMOTE --pull --files logs"
    which = f"attempt {attempt}" if attempt else "any attempt"
    raise RunNotFound(f"run {short(job_id)} has no log of {which}", hint)


def _labels(repo: Repo) -> list[str]:
    """Return the machines whose files are here."""
    try:
        return sorted(filter(_is_label, os.listdir(repo.at(COPIES))))
    except OSError:
        return []


def _chosen(folder: str, attempt: int | None) -> int | None:
    """Return the number of the log that is asked for, None where it is not there."""
    try:
        found = [int(match[1]) for name in os.listdir(folder) if (match := _LOG.fullmatch(name))]
    except OSError:
        return None
    if attempt is None:
        return max(found, default=None)
    return attempt if attempt in found else None


def _is_label(name: str) -> bool:
    try:
        return bool(check_machine_label(name))
    except UsageError:
        return False
