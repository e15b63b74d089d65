"""Whether the entries that a citation pins are still those that were cited."""

from collections.abc import Iterator

from aexp.kb.findings import JobCitation
from aexp.model import short
from aexp.validation.cited import Citation, Cited
from aexp.validation.evidence import Evidence
from aexp.validation.issue import Issue


def changed_entries(cited: Cited, path: str) -> Iterator[Issue]:
    """Report citations whose pinned digest is not that of the ledger as it is now."""
    for citation, records in cited.citations:
        if citation.digest is None or not records:
            continue  # what cannot be resolved is reported as that
        found = digest_of(citation, cited.evidence)
        if found != citation.digest:
            yield Issue.of(
                "finding.entry_changed",
                f"{name_of(citation)}: pinned {_brief(citation.digest)}, the ledger has "
                f"{_brief(found) if found else 'no entry of it'}",
                path,
                citation.line,
                pinned=citation.digest,
                found=found,
            )


def digest_of(citation: Citation, evidence: Evidence) -> str | None:
    """Return the digest of the ledger entries behind a citation, None when there is none.

    Only the ledger counts, and not what this machine's store would add to it: the digest is
    the same in every clone.
    """
    if isinstance(citation, JobCitation):
        return evidence.entry_digest(citation.job_id)
    return evidence.batch_digest(citation.experiment_id, citation.selector)


def name_of(citation: Citation) -> str:
    """Return what a citation is about, for messages."""
    if isinstance(citation, JobCitation):
        return f"run {short(citation.job_id)}"
    return f"batch {citation.experiment_id}" + (" selection" if citation.selector else "")


def _brief(digest: str) -> str:
    return digest[: len("sha256:") + 12] + "…"
