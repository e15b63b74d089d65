"""Tools that make notes of the research record, and change their status.

They write the frame of a note. Its text an agent writes with the tools that it has for files;
so it does with an experiment's ``runner_command``, which no tool takes.
"""

from typing import Annotated, Any, Literal

from pydantic import Field

from aexp.kb import change, record
from aexp.kb.artifacts import KINDS
from aexp.kb.create import ArtifactCreateResult
from aexp.mcp.arguments import (
    MAX_TEXT,
    ArtifactId,
    DryRun,
    ExperimentId,
    FindingId,
    HypothesisId,
    Tag,
    ThreadId,
)
from aexp.mcp.results import Result, Text
from aexp.mcp.tool import Effect, Toolbox
from aexp.paths import Repo

tools = Toolbox()

_WORDS = "; ".join(
    f"{kind.name}: {', '.join(kind.statuses)}" for kind in KINDS.values() if kind.statuses
)
Title = Annotated[str, Field(description="One line.", min_length=1, max_length=300)]
Tags = Annotated[list[Tag], Field(description="Its tags.", max_length=50)]
Links = Annotated[
    list[Annotated[str, Field(min_length=1, max_length=200)]],
    Field(description="More notes to link, by id or name.", max_length=50),
]
Conditions = Annotated[
    dict[str, dict[str, Any]],
    Field(description='Named state-point values: {"full": {"lr": 0.1}, "small": {"lr": 0.5}}.'),
]


class Created(Result):
    """A note that was made."""

    kind: str
    artifact_id: str
    path: str
    backlinks_patched: list[str]
    backlinks_already_present: list[str]
    dry_run: bool


class Closed(Result):
    """A thread that was closed."""

    thread_id: str
    path: str
    new_status: str
    conclusion_written: bool
    dry_run: bool


class StatusChanged(Result):
    """A status before and after."""

    artifact_id: str
    path: str
    old_status: Text
    new_status: str
    changed: bool
    dry_run: bool


def _created(kind: str, made: ArtifactCreateResult, dry_run: bool) -> Created:
    return Created(kind=kind, dry_run=dry_run, **made._asdict())


@tools.add(Effect.ADDS)
def new_hypothesis(
    repo: Repo,
    title: Title,
    thread_id: ThreadId | None = None,
    artifact_id: HypothesisId | None = None,
    tags: Tags | None = None,
    extra_links: Links | None = None,
    dry_run: DryRun = False,
) -> Created:
    """Make a hypothesis from its template: a statement that experiments can refute.

    Without artifact_id it gets the smallest id that is free. Write its text into the file then.
    """
    made = record.new_hypothesis(
        title=title,
        repo_root=repo,
        artifact_id=artifact_id,
        extra_links=extra_links or (),
        thread_id=thread_id,
        tags=tags or (),
        dry_run=dry_run,
    )
    return _created("hypothesis", made, dry_run)


@tools.add(Effect.ADDS)
def new_experiment(
    repo: Repo,
    title: Title,
    hypothesis_id: HypothesisId,
    conditions: Conditions | None = None,
    artifact_id: ExperimentId | None = None,
    tags: Tags | None = None,
    extra_links: Links | None = None,
    dry_run: DryRun = False,
) -> Created:
    """Make an experiment that tests a hypothesis, from its template.

    Its runner_command is empty: write it into the file, where a person can review it.
    """
    made = record.new_experiment(
        title=title,
        hypothesis_id=hypothesis_id,
        repo_root=repo,
        artifact_id=artifact_id,
        extra_links=extra_links or (),
        tags=tags or (),
        conditions=conditions,
        dry_run=dry_run,
    )
    return _created("experiment", made, dry_run)


@tools.add(Effect.ADDS)
def new_finding(
    repo: Repo,
    title: Title,
    experiment_id: ExperimentId,
    hypothesis_id: HypothesisId | None = None,
    impact: Annotated[
        Literal["HIGH", "MEDIUM", "LOW"], Field(description="How much it matters.")
    ] = "MEDIUM",
    artifact_id: FindingId | None = None,
    tags: Tags | None = None,
    extra_links: Links | None = None,
    dry_run: DryRun = False,
) -> Created:
    """Make a finding from an experiment, from its template; then cite its runs: finding_cite."""
    made = record.new_finding(
        title=title,
        experiment_id=experiment_id,
        hypothesis_id=hypothesis_id,
        impact=impact,
        repo_root=repo,
        artifact_id=artifact_id,
        extra_links=extra_links or (),
        tags=tags or (),
        dry_run=dry_run,
    )
    return _created("finding", made, dry_run)


@tools.add(Effect.ADDS)
def new_thread(
    repo: Repo,
    title: Title,
    artifact_id: ThreadId | None = None,
    tags: Tags | None = None,
    extra_links: Links | None = None,
    dry_run: DryRun = False,
) -> Created:
    """Make a thread from its template: a question that several hypotheses circle around."""
    made = record.new_thread(
        title=title,
        repo_root=repo,
        artifact_id=artifact_id,
        extra_links=extra_links or (),
        tags=tags or (),
        dry_run=dry_run,
    )
    return _created("thread", made, dry_run)


@tools.add(Effect.CHANGES)
def close_thread(
    repo: Repo,
    thread_id: ThreadId,
    conclusion: Annotated[
        str | None,
        Field(description="Markdown for its section Conclusion.", max_length=MAX_TEXT),
    ] = None,
    new_status: Annotated[
        Literal["CLOSED", "PROMOTED"], Field(description="How it ends.")
    ] = "CLOSED",
    dry_run: DryRun = False,
) -> Closed:
    """End a thread, with what was concluded; what its conclusion says already stays."""
    done = change.close_thread(
        repo, thread_id, conclusion=conclusion, status=new_status, dry_run=dry_run
    )
    return Closed(dry_run=dry_run, **done._asdict())


@tools.add(Effect.CHANGES, idempotent=True)
def set_status(
    repo: Repo,
    artifact_id: ArtifactId,
    status: Annotated[
        str, Field(description=f"A word of its kind; {_WORDS}.", min_length=1, max_length=40)
    ],
    dry_run: DryRun = False,
) -> StatusChanged:
    """Change the status of a hypothesis, experiment or thread; the rest of the file stays."""
    done = change.set_artifact_status(repo, artifact_id, status, dry_run=dry_run)
    return StatusChanged(dry_run=dry_run, **done._asdict())
