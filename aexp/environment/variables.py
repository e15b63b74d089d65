"""The variables of a command's environment: what is kept of them, and the names of the rest."""

import os
from collections.abc import Mapping
from typing import Any

from aexp.environment.names import allowed, is_denied
from aexp.environment.scrub import scrub_value
from aexp.model import printable

_MAX_CHARACTERS = 8000
_MAX_NAMES = 1000
# They name the run or the attempt itself, or are of no use to anybody later.
_OF_THE_RUN = frozenset(
    {
        "AEXP_ATTEMPT",
        "AEXP_CHECKPOINT_DIR",
        "AEXP_CLAIM",
        "AEXP_ENDS_AT",
        "AEXP_JOB_ID",
        "AEXP_JOB_WORKSPACE",
        "AEXP_METRICS_PATH",
        "AEXP_PRELUDE",
        "AEXP_RESUME_FROM",
        "AEXP_STATEPOINT_PATH",
        "AEXP_STOP_PATH",
        "AEXP_TRACKER_VARIABLES",
    }
)


def select_variables(variables: Mapping[str, str]) -> dict[str, Any]:
    """Return the part of an environment that may be written down.

    Returns
    -------
    dict
        ``variables`` with scrubbed values; ``variables_left_out`` with two lists of names:
        ``secret`` of those that sound like one, ``not_listed`` of the others.
    """
    kept: dict[str, str] = {}
    secret: list[str] = []
    unlisted: list[str] = []
    for name, value in sorted(variables.items()):
        if name in _OF_THE_RUN or name.startswith("BASH_FUNC_"):
            continue
        if allowed(name):
            kept[printable(name)] = _shortened(scrub_value(value))
        elif is_denied(name):
            secret.append(printable(name))
        else:
            unlisted.append(printable(name))
    left_out = {"secret": secret[:_MAX_NAMES], "not_listed": unlisted[:_MAX_NAMES]}
    return {"variables": kept, "variables_left_out": left_out}


def _shortened(value: str) -> str:
    if len(value) <= _MAX_CHARACTERS:
        return value
    return f"{value[:_MAX_CHARACTERS]}… ({len(value)} characters)"


def without_home(path: str) -> str:
    """Return a path with the user's home folder as ``~``."""
    home = os.path.expanduser("~")
    if home not in ("~", "/") and (path + os.sep).startswith(home.rstrip(os.sep) + os.sep):
        return "~" + path[len(home.rstrip(os.sep)) :]
    return path
