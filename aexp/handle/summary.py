"""The numbers that a run is summarized by, as training code sets them one by one."""

from collections.abc import Iterator, Mapping, MutableMapping
from typing import Any

from aexp.errors import MetricError
from aexp.handle.place import Place
from aexp.ledger.projection import flat_numbers, nested
from aexp.model import section
from aexp.runs.series import numbers, plain

_KEY = "summary_metrics"


class Summary(MutableMapping[str, Any]):
    """``run.summary``: names and their final numbers, in the run's own record.

    Each change is one write under the run's lock: what other processes set, and heartbeats,
    are kept. Nested mappings and names with dots are the same: ``val.loss``.

    Parameters
    ----------
    place : Place
        Whose summary it is.
    """

    def __init__(self, place: Place) -> None:
        self._place = place

    def __getitem__(self, name: str) -> Any:
        return self._read()[name]

    def __setitem__(self, name: str, value: Any) -> None:
        self.update({name: value})

    def __delitem__(self, name: str) -> None:
        with self._place.edit() as run:
            known = flat_numbers(section(run.doc, _KEY))
            gone = [each for each in known if each == name or each.startswith(name + ".")]
            if not gone:
                raise KeyError(name)
            run.doc[_KEY] = nested({k: v for k, v in known.items() if k not in gone})

    def __iter__(self) -> Iterator[str]:
        return iter(self._read())

    def __len__(self) -> int:
        return len(self._read())

    def __repr__(self) -> str:
        return f"Summary({self._read()})"

    def update(self, *others: Any, **more: Any) -> None:
        """Set several numbers in one write.

        Raises
        ------
        MetricError
            If a value is no number; nothing was written.
        """
        wanted: dict[str, Any] = {}
        for other in (*others, more):
            values = plain(dict(other))
            flat = flat_numbers(values)
            _refuse_others(values)
            wanted.update(flat)
        if not wanted:
            return
        with self._place.edit() as run:
            known = flat_numbers(section(run.doc, _KEY))
            run.doc[_KEY] = nested({**known, **wanted})

    def _read(self) -> dict[str, Any]:
        from aexp.runs.store import read_run

        run = read_run(self._place.repo, self._place.job_id)
        return numbers(flat_numbers(section(run.doc, _KEY)))


def _refuse_others(values: Mapping[str, Any], prefix: str = "") -> None:
    for name, value in values.items():
        if not all(name.split(".")):
            raise MetricError(
                f"{prefix + name!r} is no name of a number", "name it like acc or val.acc"
            )
        if isinstance(value, Mapping):
            _refuse_others(value, f"{prefix}{name}.")
        elif not flat_numbers({"value": value}):
            raise MetricError(
                f"{prefix}{name} is {type(value).__name__}, not a number",
                "a summary is numbers; text and lists go into run.upload_asset(...)",
            )
