"""GPUs and their driver: through NVML where it is, else what the driver says itself."""

import contextlib
import itertools
import json
import os
from typing import Any

from aexp.errors import AexpError, CorruptFile
from aexp.files import read_bytes, read_object, write_atomic
from aexp.model import printable, section
from aexp.paths import Repo
from aexp.processes import host_identity

_DRIVER = "proc/driver/nvidia"
_NO_DRIVER = "no NVIDIA driver on this machine"
_NO_PACKAGE = "more is known with NVML: pip install 'aexp[gpu]'"


def read_gpus(repo: Repo | None, root: str = "/") -> dict[str, Any]:
    """Return devices and driver, with a ``reason`` for what is not known.

    NVML takes long to start: what it said is used until the next boot, or another driver.
    """
    driver = _driver_text(root)
    if not driver and not os.path.exists(os.path.join(root, "dev/dxg")):
        return {"devices": [], "reason": _NO_DRIVER}
    identity = host_identity()
    key = f"{identity.machine_id} {identity.boot_id} {driver}"
    cache = repo.cache("gpu", f"{printable(identity.host)}.json") if repo else None
    if cache is not None:
        try:
            kept = read_object(cache) or {}
        except CorruptFile:
            kept = {}
        known = section(kept, "gpu")
        if known and kept.get("key") == key:
            return known
    facts = through_nvml()
    if "reason" in facts:
        return {**from_driver(root), "reason": facts["reason"]}
    if cache is not None:
        with contextlib.suppress(AexpError):  # asked again next time
            write_atomic(cache, json.dumps({"key": key, "gpu": facts}).encode())
    return facts


def through_nvml() -> dict[str, Any]:
    """Return what NVML says, or the ``reason`` why it says nothing."""
    try:
        import pynvml
    except ImportError:
        return {"devices": [], "reason": _NO_PACKAGE}
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError as error:
        return {"devices": [], "reason": f"NVML: {error}"}
    try:
        cuda = pynvml.nvmlSystemGetCudaDriverVersion()
        return {
            "driver": _plain(pynvml.nvmlSystemGetDriverVersion()),
            "cuda_driver": f"{cuda // 1000}.{cuda % 1000 // 10}",
            "devices": [_device(pynvml, n) for n in range(pynvml.nvmlDeviceGetCount())],
        }
    except pynvml.NVMLError as error:
        return {"devices": [], "reason": f"NVML: {error}"}
    finally:
        pynvml.nvmlShutdown()


def _device(pynvml: Any, index: int) -> dict[str, Any]:
    handle = pynvml.nvmlDeviceGetHandleByIndex(index)
    facts = {
        "index": index,
        "name": _plain(pynvml.nvmlDeviceGetName(handle)),
        "uuid": _plain(pynvml.nvmlDeviceGetUUID(handle)),
        "memory_mb": pynvml.nvmlDeviceGetMemoryInfo(handle).total >> 20,
    }
    with contextlib.suppress(pynvml.NVMLError):  # not every device has such a thing
        major, minor = pynvml.nvmlDeviceGetCudaComputeCapability(handle)
        facts["compute_capability"] = f"{major}.{minor}"
    with contextlib.suppress(pynvml.NVMLError):
        facts["mig"] = bool(pynvml.nvmlDeviceGetMigMode(handle)[0])
    return facts


def from_driver(root: str = "/") -> dict[str, Any]:
    """Return what the driver's own files say, without any library."""
    facts: dict[str, Any] = {"devices": []}
    words = _driver_text(root).split()
    for word, after in itertools.pairwise(words):
        if word in ("Module", "x86_64", "aarch64") and after[:1].isdigit():
            facts["driver"] = printable(after)
    folder = os.path.join(root, _DRIVER, "gpus")
    try:
        names = sorted(os.listdir(folder))
    except OSError:
        names = []
    for index, name in enumerate(names):
        text = (read_bytes(os.path.join(folder, name, "information")) or b"").decode(
            errors="replace"
        )
        fields = dict(line.split(":", 1) for line in text.splitlines() if ":" in line)
        device = {"index": index, "name": fields.get("Model", ""), "uuid": fields.get("GPU UUID")}
        facts["devices"].append({k: _plain(v) if k != "index" else v for k, v in device.items()})
    return facts


def _driver_text(root: str) -> str:
    try:
        data = read_bytes(os.path.join(root, _DRIVER, "version")) or b""
    except CorruptFile:
        return ""
    return data.decode(errors="replace").partition("\n")[0]


def _plain(value: object) -> str:
    text = value.decode(errors="replace") if isinstance(value, bytes) else str(value or "")
    return printable(text.strip())
