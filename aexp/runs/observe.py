"""The store looked at again and again: what waits, what is running, what has just ended."""

import os
import time
from collections import Counter
from typing import Any, NamedTuple

from aexp import slurm
from aexp.errors import CorruptFile, RunNotFound
from aexp.model import QUEUED, RUNNING, STATUSES, Run, short, utc_at
from aexp.paths import DOCUMENT, HEARTBEAT, Repo
from aexp.runs.claims import Liveness
from aexp.runs.facts import run_facts
from aexp.runs.heartbeat import file_clock
from aexp.runs.progress import (
    Progress,
    facts_of,
    first_remaining_s,
    last_start,
    read_progress,
    remaining_s,
)
from aexp.runs.select import RunFilter
from aexp.runs.settle import run_liveness
from aexp.runs.store import read_run, run_ids

# Slurm is not asked at every look, and a file system's clock hardly drifts.
_ASK_AGAIN_S = 30.0


class Executing(NamedTuple):
    """A run whose status is running.

    Attributes
    ----------
    run : Run
        The run.
    owner : Liveness
        Whether whoever executes it still lives.
    progress : Progress
        How far it is; numbers that an earlier look has found are kept.
    eta_s : float or None
        Seconds that are left, as far as that is known.
    elapsed_s : float or None
        Seconds since its attempt began.
    heartbeat_age_s : float or None
        Seconds since its owner gave a sign of life.
    """

    run: Run
    owner: Liveness
    progress: Progress
    eta_s: float | None
    elapsed_s: float | None
    heartbeat_age_s: float | None


class Observation(NamedTuple):
    """One look at the store.

    Attributes
    ----------
    at : float
        When it was, in seconds since 1970.
    counts : dict
        Runs per experiment and status.
    running : list of Executing
        In queue order.
    ended : list of Run
        The last ones, newest first.
    unreadable : list of str
        What is wrong with the runs that could not be read.
    """

    at: float
    counts: dict[str, dict[str, int]]
    running: list[Executing]
    ended: list[Run]
    unreadable: list[str]

    @property
    def totals(self) -> dict[str, int]:
        """Runs per status."""
        return {word: sum(found[word] for found in self.counts.values()) for word in STATUSES}

    @property
    def queued(self) -> int:
        """How many runs wait."""
        return self.totals[QUEUED]


class _Seen(NamedTuple):
    """What is remembered of a run as long as its document does not change."""

    stamp: tuple[int, ...]
    matches: bool = False
    status: str = ""
    experiment_id: str = "-"
    ended_at: str = ""
    run: Run | None = None  # of a running one
    problem: str = ""


