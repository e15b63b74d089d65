"""A reproduced run beside the original: its end, and every final number."""

from typing import Any, NamedTuple

from aexp.ledger.projection import final_metrics
from aexp.model import Run
from aexp.reproduction.attempt import Recorded


class Metric(NamedTuple):
    """One final number, then and now; None where there is none."""

    name: str
    original: Any
    reproduced: Any

    @property
    def equal(self) -> bool:
        """Whether both are the same number, to the last bit."""
        if self.original is None or self.reproduced is None:
            return False
        if isinstance(self.original, bool) or isinstance(self.reproduced, bool):
            return self.original is self.reproduced
        return bool(self.original == self.reproduced)


class Comparison(NamedTuple):
    """How a reproduction compares.

    Attributes
    ----------
    original_status, reproduced_status : str
        How the two ended.
    metrics : list of Metric
        By name.
    """

    original_status: str
    reproduced_status: str
    metrics: list[Metric]

    @property
    def equal(self) -> bool:
        """Whether the end and all numbers are the same."""
        same_end = self.original_status == self.reproduced_status
        return same_end and all(metric.equal for metric in self.metrics)

    def as_data(self) -> dict[str, Any]:
        """Return the comparison for a program."""
        return {
            "equal": self.equal,
            "original_status": self.original_status,
            "reproduced_status": self.reproduced_status,
            "metrics": [{**metric._asdict(), "equal": metric.equal} for metric in self.metrics],
        }


def compare(recorded: Recorded, run: Run) -> Comparison:
    """Compare the recorded attempt with a run that has been executed again."""
    now = final_metrics(run)
    names = sorted({*recorded.metrics, *now})
    return Comparison(
        str(recorded.facts.get("status") or recorded.run.status),
        run.status,
        [Metric(name, recorded.metrics.get(name), now.get(name)) for name in names],
    )
