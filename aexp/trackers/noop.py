"""The tracker that is a file: every call becomes a line of JSON, and nothing else happens."""

import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from aexp.errors import RepoNotFound, TrackerInitError
from aexp.model import utc_now
from aexp.numbers import json_number
from aexp.trackers.contract import RunHandle, RunRecord, TrackerAdapter

FOLDER = "tracker_log"
EVENTS = "events.jsonl"
_RUN_ID = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,127}")


class NoopAdapter(TrackerAdapter):
    """Writes an event log instead of talking to a service.

    Parameters
    ----------
    log_root : str or Path, optional
        Where the logs lie, as ``<log_root>/<run_id>/events.jsonl``. Default:
        ``tracker_log`` in each run's folder.
    """

    name = "noop"

    def __init__(self, log_root: str | Path | None = None) -> None:
        self.log_root = None if log_root is None else Path(log_root)
        self._opened: set[Path] = set()

    def init_run(
        self,
        *,
        project: str | None,
        group: str | None,
        tags: Sequence[str],
        config: Mapping[str, Any],
        notes: str | None = None,
        offline: bool = False,
        workspace: str | Path | None = None,
        run_id: str | None = None,
        name: str | None = None,
    ) -> RunHandle:
        """Begin a run's log, or go on with it."""
        found = os.urandom(6).hex() if run_id is None else run_id
        if not _RUN_ID.fullmatch(found):
            raise TrackerInitError(
                f"{found!r} cannot be a run's id here", "use letters, digits, dots and dashes"
            )
        root = self.log_root
        if root is None:
            if workspace is None:
                raise TrackerInitError(
                    "there is no folder for the log", "give workspace=, or NoopAdapter(log_root=)"
                )
            root = Path(workspace) / FOLDER
        path = root / found / EVENTS
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            _append(
                path,
                "init_run",
                {
                    "project": project,
                    "group": group,
                    "tags": list(tags),
                    "config": dict(config),
                    "notes": notes,
                    "offline": offline,
                },
            )
        except OSError as error:
            raise TrackerInitError(
                f"cannot write {path}: {error.strerror or error}",
                "check the folder's permissions and the free space",
            ) from error
        self._opened.add(path.resolve())
        return RunHandle(found, self.name, None, project, group, {"path": path})

    def log(
        self, handle: RunHandle, metrics: Mapping[str, Any], *, step: int | None = None
    ) -> None:
        """Add a row; it has a ``step`` only when one is given."""
        event: dict[str, Any] = {"metrics": dict(metrics)}
        if step is not None:
            event["step"] = step
        _append(handle.extra["path"], "log", event)

    def log_artifact(self, handle: RunHandle, name: str, path: str | Path) -> None:
        """Note a file and its size; it is not copied."""
        try:
            size: int | None = os.stat(path).st_size
        except OSError:
            size = None
        event = {"name": name, "path": str(path), "size_bytes": size}
        _append(handle.extra["path"], "log_artifact", event)

    def finish(self, handle: RunHandle, *, exit_code: int = 0) -> None:
        """Note the end."""
        _append(handle.extra["path"], "finish", {"exit_code": exit_code})

    def list_runs(
        self, *, project: str | None = None, group_prefix: str | None = None
    ) -> list[RunRecord]:
        """Return the runs that have a log, oldest first."""
        found = []
        for path in sorted(self._opened | {path.resolve() for path in self._logs()}):
            record, filed_under = _read(path)
            if project is not None and filed_under != project:
                continue
            if (record.group or "").startswith(group_prefix or ""):
                found.append(record)
        return sorted(found, key=lambda record: (record.created_at or "", record.id))

    def _logs(self) -> Iterator[Path]:
        if self.log_root is not None:
            return self.log_root.glob(f"*/{EVENTS}")
        from aexp.paths import Repo

        try:
            workspace = Path(Repo.find().workspace)
        except RepoNotFound:
            return iter(())
        return workspace.glob(f"*/{FOLDER}/*/{EVENTS}")


def _append(path: Path, event: str, fields: Mapping[str, Any]) -> None:
    line = json.dumps({"timestamp": utc_now(), "event": event, **_plain(fields)}) + "\n"
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    try:
        os.write(descriptor, line.encode())
    finally:
        os.close(descriptor)


def _plain(value: Any) -> Any:
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, float):
        return json_number(value)
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return str(value)


def _read(path: Path) -> tuple[RunRecord, str | None]:
    """Return what a log says about its run, and its project."""
    record, project = RunRecord(path.parent.name), None
    for line in path.read_bytes().splitlines():
        try:
            event = json.loads(line)
            kind = event["event"]
        except (ValueError, LookupError, TypeError, RecursionError):
            continue  # torn by a kill
        if kind == "init_run":
            project = event.get("project")
            record.group, record.tags = event.get("group"), event.get("tags") or []
            record.created_at = record.created_at or event.get("timestamp")
            record.state = "running"
        elif kind == "log":
            record.summary.update(event.get("metrics") or {})
        elif kind == "finish":
            record.state = "failed" if event.get("exit_code") else "finished"
    return record, project
