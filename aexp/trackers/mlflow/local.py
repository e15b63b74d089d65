"""What MLflow's adapter keeps in a run's folder: ids it has seen, and offline attempts.

An offline attempt is a folder ``mlflow/<time>-<random>/``: a store of files as MLflow itself
makes it, and ``aexp.json``, which says whose it is and where it belongs. While a run is open
online there is a file ``mlflow/<time>-<random>.open.json``.
"""

import os
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from aexp.errors import AexpError, TrackerInitError
from aexp.files import pretty_json, read_object, remove, write_atomic
from aexp.model import JOB_ID
from aexp.paths import TRACKER
from aexp.trackers.contract import OfflineRun
from aexp.trackers.mlflow.where import without_credentials

FOLDER = "mlflow"
ABOUT = "aexp.json"
MARK = ".open.json"
_REMEMBERED = "mlflow.json"
_AWAY, _AWAY_S = "away", 20.0


def remembered(workspace: str | None, run_id: str | None, uri: str) -> str | None:
    """Return MLflow's id of our run, as the last attempt has met it."""
    if workspace is None or run_id is None:
        return None
    value = _read(os.path.join(workspace, TRACKER, _REMEMBERED)).get(_key(run_id, uri))
    return value if isinstance(value, str) else None


def remember(workspace: str | None, run_id: str | None, uri: str, mlflow_id: str) -> None:
    """Keep MLflow's id of our run, so that the next attempt need not search for it."""
    if workspace is None or run_id is None:
        return
    path = os.path.join(workspace, TRACKER, _REMEMBERED)
    known = _read(path)
    if known.get(_key(run_id, uri)) != mlflow_id:
        known[_key(run_id, uri)] = mlflow_id
        write_atomic(path, pretty_json(known))


def note_away(workspace: str, error: AexpError) -> None:
    """Keep that MLflow could not be used a moment ago."""
    path = os.path.join(workspace, TRACKER, _REMEMBERED)
    away = {"at": time.time(), "message": error.message, "hint": error.hint}
    write_atomic(path, pretty_json({**_read(path), _AWAY: away}))


def still_away(workspace: str | None) -> None:
    """Raise again what has been found a moment ago: nobody waits for a dead server twice."""
    if workspace is None:
        return
    away = _read(os.path.join(workspace, TRACKER, _REMEMBERED)).get(_AWAY)
    if not isinstance(away, dict):
        return
    at = away.get("at")
    if isinstance(at, float) and 0 <= time.time() - at < _AWAY_S:
        raise TrackerInitError(str(away.get("message")), str(away.get("hint")))


def _key(run_id: str, uri: str) -> str:
    return f"{run_id} {without_credentials(uri)}"


def _read(path: str) -> dict[str, Any]:
    try:
        return read_object(path) or {}
    except AexpError:  # only a memory: it is made again
        return {}


def mark_open(workspace: str | None, run_id: str | None, **more: Any) -> str | None:
    """Leave a mark while a run is open online; one that stays tells of a kill."""
    if workspace is None or run_id is None:
        return None
    name = _new_name()
    path = os.path.join(workspace, FOLDER, name + MARK)
    known = {"run_id": run_id, "created_at": name.partition("-")[0], **more}
    write_atomic(path, pretty_json(known))
    return path


def remove_mark(path: str | None) -> None:
    """Take the mark away: MLflow has all, or what it has not lies in an offline folder."""
    if path is not None:
        remove(path)
        with suppress(OSError):  # it holds offline attempts
            os.rmdir(os.path.dirname(path))


def _new_name() -> str:
    moment = time.time()
    stamp = time.strftime("%Y%m%dT%H%M%S", time.gmtime(moment))
    return f"{stamp}.{int(moment * 1000) % 1000:03d}Z-{os.urandom(3).hex()}"


def offline_folder(workspace: str, run_id: str | None, project: str, uri: str | None) -> str:
    """Return the folder of this offline attempt, made when it has none yet.

    The command and the process beside it open the same one: it stays this attempt's until it
    is closed or synced.
    """
    for run in reversed(find(workspace)):
        about = _read(str(run.path / ABOUT))
        is_open = run.path.suffix != ".json" and not about.get("closed") and not about.get("synced")
        if run_id and is_open and about.get("run_id") == run_id and about.get("project") == project:
            return str(run.path)
    name = _new_name()
    path = os.path.join(os.path.abspath(workspace), FOLDER, name)
    about = {
        "run_id": run_id or name,
        "project": project,
        "uri": without_credentials(uri) if uri and "://" in uri else uri,
        "created_at": name.partition("-")[0],
    }
    write_atomic(os.path.join(path, ABOUT), pretty_json(about))
    return path


def close_folder(path: str, *, synced: bool = False) -> None:
    """Say that nothing more comes into an offline folder, or that all of it was brought away."""
    about = os.path.join(path, ABOUT)
    write_atomic(about, pretty_json({**_read(about), "closed": True, "synced": synced}))


def about(path: "str | os.PathLike[str]") -> dict[str, Any]:
    """Return what an offline folder, or a mark, says of itself; empty when it is none."""
    name = os.fspath(path)
    return _read(name if name.endswith(MARK) else os.path.join(name, ABOUT))


def find(workspace: str) -> list[OfflineRun]:
    """Return the offline attempts in a run's folder, oldest first."""
    base = Path(workspace, FOLDER)
    if base.is_symlink():
        return []
    found = []
    for path in (*base.glob(f"*/{ABOUT}"), *base.glob(f"*{MARK}")):
        place = path.parent if path.name == ABOUT else path
        if place.is_symlink() or path.is_symlink():
            continue  # a folder elsewhere is not this run's
        known = _read(str(path))
        run_id, created = known.get("run_id"), known.get("created_at")
        if not isinstance(run_id, str):
            continue
        name = Path(workspace).name
        job_id = name if JOB_ID.fullmatch(name) else None
        stamp = created if isinstance(created, str) else ""
        found.append(OfflineRun(place, "mlflow", run_id, job_id, stamp))
    return sorted(found, key=lambda run: (run.created_at, run.path.name))
