"""Ask another program, for a limited time."""

import subprocess
from typing import NamedTuple

_TIMEOUT_S = 20.0


class Reply(NamedTuple):
    """What a program has answered."""

    code: int
    out: str
    err: str


def ask(*command: str) -> Reply | None:
    """Run a program and return its answer, None when it is missing or does not end."""
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_TIMEOUT_S,
            stdin=subprocess.DEVNULL,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return Reply(done.returncode, done.stdout, done.stderr)
