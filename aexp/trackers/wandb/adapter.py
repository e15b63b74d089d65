"""Weights & Biases: one W&B run per run, its local files in the run's own folder."""

import math
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from aexp.errors import TrackerInitError, UsageError
from aexp.model import printable
from aexp.trackers.contract import (
    OfflineRun,
    RunHandle,
    RunRecord,
    SyncResult,
    TrackerAdapter,
    TrackerBinding,
)
from aexp.trackers.wandb import login, marks, resend
from aexp.trackers.wandb.init import (
    INIT_TIMEOUT_S,
    MAX_NAME,
    cut,
    data_dir,
    init_arguments,
    known_settings,
    not_opened,
    own_folders,
    plain_floats,
    quiet_sdk,
    secrets_of_slurm,
    tags_for,
    without_secrets,
)
from aexp.trackers.wandb.service import end_service

FINISH_TIMEOUT_S = 20.0
_NOT_IN_PROJECT = re.compile(r"[/\\#?%:]")  # wandb.Settings refuses the same
_NOT_IN_ARTIFACT_NAME = re.compile(r"[^A-Za-z0-9_.-]+")


class WandbAdapter(TrackerAdapter):
    """Runs in W&B, by the real SDK; it is imported when the first run is opened.

    Parameters
    ----------
    entity : str, optional
        The team or user; default the one of the key.
    job_type : str, optional
        W&B's own second way of grouping, for instance ``train``.
    init_timeout_s : float, default 15
        How long opening a run online may take.
    finish_timeout_s : float, default 20
        How long the last upload may take. What is left then is on the disk, for
        ``aexp sync-offline``.

    Raises
    ------
    TrackerInitError
        If the package `wandb` is not installed.
    """

    name = "wandb"

    def __init__(
        self,
        entity: str | None = None,
        *,
        job_type: str | None = None,
        init_timeout_s: float = INIT_TIMEOUT_S,
        finish_timeout_s: float = FINISH_TIMEOUT_S,
    ) -> None:
        from importlib.util import find_spec

        found = find_spec("wandb")
        # A folder wandb/ beside the code, as the SDK makes one, is a package without a file.
        if found is None or found.origin is None:
            raise TrackerInitError(
                "the tracker wandb needs the package wandb, which is not installed here",
                "run: pip install 'aexp[wandb]'",
            )
        self.entity = entity
        self.job_type = job_type
        self.init_timeout_s = init_timeout_s
        self.finish_timeout_s = finish_timeout_s

    @classmethod
    def check(cls, settings: Mapping[str, Any]) -> None:
        """Refuse a project or entity that W&B has no such name for."""
        for key in ("project", "entity"):
            name = settings.get(key)
            if name is not None and (_NOT_IN_PROJECT.search(name) or len(name) > MAX_NAME):
                raise UsageError(
                    f"{printable(name)!r} is no {key} of W&B's",
                    f"at most {MAX_NAME} characters and none of / \\ # ? % :",
                )

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
        attempt: int | None = None,
    ) -> RunHandle:
        """Open a W&B run; one of id `run_id` that exists is continued.

        What earlier attempts have logged and could not bring to W&B is sent first.
        ``extra["next_step"]`` of the handle is the first step that W&B does not have yet.
        """
        if not offline:
            trouble = login.recent_trouble(workspace) or login.look()
            if trouble is not None:
                raise TrackerInitError(*trouble)
        arguments = init_arguments(
            project=project,
            group=group,
            tags=tags,
            config=config,
            notes=notes,
            offline=offline,
            workspace=workspace,
            run_id=run_id,
            name=name,
            entity=self.entity,
            job_type=self.job_type,
        )
        if workspace is not None and attempt is not None and run_id is not None:
            marks.begin(workspace, run_id, attempt)
        with own_folders(workspace), without_secrets():
            sdk = quiet_sdk()
            settings = known_settings(
                sdk,
                silent=True,
                console="off",
                disable_git=True,
                disable_code=True,
                save_code=False,
                init_timeout=self.init_timeout_s,
                finish_timeout=self.finish_timeout_s,
                finish_timeout_raises=True,
            )
            try:
                run = sdk.init(**arguments, reinit="create_new", settings=settings)
            except Exception as error:
                end_service()  # it would hold the run's id
                raise not_opened(error) from error
        path = str(run.settings.sync_dir)
        url = None if offline else run.url
        extra = {"run": run, "path": path, "offline": offline, "next_step": run.starting_step}
        handle = RunHandle(str(run.id), self.name, url, project, group, extra)
        if workspace is not None and attempt is not None:
            self._take_over(handle, workspace, attempt)
        return handle

    def _take_over(self, handle: RunHandle, workspace: str | Path, attempt: int) -> None:
        """Send what earlier attempts have left; from here on this one's folder is to be watched."""
        own = handle.extra["path"]
        left = [path for path in resend.left_behind(workspace, handle.id) if path != own]
        if left and not handle.extra["offline"]:
            handle.extra["next_step"] = resend.send_missing(
                self, handle, workspace, through=attempt - 1
            )
        marks.opened(own, attempt)
        if not handle.extra["offline"]:
            for path in left:
                resend.arrived(workspace, path, handle.id, handle.url)

    def log(
        self,
        handle: RunHandle,
        metrics: Mapping[str, Any],
        *,
        step: int | None = None,
        timestamp: float | None = None,
    ) -> None:
        """Add a row; W&B drops one whose step lies before its last."""
        handle.extra["row_is_open"] = step is not None
        when = {} if timestamp is None else {"_timestamp": timestamp}
        handle.extra["run"].log({**plain_floats(metrics), **when}, step=step)

    def summarize(self, handle: RunHandle, metrics: Mapping[str, Any]) -> None:
        """Set final numbers in the run's summary."""
        run = handle.extra["run"]
        if handle.extra.pop("row_is_open", False):  # else it overwrites what is set here
            run.log({}, commit=True)
        run.summary.update(_summary(metrics))

    def log_artifact(self, handle: RunHandle, name: str, path: str | Path) -> None:
        """Add a file or folder as an artifact of type ``file``."""
        import wandb

        if not handle.extra["offline"]:
            trouble = login.look()  # the SDK would ask for the type, and wait
            if trouble is not None:
                raise TrackerInitError(*trouble)
        run = handle.extra["run"]
        artifact = wandb.Artifact(_NOT_IN_ARTIFACT_NAME.sub("-", name)[:MAX_NAME], type="file")
        with own_folders(Path(handle.extra["path"]).parents[1]):
            if os.path.isdir(path):
                artifact.add_dir(str(path), skip_cache=True)
            else:
                artifact.add_file(str(path), skip_cache=True)
            run.log_artifact(artifact)

    def finish(self, handle: RunHandle, *, exit_code: int = 0) -> None:
        """Close the run, within `finish_timeout_s`.

        Raises
        ------
        TrackerInitError
            If not everything has reached the service by then.
        """
        try:
            handle.extra["run"].finish(exit_code=exit_code)
        except TimeoutError as error:
            raise TrackerInitError(
                f"W&B has not taken everything within {self.finish_timeout_s:g} s",
                "what is missing is kept; send it with: aexp sync-offline",
            ) from error
        marks.unmark(handle.extra["path"])

    def list_runs(self, *, project: str | None, group_prefix: str | None = None) -> list[RunRecord]:
        """Ask the service for the runs of a project whose group begins with `group_prefix`."""
        trouble = login.look()
        if trouble is not None:
            raise TrackerInitError(*trouble)
        sdk = quiet_sdk()
        filters = {"group": {"$regex": "^" + re.escape(group_prefix)}} if group_prefix else {}
        path = f"{self.entity}/{project}" if self.entity else str(project)
        try:
            found = sdk.Api().runs(path, filters=filters, per_page=200, lazy=False)
            return [_record(run) for run in found]
        except Exception as error:
            raise not_opened(error) from error

    def environment(
        self,
        binding: TrackerBinding,
        *,
        workspace: str | Path,
        offline: bool,
        tags: Sequence[str] = (),
    ) -> dict[str, str]:
        """Return what makes a command's own ``wandb.init()`` open this run.

        A variable for the mode that the user has set stays. Where W&B cannot be used now,
        the mode is ``offline``: the command does not fail of it.
        """
        wanted = {
            "WANDB_RUN_ID": binding["run_id"],
            "WANDB_RESUME": "allow",
            "WANDB_PROJECT": binding["project"],
            "WANDB_ENTITY": self.entity,
            "WANDB_RUN_GROUP": cut(binding["group"]),
            "WANDB_JOB_TYPE": self.job_type,
            "WANDB_TAGS": ",".join(tag.replace(",", " ") for tag in tags_for(tags)),
            "WANDB_DIR": str(workspace),
            "WANDB_DATA_DIR": os.environ.get("WANDB_DATA_DIR") or data_dir(workspace),
        }
        if secrets_of_slurm() and "WANDB__DISABLE_META" not in os.environ:
            wanted["WANDB__DISABLE_META"] = "true"  # the SDK uploads every SLURM_ variable
        trouble = None
        if "WANDB_MODE" not in os.environ:
            trouble = None if offline else login.look()
            if trouble is not None:
                self.remark = f"{trouble.message}; {trouble.hint}"
            if offline or trouble is not None:
                wanted["WANDB_MODE"] = "offline"
        login.note(workspace, trouble)
        return {key: value for key, value in wanted.items() if value}

    def find_offline(self, workspace: str | Path) -> list[OfflineRun]:
        """Return what lies below ``wandb/`` in a run's folder and is not at the service yet."""
        from aexp.trackers.wandb import offline as wandb_offline

        return wandb_offline.find(workspace)

    def sync(self, offline_run: OfflineRun, *, timeout_s: float) -> SyncResult:
        """Bring an offline run to the service with ``wandb sync``.

        One of ours that is not complete on the disk is sent again from the run's series.
        """
        from aexp.trackers.wandb import offline as wandb_offline

        mark = marks.read_mark(offline_run.path)
        is_online = not offline_run.path.name.startswith("offline-")
        if mark is not None and is_online:  # `wandb sync` would add its rows a second time
            return resend.resend(self, offline_run, mark)
        done = wandb_offline.sync(offline_run, timeout_s=timeout_s)
        return done if mark is None else resend.resend(self, offline_run, mark)


def _summary(metrics: Mapping[str, Any]) -> dict[str, Any]:
    """Return final numbers as the SDK keeps them: it drops NaN, and knows the word for it."""
    kept: dict[str, Any] = {}
    for key, value in metrics.items():
        is_nan = isinstance(value, float) and math.isnan(value)
        nested = _summary(value) if isinstance(value, Mapping) else value
        kept[key] = "NaN" if is_nan else nested
    return kept


def _record(run: Any) -> RunRecord:
    summary = {key: value for key, value in dict(run.summary).items() if not key.startswith("_")}
    return RunRecord(
        id=run.id,
        group=run.group,
        tags=list(run.tags),
        state=run.state,
        summary=summary,
        created_at=run.created_at,
    )
