"""A run that trains for 60 steps, and what an uninterrupted one has logged."""

import json
import random
import sys
from pathlib import Path
from typing import Any

import pytest

TRAINER = Path(__file__).parent / "trainer.py"
STEPS = 60


def expected(seed: int) -> dict[int, float]:
    """Return the loss curve of a run that nobody interrupts."""
    random.seed(seed)
    weight, curve = 1.0, {}
    for step in range(1, STEPS + 1):
        weight += random.gauss(0.0, 0.1) * weight
        curve[step] = weight
    return curve


class Training:
    """Runs of the trainer in a research repository."""

    def __init__(self, research: Any) -> None:
        self.research = research
        self.script = TRAINER
        research.experiment(f"{sys.executable} {TRAINER} {{pauses}}")

    def add(self, pauses: str, seed: int = 0, *more: str) -> str:
        """Queue a run that waits to be asked to end after these steps."""
        sp = f"condition=full,seed={seed},pauses={pauses}"
        arguments = ("queue", "add", "--experiment", "E001", "--sp", sp, *more)
        return str(self.research.json(*arguments)["runs"][0]["job_id"])

    def paused(self, job_id: str, attempt: int) -> bool:
        """Return whether an attempt waits."""
        return (self.research.workspace(job_id) / f"paused-{attempt}").exists()

    def attempts(self, job_id: str) -> list[dict[str, Any]]:
        """Return the recorded attempts."""
        return list(self.research.doc(job_id)["aexp_run"]["attempts"])

    def rows(self, job_id: str) -> list[dict[str, Any]]:
        """Return what was logged."""
        text = (self.research.workspace(job_id) / "series.jsonl").read_text()
        return [json.loads(line) for line in text.splitlines()]

    def check(self, job_id: str, begins: list[int], seed: int = 0) -> None:
        """Insist on a complete run, on where its attempts began, and on its loss curve."""
        doc, entry = self.research.doc(job_id), self.research.entry(job_id)
        assert doc["status"] == entry["status"] == "complete", doc
        rows = self.rows(job_id)
        curve = expected(seed)
        assert all(row["metrics"]["loss"] == curve[row["step"]] for row in rows)
        assert {row["step"] for row in rows} == set(curve)
        first = {row["attempt"]: row["step"] for row in reversed(rows)}
        assert [first[number] for number in sorted(first)] == begins
        recorded = self.attempts(job_id)
        assert len(recorded) == len(begins)
        ids = {
            json.loads(path.read_text())["step"]: json.loads(path.read_text())["id"]
            for path in self.research.workspace(job_id).glob("checkpoints/step-*/manifest.json")
        }
        for attempt, shown, begin in zip(recorded, entry["attempts"], begins, strict=True):
            wanted = ids[begin - 1] if begin > 1 else None
            assert attempt.get("resumed_from") == shown.get("resumed_from") == wanted
        assert not {"failures", "faults"} & set(doc["aexp_run"])
        assert entry["metrics"]["loss"] == curve[STEPS]


@pytest.fixture
def training(research: Any) -> Training:
    """A repository whose one experiment is the trainer."""
    return Training(research)
