"""The file that a hand-written batch script sources: what ``aexp env shell`` prints."""

import os

HELPER = os.path.join("scripts", "slurm", "_aexp_env.sh")


def helper_script() -> str:
    """Return the text of `HELPER`, for a POSIX shell. It names no path of this machine."""
    path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "aexp_env.sh")
    with open(path, encoding="utf-8") as file:
        return file.read()
