"""Link a run to another experiment or hypothesis; an ended one's ledger entry follows."""

from typing import TYPE_CHECKING, Any, NamedTuple

from aexp.errors import AexpError, UsageError
from aexp.kb.artifacts import KINDS, Artifact, check_id, find_artifact, load_artifact
from aexp.kb.create import tested_hypotheses
from aexp.ledger.entries import load_ledger_entry
from aexp.ledger.projection import LINK_KEYS
from aexp.model import Run, short
from aexp.paths import Repo
from aexp.runs.create import run_link
from aexp.runs.document import edit_document
from aexp.runs.jobs import locate
from aexp.runs.promotion import promote
from aexp.runs.publish import entry_of, is_superseded
from aexp.runs.store import read_run

if TYPE_CHECKING:
    from signac.job import Job


class LinkResult(NamedTuple):
    """A run's link, before and after.

    Attributes
    ----------
    job_id, status : str
        The run.
    before, after : dict
        The link: ids of experiment, hypothesis and sub-hypothesis, and the experiment's file.
    changed : bool
        Whether it changed, or in a dry run would.
    """

    job_id: str
    status: str
    before: dict[str, Any]
    after: dict[str, Any]
    changed: bool


def link_run(
    repo: Repo,
    job_id: str,
    *,
    experiment_id: str,
    hypothesis_id: str | None = None,
    sub_hypothesis_id: str | None = None,
    dry_run: bool = False,
) -> LinkResult:
    """Link a run to an experiment that exists, whatever the run's status.

    The state point stays as it is: it is the run's identity. A run that executes at the
    moment is linked under its lock and notices nothing.

    Parameters
    ----------
    repo : Repo
        An installed repository.
    job_id : str
        The run.
    experiment_id : str
        The experiment.
    hypothesis_id : str, optional
        Default: the one that the experiment tests.
    sub_hypothesis_id : str, optional
        One of the experiment's ``sub_hypotheses:``.
    dry_run : bool, default False
        Write nothing.

    Raises
    ------
    ArtifactNotFound
        If experiment or hypothesis does not exist.
    UsageError
        If the experiment does not test that hypothesis.
    AexpError
        If the run is linked now, but the ledger entry could not be written.
    """
    experiment = load_artifact(repo, check_id(experiment_id, KINDS["E"]))
    link = run_link(
        experiment_id,
        hypothesis_id=_hypothesis(repo, experiment, hypothesis_id),
        sub_hypothesis_id=_sub_hypothesis(repo, experiment, sub_hypothesis_id),
    )
    now = read_run(repo, job_id)
    before = {key: now.link.get(key) for key in LINK_KEYS}
    differs = now.doc.get("aexp") != link
    is_changed = differs or (now.is_terminal and _is_left_behind(repo, now))
    if dry_run or not is_changed:
        return LinkResult(job_id, now.status, before, link, is_changed)
    if differs:
        with edit_document(repo, job_id) as run:
            before = {key: run.link.get(key) for key in LINK_KEYS}
            run.doc["aexp"] = link
            run.doc.pop("limina", None)  # the old name of the same key
    # After the document, from which it is made. Killed in between, the next call makes it.
    now = read_run(repo, job_id)
    is_promoted = now.is_terminal and _is_left_behind(repo, now) and _promote(repo, now)
    return LinkResult(job_id, now.status, before, link, differs or is_promoted)


def _is_left_behind(repo: Repo, run: Run) -> bool:
    """Return whether the ledger does not know an ended run's present link."""
    entry = load_ledger_entry(repo, run.job_id, quiet=True)  # a corrupt one is replaced
    own = entry_of(repo, run)
    if entry is None:
        return True
    return entry.get("run_link") != own["run_link"] and not is_superseded(repo, run, entry)


def _promote(repo: Repo, run: Run) -> bool:
    try:
        return promote(repo, run.job_id)
    except AexpError as error:
        raise type(error)(
            f"run {short(run.job_id)} is linked to {run.experiment_id}, but its ledger entry "
            f"was not written: {error.message}",
            f"mend that, then: aexp ledger promote {short(run.job_id)}",
        ) from error


def _hypothesis(repo: Repo, experiment: Artifact, wanted: str | None) -> str | None:
    tested = tested_hypotheses(experiment)
    if wanted is None:
        return experiment.parent("hypothesis")
    find_artifact(repo, check_id(wanted, KINDS["H"]))
    if tested and wanted not in tested:
        raise UsageError(
            f"{experiment.artifact_id} tests {tested[0]}, not {wanted}",
            f"give --hypothesis {tested[0]}, or list {wanted} under its sub_hypotheses:",
        )
    return wanted


def _sub_hypothesis(repo: Repo, experiment: Artifact, wanted: str | None) -> str | None:
    if wanted is None:
        return None
    find_artifact(repo, check_id(wanted, KINDS["H"]))
    listed = experiment.meta.get("sub_hypotheses")
    if not isinstance(listed, list) or wanted not in listed:
        raise UsageError(
            f"{wanted} is no sub-hypothesis of {experiment.artifact_id}",
            f"list it in its frontmatter: sub_hypotheses: [{wanted}]",
        )
    return wanted


def link_to_experiment(
    job: "Job | str",
    *,
    experiment_id: str,
    hypothesis_id: str | None = None,
    sub_hypothesis_id: str | None = None,
) -> LinkResult:
    """Link a run to an experiment (see `link_run`); an ended run is promoted again.

    Parameters
    ----------
    job : signac Job or str
        The run, or its id.
    experiment_id, hypothesis_id, sub_hypothesis_id : str, optional
        As for `link_run`.
    """
    repo, job_id = locate(job)
    return link_run(
        repo,
        job_id,
        experiment_id=experiment_id,
        hypothesis_id=hypothesis_id,
        sub_hypothesis_id=sub_hypothesis_id,
    )
