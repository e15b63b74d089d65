"""The machine: operating system, processor, memory, limits, container, Slurm's job."""

import contextlib
import os
from collections.abc import Mapping
from typing import Any

from aexp.model import printable
from aexp.paths import hostname

_UNLIMITED = 1 << 60  # what the old control groups say instead of "no limit"
# Enough of /proc/cpuinfo for the first core: with hundreds of cores the rest costs milliseconds.
_ONE_CORE = 2048
_SLURM = {
    "job_id": "SLURM_JOB_ID",
    "array_job_id": "SLURM_ARRAY_JOB_ID",
    "array_task_id": "SLURM_ARRAY_TASK_ID",
    "cluster": "SLURM_CLUSTER_NAME",
    "partition": "SLURM_JOB_PARTITION",
    "qos": "SLURM_JOB_QOS",
    "nodes": "SLURM_JOB_NODELIST",
    "node_count": "SLURM_JOB_NUM_NODES",
    "tasks": "SLURM_NTASKS",
    "cpus_per_task": "SLURM_CPUS_PER_TASK",
    "cpus_on_node": "SLURM_CPUS_ON_NODE",
    "mem_per_node_mb": "SLURM_MEM_PER_NODE",
    "mem_per_cpu_mb": "SLURM_MEM_PER_CPU",
    "gpus": "SLURM_GPUS",
    "gpus_on_node": "SLURM_GPUS_ON_NODE",
    "restart_count": "SLURM_RESTART_COUNT",
    "end_time": "SLURM_JOB_END_TIME",
}
_IMAGES = (
    ("apptainer", "APPTAINER_CONTAINER"),
    ("singularity", "SINGULARITY_CONTAINER"),
    ("slurm", "SLURM_CONTAINER_IMAGE"),
    ("slurm", "SLURM_CONTAINER"),
)


def read_platform(root: str = "/") -> dict[str, Any]:
    """Return the operating system's facts that a result may depend on."""
    system = os.uname()
    facts = {
        "system": system.sysname,
        "release": system.release,
        "machine": system.machine,
        "host": hostname(),
    }
    with contextlib.suppress(ValueError, OSError, AttributeError):
        libc = os.confstr("CS_GNU_LIBC_VERSION")
        if libc:
            facts["libc"] = libc
    for line in _text(root, "etc/os-release").splitlines():
        if line.startswith("PRETTY_NAME="):
            facts["distribution"] = printable(line.partition("=")[2].strip("\"'"))
    return facts


def read_hardware(root: str = "/") -> dict[str, Any]:
    """Return processor and memory, and what this process may use of them."""
    facts: dict[str, Any] = {"cores": os.cpu_count()}
    with contextlib.suppress(AttributeError, OSError):
        facts["cores_allowed"] = len(os.sched_getaffinity(0))
    for line in _text(root, "proc/cpuinfo", _ONE_CORE).splitlines():
        key, _, value = line.partition(":")
        if key.strip() in ("model name", "cpu model", "Hardware"):
            facts["cpu"] = printable(value.strip())
            break
    for line in _text(root, "proc/meminfo", 200).splitlines():
        words = line.split()
        if words[:1] == ["MemTotal:"] and words[1:2] and words[1].isdigit():
            facts["memory_mb"] = int(words[1]) // 1024
    return {**facts, **_limits(root)}


def read_container(variables: Mapping[str, str], root: str = "/") -> dict[str, Any] | None:
    """Return the container this process runs in, None outside of one.

    The image's name is what the runtime says in the environment, or ``AEXP_CONTAINER``.
    """
    facts: dict[str, Any] = {}
    for runtime, name in _IMAGES:
        if variables.get(name):
            facts.setdefault("runtime", runtime)
            facts.setdefault("image", variables[name])
    if not facts and os.path.exists(os.path.join(root, ".dockerenv")):
        facts["runtime"] = "docker"
    if not facts and os.path.exists(os.path.join(root, "run/.containerenv")):
        facts["runtime"] = "podman"
        for line in _text(root, "run/.containerenv").splitlines():
            if line.startswith("image="):
                facts["image"] = line.partition("=")[2].strip('"')
    if not facts and variables.get("KUBERNETES_SERVICE_HOST"):
        facts["runtime"] = "kubernetes"
    if variables.get("AEXP_CONTAINER"):
        facts["image"] = variables["AEXP_CONTAINER"]
    return {key: printable(value) for key, value in facts.items()} or None


def read_slurm(variables: Mapping[str, str]) -> dict[str, str] | None:
    """Return what the Slurm job was given, None outside of one."""
    if not variables.get("SLURM_JOB_ID"):
        return None
    return {key: printable(variables[name]) for key, name in _SLURM.items() if variables.get(name)}


def _limits(root: str) -> dict[str, Any]:
    """Return the tightest limits of this process's control groups."""
    memory: list[int] = []
    processors: list[float] = []
    mounted = os.path.join(root, "sys/fs/cgroup")
    for line in _text(root, "proc/self/cgroup").splitlines():
        _, controllers, path = [*line.split(":", 2), "", ""][:3]
        if not controllers:
            for folder in _upwards(mounted, path):
                memory += _numbers(folder, "memory.max")
                processors += _share(_words(folder, "cpu.max"))
        elif "memory" in controllers.split(","):
            for folder in _upwards(os.path.join(mounted, "memory"), path):
                memory += _numbers(folder, "memory.limit_in_bytes")
        elif "cpu" in controllers.split(","):
            for folder in _upwards(os.path.join(mounted, controllers), path):
                quota = _words(folder, "cpu.cfs_quota_us")
                processors += _share([*quota, *_words(folder, "cpu.cfs_period_us")])
    facts: dict[str, Any] = {}
    if bounded := [size for size in memory if size < _UNLIMITED]:
        facts["memory_limit_mb"] = min(bounded) >> 20
    if processors:
        facts["cpu_limit"] = round(min(processors), 2)
    return facts


def _upwards(top: str, path: str) -> list[str]:
    """Return a group's folder and those above it; in a container the path may not be there."""
    parts = [part for part in path.split("/") if part not in ("", "..")]
    return [os.path.join(top, *parts[:length]) for length in range(len(parts), -1, -1)]


def _words(folder: str, name: str) -> list[str]:
    return _text(folder, name).split()


def _numbers(folder: str, name: str) -> list[int]:
    return [int(word) for word in _words(folder, name) if word.isdigit()]


def _share(words: list[str]) -> list[float]:
    """Return quota over period, in processors; nothing for ``max`` and ``-1``."""
    if len(words) == 2 and words[0].isdigit() and words[1].isdigit() and int(words[1]):
        return [int(words[0]) / int(words[1])]
    return []


def _text(folder: str, name: str, limit: int = 65536) -> str:
    try:
        with open(os.path.join(folder, name), "rb") as file:
            return file.read(limit).decode(errors="replace")
    except OSError:
        return ""
