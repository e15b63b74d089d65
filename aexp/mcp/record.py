"""Tools that show the research record: hypotheses, experiments, findings, threads."""

from typing import Annotated

from pydantic import Field

from aexp.kb.artifacts import load_artifact
from aexp.kb.record import list_kb_artifacts, reference
from aexp.mcp.arguments import (
    ArtifactId,
    ExperimentId,
    FindingId,
    HypothesisId,
    Limit,
    Tag,
    ThreadId,
)
from aexp.mcp.results import Object, Result, Text, Texts, Value
from aexp.mcp.tool import Effect, Toolbox
from aexp.paths import Repo

tools = Toolbox()

StatusWord = Annotated[
    str, Field(description="Only those with this status.", min_length=1, max_length=40)
]
Parent = Annotated[ArtifactId, Field(description="Only those that hang on this one.")]


class ArtifactRow(Value):
    """One note of the research record."""

    artifact_id: str
    kind: str
    title: str
    status: Text
    hypothesis: Text
    experiment: Text
    thread: Text
    impact: Text
    created: Text
    tags: Texts
    path: str


class ArtifactList(Result):
    """Notes of one kind."""

    total: int
    artifacts: list[ArtifactRow]


class ArtifactText(Result, ArtifactRow):
    """One note, whole."""

    meta: Object
    text: str


def _list(
    repo: Repo, letter: str, status: str | None, tag: str | None, parent: str | None, limit: int
) -> ArtifactList:
    found = list_kb_artifacts(repo, kind=letter, status=status, tag=tag, parent=parent)
    rows = [ArtifactRow.model_validate(one._asdict()) for one in found[:limit]]
    return ArtifactList(total=len(found), artifacts=rows)


def _show(repo: Repo, artifact_id: str) -> ArtifactText:
    artifact = load_artifact(repo, artifact_id)
    known = reference(repo, artifact)._asdict()
    return ArtifactText.model_validate({**known, "meta": artifact.meta, "text": artifact.text})


@tools.add(Effect.READS)
def list_hypotheses(
    repo: Repo,
    status: StatusWord | None = None,
    tag: Tag | None = None,
    parent: Parent | None = None,
    limit: Limit = 100,
) -> ArtifactList:
    """List the hypotheses, sorted by id."""
    return _list(repo, "H", status, tag, parent, limit)


@tools.add(Effect.READS)
def list_experiments(
    repo: Repo,
    status: StatusWord | None = None,
    tag: Tag | None = None,
    parent: Parent | None = None,
    limit: Limit = 100,
) -> ArtifactList:
    """List the experiments, sorted by id."""
    return _list(repo, "E", status, tag, parent, limit)


@tools.add(Effect.READS)
def list_findings(
    repo: Repo, tag: Tag | None = None, parent: Parent | None = None, limit: Limit = 100
) -> ArtifactList:
    """List the findings, sorted by id."""
    return _list(repo, "F", None, tag, parent, limit)


@tools.add(Effect.READS)
def list_threads(
    repo: Repo, status: StatusWord | None = None, tag: Tag | None = None, limit: Limit = 100
) -> ArtifactList:
    """List the threads, sorted by id."""
    return _list(repo, "T", status, tag, None, limit)


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
