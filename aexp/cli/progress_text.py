"""How far a run is, in words for tables."""

import math
from collections.abc import Mapping
from typing import Any

from aexp.cli.fitting import cut
from aexp.cli.output import number
from aexp.runs.progress import Progress

_MAX_NAME = 40


def progress_text(progress: Progress | Mapping[str, Any] | None) -> str:
    """Return ``40%  8/20  warming up``, as much of it as is known."""
    if progress is None:
        return ""
    known = progress._asdict() if isinstance(progress, Progress) else progress
    return "  ".join(filter(None, (percent(known), steps(known), known.get("message") or "")))


def percent(known: Mapping[str, Any]) -> str:
    """Return the part that is done, never rounded up to all of it."""
    fraction = known.get("fraction")
    return "" if fraction is None else f"{int(fraction * 100 + 1e-9)}%"


def steps(known: Mapping[str, Any]) -> str:
    """Return ``8/20``, or ``step 8`` where nobody has said of how many."""
    step, total = known.get("step"), known.get("total")
    if step is None:
        return ""
    return f"step {number(step)}" if total is None else f"{number(step)}/{number(total)}"


def metrics_text(metrics: Mapping[str, Any], at_most: int | None = None) -> str:
    """Return ``loss=0.3 acc=0.9``."""
    shown = [f"{cut(name, _MAX_NAME)}={number(value)}" for name, value in metrics.items()]
    if at_most is not None and len(shown) > at_most:
        shown[at_most:] = ["…"]
    return " ".join(shown)


def bar(fraction: float, width: int, *, plain: bool = False) -> str:
    """Return a bar of so many cells; plain is for terminals that know ASCII only."""
    full = min(width, int(fraction * width + 1e-9))
    done, rest = ("#", ".") if plain else ("█", "░")
    return done * full + rest * (width - full)


def duration(seconds: float | None) -> str:
    """Return ``45s``, ``3m10s``, ``2h05m`` or ``3d04h``."""
    if seconds is None or not math.isfinite(seconds):
        return ""
    whole = int(seconds)
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m{whole % 60:02}s"
    if whole < 86400:
        return f"{whole // 3600}h{whole % 3600 // 60:02}m"
    return f"{whole // 86400}d{whole % 86400 // 3600:02}h"
