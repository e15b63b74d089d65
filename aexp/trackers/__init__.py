"""Trackers: a run's metrics in W&B, MLflow or a log, without owning any state of aexp.

Everything in ``__all__`` is imported when it is first used.
"""

from typing import Any

_HOMES = {
    "MlflowAdapter": "aexp.trackers.mlflow.adapter",
    "NoopAdapter": "aexp.trackers.noop",
    "OfflineRun": "aexp.trackers.contract",
    "RunHandle": "aexp.trackers.contract",
    "RunRecord": "aexp.trackers.contract",
    "SyncResult": "aexp.trackers.contract",
    "TrackerAdapter": "aexp.trackers.contract",
    "TrackerBinding": "aexp.trackers.contract",
    "TrackerInitError": "aexp.errors",
    "WandbAdapter": "aexp.trackers.wandb.adapter",
    "bind_tracker": "aexp.trackers.binding",
    "find_offline_runs": "aexp.trackers.sync.sync",
    "get_adapter": "aexp.trackers.registry",
    "prepare_tracker": "aexp.trackers.wandb.prepare",
    "sync_offline_runs": "aexp.trackers.sync.sync",
    "tracked_run": "aexp.trackers.wandb.prepare",
}

__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    """Import a name of the package when it is first used."""
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'aexp.trackers' has no attribute {name!r}")
    from importlib import import_module

    value = getattr(import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
