"""Lists of files for a user's own rules."""

from typing import Any

from aexp.model import COMPLETE
from aexp.paths import GATE, SENTINEL, Repo
from aexp.queue.pending import BLOCKED, ELSEWHERE, UNKNOWN, Queue
from aexp.runs.select import RunFilter
from aexp.runs.store import scan_status


def paths(kind: str, *, include_queued: bool = False, **filters: Any) -> list[str]:
    """Return paths relative to the repository, of one kind, for the runs under a filter.

    Parameters
    ----------
    kind : str
        ``gate``, ``sentinel`` or ``ledger``.
    include_queued : bool, default False
        Also runs that are still to be executed.
    **filters
        ``experiment``, ``hypothesis``, ``tag``, and state-point keys.
    """
    repo = Repo.installed()
    chosen = RunFilter(
        experiment_id=filters.pop("experiment", None),
        hypothesis_id=filters.pop("hypothesis", None),
        tag=filters.pop("tag", None),
        sp=filters,
    )
    runs = [run for run in scan_status(repo, frozenset({COMPLETE})) if chosen.matches(run)]
    if include_queued:
        runs += [
            item.run
            for item in Queue(repo).matching(chosen)
            if item.state not in (BLOCKED, ELSEWHERE, UNKNOWN)
        ]
    runs.sort(key=lambda run: run.order)
    return [_path(repo, kind, run.job_id) for run in runs]


def _path(repo: Repo, kind: str, job_id: str) -> str:
    if kind == "ledger":
        return repo.relative(repo.ledger_path(job_id))
    return repo.relative(repo.run_file(job_id, GATE if kind == "gate" else SENTINEL))
