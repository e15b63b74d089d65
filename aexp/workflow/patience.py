"""A session outlives a Slurm that does not answer, and jobs that Slurm says no more about."""

import sys
import time
from collections.abc import Awaitable, Callable
from typing import Any

_PLUGIN = "snakemake_executor_plugin_slurm"
_QUERY = "query_job_status"
# A state that a requeue passes through, or a job missing from one answer, is not yet the end.
SETTLED_S = 30.0
_PREEMPTED = "PREEMPTED"
_ENDED = frozenset(
    {
        "BOOT_FAIL",
        "CANCELLED",
        "COMPLETED",
        "DEADLINE",
        "FAILED",
        "NODE_FAIL",
        "OUT_OF_MEMORY",
        "TIMEOUT",
    }
)

States = dict[str, str]
Query = Callable[..., Awaitable[tuple[States | None, float | None]]]


def outlast_silence() -> None:
    """Make Snakemake's Slurm executor neither forget its jobs nor wait for ever.

    - A round of status queries that fails (controller away, or accounting, to which it turns
      then) makes the executor forget every job. An answer that names no job keeps them all.
    - A job that Slurm has forgotten (``MinJobAge``) would be waited for without end. It has
      ended, so it is called completed: its outputs say whether it was.
    - So would a job that was preempted and not requeued. It is called cancelled.
    """
    plugin = sys.modules.get(_PLUGIN)
    query: Query | None = getattr(plugin, _QUERY, None)
    if query is None or isinstance(query, Patient):
        return
    setattr(plugin, _QUERY, Patient(query))


class Patient:
    """The executor's status query, with an end to what would have none.

    Parameters
    ----------
    query : callable
        The plugin's own.
    clock : callable, optional
        Monotonic seconds.
    """

    def __init__(self, query: Query, clock: Callable[[], float] = time.monotonic) -> None:
        self._query = query
        self._clock = clock
        self._alive: set[str] = set()
        self._doubtful_since: dict[str, float] = {}

    async def __call__(self, *arguments: Any, **options: Any) -> tuple[States, float]:
        """Ask Slurm for the states of the session's jobs."""
        states, seconds = await self._query(*arguments, **options)
        if states is None:
            return {}, seconds or 0.0
        return self._settle(states), seconds or 0.0

    def _settle(self, states: States) -> States:
        now = self._clock()
        preempted = {job for job, state in states.items() if state == _PREEMPTED}
        forgotten = self._alive - states.keys()
        self._doubtful_since = {
            job: self._doubtful_since.get(job, now) for job in preempted | forgotten
        }
        self._alive |= states.keys()
        self._alive -= {job for job, state in states.items() if state in _ENDED}
        settled = dict(states)
        for job, since in self._doubtful_since.items():
            if now - since >= SETTLED_S:
                settled[job] = "CANCELLED" if job in preempted else "COMPLETED"
        return settled