class Observer:
    """Looks at the runs under a filter; a document is read again only when it has changed.

    Parameters
    ----------
    repo : Repo
        The repository.
    chosen : RunFilter
        Which runs.
    ended : int, default 5
        How many of the runs that have ended last are told of.
    """

    def __init__(self, repo: Repo, chosen: RunFilter, *, ended: int = 5) -> None:
        self.repo = repo
        self.chosen = chosen
        self._ended = ended
        self._seen: dict[str, _Seen] = {}
        self._logged: dict[tuple[str, int | None], dict[str, Any]] = {}
        self._first: dict[tuple[str, int | None], tuple[float, float]] = {}
        self._states = slurm.JobStates()
        self._clock_ahead_s: float | None = None
        self._asked_at = 0.0

    def look(self) -> Observation:
        """Look at the store as it is now."""
        if time.monotonic() - self._asked_at > _ASK_AGAIN_S:
            self._states, self._clock_ahead_s = slurm.JobStates(), None
            self._asked_at = time.monotonic()
        self._seen = {job_id: self._look_at(job_id) for job_id in run_ids(self.repo)}
        counts: dict[str, Counter[str]] = {}
        found = [(job_id, seen) for job_id, seen in self._seen.items() if seen.matches]
        for _, seen in found:
            counts.setdefault(seen.experiment_id, Counter())[seen.status] += 1
        now = time.time()
        runs = sorted((seen.run for _, seen in found if seen.run), key=lambda run: run.order)
        running = [self._executing(run, now) for run in runs]
        self._forget_all_but({(one.run.job_id, last_start(one.run)[0]) for one in running})
        return Observation(
            now,
            {name: {word: counts[name][word] for word in STATUSES} for name in sorted(counts)},
            running,
            self._last_ended(found),
            [seen.problem for seen in self._seen.values() if seen.problem],
        )

    def _look_at(self, job_id: str) -> _Seen:
        known = self._seen.get(job_id)
        path = os.path.join(self.repo.workspace, job_id, DOCUMENT)
        try:
            state = os.stat(path)
            stamp: tuple[int, ...] = (state.st_mtime_ns, state.st_size, state.st_ino)
        except OSError:
            stamp = ()
        if known is not None and known.stamp == stamp and not known.problem:
            return known
        try:
            run = read_run(self.repo, job_id)
        except RunNotFound:  # it is being made, or has just been removed
            return _Seen(stamp)
        except CorruptFile as error:
            return _Seen(stamp, problem=error.message)
        ended_at = run.doc.get("ended_at")
        return _Seen(
            stamp,
            self.chosen.matches(run),
            run.status,
            run.experiment_id or "-",
            ended_at if run.is_terminal and isinstance(ended_at, str) else "",
            run if run.status == RUNNING else None,
        )

    def _executing(self, run: Run, now: float) -> Executing:
        attempt, began = last_start(run)
        progress = read_progress(self.repo, run.job_id, attempt=attempt, since=began)
        key = (run.job_id, attempt)
        # What is logged rarely may lie before the rows that are read this time.
        self._logged[key] = {**self._logged.get(key, {}), **progress.metrics}
        progress = progress._replace(metrics=self._logged[key])
        eta = first_remaining_s(run, progress)
        if eta is None and progress.at is not None and progress.fraction is not None:
            eta = remaining_s(progress, *self._first.setdefault(key, progress_mark(progress)))
        return Executing(
            run,
            run_liveness(self.repo, run, self._states),
            progress,
            eta,
            max(0.0, now - began) if began else None,
            self._heartbeat_age_s(run.job_id, now),
        )

    def _heartbeat_age_s(self, job_id: str, now: float) -> float | None:
        path = self.repo.run_file(job_id, HEARTBEAT)
        try:
            beaten = os.stat(path).st_mtime
        except OSError:
            return None
        if self._clock_ahead_s is None:
            self._clock_ahead_s = file_clock(path) - time.time()
        return max(0.0, now + self._clock_ahead_s - beaten)

    def _last_ended(self, found: list[tuple[str, _Seen]]) -> list[Run]:
        ended = [(seen.ended_at, job_id) for job_id, seen in found if seen.ended_at]
        runs = []
        for _, job_id in sorted(ended, reverse=True)[: self._ended]:
            try:
                runs.append(read_run(self.repo, job_id))
            except (RunNotFound, CorruptFile):
                continue  # at the next look it is named
        return runs

    def _forget_all_but(self, keys: set[tuple[str, int | None]]) -> None:
        self._logged = {key: value for key, value in self._logged.items() if key in keys}
        self._first = {key: value for key, value in self._first.items() if key in keys}


def progress_mark(progress: Progress) -> tuple[float, float]:
    """Return when progress was told, and how much was done then."""
    return progress.at or 0.0, progress.fraction or 0.0


def observation_facts(repo: Repo, seen: Observation) -> dict[str, Any]:
    """Return an observation as JSON has it."""
    return {
        "at": utc_at(seen.at),
        "totals": seen.totals,
        "counts": seen.counts,
        "running": [
            {
                "job_id": one.run.job_id,
                "short_id": short(one.run.job_id),
                "experiment_id": one.run.experiment_id,
                "tag": one.run.tag,
                "sp": one.run.sp,
                "attempt": last_start(one.run)[0],
                "owner": one.owner.state,
                "why": one.owner.reason,
                "elapsed_s": _rounded(one.elapsed_s),
                "heartbeat_age_s": _rounded(one.heartbeat_age_s),
                "progress": facts_of(one.progress, one.eta_s),
            }
            for one in seen.running
        ],
        "ended": [run_facts(repo, run) for run in seen.ended],
        "unreadable": seen.unreadable,
    }


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 1)
