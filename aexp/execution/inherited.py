"""What of this process's environment a run's command gets: nothing that is another run's.

A run's command may execute further runs (``aexp exec``, ``aexp queue run``), and ``sbatch``
hands its environment on to jobs that are none of it.
"""

import contextlib
import os
from collections.abc import Mapping

from aexp import slurm
from aexp.errors import AexpError
from aexp.execution.resume import RESUME_VARIABLE
from aexp.files import read_object
from aexp.paths import CLAIM
from aexp.runs.claims import MARKER_VARIABLE, TRACKER_VARIABLES

END_VARIABLE = "AEXP_ENDS_AT"


def inherited() -> dict[str, str]:
    """Return this process's environment without what was meant for another run.

    That is the checkpoint that it goes on from, the tracker's run that it is, and, where that
    run is not executed around this process, the end of its time.
    """
    others = {RESUME_VARIABLE, TRACKER_VARIABLES, *os.environ.get(TRACKER_VARIABLES, "").split()}
    if not _is_within():
        others.add(END_VARIABLE)
    return {name: value for name, value in os.environ.items() if name not in others}


def end_of_time(around: Mapping[str, str], end: float | None) -> dict[str, str]:
    """Return when a command is ended at the latest, in its environment.

    Parameters
    ----------
    around : mapping
        What it inherits: it cannot outlive the run that it is executed by.
    end : float or None
        Its own limit, in seconds since 1970.
    """
    if end is None:
        return {}
    with contextlib.suppress(KeyError, ValueError):
        end = min(end, float(around[END_VARIABLE]))
    return {END_VARIABLE: f"{end:.3f}"}


def _is_within() -> bool:
    """Return whether the run that this process has its variables of is executed around it."""
    nonce, folder = os.environ.get(MARKER_VARIABLE), os.environ.get("AEXP_JOB_WORKSPACE")
    if not nonce or not folder:
        return False
    try:
        claim = read_object(os.path.join(folder, CLAIM)) or {}
    except AexpError:
        return False
    return claim.get("nonce") == nonce and claim.get("slurm_job_id") == slurm.allocation()
