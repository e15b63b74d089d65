"""One finding: the table of what it claims against what its runs give."""

from typing import Any, NamedTuple

from aexp.errors import UsageError
from aexp.kb.artifacts import Artifact
from aexp.kb.claim import Claim, MalformedClaim
from aexp.kb.edit import edit_file, record_lock
from aexp.kb.managed import managed_block
from aexp.model import printable
from aexp.paths import Repo
from aexp.validation import citations, claims
from aexp.validation.cited import Cited
from aexp.validation.context import Context
from aexp.validation.issue import Issue
from aexp.validation.recompute import Verdict
from aexp.validation.sweeps import Sweeps

BEGIN = "<!-- aexp:claims:begin -->"
END = "<!-- aexp:claims:end -->"
COLUMNS = ("#", "CLAIM", "CLAIMED", "RECOMPUTED", "N", "INTERVAL", "VERDICT")
_SECTION = "Evidence"
_MARKDOWN = str.maketrans({char: "\\" + char for char in "\\`*[]|"} | {"<": "&lt;", "&": "&amp;"})


class FindingCheck(NamedTuple):
    """A finding with what came of its claims.

    Attributes
    ----------
    finding : Artifact
        The finding.
    verdicts : list
        One `Verdict` or `MalformedClaim` per item of ``claims:``.
    issues : list of Issue
        What ``aexp validate`` reports of its citations and claims.
    """

    finding: Artifact
    verdicts: list[Verdict | MalformedClaim]
    issues: list[Issue]

    @property
    def ok(self) -> bool:
        """Whether nothing contradicts the finding."""
        return all(issue.severity != "error" for issue in self.issues)

    @property
    def rows(self) -> list[tuple[str, ...]]:
        """The table, one row of text per claim, under `COLUMNS`."""
        return [_row(verdict) for verdict in self.verdicts]


def check_finding(repo: Repo, artifact_id: str) -> FindingCheck:
    """Recompute what one finding claims.

    Parameters
    ----------
    repo : Repo
        The repository.
    artifact_id : str
        ``F001``.

    Raises
    ------
    UsageError
        If that is not the id of a finding.
    ArtifactNotFound, ArtifactReadError
        If there is no such finding, or it cannot be read.
    """
    from aexp.kb.artifacts import KINDS, check_id, load_artifact

    finding = load_artifact(repo, check_id(artifact_id, KINDS["F"]))
    context = Context(repo)
    cited = Cited(finding, context.evidence)
    issues = [
        *citations.cited_by(context, finding),
        *claims.malformed_in(context, finding),
        *claims.issues_of(context, finding, cited, Sweeps(context.evidence)),
    ]
    return FindingCheck(finding, claims.verdicts(finding, cited), issues)


def write_numbers(repo: Repo, check: FindingCheck, *, dry_run: bool = False) -> bool:
    """Write the table into the finding, between the lines `BEGIN` and `END`.

    Returns
    -------
    bool
        Whether the file changed, or with `dry_run` would.

    Raises
    ------
    UsageError
        If the finding claims nothing.
    ArtifactReadError
        If the markers are damaged.
    """
    artifact_id = check.finding.artifact_id
    if not check.verdicts:
        raise UsageError(f"{artifact_id} claims nothing", "write claims: into its frontmatter")
    block = _block(artifact_id, check.rows)
    path = check.finding.path

    def renew(text: str) -> str:
        return managed_block(text, path, (BEGIN, END), _SECTION, block)

    if dry_run:
        return edit_file(repo, path, renew, dry_run=True)
    with record_lock(repo):
        return edit_file(repo, path, renew)


def as_data(verdict: Verdict | MalformedClaim) -> dict[str, Any]:
    """Return what came of one claim, for programs."""
    if isinstance(verdict, MalformedClaim):
        return {
            "number": verdict.number,
            "line": verdict.line,
            "verdict": "malformed",
            "reasons": [verdict.reason],
        }
    claim = verdict.claim
    return {
        "number": claim.number,
        "line": claim.line,
        "claim": claim.subject,
        "claimed": claim.stated,
        "recomputed": verdict.recomputed,
        "n": list(verdict.counts),
        "interval": list(verdict.interval) if verdict.interval else None,
        "verdict": verdict.outcome,
        "reasons": verdict.reasons,
        "doubts": verdict.doubts,
    }


def _row(verdict: Verdict | MalformedClaim) -> tuple[str, ...]:
    if isinstance(verdict, MalformedClaim):
        return (str(verdict.number), printable(verdict.reason), "", "", "", "", "malformed")
    claim: Claim = verdict.claim
    return (
        str(claim.number),
        claim.subject,
        claim.stated,
        "" if verdict.recomputed is None else f"{verdict.recomputed:.6g}",
        "/".join(map(str, verdict.counts)),
        "" if verdict.interval is None else "[{:.6g}, {:.6g}]".format(*verdict.interval),
        verdict.outcome,
    )


def _block(artifact_id: str, rows: list[tuple[str, ...]]) -> str:
    header = [name.lower() for name in COLUMNS]
    lines = [header, ["---"] * len(header)]
    # The claim has names of the user's; all other cells are our own digits and words.
    lines += [[number, claim.translate(_MARKDOWN), *rest] for number, claim, *rest in rows]
    table = "\n".join("| " + " | ".join(cells) + " |" for cells in lines)
    remark = f"<!-- Written by: aexp finding check {artifact_id} --write -->"
    return f"{remark}\n\n{table}\n"
