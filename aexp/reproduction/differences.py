"""The present environment beside the recorded one: what may make the numbers differ."""

import os
import re
from collections.abc import Mapping
from typing import Any

from aexp.environment import compare
from aexp.environment.gpu import read_gpus
from aexp.environment.interpreter import command_python, describe, describe_own, is_own
from aexp.environment.machine import read_hardware, read_platform
from aexp.environment.variables import select_variables
from aexp.paths import Repo

# What may bear on numbers, and how it is called; of the groups below every fact.
_FACTS = {
    ("python", "version"): "python",
    ("platform", "system"): "system",
    ("platform", "machine"): "machine",
    ("platform", "libc"): "libc",
    ("platform", "distribution"): "distribution",
    ("hardware", "cpu"): "cpu",
    ("gpu", "driver"): "GPU driver",
}
_GROUPS = {"packages": "package", "conda": "conda package", "variables": "variable"}
_GPU = re.compile(r"devices\.(\d+)\.name")
# Of the run, the job or the session: no two attempts have the same.
_OF_ATTEMPT = frozenset({"HOSTNAME", "PYTHONUNBUFFERED"})


def present_python(repo: Repo, command: str) -> dict[str, Any]:
    """Return version and packages of the Python that a command would use now."""
    prefix = command_python(repo, command, os.environ)
    # Without a repository nothing is written to its cache: this only looks.
    return describe_own(None) if prefix is None or is_own(prefix) else describe(None, prefix)


def differences(
    recorded: Mapping[str, Any] | None, python: Mapping[str, Any]
) -> list[dict[str, Any]]:
    """Return ``name``, ``then`` and ``now`` of what differs from a recorded environment.

    Parameters
    ----------
    recorded : mapping or None
        An attempt's record; without one nothing can be compared.
    python : mapping
        The Python that would be used now.
    """
    if recorded is None:
        return []
    present = {
        "python": python,
        "platform": read_platform(),
        "hardware": read_hardware(),
        "gpu": read_gpus(None),
        **select_variables(os.environ),
    }
    return sorted(
        (
            {"name": called, "then": then, "now": now}
            for group, changed in compare.differences(recorded, present).items()
            for name, (then, now) in changed.items()
            if (called := _called(group, name)) is not None
        ),
        key=lambda item: str(item["name"]),
    )


def _called(group: str, name: str) -> str | None:
    """Return what to call a fact, None for one that says nothing about numbers."""
    if group in _GROUPS:
        return None if name in _OF_ATTEMPT else f"{_GROUPS[group]} {name}"
    device = _GPU.fullmatch(name) if group == "gpu" else None
    return f"GPU {device[1]}" if device else _FACTS.get((group, name))
