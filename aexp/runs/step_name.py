"""The step in the name of what a trainer has saved."""

import os
import re

_STEP = re.compile(r"step[-_=]?(\d+)", re.IGNORECASE)
_NUMBER = re.compile(r"\d+")


def step_of(name: str) -> int | None:
    """Return the step in a file's or folder's name: ``step_1200.pt``, ``checkpoint-1200``.

    A number after "step", else the last one before the suffix.
    """
    found = _STEP.findall(name) or _NUMBER.findall(os.path.splitext(name)[0])
    return int(found[-1]) if found and len(found[-1]) < 16 else None
