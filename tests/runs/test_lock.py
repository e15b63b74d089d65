"""The lock of a run's document."""

import fcntl
import os
from pathlib import Path

from aexp.files import locked


def test_a_child_forked_meanwhile_does_not_keep_the_lock(tmp_path: Path) -> None:
    path = tmp_path / ".lock"
    end, keep = os.pipe()
    with locked(path):
        child = os.fork()
        if child == 0:
            os.close(keep)
            os.read(end, 1)  # lives as long as the parent has its end of the pipe
            os._exit(0)
    os.close(end)
    descriptor = os.open(path, os.O_RDWR)
    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    os.close(descriptor)
    os.close(keep)
    assert os.waitpid(child, 0)[1] == 0
