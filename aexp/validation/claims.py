"""Checks of what findings claim, against the runs that they cite."""

from collections.abc import Iterator, Sequence

from aexp.kb.artifacts import Artifact
from aexp.kb.claim import Claim, MalformedClaim
from aexp.kb.claims import claims
from aexp.validation.cited import Cited
from aexp.validation.completeness import incomplete_batches
from aexp.validation.context import Context
from aexp.validation.guard import guarded
from aexp.validation.issue import Issue
from aexp.validation.pins import changed_entries
from aexp.validation.provenance import dirty_runs, mixed_commits, superseded_runs
from aexp.validation.recompute import MISMATCH, Verdict, recompute
from aexp.validation.sweeps import Sweeps


def well_formed(context: Context) -> Iterator[Issue]:
    """Report the items of ``claims:`` that are no claims."""
    for finding in context.findings:
        path = context.relative(finding.path)
        yield from guarded("claims.well_formed", malformed_in(context, finding), path)


def evidence(context: Context) -> Iterator[Issue]:
    """Recompute every claim, and report what weakens the runs behind it."""
    sweeps = Sweeps(context.evidence)
    for finding in context.findings:
        path = context.relative(finding.path)
        yield from guarded("claims.evidence", _evidence_of(context, finding, sweeps), path)


def _evidence_of(context: Context, finding: Artifact, sweeps: Sweeps) -> Iterator[Issue]:
    yield from issues_of(context, finding, Cited(finding, context.evidence), sweeps)


def malformed_in(context: Context, finding: Artifact) -> Iterator[Issue]:
    """Report the items of one finding's ``claims:`` that are no claims."""
    for claim in claims(finding):
        if isinstance(claim, MalformedClaim):
            yield Issue.of(
                "finding.malformed_claim",
                f"claim {claim.number}: {claim.reason}",
                context.relative(finding.path),
                claim.line,
                claim=claim.number,
            )


def issues_of(context: Context, finding: Artifact, cited: Cited, sweeps: Sweeps) -> Iterator[Issue]:
    """Report what contradicts or weakens one finding."""
    path = context.relative(finding.path)
    yield from _claims(finding, cited, path)
    yield from incomplete_batches(cited, sweeps, path)
    yield from dirty_runs(cited, path)
    yield from mixed_commits(cited, path)
    yield from superseded_runs(cited, sweeps, path)
    yield from changed_entries(cited, path)


def verdicts(finding: Artifact, cited: Cited) -> list[Verdict | MalformedClaim]:
    """Return what comes of every claim of a finding, in the order of its file."""
    return [
        recompute(claim, cited) if isinstance(claim, Claim) else claim for claim in claims(finding)
    ]


def _claims(finding: Artifact, cited: Cited, path: str) -> Iterator[Issue]:
    found = [item for item in verdicts(finding, cited) if isinstance(item, Verdict)]
    for verdict in found:
        if verdict.outcome == MISMATCH:
            claim = verdict.claim
            yield Issue.of(
                "finding.claim_mismatch",
                f"claim {claim.number}, {claim.subject}: {'; '.join(verdict.reasons)}",
                path,
                claim.line,
                claim=claim.number,
                claimed=claim.value.value if claim.value else None,
                recomputed=verdict.recomputed,
                n=list(verdict.counts),
                interval=list(verdict.interval) if verdict.interval else None,
                reasons=verdict.reasons,
            )
    yield from _unchecked(found, path)


def _unchecked(found: Sequence[Verdict], path: str) -> Iterator[Issue]:
    """Say once per finding and reason which claims could not be checked in full.

    Whatever ``--strict-runs`` says: what was not looked for is not confirmed.
    """
    by_doubt: dict[str, list[Verdict]] = {}
    for verdict in found:
        for doubt in verdict.doubts:
            by_doubt.setdefault(doubt, []).append(verdict)
    for doubt, concerned in by_doubt.items():
        many = len(concerned) > 1
        numbers = ", ".join(str(verdict.claim.number) for verdict in concerned[:10])
        more = f" and {len(concerned) - 10} more" if len(concerned) > 10 else ""
        yield Issue.of(
            "finding.claim_unchecked",
            f"claim{'s' if many else ''} {numbers}{more} could not be checked in full: {doubt}",
            path,
            concerned[0].claim.line,
            claims=[verdict.claim.number for verdict in concerned],
        )
