"""The Python API of the research record: make, read, list, close."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from aexp.kb import artifacts, change, create, links
from aexp.kb.artifacts import KINDS, Artifact, check_id, kind_of
from aexp.kb.change import ThreadStatusUpdate
from aexp.kb.create import ArtifactCreateResult, Draft
from aexp.kb.edit import record_lock
from aexp.paths import Repo

Root = str | Path | Repo | None


class ArtifactRef(NamedTuple):
    """What lists show of an artifact.

    Attributes
    ----------
    artifact_id, kind, title : str
        ``H001``, ``hypothesis``, and its heading.
    status : str or None
        Its status word; None for a finding.
    hypothesis, experiment, thread : str or None
        Ids of its parents.
    impact : str or None
        Of a finding.
    created : str or None
        The date.
    tags : list of str
        Its tags.
    path : str
        Its file, relative to the repository.
    """

    artifact_id: str
    kind: str
    title: str
    status: str | None
    hypothesis: str | None
    experiment: str | None
    thread: str | None
    impact: str | None
    created: str | None
    tags: list[str]
    path: str


def _repo(root: Root) -> Repo:
    return root if isinstance(root, Repo) else Repo.find(root)


def new_hypothesis(
    *,
    title: str,
    repo_root: Root = None,
    artifact_id: str | None = None,
    extra_links: Sequence[str] = (),
    thread_id: str | None = None,
    tags: Sequence[str] = (),
    dry_run: bool = False,
) -> ArtifactCreateResult:
    """Make a hypothesis.

    Parameters
    ----------
    title : str
        One line.
    repo_root : str or Path, optional
        Default: the repository around the current folder.
    artifact_id : str, optional
        Default: the smallest id that is not used.
    extra_links : sequence of str
        More notes to link.
    thread_id : str, optional
        The thread it belongs to; that links back.
    tags : sequence of str
        Its tags.
    dry_run : bool, default False
        Write nothing.

    Raises
    ------
    ArtifactCreateError
        If it cannot be made; nothing has been written then.
    """
    parents = {"THREAD_ID": check_id(thread_id, KINDS["T"])} if thread_id else {}
    draft = Draft(KINDS["H"], title, parents, {}, extra_links, tags, artifact_id)
    return create.create(_repo(repo_root), draft, dry_run=dry_run)


def new_experiment(
    *,
    title: str,
    hypothesis_id: str,
    repo_root: Root = None,
    artifact_id: str | None = None,
    extra_links: Sequence[str] = (),
    tags: Sequence[str] = (),
    runner_command: str | None = None,
    conditions: Mapping[str, Mapping[str, Any]] | None = None,
    dry_run: bool = False,
) -> ArtifactCreateResult:
    """Make an experiment that tests a hypothesis (see `new_hypothesis`).

    Parameters
    ----------
    title, hypothesis_id, repo_root, artifact_id, extra_links, tags, dry_run
        As for a hypothesis.
    runner_command : str, optional
        The command of one run.
    conditions : mapping, optional
        Name of a condition to the state-point values that it stands for.
    """
    fields = create.experiment_fields(runner_command, conditions)
    parents = {"HYPOTHESIS_ID": check_id(hypothesis_id, KINDS["H"])}
    draft = Draft(KINDS["E"], title, parents, fields, extra_links, tags, artifact_id)
    return create.create(_repo(repo_root), draft, dry_run=dry_run)


def new_finding(
    *,
    title: str,
    experiment_id: str,
    hypothesis_id: str | None = None,
    impact: str = "MEDIUM",
    repo_root: Root = None,
    artifact_id: str | None = None,
    extra_links: Sequence[str] = (),
    tags: Sequence[str] = (),
    dry_run: bool = False,
) -> ArtifactCreateResult:
    """Make a finding from an experiment (see `new_hypothesis`).

    Parameters
    ----------
    title, repo_root, artifact_id, extra_links, tags, dry_run
        As for a hypothesis.
    experiment_id : str
        The experiment whose runs show it.
    hypothesis_id : str, optional
        Default: the one that the experiment tests.
    impact : str, default "MEDIUM"
        ``HIGH``, ``MEDIUM`` or ``LOW``.
    """
    repo = _repo(repo_root)
    word = create.check_impact(impact)
    hypothesis = create.hypothesis_of_finding(repo, experiment_id, hypothesis_id)
    parents = {"HYPOTHESIS_ID": hypothesis, "EXPERIMENT_ID": experiment_id}
    draft = Draft(KINDS["F"], title, parents, {"IMPACT": word}, extra_links, tags, artifact_id)
    return create.create(repo, draft, dry_run=dry_run)


def new_thread(
    *,
    title: str,
    repo_root: Root = None,
    artifact_id: str | None = None,
    extra_links: Sequence[str] = (),
    tags: Sequence[str] = (),
    dry_run: bool = False,
) -> ArtifactCreateResult:
    """Make a thread: a question that several hypotheses circle around (see `new_hypothesis`)."""
    draft = Draft(KINDS["T"], title, {}, {}, extra_links, tags, artifact_id)
    return create.create(_repo(repo_root), draft, dry_run=dry_run)


def load_artifact(artifact_id: str, *, repo_root: Root = None) -> Artifact:
    """Read an artifact by its id.

    Raises
    ------
    ArtifactNotFound
        If there is none, or more than one.
    ArtifactReadError
        If its file cannot be read.
    """
    return artifacts.load_artifact(_repo(repo_root), artifact_id)


def load_hypothesis(hypothesis_id: str, *, repo_root: Root = None) -> Artifact:
    """Read a hypothesis (see `load_artifact`)."""
    return load_artifact(check_id(hypothesis_id, KINDS["H"]), repo_root=repo_root)


def load_experiment(experiment_id: str, *, repo_root: Root = None) -> Artifact:
    """Read an experiment (see `load_artifact`)."""
    return load_artifact(check_id(experiment_id, KINDS["E"]), repo_root=repo_root)


def load_finding(finding_id: str, *, repo_root: Root = None) -> Artifact:
    """Read a finding (see `load_artifact`)."""
    return load_artifact(check_id(finding_id, KINDS["F"]), repo_root=repo_root)


def load_thread(thread_id: str, *, repo_root: Root = None) -> Artifact:
    """Read a thread (see `load_artifact`)."""
    return load_artifact(check_id(thread_id, KINDS["T"]), repo_root=repo_root)


def list_kb_artifacts(
    repo_root: Root = None,
    *,
    kind: str | None = None,
    status: str | None = None,
    tag: str | None = None,
    parent: str | None = None,
) -> list[ArtifactRef]:
    """List artifacts, sorted by kind and id; a file that cannot be read costs a warning.

    Parameters
    ----------
    repo_root : str or Path, optional
        Default: the repository around the current folder.
    kind : str, optional
        ``H``, ``E``, ``F`` or ``T``.
    status, tag : str, optional
        Only those with this status, in any case, or this tag.
    parent : str, optional
        Only those that name this artifact as a parent.
    """
    repo = _repo(repo_root)
    if kind is not None:
        kind = kind_of(kind + "001").letter
    found = artifacts.list_artifacts(repo, kind)
    return [
        reference(repo, one)
        for one in found
        if (status is None or (one.status or "").upper() == status.upper())
        and (tag is None or tag in one.tags)
        and (parent is None or parent in parents_of(one))
    ]


def parents_of(artifact: Artifact) -> list[str]:
    """Return the ids of the artifacts that this one hangs on, each once."""
    found = [artifact.parent(key) for key in ("thread", "hypothesis", "experiment")]
    if artifact.kind.letter == "E":
        found += create.tested_hypotheses(artifact)
    return list(dict.fromkeys(item for item in found if item is not None))


def reference(repo: Repo, artifact: Artifact) -> ArtifactRef:
    """Return what lists show of an artifact."""
    meta = artifact.meta
    return ArtifactRef(
        artifact.artifact_id,
        artifact.kind.name,
        artifact.title,
        artifact.status if artifact.kind.statuses else None,
        artifact.parent("hypothesis"),
        artifact.parent("experiment"),
        artifact.parent("thread"),
        None if meta.get("impact") is None else str(meta["impact"]),
        None if meta.get("created") is None else str(meta["created"]),
        artifact.tags,
        repo.relative(artifact.path),
    )


def close_thread(
    thread_id: str,
    *,
    conclusion: str | None = None,
    new_status: str = "CLOSED",
    repo_root: Root = None,
) -> ThreadStatusUpdate:
    """End a thread as ``CLOSED`` or ``PROMOTED``, with what was concluded.

    Raises
    ------
    UsageError
        If the status does not end a thread, or the conclusion would change its structure.
    """
    repo = _repo(repo_root)
    return change.close_thread(repo, thread_id, conclusion=conclusion, status=new_status)


def set_status(artifact_id: str, status: str, *, repo_root: Root = None) -> change.StatusChange:
    """Change an artifact's status: frontmatter, the line that shows it, and the dates.

    Raises
    ------
    UsageError
        If the artifact's kind has no such status.
    """
    return change.set_artifact_status(_repo(repo_root), artifact_id, status)


def add_backlink(parent_id: str, child_id: str, *, repo_root: Root = None) -> bool:
    """Make one note link another in ``## Links``; False when it does already."""
    repo = _repo(repo_root)
    name = links.check_link(child_id)
    artifacts.find_artifact(repo, parent_id)
    with record_lock(repo):
        return bool(links.add_backlinks(repo, name, [parent_id]).patched)
