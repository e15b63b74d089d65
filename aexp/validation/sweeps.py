"""Which runs belong together: a sweep, its configurations, and the seeds of each.

A sweep is every run that any layer knows of one experiment, or of one tag within it. A
configuration is a state point without its seed and without the code's provenance.
"""

import json
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from aexp.model import PROVENANCE_KEYS
from aexp.validation.evidence import Evidence, Record

SEED = "seed"
_NOT_CONFIGURATION = frozenset({SEED, *PROVENANCE_KEYS})


class Place(NamedTuple):
    """Where a run stands in its sweep: its configuration and its seed, as canonical text."""

    configuration: str
    seed: str


class Sweep:
    """The runs of one experiment, or of one tag of it, by configuration and seed.

    Attributes
    ----------
    runs : dict
        Configuration to seed to the runs there; more than one where the code differed.
    """

    def __init__(self, records: Iterable[Record], places: "Places") -> None:
        self.runs: dict[str, dict[str, list[Record]]] = {}
        self._sp: dict[str, dict[str, Any]] = {}
        for record in records:
            place = places.of(record)
            seeds = self.runs.setdefault(place.configuration, {})
            seeds.setdefault(place.seed, []).append(record)
            self._sp.setdefault(place.configuration, record.sp)
        self._grid: dict[str, set[str]] | None = None
        self._of_condition: frozenset[str] = frozenset()

    def seeds(self, configuration: str) -> set[str]:
        """Return the seeds that a configuration should have: those of the whole grid.

        The grid is condition x seed: configurations that differ in nothing but the condition,
        and what the condition decides, are expected to have the same seeds. Where less than
        half of that grid is there, as with a seed drawn for each run, it is no grid.
        """
        if self._grid is None:
            self._of_condition = _decided_by_condition(self._sp.values())
            self._grid = self._grids()
        grid = self._grid.get(self._beside_condition(configuration))
        return grid if grid is not None else set(self.runs.get(configuration, ()))

    def _grids(self) -> dict[str, set[str]]:
        grids: dict[str, set[str]] = {}
        configurations: dict[str, int] = {}
        there: dict[str, int] = {}
        for one, seeds in self.runs.items():
            beside = self._beside_condition(one)
            grids.setdefault(beside, set()).update(seeds)
            configurations[beside] = configurations.get(beside, 0) + 1
            there[beside] = there.get(beside, 0) + len(seeds)
        return {
            beside: seeds
            for beside, seeds in grids.items()
            if 2 * there[beside] >= configurations[beside] * len(seeds)
        }

    def _beside_condition(self, configuration: str) -> str:
        sp = self._sp.get(configuration, {})
        if "condition" not in sp:
            return configuration
        return canonical(
            {k: v for k, v in sp.items() if k not in self._of_condition | _NOT_CONFIGURATION}
        )


class Places:
    """Configuration and seed of runs, each worked out once."""

    def __init__(self) -> None:
        self._known: dict[int, tuple[Record, Place]] = {}

    def of(self, record: Record) -> Place:
        """Return where a run stands."""
        known = self._known.get(id(record))
        if known is None:
            sp = {key: item for key, item in record.sp.items() if key not in _NOT_CONFIGURATION}
            seed = canonical(record.sp[SEED]) if SEED in record.sp else ""
            known = self._known[id(record)] = (record, Place(canonical(sp), seed))
        return known[1]


class Sweeps:
    """The sweeps of a repository, each grouped when it is first asked for."""

    def __init__(self, evidence: Evidence) -> None:
        self._evidence = evidence
        self._sweeps: dict[tuple[str, str | None], Sweep] = {}
        self._local_tags = {run.job_id: run.tag for run in evidence.runs if run.tag is not None}
        self.places = Places()

    def of(self, experiment_id: str, tag: str | None) -> Sweep:
        """Return the sweep of an experiment, or of one tag of it."""
        found = self._sweeps.get((experiment_id, tag))
        if found is None:
            records = [
                record
                for record in self._evidence.experiment(experiment_id)
                # An index knows neither seed nor configuration.
                if record.source != "index" and (tag is None or self.tag(record) == tag)
            ]
            found = self._sweeps[experiment_id, tag] = Sweep(records, self.places)
        return found

    def tag(self, record: Record) -> str | None:
        """Return a run's tag, from its entry or from this machine's store."""
        value = record.entry.get("tag")
        return value if isinstance(value, str) else self._local_tags.get(record.job_id)


def _decided_by_condition(state_points: Iterable[Mapping[str, Any]]) -> frozenset[str]:
    """Return the keys that have one value per condition, and the condition itself."""
    seen: dict[tuple[str, str], Any] = {}
    several: set[str] = set()
    keys: set[str] = set()
    for sp in state_points:
        if "condition" not in sp:
            continue
        condition = canonical(sp["condition"])
        for key, item in sp.items():
            keys.add(key)
            value = canonical(item)
            if seen.setdefault((key, condition), value) != value:
                several.add(key)
    return frozenset(keys - several)


def canonical(value: Any) -> str:
    """Return one text per JSON value."""
    return json.dumps(value, sort_keys=True, default=str)
