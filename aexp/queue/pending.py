"""What waits in the queue, in which order, and why each run has not run yet."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from aexp import slurm
from aexp.errors import AexpError, CorruptFile
from aexp.ledger.entries import list_ledger_job_ids, load_ledger_entry
from aexp.model import (
    COMPLETE,
    QUEUED,
    RUNNING,
    TERMINAL_STATUSES,
    Run,
    section,
    short,
)
from aexp.paths import CLAIM, Repo
from aexp.runs import claims
from aexp.runs.earlier import ended_elsewhere
from aexp.runs.parents import parent_statuses
from aexp.runs.progress import progress_facts
from aexp.runs.select import RunFilter
from aexp.runs.settle import run_liveness
from aexp.runs.store import read_run, scan_runs, scan_status

READY = "ready"
WAITING = "waiting"
BLOCKED = "blocked"
CLAIMED = "claimed"
IS_RUNNING = "running"
DEAD_OWNER = "owner dead"
ELSEWHERE = "done elsewhere"
UNKNOWN = "unknown"
ENDED = "ended"

_DUE = frozenset({READY, WAITING, CLAIMED, DEAD_OWNER})


class Pending(NamedTuple):
    """One run of the queue and what it is waiting for.

    Attributes
    ----------
    run : Run
        The run.
    state : str
        ``ready``, ``waiting`` (for a parent that can still complete), ``blocked`` (by one
        that cannot), ``claimed``, ``running``, ``owner dead``, ``done elsewhere``,
        ``unknown``, or ``ended``.
    why : str
        The state in words.
    """

    run: Run
    state: str
    why: str


class Queue:
    """The queue as one scan of the store found it."""

    def __init__(self, repo: Repo, *, adopt: bool = False) -> None:
        self.repo = repo
        self._adopt = adopt
        self._runs = {run.job_id: run for run in scan_status(repo, frozenset({QUEUED, RUNNING}))}
        self._ledger = list_ledger_job_ids(repo)
        self._states = slurm.JobStates()
        self._examined: dict[str, Pending] = {}

    def matching(self, chosen: RunFilter) -> list[Pending]:
        """Return the queued and running runs under a filter, in queue order."""
        runs = sorted(
            (run for run in self._runs.values() if run.is_of_queue and chosen.matches(run)),
            key=lambda run: run.order,
        )
        return [self.examine(run) for run in runs]

    def due(self, chosen: RunFilter, limit: int | None = None) -> list[Pending]:
        """Return what a driver should execute: parents first, otherwise in queue order.

        Parents outside the filter are pulled in when they are still to be executed.
        """
        ordered: list[Pending] = []
        seen: set[str] = set()
        count = 0
        for pending in self.matching(chosen):
            if limit is not None and count >= limit:
                break
            if pending.state in _DUE:
                count += 1
                self._with_parents(pending, ordered, seen)
        return ordered

    def _with_parents(self, pending: Pending, ordered: list[Pending], seen: set[str]) -> None:
        stack = [(pending, False)]
        while stack:
            item, parents_done = stack.pop()
            if parents_done:
                ordered.append(item)
                continue
            if item.run.job_id in seen:
                continue
            seen.add(item.run.job_id)
            stack.append((item, True))
            for parent in reversed(item.run.after):
                known = self._runs.get(parent)
                if known is not None:
                    examined = self.examine(known)
                    if examined.state in _DUE:
                        stack.append((examined, False))

    def examine(self, run: Run) -> Pending:
        """Return a run's state in the queue; each run is looked at once, its parents first."""
        stack = [run]
        entered: set[str] = set()
        while stack:
            current = stack[-1]
            if current.job_id not in entered:
                entered.add(current.job_id)
                stack += [
                    self._runs[parent]
                    for parent in current.after
                    if parent in self._runs and parent not in self._examined
                    if parent not in entered
                ]
                continue
            stack.pop()
            if current.job_id not in self._examined:
                is_running = current.status == RUNNING
                found = self._running(current) if is_running else self._queued(current)
                self._examined[current.job_id] = found
        return self._examined[run.job_id]

    def _running(self, run: Run) -> Pending:
        state = run_liveness(self.repo, run, self._states)
        if state.state == slurm.ALIVE:
            return Pending(run, IS_RUNNING, state.reason)
        if state.state == slurm.DEAD or self._adopt:
            if not run.is_of_queue:
                return Pending(run, BLOCKED, "executed by hand, and not to its end")
            return self._elsewhere(run) or Pending(run, DEAD_OWNER, state.reason)
        hint = f"if it is dead: aexp queue release {short(run.job_id)}"
        return Pending(run, UNKNOWN, f"{state.reason}; {hint}")

    def _queued(self, run: Run) -> Pending:
        elsewhere = self._elsewhere(run)
        if elsewhere is not None:
            return elsewhere
        if run.after:
            waiting = self._parents_state(run)
            if waiting is not None:
                return waiting
        if os.path.exists(self.repo.run_file(run.job_id, CLAIM)):
            return self._claimed(run)
        return Pending(run, READY, "")

    def _elsewhere(self, run: Run) -> Pending | None:
        machine = done_elsewhere(self.repo, run) if run.job_id in self._ledger else None
        if machine is None:
            return None
        return Pending(run, ELSEWHERE, f"done on {machine}, see its ledger entry")

    def _claimed(self, run: Run) -> Pending:
        try:
            owner = claims.read_owner(self.repo, run.job_id)
        except CorruptFile as error:
            return Pending(run, UNKNOWN, f"{error.message}; {error.hint}")
        if owner is None:
            return Pending(run, READY, "")
        state = claims.liveness(owner, self._states)
        if state.state == slurm.DEAD:
            return Pending(run, READY, "")
        return Pending(run, CLAIMED, f"claimed by {owner.where}")

    def _parents_state(self, run: Run) -> Pending | None:
        pending: list[str] = []
        for parent, status in parent_statuses(self.repo, run, self._known_parents(run)).items():
            if status == COMPLETE:
                continue
            known = self._runs.get(parent)
            if known is None or status in TERMINAL_STATUSES:
                words = status or "not in this store"
                return Pending(run, BLOCKED, f"blocked by {short(parent)}, which is {words}")
            examined = self._examined.get(parent)
            if examined is not None and examined.state in (BLOCKED, UNKNOWN, ELSEWHERE):
                return Pending(run, BLOCKED, f"blocked by {short(parent)}: {examined.why}")
            pending.append(short(parent))
        return Pending(run, WAITING, "waits for " + ", ".join(pending)) if pending else None

    def _known_parents(self, run: Run) -> dict[str, Run]:
        known: dict[str, Run] = {}
        for parent in run.after:
            if parent in self._runs:
                known[parent] = self._runs[parent]
                continue
            try:
                known[parent] = read_run(self.repo, parent)
            except AexpError:
                continue
        return known


