"""What ``wandb.init`` is given, and the ways of the SDK that have to be reckoned with."""

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from aexp.environment.scrub import is_secret_name
from aexp.errors import TrackerInitError
from aexp.model import printable
from aexp.numbers import NOT_FINITE
from aexp.trackers.wandb.login import Trouble
from aexp.trackers.wandb.service import end_remnant

INIT_TIMEOUT_S = 15.0
MAX_NAME = 128
_MAX_TAG = 64


def init_arguments(
    *,
    project: str | None,
    group: str | None,
    tags: Sequence[str],
    config: Mapping[str, Any],
    notes: str | None,
    offline: bool,
    workspace: str | Path | None,
    run_id: str | None,
    name: str | None = None,
    entity: str | None = None,
    job_type: str | None = None,
) -> dict[str, Any]:
    """Return the arguments of ``wandb.init`` for a run."""
    wanted = {
        "project": project,
        "entity": entity,
        "group": cut(group),
        "job_type": job_type,
        "name": cut(name),
        "tags": tags_for(tags),
        "config": dict(config),
        "notes": notes,
        "dir": str(workspace) if workspace is not None else None,
        "id": run_id,
        "resume": "allow" if run_id else None,
        "mode": "offline" if offline else None,
    }
    return {key: value for key, value in wanted.items() if value is not None}


def tags_for(tags: Sequence[str]) -> list[str]:
    """Return tags as W&B takes them: at most 64 characters, none twice."""
    return list(dict.fromkeys(tag[:_MAX_TAG] for tag in tags if tag))


def quiet_sdk() -> Any:
    """Import the SDK and keep it from writing lines between those of the training."""
    end_remnant()
    import wandb

    wandb.setup(settings=wandb.Settings(silent=True))
    return wandb


def known_settings(sdk: Any, **wanted: Any) -> Any:
    """Return W&B settings of those that the installed version knows."""
    known = sdk.Settings.model_fields
    return sdk.Settings(**{key: value for key, value in wanted.items() if key in known})


def not_opened(error: Exception) -> TrackerInitError:
    """Return what an exception of the SDK means, and what to do."""
    trouble = trouble_of(error)
    return TrackerInitError(trouble.message, trouble.advice)


def trouble_of(error: Exception) -> Trouble:
    """Return what an exception of the SDK means, and what to do."""
    text = printable(str(error).strip().partition("\n")[0] or type(error).__name__)
    lower, advice = text.lower(), "check the tracker's project, entity and options"
    if any(word in lower for word in ("api key", "401", "403", "logged in", "login")):
        advice = "log in with: wandb login, or set WANDB_API_KEY"
    elif any(word in lower for word in ("timed out", "timeout", "deadline", "dial ", "connect")):
        advice = "check the network, WANDB_BASE_URL and proxies"
    return Trouble(f"W&B: {text}", advice)


@contextmanager
def own_folders(workspace: str | Path | None) -> Iterator[None]:
    """Let the SDK stage files in the run's folder, unless the user has chosen another place.

    It reads where from its environment only.
    """
    if workspace is None or "WANDB_DATA_DIR" in os.environ:
        yield
        return
    os.environ["WANDB_DATA_DIR"] = data_dir(workspace)
    try:
        yield
    finally:
        del os.environ["WANDB_DATA_DIR"]


def secrets_of_slurm() -> list[str]:
    """Return the variables of Slurm's that are secrets, such as ``SLURM_JWT``."""
    return [name for name in os.environ if name.startswith("SLURM_") and is_secret_name(name)]


@contextmanager
def without_secrets() -> Iterator[None]:
    """Hide Slurm's secrets while the SDK starts: it uploads every ``SLURM_`` variable."""
    hidden = {name: os.environ.pop(name) for name in secrets_of_slurm()}
    try:
        yield
    finally:
        os.environ.update(hidden)


def data_dir(workspace: str | Path) -> str:
    """Return where the SDK stages the files of artifacts until they are uploaded."""
    return os.path.join(workspace, "wandb", "data")


def cut(text: str | None) -> str | None:
    """Return a name as long as W&B allows."""
    return text[:MAX_NAME] if text else text


def plain_floats(metrics: Mapping[str, Any]) -> dict[str, Any]:
    """Return metrics with floats for the numbers that our files can only name."""
    return {key: _plain(value) for key, value in metrics.items()}


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return plain_floats(value)
    return NOT_FINITE.get(value, value) if isinstance(value, str) else value
