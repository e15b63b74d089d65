"""The SDK's service process (wandb-core), where an opening that has failed stays on.

It holds the run's id, so that the run cannot be opened offline there, and goes on trying to
reach W&B: as soon as that succeeds, an empty run would stand there as failed.
"""

import contextlib
import os
import re
import sys

from aexp.processes import child_processes, end_processes

_TOKEN = "WANDB_SERVICE"  # how the SDK tells its children, and the program after an exec


def end_service() -> bool:
    """End this process's service after an opening that has failed; False when it must stay.

    It stays when it serves other runs of this process, or belongs to another process.
    """
    setup = sys.modules.get("wandb.sdk.wandb_setup")
    if setup is None:
        return True
    sdk = setup.singleton()
    ours = _ours()
    if getattr(sdk, "most_recent_active_run", None) is not None or not ours:
        return False
    end_processes(ours)
    with contextlib.suppress(AttributeError):  # else Python warns of it at the end
        sdk._connection._proc.join()
    # It tells of the service's end by sys.exit; all that it would wait for is gone.
    with contextlib.suppress(Exception, SystemExit):
        setup.teardown()
    os.environ.pop(_TOKEN, None)
    return True


def end_remnant() -> None:
    """Forget a service that was there before this program, and end it if it was this process's.

    The process beside a run begins again by ``exec`` when opening took too long.
    """
    if "wandb" in sys.modules or _TOKEN not in os.environ:
        return
    end_processes(_ours())
    del os.environ[_TOKEN]


def _ours() -> list[int]:
    """Return the service of the token, if this process has started it."""
    # 3-<pid of the starter>-unix-/tmp/wandb-<pid of the starter>-<pid>-<number>/socket
    numbers = re.findall(r"\d+", os.environ.get(_TOKEN, ""))
    return [pid for pid in child_processes() if str(pid) in numbers]
