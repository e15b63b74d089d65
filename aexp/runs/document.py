"""Edit a run's job document: under its lock, freshly read, atomically written."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from aexp.errors import CorruptFile, RunNotFound
from aexp.files import locked, write_atomic
from aexp.model import Run, section
from aexp.paths import DOCUMENT, LOCK, Repo
from aexp.runs.store import read_run_to_edit


@contextmanager
def run_lock(repo: Repo, job_id: str) -> Iterator[None]:
    """Hold a run's lock for the block: milliseconds, never while a command runs."""
    try:
        with locked(repo.run_file(job_id, LOCK)):
            yield
    except FileNotFoundError:
        raise RunNotFound(f"run {job_id} has vanished", "see: aexp list-runs") from None


def write_document(repo: Repo, run: Run) -> None:
    """Write the document of a run whose lock is held."""
    try:
        data = json.dumps(run.doc).encode()
    except (TypeError, ValueError) as error:
        raise CorruptFile(f"run {run.job_id}: the document cannot be written: {error}") from error
    write_atomic(repo.run_file(run.job_id, DOCUMENT), data)


@contextmanager
def edit_document(repo: Repo, job_id: str) -> Iterator[Run]:
    """Yield a freshly read run; what the block does to ``run.doc`` is written at its end.

    Nothing is written when the block raises.
    """
    with run_lock(repo, job_id):
        run = read_run_to_edit(repo, job_id)
        yield run
        write_document(repo, run)


def block_of(doc: dict[str, Any], key: str) -> dict[str, Any]:
    """Return the object ``doc[key]`` for editing, made if it is missing."""
    value = section(doc, key)
    doc[key] = value
    return value
