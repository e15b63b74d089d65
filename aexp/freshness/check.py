"""``aexp check``: judge every run that has ended by what it depends on, then and now."""

from collections.abc import Collection, Iterable
from typing import Any, NamedTuple

from aexp.freshness.evidence import Evidence, experiment_of, load_evidence
from aexp.freshness.files import PresentFiles, code_and_inputs, outputs
from aexp.freshness.surroundings import Surroundings
from aexp.freshness.upstream import Upstream
from aexp.freshness.verdict import OUTPUT, STALE, STATES, UNVERIFIABLE, Reason, Verdict
from aexp.paths import Repo
from aexp.runs.store import run_ids

EXIT_UNVERIFIABLE = 3


class Report(NamedTuple):
    """What a check has found.

    Attributes
    ----------
    verdicts : list of Verdict
        One for each run that was asked about, in the order of their ids.
    not_judged : dict
        How many runs have not been judged, by status: they have not ended, or were never
        executed.
    problems : list of str
        Files that cannot be read: what they held was not judged.
    """

    verdicts: list[Verdict]
    not_judged: dict[str, int]
    problems: list[str]

    @property
    def counts(self) -> dict[str, int]:
        """How many runs are in each state."""
        found = dict.fromkeys(STATES, 0)
        for verdict in self.verdicts:
            found[verdict.state] += 1
        return found

    def exit_code(self, *, strict: bool = False) -> int:
        """Return 0 when all is fresh, 1 when something is not, 3 (strict) when unknown."""
        counts = self.counts
        if counts[STALE] or counts[OUTPUT] or self.problems:
            return 1
        return EXIT_UNVERIFIABLE if strict and counts[UNVERIFIABLE] else 0

    def to_dict(self) -> dict[str, Any]:
        """Return it for ``--json``."""
        return {
            "checked": len(self.verdicts),
            "counts": self.counts,
            "not_judged": self.not_judged,
            "problems": self.problems,
            "runs": [verdict.to_dict() for verdict in self.verdicts],
        }


def check(
    repo: Repo,
    *,
    job_ids: Collection[str] | None = None,
    statuses: Collection[str] | None = None,
    experiments: Collection[str] | None = None,
    check_outputs: bool = False,
    ignore: Iterable[str] = (),
) -> Report:
    """Judge the runs of a project: all of them, or those asked about.

    Parameters
    ----------
    repo : Repo
        The repository; nothing but its cache of digests is written.
    job_ids, statuses, experiments : collection of str, optional
        Only these runs; default all that have ended.
    check_outputs : bool, default False
        Compare outputs, too.
    ignore : iterable of str
        Reasons that do not count.
    """
    evidence = load_evidence(repo)
    judge = _Judge(repo, evidence, check_outputs=check_outputs, ignore=frozenset(ignore))
    not_judged: dict[str, int] = {}
    asked = []
    for job_id in sorted({*evidence.ended, *evidence.active}):
        entry = evidence.ended.get(job_id, {})
        # Of a run that is queued again, its last record counts until there is another one.
        status = str(entry.get("status")) if entry else evidence.active[job_id]
        if job_ids is not None and job_id not in job_ids:
            continue
        name = experiment_of(entry) if entry else evidence.experiments[job_id]
        if experiments is not None and name not in experiments:
            continue
        if statuses is not None and status not in statuses:
            continue
        if not entry or not (entry.get("attempts") or entry.get("started_at")):
            not_judged[status] = not_judged.get(status, 0) + 1
            continue
        asked.append((job_id, status, entry))
    verdicts = [
        Verdict(job_id, status, experiment_of(entry), judge.reasons(job_id))
        for job_id, status, entry in asked
    ]
    judge.close()
    return Report(verdicts, dict(sorted(not_judged.items())), evidence.problems)


def states_of(repo: Repo, job_ids: Collection[str]) -> dict[str, str]:
    """Return the state of some runs by their ids; of those that cannot be judged, none."""
    report = check(repo, job_ids=frozenset(job_ids))
    return {verdict.job_id: verdict.state for verdict in report.verdicts}


class _Judge:
    def __init__(
        self, repo: Repo, evidence: Evidence, *, check_outputs: bool, ignore: frozenset[str]
    ) -> None:
        self._evidence = evidence
        self._files = PresentFiles(repo)
        self._surroundings = Surroundings(repo, self._files)
        self._ignore = ignore
        self._own: dict[str, tuple[Reason, ...]] = {}
        self._makers = _makers(evidence)
        self._upstream = Upstream(evidence, self._makers, self._reasons_of_its_own)
        self._here = frozenset(run_ids(repo)) if check_outputs else frozenset()
        self._check_outputs = check_outputs

    def reasons(self, job_id: str) -> tuple[Reason, ...]:
        """Return why a run is not fresh."""
        found = list(self._reasons_of_its_own(job_id))
        found += [r for r in self._upstream.reasons(job_id) if r.kind not in self._ignore]
        if self._check_outputs:
            entry, is_here = self._evidence.ended[job_id], job_id in self._here
            found += outputs(self._files, entry, is_here=is_here, makers=self._makers)
        return tuple(found)

    def _reasons_of_its_own(self, job_id: str) -> tuple[Reason, ...]:
        if job_id not in self._own:
            entry = self._evidence.ended[job_id]
            found = [*code_and_inputs(self._files, entry), *self._surroundings.reasons(entry)]
            self._own[job_id] = tuple(r for r in found if r.kind not in self._ignore)
        return self._own[job_id]

    def close(self) -> None:
        self._files.remember()


def _makers(evidence: Evidence) -> dict[str, list[str]]:
    """Return, by digest, the runs that have made such a file, the last to end at the end."""
    found: dict[str, list[tuple[str, str]]] = {}
    for job_id, entry in evidence.ended.items():
        files = entry.get("outputs")
        for item in files if isinstance(files, list) else []:
            # All empty files are the same: they tell of no run.
            if isinstance(item, dict) and item.get("size") and isinstance(item.get("sha256"), str):
                ended = str(entry.get("ended_at") or "")
                found.setdefault(item["sha256"], []).append((ended, job_id))
    return {digest: [job_id for _, job_id in sorted(runs)] for digest, runs in found.items()}
