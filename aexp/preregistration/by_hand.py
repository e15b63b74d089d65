"""What a run that a program executes by hand is registered with."""

from collections.abc import Mapping
from typing import Any

from aexp.errors import AexpError
from aexp.files import read_bytes
from aexp.kb.experiments import find_experiment
from aexp.model import Run
from aexp.paths import Repo
from aexp.preregistration.register import Registrar, Registration
from aexp.runs.document import block_of
from aexp.runs.status import change_run

KEY = "preregistration"


def registration_by_hand(
    repo: Repo,
    run: Run,
    program: Mapping[str, Any],
    *,
    use_sidecar: bool = True,
    agent_mode: str | None = None,
) -> Registration:
    """Return what a run is registered with; nothing is written.

    Parameters
    ----------
    repo : Repo
        The repository.
    run : Run
        The run.
    program : mapping
        How the process was started: its ``script`` or ``module``.
    use_sidecar, agent_mode
        As of `Registrar`.

    Raises
    ------
    GateError
        If its script must have a sidecar and has none, or one that cannot be understood.
    """
    arguments = [str(program["script"])] if "script" in program else []
    if "module" in program:
        arguments = ["-m", str(program["module"])]
    registrar = Registrar(
        repo,
        _note_of(repo, run),
        use_sidecar=use_sidecar,
        agent_mode=agent_mode,
        bypass="aexp.start(..., sidecar=False)",
    )
    return registrar.of_arguments(arguments)


def write_registration(repo: Repo, job_id: str, registration: Registration) -> None:
    """Keep it in the document of a run that is about to begin."""

    def edit(run: Run) -> None:
        record = block_of(run.doc, "aexp_run")
        record.pop(KEY, None)
        if registration.record is not None:
            record[KEY] = registration.record

    change_run(repo, job_id, edit)


def _note_of(repo: Repo, run: Run) -> str | None:
    """Return the note of the run's experiment, if it may pre-register something."""
    if run.experiment_id is None:
        return None
    try:
        path = find_experiment(repo, run.experiment_id)
        return path if KEY.encode() in (read_bytes(path) or b"") else None
    except AexpError:
        return None
