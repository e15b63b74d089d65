"""Whose turn it is: one process at a time brings a run's rows to its tracker.

The follower of a wrapper that was killed goes on for a while. The next attempt's waits for
it: a tracker that is written to by two at once loses rows of one of them. The turn is a
``flock``, gone with its holder; the file tells who that is.
"""

import fcntl
import json
import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from aexp.errors import AexpError, TrackerInitError
from aexp.files import read_object
from aexp.paths import TRACKER
from aexp.processes import host_identity, is_running, start_time
from aexp.trackers.pipe import DEAD_S, Pipe

FILE = "turn.lock"
_LOOK_S = 0.2
_GRACE_S = 5.0  # for the one before, once this attempt has ended itself
_SLACK_S = 5.0
_DYING_S = 1.0


def take_turn(workspace: "str | Path", pipe: Pipe) -> int:
    """Wait until no other process writes to the tracker's run, and return the lock's descriptor.

    While this attempt goes on, waiting costs nothing: its rows are in the series. An earlier
    attempt's follower has its time, and is ended when it takes longer, or when this attempt
    has ended and there is no time left to wait.

    Raises
    ------
    TrackerInitError
        If this attempt has ended and the other process goes on: a sync, or on another machine.
    """
    began = time.monotonic()
    latest = began + DEAD_S + _SLACK_S
    over = None
    while True:
        descriptor = _try(workspace)
        if descriptor is not None:
            _sign(descriptor)
            return descriptor
        ended, ending = pipe.wait(_LOOK_S)
        now = time.monotonic()
        if ended:
            if over is None:
                over = now + min(_GRACE_S, (ending.seconds if ending else DEAD_S) / 3)
            time.sleep(_LOOK_S)  # the pipe answers at once from now on
        if now < (latest if over is None else min(latest, over)):
            continue
        if _end_holder(workspace):
            latest = now + _DYING_S
            over = None if over is None else latest
        elif over is not None:
            raise TrackerInitError(
                "another process still brings rows of this run to the tracker",
                "when it has ended: aexp sync-offline",
            )


@contextmanager
def turn_if_free(workspace: "str | Path") -> Iterator[bool]:
    """Hold the turn for the block if nobody has it; whether that is so is what `with` gives."""
    descriptor = _try(workspace)
    try:
        yield descriptor is not None
    finally:
        if descriptor is not None:
            # A child that another thread has forked meanwhile shares the lock.
            with suppress(OSError):
                fcntl.flock(descriptor, fcntl.LOCK_UN)
            os.close(descriptor)


def _path(workspace: "str | Path") -> str:
    return os.path.join(workspace, TRACKER, FILE)


def _try(workspace: "str | Path") -> int | None:
    path = _path(workspace)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
    descriptor = os.open(path, flags, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    except OSError:  # a file system without flock: what the file tells has to do
        if _holder(workspace) is not None:
            os.close(descriptor)
            return None
    return descriptor


def _sign(descriptor: int) -> None:
    pid = os.getpid()
    who = {"pid": pid, "started": start_time(pid), "host": list(host_identity())}
    with suppress(OSError):  # the lock counts
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, json.dumps(who).encode(), 0)


def _holder(workspace: "str | Path") -> int | None:
    """Return the process of this machine that has signed the file, None when it has ended."""
    try:
        who: dict[str, Any] = read_object(_path(workspace)) or {}
    except AexpError:
        return None
    pid, started = who.get("pid"), who.get("started")
    if not isinstance(pid, int) or not isinstance(started, float) or pid == os.getpid():
        return None
    if who.get("host") != list(host_identity()) or not is_running(pid, started):
        return None
    return pid


def _end_holder(workspace: "str | Path") -> bool:
    """Kill the follower that has the turn, with its SDK's processes; False if there is none."""
    pid = _holder(workspace)
    if pid is None:
        return False
    with suppress(OSError):
        if os.getpgid(pid) == pid:
            os.killpg(pid, signal.SIGKILL)
        else:
            os.kill(pid, signal.SIGKILL)
    return True
