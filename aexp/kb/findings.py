"""What a finding cites: the ``supporting_runs:`` of its frontmatter."""

import re
from typing import Any, NamedTuple

from aexp.errors import ParameterError
from aexp.kb.artifacts import KINDS, Artifact
from aexp.kb.experiments import json_value
from aexp.model import JOB_ID, printable

_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_JOB_KEYS = frozenset({"type", "id", "digest"})
_BATCH_KEYS = frozenset({"type", "experiment_id", "selector", "digest"})
_SHAPES = "write {type: job, id: ...} or {type: batch, experiment_id: E001, selector: {...}}"


class JobCitation(NamedTuple):
    """One run, cited by its id.

    Attributes
    ----------
    job_id : str
        32 hex digits.
    digest : str or None
        ``sha256:…`` of the entry that was cited, where the citation pins it.
    line : int or None
        Of the file.
    """

    job_id: str
    digest: str | None
    line: int | None


class BatchCitation(NamedTuple):
    """All runs of an experiment that have some state-point values.

    Attributes
    ----------
    experiment_id : str
        The experiment.
    selector : dict
        State-point keys and values; empty for all its runs.
    digest : str or None
        ``sha256:…`` of the entries that were cited, where the citation pins them.
    line : int or None
        Of the file.
    """

    experiment_id: str
    selector: dict[str, Any]
    digest: str | None
    line: int | None


class Malformed(NamedTuple):
    """An item of ``supporting_runs:`` that is no citation, and why."""

    reason: str
    line: int | None


Citation = JobCitation | BatchCitation | Malformed


def citations(artifact: Artifact) -> list[Citation]:
    """Return what a finding cites, in the order of its file."""
    value = artifact.meta.get("supporting_runs")
    if value is None:
        return []
    line = artifact.document.line
    if not isinstance(value, list):
        return [Malformed("supporting_runs is not a list", line("supporting_runs"))]
    return [_citation(item, line("supporting_runs", at)) for at, item in enumerate(value)]


def _citation(item: Any, line: int | None) -> Citation:
    if not isinstance(item, dict):
        return Malformed(f"{_shown(item)} is not a citation; {_SHAPES}", line)
    kind = item.get("type")
    if kind not in ("job", "batch"):
        return Malformed(f"type is {_shown(kind)}, neither job nor batch", line)
    allowed = _JOB_KEYS if kind == "job" else _BATCH_KEYS
    unknown = sorted(str(key) for key in item if key not in allowed)
    if unknown:
        named = ", ".join(_shown(key) for key in unknown)
        return Malformed(
            f"a {kind} citation has no {named}; it has: {', '.join(sorted(allowed))}", line
        )
    digest = item.get("digest")
    if digest is not None and not (isinstance(digest, str) and _DIGEST.fullmatch(digest)):
        return Malformed(f"digest is {_shown(digest)}, not sha256: and 64 hex digits", line)
    return _job(item, digest, line) if kind == "job" else _batch(item, digest, line)


def _job(item: dict[str, Any], digest: str | None, line: int | None) -> Citation:
    job_id = item.get("id")
    if isinstance(job_id, str) and JOB_ID.fullmatch(job_id):
        return JobCitation(job_id, digest, line)
    if isinstance(job_id, (int, float)) and not isinstance(job_id, bool):
        return Malformed(f"id is the number {job_id}; write it in quotes", line)
    return Malformed(f"id is {_shown(job_id)}, not 32 hex digits", line)


def _batch(item: dict[str, Any], digest: str | None, line: int | None) -> Citation:
    experiment_id = item.get("experiment_id")
    if not (isinstance(experiment_id, str) and KINDS["E"].id_pattern.fullmatch(experiment_id)):
        return Malformed(f"experiment_id is {_shown(experiment_id)}, not like E001", line)
    selector = item.get("selector")
    if selector is None:
        selector = {}
    if not isinstance(selector, dict):
        return Malformed(f"selector is {_shown(selector)}, not a mapping", line)
    try:
        plain = json_value(selector, "selector")
    except ParameterError as error:
        return Malformed(error.message, line)
    return BatchCitation(experiment_id, plain, digest, line)


def _shown(value: Any) -> str:
    text = printable(repr(value))
    return text if len(text) <= 80 else text[:77] + "..."
