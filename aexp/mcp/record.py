"""Tools over the research record: hypotheses, experiments, findings, threads."""

from typing import Annotated

from pydantic import Field

from aexp.kb.artifacts import Artifact, list_artifacts, load_artifact
from aexp.mcp.arguments import ExperimentId, FindingId, HypothesisId, Limit, ThreadId
from aexp.mcp.results import Object, Result, Text, Texts, Value
from aexp.mcp.tool import Effect, Toolbox
from aexp.paths import Repo

tools = Toolbox()

StatusWord = Annotated[
    str, Field(description="Only those whose status: is this word.", min_length=1, max_length=40)
]


class ArtifactRow(Value):
    """One note of the research record."""

    artifact_id: str
    kind: str
    title: str
    status: Text
    tags: Texts
    path: str
    hypothesis: Text
    experiment: Text
    thread: Text


class ArtifactList(Result):
    """Notes of one kind."""

    total: int
    artifacts: list[ArtifactRow]


class ArtifactText(Result, ArtifactRow):
    """One note, whole."""

    meta: Object
    text: str


def _row(repo: Repo, artifact: Artifact) -> dict[str, object]:
    return {
        "artifact_id": artifact.artifact_id,
        "kind": artifact.kind.name,
        "title": artifact.title,
        "status": artifact.status,
        "tags": artifact.tags,
        "path": repo.relative(artifact.path),
        "hypothesis": artifact.parent("hypothesis"),
        "experiment": artifact.parent("experiment"),
        "thread": artifact.parent("thread"),
    }


def _list(repo: Repo, letter: str, status: str | None, limit: int) -> ArtifactList:
    found = [
        artifact
        for artifact in list_artifacts(repo, letter)
        if status is None or artifact.status == status
    ]
    rows = [ArtifactRow.model_validate(_row(repo, artifact)) for artifact in found[:limit]]
    return ArtifactList(total=len(found), artifacts=rows)


def _show(repo: Repo, artifact_id: str) -> ArtifactText:
    artifact = load_artifact(repo, artifact_id)
    return ArtifactText.model_validate(
        {**_row(repo, artifact), "meta": artifact.meta, "text": artifact.text}
    )


@tools.add(Effect.READS)
def list_hypotheses(
    repo: Repo, status: StatusWord | None = None, limit: Limit = 100
) -> ArtifactList:
    """List the hypotheses."""
    return _list(repo, "H", status, limit)


@tools.add(Effect.READS)
def list_experiments(
    repo: Repo, status: StatusWord | None = None, limit: Limit = 100
) -> ArtifactList:
    """List the experiments."""
    return _list(repo, "E", status, limit)


@tools.add(Effect.READS)
def list_findings(repo: Repo, status: StatusWord | None = None, limit: Limit = 100) -> ArtifactList:
    """List the findings."""
    return _list(repo, "F", status, limit)


@tools.add(Effect.READS)
def list_threads(repo: Repo, status: StatusWord | None = None, limit: Limit = 100) -> ArtifactList:
    """List the threads."""
    return _list(repo, "T", status, limit)


@tools.add(Effect.READS)
def show_hypothesis(repo: Repo, hypothesis_id: HypothesisId) -> ArtifactText:
    """Show a hypothesis: its frontmatter and its whole text."""
    return _show(repo, hypothesis_id)


@tools.add(Effect.READS)
def show_experiment(repo: Repo, experiment_id: ExperimentId) -> ArtifactText:
    """Show an experiment: its runner_command, conditions, parameters, and its whole text."""
    return _show(repo, experiment_id)


@tools.add(Effect.READS)
def show_finding(repo: Repo, finding_id: FindingId) -> ArtifactText:
    """Show a finding: what it cites and claims, and its whole text."""
    return _show(repo, finding_id)


@tools.add(Effect.READS)
def show_thread(repo: Repo, thread_id: ThreadId) -> ArtifactText:
    """Show a thread: its frontmatter and its whole text."""
    return _show(repo, thread_id)
