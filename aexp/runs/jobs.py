"""The Python API over signac jobs: create, open, find, summarize, mark."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from aexp.kb.conditions import Resolver
from aexp.kb.experiments import load_experiment
from aexp.model import Run, check_status, section
from aexp.paths import Repo
from aexp.runs.create import create_plain_run
from aexp.runs.initialize import init_run_store as init_run_store
from aexp.runs.select import RunFilter, find_matching
from aexp.runs.slug import batch_slug as batch_slug
from aexp.runs.status import set_by_hand
from aexp.runs.store import read_run, resolve_id

if TYPE_CHECKING:
    from signac.job import Job
    from signac.project import Project


class RunSummary(NamedTuple):
    """The facts about a run that tables and agents show."""

    job_id: str
    experiment_id: str | None
    hypothesis_id: str | None
    status: str
    batch_slug: str
    tracker_url: str | None
    sp: dict[str, Any]
    started_at: str | None
    ended_at: str | None


def _repo(repo_root: str | Path | Repo | None) -> Repo:
    if isinstance(repo_root, Repo):
        return repo_root.require_store()
    return Repo.installed(repo_root)


def get_run_store(repo_root: str | Path | None = None) -> "Project":
    """Return the signac project of the repository around `repo_root`.

    Raises
    ------
    NotInstalled
        If there is no run store.
    """
    import signac

    return signac.get_project(_repo(repo_root).store_dir, search=False)


def _job(repo: Repo, job_id: str) -> "Job":
    return open_runs(repo, [job_id])[0]


def open_runs(repo: Repo, job_ids: list[str]) -> "list[Job]":
    """Return the signac jobs of some runs."""
    import signac

    project = signac.get_project(repo.store_dir, search=False)
    return [project.open_job(id=job_id) for job_id in job_ids]


def create_run(
    *,
    experiment_id: str,
    statepoint: Mapping[str, Any] | None = None,
    hypothesis_id: str | None = None,
    sub_hypothesis_id: str | None = None,
    experiment_path: str | None = None,
    repo_root: str | Path | None = None,
    init_doc: Mapping[str, Any] | None = None,
    include_commit: bool = True,
    resolve_conditions: bool = True,
) -> "Job":
    """Create a run with status ``created`` and return its signac job.

    Parameters
    ----------
    experiment_id : str
        The experiment it belongs to; its ``conditions:`` and ``parameters:`` apply.
    statepoint : mapping, optional
        The configuration to freeze.
    hypothesis_id, sub_hypothesis_id : str, optional
        Default: the experiment's hypothesis; none.
    experiment_path : str, optional
        Link text; default the pattern of the experiment's file name.
    repo_root : str or Path, optional
        Default: the repository around the current folder.
    init_doc : mapping, optional
        More keys for the job document.
    include_commit : bool, default True
        Whether ``code_commit`` and ``code_dirty`` become part of the identity.
    resolve_conditions : bool, default True
        Whether ``condition=NAME`` pulls in the experiment's block of that name.

    Raises
    ------
    ArtifactNotFound
        If the experiment does not exist.
    ParameterError
        If the configuration contradicts the experiment's parameters.
    """
    repo = _repo(repo_root)
    experiment = load_experiment(repo, experiment_id)
    resolver = Resolver(experiment, resolve_conditions=resolve_conditions)
    job_id, _ = create_plain_run(
        repo,
        experiment_id,
        resolver.state_point(statepoint or {}),
        hypothesis_id=hypothesis_id or experiment.hypothesis_id,
        sub_hypothesis_id=sub_hypothesis_id,
        experiment_path=experiment_path,
        init_doc=init_doc,
        include_commit=include_commit,
    )
    return _job(repo, job_id)


def open_run(job_id: str, repo_root: str | Path | None = None) -> "Job":
    """Return the signac job whose id begins with `job_id`.

    Raises
    ------
    RunNotFound
        If none, or more than one, does.
    """
    repo = _repo(repo_root)
    return _job(repo, resolve_id(repo, job_id))


def find_runs(
    *,
    experiment_id: str | None = None,
    hypothesis_id: str | None = None,
    status: str | None = None,
    repo_root: str | Path | None = None,
    **sp_filters: Any,
) -> list["Job"]:
    """Return the signac jobs that match every given filter, in queue order."""
    repo = _repo(repo_root)
    chosen = find_matching(
        repo,
        RunFilter(
            experiment_id=experiment_id,
            hypothesis_id=hypothesis_id,
            status=check_status(status) if status else None,
            sp=sp_filters,
        ),
    )
    return open_runs(repo, [run.job_id for run in chosen])


def locate(job: "Job | str") -> tuple[Repo, str]:
    """Return where a run is, given the signac job or the beginning of its id."""
    if isinstance(job, str):
        repo = Repo.installed()
        return repo, resolve_id(repo, job)
    return Repo.installed(job.project.path), str(job.id)


def mark_status(job: "Job | str", status: str, *, set_ended_at: bool = True) -> str:
    """Change a run's status; a terminal one also writes ledger entry and sentinel.

    Parameters
    ----------
    job : signac Job or str
        The run, or its id.
    status : str
        One of the seven status words.
    set_ended_at : bool, default True
        Whether a terminal status also sets ``ended_at`` when it is not there yet.

    Returns
    -------
    str
        The status now.

    Raises
    ------
    StatusError
        If the run has already ended another way.
    """
    check_status(status)
    repo, job_id = locate(job)
    return set_by_hand(repo, job_id, status, set_ended_at=set_ended_at).status


def summarize(run: Run) -> RunSummary:
    """Return the summary of a run that has been read already."""
    url = section(run.doc, "tracker").get("url")
    hypothesis = run.link.get("hypothesis_id")
    return RunSummary(
        run.job_id,
        run.experiment_id,
        hypothesis if isinstance(hypothesis, str) else None,
        run.status,
        batch_slug(run),
        url if isinstance(url, str) else None,
        run.sp,
        run.doc.get("started_at"),
        run.doc.get("ended_at"),
    )


def summarize_run(job: "Job | str") -> RunSummary:
    """Return the summary of a run."""
    return summarize(read_run(*locate(job)))
