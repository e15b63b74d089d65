"""Facts about processes of this machine: identity, start time, groups, stray children."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from typing import NamedTuple

from aexp.paths import hostname

_LINUX = sys.platform.startswith("linux")


class HostIdentity(NamedTuple):
    """What tells one machine, boot and process namespace from another."""

    host: str
    machine_id: str
    boot_id: str
    pid_namespace: str


def _first_line(path: str) -> str:
    try:
        with open(path, encoding="ascii", errors="replace") as file:
            return file.readline().strip()
    except OSError:
        return ""


def host_identity() -> HostIdentity:
    """Return this machine's identity; empty fields where the system has no such notion."""
    try:
        namespace = os.readlink("/proc/self/ns/pid")
    except OSError:
        namespace = ""
    return HostIdentity(
        hostname(),
        _first_line("/etc/machine-id"),
        _first_line("/proc/sys/kernel/random/boot_id"),
        namespace,
    )


def start_time(pid: int) -> float | None:
    """Return a fingerprint of when process `pid` started, None when it does not run.

    On Linux this is field 22 of ``/proc/PID/stat`` (clock ticks since boot, see
    ``proc(5)``); elsewhere seconds since 1970 as ``ps`` gives them. A zombie counts as
    not running.
    """
    if _LINUX:
        try:
            with open(f"/proc/{pid}/stat", "rb") as file:
                fields = file.read().rpartition(b")")[2].split()
        except OSError:
            return None
        return None if fields[0] in (b"Z", b"X") else float(fields[19])
    done = subprocess.run(
        ["ps", "-o", "stat=,lstart=", "-p", str(pid)], capture_output=True, text=True, check=False
    )
    state, _, stamp = done.stdout.strip().partition(" ")
    if done.returncode != 0 or not stamp or state.startswith("Z"):
        return None
    return time.mktime(time.strptime(" ".join(stamp.split())))


def is_running(pid: int, started: float | None) -> bool:
    """Return whether `pid` is still the process that started at `started`."""
    now = start_time(pid)
    return now is not None and (started is None or now == started)


def group_members(pgid: int) -> list[int]:
    """Return the live processes of a process group."""
    return [pid for pid, group, _ in _processes() if group == pgid]


def child_processes() -> list[int]:
    """Return the live processes that this one has started, also those before an ``exec``."""
    return [pid for pid, _, parent in _processes() if parent == os.getpid()]


def marked_processes(marker: str) -> list[int]:
    """Return the live processes of this user whose environment holds ``marker``.

    Parameters
    ----------
    marker : str
        ``NAME=value`` as the process was started with.
    """
    wanted = marker.encode()
    found = []
    for pid, _, _ in _processes():
        if pid == os.getpid():
            continue
        try:
            with open(f"/proc/{pid}/environ", "rb") as file:
                if wanted in file.read().split(b"\0"):
                    found.append(pid)
        except OSError:
            continue
    return found


def _processes() -> list[tuple[int, int, int]]:
    """Return pid, process group and parent of all that live."""
    if not _LINUX:
        done = subprocess.run(
            ["ps", "-axo", "pid=,pgid=,ppid=,stat="], capture_output=True, text=True, check=False
        )
        rows = [line.split() for line in done.stdout.splitlines()]
        alive = [row[:3] for row in rows if not row[3].startswith("Z")]
        return [(int(pid), int(group), int(parent)) for pid, group, parent in alive]
    found = []
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        try:
            with open(f"/proc/{name}/stat", "rb") as file:
                fields = file.read().rpartition(b")")[2].split()
        except OSError:
            continue
        if fields[0] not in (b"Z", b"X"):
            found.append((int(name), int(fields[2]), int(fields[1])))
    return found


def signal_group(pgid: int, number: int) -> bool:
    """Signal a process group; False when it has no process left."""
    try:
        os.killpg(pgid, number)
        return True
    except (ProcessLookupError, PermissionError):
        return False


def end_processes(pids: list[int], *, wait_s: float = 5.0) -> bool:
    """Kill processes and wait until they are gone; False when one is not."""
    for pid in pids:
        with contextlib.suppress(OSError):
            os.kill(pid, signal.SIGKILL)
    deadline = time.monotonic() + wait_s
    while any(start_time(pid) is not None for pid in pids):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True
