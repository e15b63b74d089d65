"""The runs that one finding cites, resolved once for all checks of it."""

from collections.abc import Mapping
from functools import cached_property
from typing import Any

from aexp.kb.artifacts import Artifact
from aexp.kb.findings import BatchCitation, JobCitation, Malformed, citations
from aexp.kb.values import same_value
from aexp.model import COMPLETE
from aexp.validation.evidence import Evidence, Record

Citation = JobCitation | BatchCitation


class Cited:
    """What a finding cites, and the runs behind it.

    Attributes
    ----------
    artifact : Artifact
        The finding.
    evidence : Evidence
        Where its runs were looked up.
    citations : list of tuple
        Every well-formed citation with the runs it resolves to, in the order of the file.
    runs : dict
        Run id to `Record`: each cited run once, in that order.
    lines : dict
        Run id to the line of the first citation that brought it.
    unknown : int
        How many citations are malformed, resolve to nothing, or may have further runs that
        only another machine knows.
    """

    def __init__(self, artifact: Artifact, evidence: Evidence) -> None:
        self.artifact = artifact
        self.evidence = evidence
        self.citations: list[tuple[Citation, list[Record]]] = []
        self.runs: dict[str, Record] = {}
        self.lines: dict[str, int | None] = {}
        self.unknown = 0
        self._values: dict[str, list[tuple[Any, list[Record]]]] = {}
        for citation in citations(artifact):
            if isinstance(citation, Malformed):
                self.unknown += 1
                continue
            found = resolve(citation, evidence)
            self.citations.append((citation, found))
            for record in found:
                if record.job_id not in self.runs:
                    self.runs[record.job_id] = record
                    self.lines[record.job_id] = citation.line
            self.unknown += not found or _may_have_more(citation, evidence)

    @cached_property
    def doubts(self) -> list[str]:
        """Why the numbers of the cited runs cannot all be had here, if so."""
        found = []
        if self.unknown:
            found.append(f"{self.unknown} of its citations cannot be resolved here")
        remote = sum(record.source == "index" for record in self.runs.values())
        if remote:
            found.append(
                f"{_runs(remote)} it cites {'is' if remote == 1 else 'are'} known from a runs "
                "index only, without numbers"
            )
        return found

    @cached_property
    def metrics(self) -> dict[str, dict[str, float]]:
        """The metrics of every cited run, by its id."""
        return {job_id: record.metrics for job_id, record in self.runs.items()}

    def select(self, over: Mapping[str, Any]) -> list[Record]:
        """Return the cited runs that have these state-point values."""
        if not over:
            return list(self.runs.values())
        (key, wanted), *rest = over.items()
        return [
            record
            for value, records in self._by_value(key)
            if same_value(value, wanted)
            for record in records
            if all(name in record.sp and same_value(record.sp[name], one) for name, one in rest)
        ]

    def _by_value(self, key: str) -> list[tuple[Any, list[Record]]]:
        """Return the values that the cited runs have of a key, each with its runs."""
        found = self._values.get(key)
        if found is None:
            grouped: dict[str, tuple[Any, list[Record]]] = {}
            for record in self.runs.values():
                if key in record.sp:
                    value = record.sp[key]
                    grouped.setdefault(repr(value), (value, []))[1].append(record)
            found = self._values[key] = list(grouped.values())
        return found

    def complete(self) -> list[Record]:
        """Return the cited runs that are complete."""
        return [record for record in self.runs.values() if record.status == COMPLETE]


def resolve(citation: Citation, evidence: Evidence) -> list[Record]:
    """Return the runs behind a citation; none when nothing is known of them."""
    if isinstance(citation, JobCitation):
        record = evidence.get(citation.job_id)
        return [] if record is None else [record]
    return evidence.batch(citation.experiment_id, citation.selector)


def _may_have_more(citation: Citation, evidence: Evidence) -> bool:
    return isinstance(citation, BatchCitation) and bool(
        evidence.undecided(citation.experiment_id, citation.selector)
    )


def _runs(count: int) -> str:
    return "1 run" if count == 1 else f"{count} runs"
