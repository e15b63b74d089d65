"""Whether the entries that a citation pins are still those that were cited."""

from collections.abc import Iterable, Iterator

from aexp.errors import CorruptFile
from aexp.kb.findings import JobCitation
from aexp.ledger.digests import batch_digest, entry_digest
from aexp.model import short
from aexp.validation.cited import Citation, Cited
from aexp.validation.evidence import Record
from aexp.validation.issue import Issue


def changed_entries(cited: Cited, path: str) -> Iterator[Issue]:
    """Report citations whose pinned digest is not that of the ledger as it is now."""
    for citation, records in cited.citations:
        if citation.digest is None or not records:
            continue  # what cannot be resolved is reported as that
        found = digest_of(citation, records)
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


def digest_of(citation: Citation, records: Iterable[Record]) -> str | None:
    """Return the digest of the ledger entries behind a citation, None when there is none.

    Only the ledger counts, and not what this machine's store would add to it: the digest is
    the same in every clone.
    """
    entries = [record.entry for record in records if record.source == "ledger"]
    if not entries:
        return None
    try:
        if isinstance(citation, JobCitation):
            return entry_digest(entries[0])
        return batch_digest(entries)
    except CorruptFile:
        return None


def name_of(citation: Citation) -> str:
    """Return what a citation is about, for messages."""
    if isinstance(citation, JobCitation):
        return f"run {short(citation.job_id)}"
    return f"batch {citation.experiment_id}" + (" selection" if citation.selector else "")


def _brief(digest: str) -> str:
    return digest[: len("sha256:") + 12] + "…"
