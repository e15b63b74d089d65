"""The states of the random generators: of Python, of NumPy and of PyTorch on all devices."""

import random
import sys
from importlib import import_module
from typing import Any


def rng_state() -> dict[str, Any]:
    """Return the states, made of what ``torch.load(..., weights_only=True)`` takes.

    NumPy counts when something has imported it, a device when it is in use.
    """
    import torch

    state: dict[str, Any] = {"python": random.getstate(), "torch": torch.get_rng_state()}
    numpy = sys.modules.get("numpy")
    if numpy is not None:
        kind, keys, position, has_gauss, gauss = numpy.random.get_state()
        keys = [int(key) for key in keys]
        state["numpy"] = (str(kind), keys, int(position), int(has_gauss), float(gauss))
    if torch.cuda.is_available() and torch.cuda.is_initialized():
        state["cuda"] = torch.cuda.get_rng_state_all()
    mps = getattr(torch.backends, "mps", None)
    if mps is not None and mps.is_available():
        state["mps"] = torch.mps.get_rng_state()
    return state


def set_rng_state(state: dict[str, Any]) -> None:
    """Set what `rng_state` has returned; devices that are not here are passed over."""
    import torch

    version, internal, gauss = state["python"]
    random.setstate((version, tuple(internal), gauss))
    torch.set_rng_state(state["torch"].cpu())
    if "numpy" in state:
        import_module("numpy").random.set_state(tuple(state["numpy"]))
    if "cuda" in state and torch.cuda.is_available():
        for device, of_device in enumerate(state["cuda"][: torch.cuda.device_count()]):
            torch.cuda.set_rng_state(of_device.cpu(), device)
    if "mps" in state and torch.backends.mps.is_available():
        torch.mps.set_rng_state(state["mps"].cpu())
