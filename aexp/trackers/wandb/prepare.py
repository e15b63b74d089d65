"""W&B runs of a script's own: the arguments for ``wandb.init``, or the whole of it."""

import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aexp.ledger.projection import flat_numbers, nested
from aexp.model import section
from aexp.paths import SERIES, Repo
from aexp.runs.document import edit_document
from aexp.runs.jobs import locate, open_run
from aexp.runs.series import SeriesWriter, plain
from aexp.runs.status import next_attempt
from aexp.runs.store import read_run
from aexp.trackers.binding import bound, record_handle, stable_id, wanted
from aexp.trackers.contract import TrackerBinding
from aexp.trackers.frame import frame_of
from aexp.trackers.wandb import login, marks
from aexp.trackers.wandb.adapter import WandbAdapter
from aexp.trackers.wandb.attach import attach, handle_of, other_rank
from aexp.trackers.wandb.init import (
    INIT_TIMEOUT_S,
    init_arguments,
    known_settings,
    own_folders,
    quiet_sdk,
    trouble_of,
    without_secrets,
)
from aexp.trackers.wandb.service import end_service

if TYPE_CHECKING:
    import wandb
    from signac.job import Job

FINISH_TIMEOUT_S = 300.0


@dataclass(frozen=True)
class TrackerContext:
    """Where a run is to be tracked, for code that opens the tracker's run itself.

    Attributes
    ----------
    job : signac Job
        The run.
    project, group : str or None
        Where it is filed; the group is ``H###/E###/condition``.
    tags : list of str
        Its tags.
    init_kwargs : dict
        Arguments for ``wandb.init``: those, ``config``, ``notes``, the run's folder as
        ``dir``, and the stable ``id`` with ``resume="allow"``.
    """

    job: "Job"
    project: str | None
    group: str
    tags: list[str]
    init_kwargs: dict[str, Any] = field(repr=False)

    def bind(self, run: Any, *, backend: str = "wandb") -> TrackerBinding:
        """Write ``doc["tracker"]`` for an open run of the tracker's.

        Parameters
        ----------
        run : wandb.Run
            What ``wandb.init(**init_kwargs)`` has returned.
        backend : str, default "wandb"
            Which tracker it is of.
        """
        repo, job_id = locate(self.job)
        handle = handle_of(run)
        handle.backend = backend
        handle.project = handle.project or self.project
        handle.group = handle.group or self.group
        record_handle(repo, job_id, handle)
        found = bound(read_run(repo, job_id), backend)
        assert found is not None
        return found


def prepare_tracker(
    job: "Job | str",
    *,
    project: str | None = None,
    condition: str | None = None,
    extra_tags: Sequence[str] = (),
    offline: bool = False,
    repo_root: str | Path | None = None,
    entity: str | None = None,
) -> TrackerContext:
    """Return what a script needs to open a run's W&B run itself; nothing is opened.

    Parameters
    ----------
    job : signac Job or str
        The run, or the beginning of its id.
    project : str, optional
        Default: what the run was queued with.
    condition : str, optional
        For group and tags, instead of the state point's.
    extra_tags : sequence of str
        Further tags.
    offline : bool, default False
        Use no network; also when the run was queued so.
    repo_root : str or Path, optional
        Default: the job's repository, else the one around the current folder.
    entity : str, optional
        The team or user; default what the run was queued with, else that of the key.
    """
    opened = open_run(job, repo_root) if isinstance(job, str) else job
    repo, job_id = locate(opened)
    run = read_run(repo, job_id)
    settings: Mapping[str, Any] = wanted(run) or {}
    if settings.get("backend") != "wandb":
        settings = {}
    known = bound(run, "wandb")
    frame = frame_of(repo, run, condition=condition, extra_tags=extra_tags)
    project = project or settings.get("project") or (known["project"] if known else None)
    arguments = init_arguments(
        project=project,
        group=frame.group,
        tags=frame.tags,
        config=frame.config,
        notes=frame.notes,
        offline=offline or bool(settings.get("offline")),
        workspace=repo.run_dir(job_id),
        run_id=known["run_id"] if known else stable_id(run),
        name=frame.name,
        entity=entity or settings.get("entity"),
    )
    return TrackerContext(opened, project, frame.group, frame.tags, arguments)


