"""Write citations into a finding: runs that are known, and ended."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from aexp.errors import ArtifactNotFound, RunNotFound, StatusError, UsageError
from aexp.kb.artifacts import KINDS, check_id, find_artifact, read_artifact
from aexp.kb.citing import cite, uncite
from aexp.kb.edit import edit_file, record_lock
from aexp.kb.findings import BatchCitation, JobCitation, Malformed, citations
from aexp.kb.frontmatter import Document
from aexp.kb.values import same_value, spelling
from aexp.model import TERMINAL_STATUSES, check_experiment_id, short
from aexp.paths import Repo
from aexp.validation.cited import Citation, resolve
from aexp.validation.evidence import Evidence, Record
from aexp.validation.pins import digest_of, name_of


class Batch(NamedTuple):
    """A batch to cite: an experiment, and state-point values as its runs have them."""

    experiment_id: str
    selector: Mapping[str, Any]


class CiteResult(NamedTuple):
    """What was done to a finding's citations.

    Attributes
    ----------
    path : str
        The finding's file, relative to the repository.
    citations : list of JobCitation or BatchCitation
        Those that were asked for, with their pins.
    runs : dict
        Citation number to how many runs it stands for.
    changed : bool
        Whether the file changed, or in a dry run would.
    notes : list of str
        What a person should know.
    """

    path: str
    citations: list[Citation]
    runs: list[int]
    changed: bool
    notes: list[str]


def cite_runs(
    repo: Repo,
    finding_id: str,
    *,
    jobs: Sequence[str] = (),
    batches: Sequence[Batch] = (),
    pin: bool = False,
    dry_run: bool = False,
) -> CiteResult:
    """Make a finding cite runs and batches; what it cites already stays as it is.

    Parameters
    ----------
    repo : Repo
        The repository.
    finding_id : str
        ``F001``.
    jobs : sequence of str
        Run ids, or the beginnings of some.
    batches : sequence of Batch
        Batches, each with at least one run that has ended.
    pin : bool, default False
        Record the digest of the ledger entries. Without jobs and batches: of all that the
        finding cites.
    dry_run : bool, default False
        Write nothing.

    Raises
    ------
    RunNotFound
        If a run is not known, or a batch has none.
    StatusError
        If a run has not ended, or cannot be pinned.
    ArtifactReadError
        If the finding cannot be edited as text.
    """
    path = find_artifact(repo, check_id(finding_id, KINDS["F"]))
    evidence = Evidence.read(repo)
    wanted: list[Citation] = [_job(evidence, job) for job in jobs]
    notes: list[str] = []
    for batch in batches:
        citation, records = _batch(evidence, batch)
        wanted.append(citation)
        notes += _unended(citation, records)
    if not wanted:
        if not pin:
            raise UsageError("nothing to cite", "give --job ID or --batch E001")
        wanted = _present(repo, path)
    if pin:
        wanted = [_pinned(citation, evidence) for citation in wanted]

    def change(text: str) -> str:
        return cite(Document(path, text), wanted)

    changed = _edit(repo, path, change, dry_run)
    counts = [len(resolve(citation, evidence)) for citation in wanted]
    return CiteResult(repo.relative(path), wanted, counts, changed, notes)


def uncite_runs(
    repo: Repo,
    finding_id: str,
    *,
    jobs: Sequence[str] = (),
    batches: Sequence[Batch] = (),
    dry_run: bool = False,
) -> CiteResult:
    """Remove citations from a finding; the runs need not be known.

    Raises
    ------
    ArtifactNotFound
        If the finding does not cite one of them.
    UsageError
        If nothing is named, or the beginning of an id fits several of its citations.
    """
    path = find_artifact(repo, check_id(finding_id, KINDS["F"]))
    present = _present(repo, path)
    gone: list[Citation] = []
    for job in jobs:
        prefix = _hexadecimal(job)
        found = [
            one for one in present if isinstance(one, JobCitation) and one.job_id.startswith(prefix)
        ]
        gone.append(_only(found, f"{finding_id} cites no run {prefix}", prefix))
    for batch in batches:
        same = [
            one
            for one in present
            if isinstance(one, BatchCitation)
            and one.experiment_id == batch.experiment_id
            and one.selector.keys() == batch.selector.keys()
            and all(same_value(one.selector[key], item) for key, item in batch.selector.items())
        ]
        gone.append(_only(same, f"{finding_id} does not cite this batch", batch.experiment_id))
    if not gone:
        raise UsageError("nothing to remove", "give --job ID or --batch E001 with its --select")

    def change(text: str) -> str:
        return uncite(Document(path, text), gone)

    changed = _edit(repo, path, change, dry_run)
    return CiteResult(repo.relative(path), gone, [], changed, [])


def _edit(repo: Repo, path: str, change: Any, dry_run: bool) -> bool:
    if dry_run:
        return edit_file(repo, path, change, dry_run=True)
    with record_lock(repo):
        return edit_file(repo, path, change)


def _present(repo: Repo, path: str) -> list[Citation]:
    found = citations(read_artifact(repo, path))
    return [one for one in found if not isinstance(one, Malformed)]


def _only(found: Sequence[Citation], missing: str, what: str) -> Citation:
    unique = {repr(one._replace(line=None, digest=None)): one for one in found}
    if not unique:
        raise ArtifactNotFound(missing, "see its supporting_runs:")
    if len(unique) > 1:
        raise UsageError(f"{len(unique)} citations begin with {what}", "give more digits")
    return next(iter(unique.values()))


def _hexadecimal(text: str) -> str:
    prefix = text.strip().lower()
    if not prefix or len(prefix) > 32 or any(c not in "0123456789abcdef" for c in prefix):
        raise UsageError(f"{text!r} is not a run id", "give a run id or the beginning of one")
    return prefix


def _job(evidence: Evidence, text: str) -> JobCitation:
    prefix = _hexadecimal(text)
    known = {*evidence.ledger, *evidence.local, *evidence.index}
    found = sorted(job_id for job_id in known if job_id.startswith(prefix))
    if not found:
        raise RunNotFound(
            f"no run that is known here begins with {prefix}",
            "pull the ledger; see: aexp list-runs",
        )
    if len(found) > 1:
        shown = ", ".join(job_id[:12] for job_id in found[:5])
        raise RunNotFound(f"{len(found)} runs begin with {prefix}: {shown}", "give more digits")
    record = evidence.get(found[0])
    assert record is not None
    if record.status not in TERMINAL_STATUSES:
        raise StatusError(
            f"run {short(record.job_id)} is {record.status}; only ended runs can be cited",
            f"wait for it, or see: aexp show-run {short(record.job_id)}",
        )
    return JobCitation(record.job_id, None, None)


def _batch(evidence: Evidence, batch: Batch) -> tuple[BatchCitation, list[Record]]:
    experiment_id = check_experiment_id(batch.experiment_id)
    records = evidence.batch(experiment_id, batch.selector)
    if not records:
        words = ", ".join(f"{key}={spelling(value)}" for key, value in batch.selector.items())
        raise RunNotFound(
            f"no run of {experiment_id} is known here" + (f" with {words}" if words else ""),
            f"see: aexp list-runs --experiment {experiment_id}",
        )
    if all(record.status not in TERMINAL_STATUSES for record in records):
        raise StatusError(
            f"none of the {len(records)} runs of this batch has ended",
            f"see: aexp list-runs --experiment {experiment_id}",
        )
    selector = {key: _as_runs_have_it(key, given, records) for key, given in batch.selector.items()}
    return BatchCitation(experiment_id, selector, None, None), records


def _as_runs_have_it(key: str, given: Any, records: Sequence[Record]) -> Any:
    """Return the value that the runs have: the number 3 where the text 3 was given."""
    values = {repr(record.sp.get(key, given)) for record in records}
    return records[0].sp.get(key, given) if len(values) == 1 else given


def _unended(citation: Citation, records: Sequence[Record]) -> list[str]:
    count = sum(record.status not in TERMINAL_STATUSES for record in records)
    if not count:
        return []
    return [f"{count} of {len(records)} runs of {name_of(citation)} have not ended"]


def _pinned(citation: Citation, evidence: Evidence) -> Citation:
    records = resolve(citation, evidence)
    open_runs = [one for one in records if one.status not in TERMINAL_STATUSES]
    if open_runs:
        raise StatusError(
            f"{len(open_runs)} of {len(records)} runs of {name_of(citation)} have not ended",
            "pin it when they have",
        )
    elsewhere = [one for one in records if one.source != "ledger"]
    digest = digest_of(citation, evidence)
    if elsewhere or digest is None:
        which = f"run {short(elsewhere[0].job_id)}" if elsewhere else name_of(citation)
        raise StatusError(
            f"{which} has no ledger entry that could be pinned", "run: aexp ledger backfill"
        )
    return citation._replace(digest=digest)
