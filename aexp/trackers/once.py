"""Which numbers of a later attempt are new: each step of a metric reaches the tracker once."""

from collections.abc import Mapping
from typing import Any

from aexp.runs.series import Row

_MAX_NAMES = 500  # told apart; the others count as one
_OTHERS = ""


class Once:
    """Remembers how far each metric was logged by the attempts before.

    An attempt that begins again logs steps a second time: those are left out. What an attempt
    before has not logged of a step, because it was killed in between, passes.

    Parameters
    ----------
    attempt : int
        The attempt of the last row.
    names : dict, optional
        For each metric the highest step of earlier attempts and that of this one.
    floor : int
        No step up to this one passes: the tracker itself says that it has them.
    """

    def __init__(
        self, attempt: int = 0, names: dict[str, list[int]] | None = None, floor: int = -1
    ) -> None:
        self.attempt = attempt
        self.names = {} if names is None else names
        self.floor = floor

    def new_of(self, row: Row, metrics: Mapping[str, Any]) -> dict[str, Any]:
        """Return those of a row's metrics that earlier attempts have not logged at its step."""
        if row.attempt > self.attempt:
            self.attempt = row.attempt
            for steps in self.names.values():
                steps[0] = max(steps)
        if row.step is None:
            return dict(metrics)
        if row.step <= self.floor:
            return {}
        new = {}
        for name, value in metrics.items():
            is_known = name in self.names or len(self.names) < _MAX_NAMES
            steps = self.names.setdefault(name if is_known else _OTHERS, [-1, -1])
            if row.step > steps[0]:
                steps[1] = max(steps[1], row.step)
                new[name] = value
        return new
