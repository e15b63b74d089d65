"""Give local runs that ask for GPUs devices of their own."""

import contextlib
import fcntl
import os
import subprocess
import time
from collections.abc import Callable, Iterator

from aexp import slurm
from aexp.errors import UsageError

_POLL_S = 0.5


def devices() -> list[str]:
    """Return this machine's GPU devices.

    ``CUDA_VISIBLE_DEVICES`` names them when it is set, else ``AEXP_GPUS`` (a count or a
    list), else ``nvidia-smi`` counts them.
    """
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        return [name for name in visible.split(",") if name and name != "-1"]
    declared = os.environ.get("AEXP_GPUS", "").strip()
    if declared.isdigit():
        return [str(index) for index in range(int(declared))]
    if declared:
        return [name.strip() for name in declared.split(",") if name.strip()]
    try:
        done = subprocess.run(
            ["nvidia-smi", "-L"],
            capture_output=True,
            timeout=20,
            stdin=subprocess.DEVNULL,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return []
    count = sum(line.startswith(b"GPU ") for line in done.stdout.splitlines())
    return [str(index) for index in range(count)]


class Lease:
    """Devices held by one run until it and its processes have ended.

    Attributes
    ----------
    names : list of str
        The devices, as ``CUDA_VISIBLE_DEVICES`` takes them.
    descriptors : list of int
        Locked files. The command inherits them, so that a device stays taken while a
        process of a killed wrapper still uses it.
    """

    def __init__(self) -> None:
        self.names: list[str] = []
        self.descriptors: list[int] = []

    def environment(self) -> dict[str, str]:
        """Return the variables that confine a command to its devices."""
        return {"CUDA_VISIBLE_DEVICES": ",".join(self.names)} if self.names else {}

    def close(self) -> None:
        """Give the devices back."""
        for descriptor in self.descriptors:
            os.close(descriptor)
        self.names, self.descriptors = [], []


@contextlib.contextmanager
def lease(
    count: int, *, cancelled: Callable[[], bool], say: Callable[[str], None]
) -> Iterator[Lease]:
    """Hold `count` devices of this machine for the block, waiting until they are free.

    Inside a Slurm allocation the devices are those that Slurm has given to it, shared
    between the runs that it executes at once; on a machine without any GPU the run goes on
    without.

    Raises
    ------
    UsageError
        If the machine has some GPUs, but fewer than `count`.
    """
    held = Lease()
    pool = _pool(count)
    if pool and count > len(pool):
        raise UsageError(
            f"the run asks for {count} GPUs and this machine has {len(pool)}",
            "queue it with fewer (--resources gpus=N), or run it elsewhere",
        )
    if count > 0 and not pool and slurm.allocation() is None:
        say("no GPU found on this machine; the run goes on without one")
    try:
        told = False
        while pool and not _take(held, pool, count):
            if cancelled():
                break
            if not told:
                say(f"waiting for {count} free GPU(s)")
                told = True
            time.sleep(_POLL_S)
        yield held
    finally:
        held.close()


def _pool(count: int) -> list[str]:
    if count == 0:
        return []
    if slurm.allocation() is None:
        return devices()
    given = devices() if os.environ.get("CUDA_VISIBLE_DEVICES") else []
    return given if len(given) > count else []  # all of them belong to this run


def _take(held: Lease, pool: list[str], count: int) -> bool:
    # Not $TMPDIR: two shells with different ones must not share a device.
    folder = f"/tmp/aexp-gpus-{os.getuid()}"
    os.makedirs(folder, mode=0o700, exist_ok=True)
    within = slurm.allocation()  # Slurm numbers a job's devices from 0
    for name in pool:
        if len(held.names) == count:
            break
        label = f"{within}-{name}" if within else name
        safe = "".join(c if c.isalnum() or c == "-" else "_" for c in label)
        descriptor = os.open(os.path.join(folder, safe), os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(descriptor)
            continue
        held.names.append(name)
        held.descriptors.append(descriptor)
    if len(held.names) == count:
        return True
    held.close()
    return False
