"""The gate: a file that exists only while a run is complete."""

from aexp.errors import StatusError
from aexp.files import remove, write_atomic
from aexp.model import COMPLETE, short
from aexp.paths import GATE, Repo
from aexp.runs.document import run_lock
from aexp.runs.publish import sentinel_bytes
from aexp.runs.store import read_run, resolve_id


def open_gate(repo: Repo, job_id: str) -> None:
    """Write a complete run's gate.

    Raises
    ------
    StatusError
        If the run is not complete; the gate is removed then.
    """
    full_id = resolve_id(repo, job_id)
    path = repo.run_file(full_id, GATE)
    with run_lock(repo, full_id):
        run = read_run(repo, full_id)
        if run.status != COMPLETE:
            remove(path)
            raise StatusError(
                f"run {short(full_id)} is {run.status}, not complete",
                f"see: aexp show-run {short(full_id)}",
            )
        write_atomic(path, sentinel_bytes(run))
