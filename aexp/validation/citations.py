"""Checks of what findings cite: is every run known, and where."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from aexp.kb.artifacts import Artifact
from aexp.kb.findings import BatchCitation, JobCitation, Malformed, citations
from aexp.model import short
from aexp.validation.context import Context
from aexp.validation.evidence import Record
from aexp.validation.guard import guarded
from aexp.validation.issue import Issue


def authority(context: Context) -> Iterator[Issue]:
    """Say, once, that no layer is there to ask whether a run exists."""
    if not context.evidence.has_authority and context.evidence.store_fault is None:
        message = (
            "no ledger entry, no run store and no runs index: "
            "whether cited runs exist was not checked"
        )
        yield Issue.of("finding.no_run_store", message)


def cited_runs(context: Context) -> Iterator[Issue]:
    """Report citations that are none, and those of runs that are elsewhere or nowhere."""
    for finding in context.findings:
        path = context.relative(finding.path)
        yield from guarded("citations.cited_runs", cited_by(context, finding), path)


def cited_by(context: Context, finding: Artifact) -> Iterator[Issue]:
    """Report those citations of one finding."""
    path = context.relative(finding.path)
    for citation in citations(finding):
        if isinstance(citation, Malformed):
            yield Issue.of("finding.broken_run_citation", citation.reason, path, citation.line)
        elif context.existence is not None:
            if isinstance(citation, JobCitation):
                yield from _job(context, citation, path)
            else:
                yield from _batch(context, citation, path)


def _job(context: Context, citation: JobCitation, path: str) -> Iterator[Issue]:
    record = context.evidence.get(citation.job_id)
    if record is None:
        reason = _what_is_there(context, citation.job_id)
        message = f"run {citation.job_id} is in no ledger entry, local store or runs index{reason}"
        yield Issue.of(
            "finding.broken_run_citation",
            message,
            path,
            citation.line,
            severity=context.existence,
            job_id=citation.job_id,
        )
    elif record.source == "index":
        message = (
            f"run {short(citation.job_id)} is known from the runs index of {_on([record])} only"
        )
        yield Issue.of(
            "finding.absent_run_citation",
            message,
            path,
            citation.line,
            job_id=citation.job_id,
            machines=_machines([record]),
        )


def _what_is_there(context: Context, job_id: str) -> str:
    if job_id + ".json" in context.evidence.junk:
        return " (its ledger file is no entry)"
    return " (its folder cannot be read)" if job_id in context.evidence.unreadable else ""


def _batch(context: Context, citation: BatchCitation, path: str) -> Iterator[Issue]:
    evidence = context.evidence
    found = evidence.batch(citation.experiment_id, citation.selector)
    if any(record.source != "index" for record in found):
        return
    what = f"{citation.experiment_id} {_shown(citation.selector)}".rstrip()
    facts: dict[str, Any] = {"experiment_id": citation.experiment_id, "selector": citation.selector}
    if found:
        message = f"{len(found)} run(s) of {what} are in the runs index of {_on(found)} only"
    elif found := evidence.undecided(citation.experiment_id, citation.selector):
        message = (
            f"{len(found)} run(s) in the runs index of {_on(found)} may be {what}; "
            "the index does not hold every key"
        )
    else:
        yield Issue.of(
            "finding.empty_batch",
            f"the batch {what} matches no run",
            path,
            citation.line,
            severity=context.existence,
            **facts,
        )
        return
    machines = _machines(found)
    code = "finding.absent_batch_runs"
    yield Issue.of(code, message, path, citation.line, machines=machines, **facts)


def _shown(selector: Mapping[str, Any]) -> str:
    text = " ".join(
        f"{key}={value if isinstance(value, str) else json.dumps(value)}"
        for key, value in selector.items()
    )
    return text if len(text) <= 200 else text[:199] + "…"


def _machines(records: Sequence[Record]) -> list[str]:
    return sorted({record.machine or "?" for record in records})


def _on(records: Sequence[Record]) -> str:
    return ", ".join(_machines(records))
