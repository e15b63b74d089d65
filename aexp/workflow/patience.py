"""A session outlives a Slurm that does not answer for a while."""

import sys
from collections.abc import Awaitable, Callable
from typing import Any

_PLUGIN = "snakemake_executor_plugin_slurm"
_QUERY = "query_job_status"

States = dict[str, str]
Query = Callable[..., Awaitable[tuple[States | None, float | None]]]


def outlast_silence() -> None:
    """Make Snakemake's Slurm executor ask again when Slurm could not be asked.

    When a round of status queries fails (controller away, or accounting, to which it turns
    then), the executor forgets every job that it waits for, and Snakemake waits for ever.
    An answer that names no job makes it keep them all until the next round.
    """
    plugin = sys.modules.get(_PLUGIN)
    query: Query | None = getattr(plugin, _QUERY, None)
    if query is None or isinstance(query, _Patient):
        return
    setattr(plugin, _QUERY, _Patient(query))


class _Patient:
    def __init__(self, query: Query) -> None:
        self._query = query

    async def __call__(self, *arguments: Any, **options: Any) -> tuple[States, float]:
        states, seconds = await self._query(*arguments, **options)
        return ({} if states is None else states), seconds or 0.0
