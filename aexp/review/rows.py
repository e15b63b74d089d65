"""The runs that are judged, as the catalogue knows them."""

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from aexp.catalogue.values import flat
from aexp.model import PROVENANCE_KEYS

if TYPE_CHECKING:
    from aexp.catalogue import Catalogue

SEED = "seed"
UNKNOWN = "unknown"
# What is in a state point for another reason than to configure the run.
_NOT_CONFIGURATION = PROVENANCE_KEYS | {"experiment_path", "nonce"}


class Row(NamedTuple):
    """One run that is judged.

    Attributes
    ----------
    job_id : str
        The run.
    experiment_id : str or None
        Its experiment.
    status : str
        Its status word; ``unknown`` of a run that neither store nor ledger knows.
    params : mapping
        Its state point without provenance and nonce, nested keys with dots.
    metrics : mapping
        Its final numbers; they may be NaN or infinite.
    wallclock_s : float or None
        How long it took.
    code_dirty : bool or None
        Whether its code had uncommitted changes.
    outcome : str or None
        What its pre-registration says of the result.
    is_residual : bool or None
        Whether that is the outcome that no condition describes.
    sidecar_mode : str or None
        ``declared``, ``bypassed`` or ``none``.
    freshness : str or None
        ``fresh``, ``stale``, ...; None where it was not judged.
    ended_at : str or None
        When it ended.
    """

    job_id: str
    experiment_id: str | None = None
    status: str = UNKNOWN
    params: Mapping[str, Any] = {}
    metrics: Mapping[str, float] = {}
    wallclock_s: float | None = None
    code_dirty: bool | None = None
    outcome: str | None = None
    is_residual: bool | None = None
    sidecar_mode: str | None = None
    freshness: str | None = None
    ended_at: str | None = None

    @property
    def is_complete(self) -> bool:
        """Whether it has a result that can be compared."""
        return self.status == "complete"


_RUNS = """
SELECT job_id, experiment_id, status, statepoint, wallclock_s, code_dirty, outcome,
       outcome_residual, sidecar_mode, strftime(ended_at, '%Y-%m-%dT%H:%M:%SZ')
FROM runs WHERE job_id IN (SELECT unnest(?::VARCHAR[]))
"""
_METRICS = """
SELECT job_id, key, value FROM metrics
WHERE job_id IN (SELECT unnest(?::VARCHAR[])) ORDER BY job_id, key
"""


def read_rows(catalogue: "Catalogue", job_ids: Sequence[str]) -> list[Row]:
    """Return some runs in the order of their ids; those that nobody knows are ``unknown``."""
    wanted = sorted(set(job_ids))
    metrics: dict[str, dict[str, float]] = {}
    for job_id, key, value in catalogue.rows(_METRICS, [wanted]).rows:
        if value is not None:
            metrics.setdefault(job_id, {})[key] = value
    found = {}
    for job_id, experiment, status, point, seconds, dirty, *judged, ended in catalogue.rows(
        _RUNS, [wanted]
    ).rows:
        found[job_id] = Row(
            job_id,
            experiment,
            status,
            configuration(json.loads(point) if point else {}),
            metrics.get(job_id, {}),
            seconds,
            dirty,
            *judged,
        )._replace(ended_at=ended)
    return [found.get(job_id) or Row(job_id) for job_id in wanted]


def configuration(sp: dict[str, Any]) -> dict[str, Any]:
    """Return what a state point configures, nested objects under names with dots."""
    return dict(flat({k: v for k, v in sp.items() if k not in _NOT_CONFIGURATION}))
