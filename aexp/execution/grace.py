"""How long a command has between being asked to end and being killed."""

import math
import os
import time

from aexp import slurm

DEFAULT_GRACE_S = 20.0
# Slurm's own time between SIGTERM and SIGKILL, where a site has not changed it.
_KILL_WAIT_S = 30.0
_LONGEST_S = 600.0
_PATIENCE_S = 3.0
_FOR_EVER_S = 30 * 86400.0  # "inf" is no time that can be waited for, nor a number in JSON


def grace_s(longest_save_s: float = 0.0) -> float:
    """Return the grace time: what is set, else enough for twice the longest save so far."""
    own = _own_grace_s()
    if own is not None:
        return own
    return min(max(DEFAULT_GRACE_S, math.ceil(2 * longest_save_s)), _LONGEST_S)


def grace_now_s(longest_save_s: float) -> float:
    """Return the grace time of a command that is asked to end now.

    Slurm may have sent its signal ahead of the time limit (``--signal=TERM@120``): then the
    command has the time until then.
    """
    grace, allocation = grace_s(longest_save_s), slurm.allocation()
    if _own_grace_s() is None and allocation is not None:
        end = slurm.running_until(allocation, _PATIENCE_S)
        if end is not None:
            grace = max(grace, min(end - time.time(), _LONGEST_S))
    return grace


def advice(longest_save_s: float) -> str | None:
    """Return a warning when there is too little time to save once more, else None."""
    needed = math.ceil(2 * longest_save_s)
    given = grace_s(longest_save_s)
    if slurm.allocation() is not None:
        given = min(given, _KILL_WAIT_S)
        hint = f"ask Slurm for a signal ahead: slurm_extra=--signal=TERM@{needed + 60}"
    else:
        hint = f"set AEXP_GRACE_S={needed}"
    if needed <= given:
        return None
    return (
        f"saving a checkpoint has taken {longest_save_s:.0f} s, and a command that is asked to "
        f"end may be killed after {given:g} s: {hint}"
    )


def _own_grace_s() -> float | None:
    try:
        given = float(os.environ["AEXP_GRACE_S"])
    except (KeyError, ValueError):
        return None
    return None if math.isnan(given) else min(max(0.0, given), _FOR_EVER_S)
