"""Where a run is tracked: what is wanted, what it is bound to, and binding it by hand."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aexp.errors import AexpError, StatusError, UsageError
from aexp.kb.tracker import read_tracker
from aexp.model import RUNNING, Run, section, short
from aexp.paths import Repo
from aexp.runs.document import block_of
from aexp.runs.slug import batch_slug
from aexp.runs.status import change_run
from aexp.runs.store import read_run
from aexp.trackers.contract import RunHandle, TrackerAdapter, TrackerBinding, call_supported
from aexp.trackers.files import write_owner
from aexp.trackers.registry import adapter_class, adapter_options, check_options, foreign_code

if TYPE_CHECKING:
    from signac.job import Job


def wanted(run: Run) -> dict[str, Any] | None:
    """Return the tracker settings that were frozen when a run was queued or bound.

    Raises
    ------
    ParameterError
        If the document holds something else there.
    """
    return read_tracker(run.record.get("tracker"), f"run {short(run.job_id)}: tracker")


def check_settings(value: object) -> dict[str, Any] | None:
    """Return settings whose backend exists and takes them, None for no tracker.

    Raises
    ------
    UsageError
        If they are malformed, or there is no such backend, or it takes no such option.
    TrackerInitError
        If the package that registers the backend cannot be imported, or its check breaks.
    """
    settings = read_tracker(value)
    if settings is not None:
        backend = settings["backend"]
        kind = adapter_class(backend)
        check_options(backend, kind, adapter_options(settings))
        with foreign_code(backend, "check its settings"):
            kind.check(settings)
    return settings


def stable_id(run: Run) -> str:
    """Return the id a run has in trackers: the same for all attempts until it has ended.

    A run that is executed again after its end is another one there: ``<id>-3`` after two
    attempts.
    """
    before = run.record.get("attempts_before")
    return f"{run.job_id}-{before + 1}" if isinstance(before, int) and before else run.job_id


def bound(run: Run, backend: str) -> TrackerBinding | None:
    """Return what a run is bound to in this backend, None when it is not."""
    value = section(run.doc, "tracker")
    run_id = value.get("run_id")
    if value.get("backend") != backend or not isinstance(run_id, str) or not run_id:
        return None
    return binding_of(backend, run_id, value.get("url"), value.get("project"), value.get("group"))


def binding_of(
    backend: str, run_id: str, url: object, project: object, group: object
) -> TrackerBinding:
    """Return the five keys of ``doc["tracker"]``."""
    return {
        "backend": backend,
        "run_id": run_id,
        "url": url if isinstance(url, str) else None,
        "project": project if isinstance(project, str) else None,
        "group": group if isinstance(group, str) else None,
    }


def binding_for(run: Run, settings: Mapping[str, Any]) -> TrackerBinding:
    """Return the binding a run has, or the one that its settings ask for."""
    backend = str(settings["backend"])
    project = settings.get("project")
    known = bound(run, backend)
    if known is not None and project in (None, known["project"]):
        return known
    return binding_of(backend, stable_id(run), None, project, batch_slug(run))


def bind(repo: Repo, run: Run, settings: Mapping[str, Any]) -> TrackerBinding:
    """Write ``doc["tracker"]`` before a run's command starts; no tracker is contacted."""
    binding = binding_for(run, settings)
    if section(run.doc, "tracker") != binding:

        def edit(run: Run) -> None:
            run.doc["tracker"] = dict(binding)

        change_run(repo, run.job_id, edit)
    return binding


def bind_by_hand(repo: Repo, job_id: str, settings: Mapping[str, Any] | None) -> Run:
    """Bind a run that has not begun to a tracker, or, with None, to none.

    The id is allocated and written down; the tracker's run is opened when the run executes.

    Raises
    ------
    StatusError
        If the run is running or has ended.
    """

    def edit(run: Run) -> None:
        if run.status == RUNNING or run.is_terminal:
            hint = f"wait for its end, then: aexp queue retry {short(job_id)}, and bind it"
            if run.is_terminal:
                hint = f"first: aexp queue retry {short(job_id)}"
            raise StatusError(f"run {short(job_id)} is {run.status}: it cannot be bound", hint)
        record = block_of(run.doc, "aexp_run")
        if settings is None:
            record.pop("tracker", None)
            run.doc.pop("tracker", None)
            return
        run.doc["tracker"] = dict(binding_for(run, settings))
        record["tracker"] = dict(settings)

    return change_run(repo, job_id, edit)


