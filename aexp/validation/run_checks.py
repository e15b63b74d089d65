"""Checks of the runs: their status words and links; and of ledger and index as files."""

import os
from collections.abc import Iterator

from aexp.model import STATUSES, Run, printable, short
from aexp.paths import DOCUMENT
from aexp.validation.context import Context
from aexp.validation.issue import Issue
from aexp.validation.notes import Note


def ledger_files(context: Context) -> Iterator[Issue]:
    """Report files in the ledger's folder that are no entries."""
    for name, fault in context.evidence.junk.items():
        path = context.relative(os.path.join(context.repo.ledger_dir, name))
        if fault.startswith("is not called"):
            yield Issue.of("ledger.foreign_file", f"the file {fault}", path)
        else:
            yield Issue.of("ledger.corrupt_entry", f"the file {fault}", path, job_id=name[:32])


def index_files(context: Context) -> Iterator[Issue]:
    """Report what cannot be read of the runs index."""
    for path, fault in context.evidence.index_faults.items():
        yield Issue.of("index.corrupt", f"the file {fault}", context.relative(path))


def store(context: Context) -> Iterator[Issue]:
    """Report a workspace that cannot be listed, and runs that cannot be read."""
    evidence, repo = context.evidence, context.repo
    if evidence.store_fault is not None:
        message = f"the run store cannot be read: {evidence.store_fault}"
        yield Issue.of("run.store_unreadable", message, context.relative(repo.workspace))
    for job_id, fault in evidence.unreadable.items():
        path = context.relative(os.path.join(repo.workspace, job_id))
        message = f"run {short(job_id)} cannot be read: {fault}"
        yield Issue.of("run.unreadable", message, path, job_id=job_id)


def statuses(context: Context) -> Iterator[Issue]:
    """Report runs whose status is no word of ours."""
    for run in context.evidence.runs:
        status = run.doc.get("status")
        if status is not None and status not in STATUSES:
            message = f"status is {status!r}, none of {', '.join(STATUSES)}"
            yield _issue(context, run, "run.status_invalid", message)


def links(context: Context) -> Iterator[Issue]:
    """Report runs whose link to experiment and hypothesis does not hold."""
    for run in context.evidence.runs:
        if not run.link:
            if run.sp.get("kind") != "adhoc":
                yield _issue(context, run, "run.orphan", "it is linked to no experiment")
            continue
        experiment_id = run.link.get("experiment_id")
        found = []
        if isinstance(experiment_id, str) and experiment_id.startswith("E"):
            found = context.notes.by_id.get(experiment_id, [])
        if len(found) == 1:
            yield from _hypotheses(context, run, found[0])
            continue
        if not experiment_id:
            message = "its link names no experiment"
        elif found:
            message = f"{experiment_id} is claimed by {len(found)} files"
        else:
            message = f"its experiment {experiment_id} does not exist"
        yield _issue(context, run, "run.broken_experiment_link", message)


def _hypotheses(context: Context, run: Run, experiment: Note) -> Iterator[Issue]:
    if experiment.document is None:
        return  # reported as a file that cannot be read
    listed = experiment.meta.get("sub_hypotheses")
    listed = listed if isinstance(listed, list) else []
    hypothesis, theirs = run.link.get("hypothesis_id"), experiment.field("Hypothesis")
    if hypothesis and theirs and hypothesis != theirs and hypothesis not in listed:
        message = f"it is linked to {hypothesis}, but {experiment.note_id} tests {theirs}"
        yield _issue(context, run, "run.hypothesis_mismatch", message)
    sub = run.link.get("sub_hypothesis_id")
    if sub and sub not in listed:
        message = f"its sub-hypothesis {sub} is not listed in {experiment.note_id}"
        yield _issue(context, run, "run.sub_hypothesis_unlisted", message)


def _issue(context: Context, run: Run, code: str, message: str) -> Issue:
    path = context.relative(context.repo.run_file(run.job_id, DOCUMENT))
    text = f"run {short(run.job_id)}: {printable(message)}"
    return Issue.of(code, text, path, job_id=run.job_id)