@contextmanager
def tracked_run(
    job: "Job | str",
    *,
    project: str | None = None,
    condition: str | None = None,
    extra_tags: Sequence[str] = (),
    offline: bool = False,
    repo_root: str | Path | None = None,
    entity: str | None = None,
    name: str | None = None,
    job_type: str | None = None,
    finish_timeout_s: float = FINISH_TIMEOUT_S,
    **wandb_kwargs: Any,
) -> Iterator["wandb.Run"]:
    """Open a run's W&B run for a block, bind it, and finish it at the end.

    What is logged to it goes into the run's series as well. Where W&B cannot be reached the
    run is kept offline and a line on stderr says so; the block runs in any case: where not even
    that is possible, with a disabled run of W&B's, of which only the series is kept. In any
    process of a distributed command but the first, the run is a disabled one and keeps nothing.

    Parameters
    ----------
    job, project, condition, extra_tags, offline, repo_root, entity
        As in `prepare_tracker`.
    name, job_type : str, optional
        W&B's.
    finish_timeout_s : float, default 300
        How long the last upload may take; the rest is kept for ``aexp sync-offline``.
    **wandb_kwargs
        Further arguments of ``wandb.init``.
    """
    WandbAdapter(entity)  # says what is missing
    context = prepare_tracker(
        job,
        project=project,
        condition=condition,
        extra_tags=extra_tags,
        offline=offline,
        repo_root=repo_root,
        entity=entity,
    )
    repo, job_id = locate(context.job)
    asked = {"name": name, "job_type": job_type, **wandb_kwargs}
    arguments = {
        "reinit": "finish_previous",
        **context.init_kwargs,
        **{key: value for key, value in asked.items() if value is not None},
    }
    side = _Side(repo, job_id)
    with own_folders(side.workspace):
        with without_secrets():
            run = _open(arguments, finish_timeout_s, side)
        if not run.disabled:
            context.bind(run)
        attach(side, run)
        exit_code = 1
        try:
            yield run
            exit_code = 0
        finally:
            try:
                run.finish(exit_code=exit_code)
            except TimeoutError:
                _say(
                    f"W&B has not taken everything within {finish_timeout_s:g} s; "
                    "what is missing is kept; send it with: aexp sync-offline"
                )


def _open(arguments: dict[str, Any], finish_timeout_s: float, side: "_Side") -> Any:
    sdk = quiet_sdk()
    given = arguments.pop("settings", None)
    ours = known_settings(
        sdk,
        silent=True,
        init_timeout=INIT_TIMEOUT_S,
        finish_timeout=finish_timeout_s,
        finish_timeout_raises=True,
    )
    if given is not None:
        ours.update_from_settings(
            given if isinstance(given, sdk.Settings) else sdk.Settings(**given)
        )
    mode = arguments.get("mode") or os.environ.get("WANDB_MODE") or "online"
    if other_rank(side.workspace) is not None:
        mode = "disabled"
    trouble = login.look() if mode == "online" else None
    ways = [mode] if mode == "disabled" else [mode, "offline", "disabled"]
    if trouble is not None:
        ways.remove("online")
    while True:
        way = ways.pop(0)
        if way == "disabled" and trouble is not None:
            arguments = {"config": arguments.get("config")}  # one of the others may be refused
        elif way != "disabled":
            marks.begin(side.workspace, arguments["id"], side.attempt)
        try:
            run = sdk.init(**{**arguments, "mode": way}, settings=ours)
        except Exception as error:
            # Not what the caller gave: that is his to mend.
            if not ways or isinstance(error, TypeError | ValueError):
                raise
            trouble = trouble_of(error)
            if not end_service():  # the run's id is held there
                ways = ways[-1:]
            continue
        if trouble is not None and run.disabled:
            _say(f"{trouble.message}; {trouble.advice}; only the run's own series is kept")
        elif trouble is not None:
            _say(f"{trouble.message}; {trouble.hint}")
        return run


def _say(text: str) -> None:
    print(f"aexp: {text}", file=sys.stderr)


class _Side:
    """Our side of a run that a script executes: its series and its summary."""

    def __init__(self, repo: Repo, job_id: str) -> None:
        self.job_id = job_id
        self.workspace = repo.run_dir(job_id)
        self.attempt = max(1, next_attempt(read_run(repo, job_id)) - 1)
        self.summary = _Summary(repo, job_id)
        self._writer = SeriesWriter(repo.run_file(job_id, SERIES), self.attempt)

    def log(self, metrics: Mapping[str, Any], step: int | None = None) -> None:
        """Add a row to the series."""
        self._writer.append(metrics, step)


class _Summary:
    """``doc["summary_metrics"]``, changed under the run's lock."""

    def __init__(self, repo: Repo, job_id: str) -> None:
        self._repo = repo
        self._job_id = job_id

    def update(self, values: Mapping[str, Any]) -> None:
        """Set these and keep all others."""
        with edit_document(self._repo, self._job_id) as run:
            known = flat_numbers(section(run.doc, "summary_metrics"))
            run.doc["summary_metrics"] = nested({**known, **flat_numbers(plain(dict(values)))})
