"""The present environment beside the recorded one: what may make the numbers differ."""

import os
from collections.abc import Mapping
from typing import Any

from aexp.environment.gpu import read_gpus
from aexp.environment.interpreter import command_python, describe, describe_own, is_own
from aexp.environment.machine import read_hardware, read_platform
from aexp.environment.snapshot import software_python
from aexp.environment.variables import select_variables
from aexp.model import section
from aexp.paths import Repo

_PLATFORM = ("system", "machine", "libc", "distribution")
# Of the run, the job or the session: no two attempts have the same.
_OF_ATTEMPT = ("AEXP_", "SLURM", "HOSTNAME", "PYTHONUNBUFFERED")


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
    then = _facts(recorded, software_python(recorded))
    present = {
        "platform": read_platform(),
        "hardware": read_hardware(),
        "gpu": read_gpus(None),
        **select_variables(os.environ),
    }
    now = _facts(present, python)
    return [
        {"name": name, "then": then.get(name), "now": now.get(name)}
        for name in sorted({*then, *now})
        if then.get(name) != now.get(name)
    ]


def _facts(snapshot: Mapping[str, Any], python: Mapping[str, Any]) -> dict[str, Any]:
    """Return the facts that bear on numbers, each under one name."""
    facts: dict[str, Any] = {"python": python.get("version")}
    for name, version in section(dict(python), "packages").items():
        facts[f"package {name}"] = version
    platform, gpu = section(dict(snapshot), "platform"), section(dict(snapshot), "gpu")
    for key in _PLATFORM:
        facts[key] = platform.get(key)
    facts["cpu"] = section(dict(snapshot), "hardware").get("cpu")
    facts["GPU driver"] = gpu.get("driver")
    devices = gpu.get("devices")
    if isinstance(devices, list) and devices:
        facts["GPUs"] = ", ".join(str(item.get("name")) for item in devices)
    for name, value in section(dict(snapshot), "variables").items():
        if not name.startswith(_OF_ATTEMPT):
            facts[f"variable {name}"] = value
    return facts