def record_handle(repo: Repo, job_id: str, handle: RunHandle, attempt: int | None = None) -> None:
    """Write what the tracker itself says about a run that was opened: id, address, project."""

    def edit(run: Run) -> None:
        if attempt is not None and (not run.attempts or run.attempts[-1].get("attempt") != attempt):
            return  # somebody else executes the run by now
        known = bound(run, handle.backend)
        if known is None and attempt is not None and section(run.doc, "tracker"):
            return  # the training code has linked it to another tracker
        project = handle.project or (known["project"] if known else None)
        group = handle.group or (known["group"] if known else batch_slug(run))
        url = handle.url or (known["url"] if known and known["run_id"] == handle.id else None)
        url = scrub_value(url) if url else None
        run.doc["tracker"] = dict(binding_of(handle.backend, handle.id, url, project, group))

    from aexp.environment.scrub import scrub_value  # not for every wrapper

    run = read_run(repo, job_id)
    before = section(run.doc, "tracker")
    edit(run)
    if section(run.doc, "tracker") != before:
        change_run(repo, job_id, edit)


def bind_tracker(
    job: "Job | str",
    adapter: TrackerAdapter,
    *,
    project: str | None = None,
    condition: str | None = None,
    extra_tags: Sequence[str] = (),
    offline: bool = False,
    repo_root: str | Path | None = None,
) -> RunHandle:
    """Open a run in a tracker and bind one of ours to it, as ``doc["tracker"]``.

    The caller logs to the handle and finishes it. Inside a command that aexp executes,
    nobody else opens the tracker's run then.

    Parameters
    ----------
    job : signac Job or str
        The run, or the beginning of its id.
    adapter : TrackerAdapter
        The tracker, for instance ``WandbAdapter()``.
    project : str, optional
        Default: the tracker's own.
    condition : str, optional
        For group and tags, instead of the state point's.
    extra_tags : sequence of str
        Further tags.
    offline : bool, default False
        Use no network.
    repo_root : str or Path, optional
        Default: the job's repository, else the one around the current folder.

    Raises
    ------
    TrackerInitError
        If the tracker's run cannot be opened; nothing is bound then.
    """
    import os

    from aexp.runs.jobs import locate
    from aexp.trackers.frame import frame_of

    if repo_root is not None and isinstance(job, str):
        from aexp.runs.store import resolve_id

        repo = Repo.installed(repo_root)
        job_id = resolve_id(repo, job)
    else:
        repo, job_id = locate(job)
    run = read_run(repo, job_id)
    frame = frame_of(repo, run, condition=condition, extra_tags=extra_tags)
    known = bound(run, adapter.name)
    handle: RunHandle = call_supported(
        adapter.init_run,
        project=project,
        group=frame.group,
        tags=frame.tags,
        config=frame.config,
        notes=frame.notes,
        offline=offline,
        workspace=repo.run_dir(job_id),
        run_id=known["run_id"] if known else stable_id(run),
        name=frame.name,
    )
    if not isinstance(handle, RunHandle):
        raise UsageError(
            f"{type(adapter).__name__}.init_run returned no RunHandle", "see: docs/trackers.md"
        )
    if os.environ.get("AEXP_JOB_ID") == job_id:
        number = run.attempts[-1].get("attempt") if run.attempts else None
        if isinstance(number, int):
            write_owner(repo, job_id, attempt=number, backend=handle.backend, run_id=handle.id)
    record_handle(repo, job_id, handle)
    return handle


def describe(run: Run) -> str | None:
    """Return in a few words where a run is tracked, None when it is not."""
    value = section(run.doc, "tracker")
    if value.get("backend"):
        where = value.get("url") or f"{value.get('project') or ''} {value.get('run_id')}".strip()
        return f"{value['backend']}: {where}"
    try:
        settings = wanted(run)
    except AexpError:
        return None
    return None if settings is None else f"{settings['backend']}, not begun"
