"""The newest runs of a long ledger, without opening each of its files."""

from typing import TYPE_CHECKING

from aexp.catalogue.filters import RunQuery, find_runs
from aexp.runs.known import RunRecord
from aexp.runs.select import RunFilter, has_values

if TYPE_CHECKING:
    from aexp.catalogue.catalogue import Catalogue


def list_runs(
    catalogue: "Catalogue", chosen: RunFilter, *, since: str | None, limit: int | None
) -> list[RunRecord]:
    """Return the matching runs, newest first, as `aexp.runs.known.find_known` finds them.

    Parameters
    ----------
    catalogue : Catalogue
        Where to look.
    chosen : RunFilter
        What they must have.
    since : str or None
        Only runs to which something happened at that moment or later.
    limit : int or None
        How many at most.
    """
    query = RunQuery(
        statuses=_one(chosen.status),
        experiments=_one(chosen.experiment_id),
        hypothesis_id=chosen.hypothesis_id,
        tags=_one(chosen.tag),
        since=since,
    )
    if not chosen.sp:
        return find_runs(catalogue, query, limit)
    # Its values are compared by rules that SQL does not know.
    return [run for run in find_runs(catalogue, query) if has_values(run.sp, chosen.sp)][:limit]


def _one(value: str | None) -> tuple[str, ...]:
    return () if value is None else (value,)
