"""What one run needs: the resources that Snakemake and Slurm are asked for."""

import re
from collections.abc import Mapping
from typing import Any

from aexp.errors import UsageError

# Our name of a resource: its name in Snakemake and in the Slurm executor plugin.
SNAKEMAKE_NAMES = {
    "mem_mb": "mem_mb",
    "disk_mb": "disk_mb",
    "runtime": "runtime",
    "gpus": "gpu",
    "gpu_model": "gpu_model",
    "partition": "slurm_partition",
    "account": "slurm_account",
    "qos": "qos",
    "constraint": "constraint",
    "reservation": "reservation",
    "nodes": "nodes",
    "tasks": "tasks",
    "cpus_per_task": "cpus_per_task",
    "clusters": "clusters",
    "slurm_extra": "slurm_extra",
}
_ALIASES = {
    "gpu": "gpus",
    "slurm_partition": "partition",
    "slurm_account": "account",
    "cpus": "threads",
    "time": "runtime",
    "mem": "mem_mb",
}
NUMBERS = frozenset(
    {"mem_mb", "disk_mb", "runtime", "gpus", "threads", "nodes", "tasks", "cpus_per_task"}
)
NAMES = ("threads", *SNAKEMAKE_NAMES)
# What names in Slurm and its grammar of constraints consist of; nothing that a shell obeys.
_TEXT = re.compile(r"[A-Za-z0-9_.,:+/@&|()*\[\]][A-Za-z0-9_.,:+/@&|()*\[\]-]*")
_FREE = "slurm_extra"  # options of sbatch as a person writes them
_NUMBER = re.compile(r"(\d+)(?:\*(\d+(?:\.\d+)?))?", re.ASCII)


def parse_resources(text: str) -> dict[str, Any]:
    """Parse ``mem_mb=8000,runtime=120,gpus=1,partition=short``.

    ``mem_mb=8000*2`` doubles with every further attempt.

    Raises
    ------
    UsageError
        If a name is unknown or a value is not what its name needs.
    """
    given: dict[str, Any] = {}
    for piece in text.split(","):
        if not piece.strip():
            continue
        name, equals, value = piece.partition("=")
        if not equals:
            raise UsageError(
                f"--resources: {piece.strip()!r} is not NAME=VALUE", "for instance mem_mb=8000"
            )
        given[name.strip()] = value.strip()
    return check_resources(given)


def check_resources(given: Mapping[str, Any], where: str = "--resources") -> dict[str, Any]:
    """Return resources with our names and checked values.

    A number may be given as ``8000*2`` or ``{start: 8000, scale: 2}``: it is multiplied by
    the scale for every attempt after the first.

    Raises
    ------
    UsageError
        Naming the resource.
    """
    return {
        (known := _known_name(name, where)): _checked(known, value, where)
        for name, value in given.items()
    }


def _known_name(name: str, where: str) -> str:
    known = _ALIASES.get(name, name)
    if known not in NAMES:
        raise UsageError(f"{where}: {name!r} is not a resource", "one of: " + ", ".join(NAMES))
    return known


def _checked(name: str, value: Any, where: str) -> Any:
    if name not in NUMBERS:
        text = str(value)
        if not text or any(c in text for c in "\n\r\0"):
            raise UsageError(f"{where}: {name} is {text!r}", "give one line of text")
        if name != _FREE and not _TEXT.fullmatch(text):
            raise UsageError(
                f"{where}: {name} is {text[:80]!r}",
                "a name in Slurm: letters, digits and _ - . , : + / @ & | ( ) * [ ], "
                "without spaces or quotes and not beginning with -",
            )
        return text
    if isinstance(value, Mapping):
        start, scale = value.get("start"), value.get("scale", 1)
        if _is_number(start) and isinstance(scale, (int, float)) and scale >= 1:
            return {"start": start, "scale": scale}
    elif _is_number(value):
        return value
    elif isinstance(value, str) and (match := _NUMBER.fullmatch(value)):
        if match[2] is None:
            return int(match[1])
        return {"start": int(match[1]), "scale": float(match[2])}
    raise UsageError(
        f"{where}: {name} is {value!r}",
        f"write a whole number, or {name}=8000*2 to double it with every attempt",
    )


def _is_number(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def at_attempt(resources: Mapping[str, Any], attempt: int) -> dict[str, Any]:
    """Return the plain values for the given attempt (1 is the first)."""
    plain: dict[str, Any] = {}
    for name, value in resources.items():
        if isinstance(value, dict):
            plain[name] = int(value.get("start", 0) * value.get("scale", 1) ** max(0, attempt - 1))
        else:
            plain[name] = value
    return plain