def done_elsewhere(repo: Repo, run: Run) -> str | None:
    """Return the machine that has finished a run queued here, None when none has.

    The pulled ledger entry must be terminal and have ended after this queueing.
    """
    entry = load_ledger_entry(repo, run.job_id)
    if entry is None or not ended_elsewhere(run, entry):
        return None
    return str(entry.get("registered_machine") or "another machine")


class QueueEntry(NamedTuple):
    """One row of ``queue list``."""

    job_id: str
    experiment_id: str | None
    hypothesis_id: str | None
    status: str
    tag: str | None
    queued_at: str | None
    sp: dict[str, Any]
    last_error: dict[str, Any] | None
    state: str
    why: str
    priority: int = 0
    after: list[str] = []  # noqa: RUF012  (never mutated)
    resources: dict[str, Any] = {}  # noqa: RUF012  (never mutated)
    attempts: int = 0
    progress: dict[str, Any] | None = None


def queue_entry(repo: Repo, pending: Pending) -> QueueEntry:
    """Return the row of a pending run."""
    run = pending.run
    hypothesis, queued_at = run.link.get("hypothesis_id"), run.queue.get("queued_at")
    return QueueEntry(
        run.job_id,
        run.experiment_id,
        hypothesis if isinstance(hypothesis, str) else None,
        run.status,
        run.tag,
        queued_at if isinstance(queued_at, str) else None,
        run.sp,
        section(run.queue, "last_error") or None,
        pending.state,
        pending.why,
        run.record.get("priority", 0),
        run.after,
        section(run.record, "resources"),
        len(run.attempts),
        progress_facts(repo, run),
    )


def list_entries(
    repo: Repo, chosen: RunFilter, *, include_terminal: bool = False, limit: int | None = None
) -> list[QueueEntry]:
    """Return the queue under a filter, in queue order, each with why it is still there."""
    pending = Queue(repo).matching(chosen)
    if include_terminal:
        ended = [
            Pending(run, ENDED, str(run.record.get("cause") or ""))
            for run in scan_runs(repo)
            if run.is_terminal and run.queue and chosen.matches(run)
        ]
        pending = sorted([*pending, *ended], key=lambda item: item.run.order)
    return [queue_entry(repo, item) for item in pending[:limit]]


def list_queue(
    *,
    experiment_id: str | None = None,
    tag: str | None = None,
    include_terminal: bool = False,
    limit: int | None = None,
    sp: Mapping[str, Any] | None = None,
    repo_root: str | Path | None = None,
) -> list[QueueEntry]:
    """Return the queue's entries, in the order in which they run.

    Parameters
    ----------
    experiment_id, tag : str, optional
        Only runs of this experiment; only runs with this tag.
    include_terminal : bool, default False
        Also runs that have ended.
    limit : int, optional
        At most so many.
    sp : mapping, optional
        Only runs with these state-point values.
    repo_root : str or Path, optional
        Default: the repository around the current folder.
    """
    chosen = RunFilter(experiment_id=experiment_id, tag=tag, sp=sp or {})
    return list_entries(
        Repo.installed(repo_root), chosen, include_terminal=include_terminal, limit=limit
    )
