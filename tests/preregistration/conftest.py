"""A repository with a script that has a sidecar, and the command line in this process."""

import json
from pathlib import Path
from typing import Any

import pytest

from aexp.errors import GateError
from tests.in_process import CommandLine

SCRIPT = """\
import json, os, sys
metrics = json.loads(sys.argv[1])
if metrics is not None:
    with open(os.environ["AEXP_METRICS_PATH"], "w") as file:
        json.dump(metrics, file)
sys.exit(3 if sys.argv[2:] == ["fail"] else 0)
"""
SIDECAR = """\
[preregistration]
question = "Does it learn?"

[metrics]
accuracy = "float"
note = "text"

[outcomes.better]
condition = "accuracy > 0.9"
decision = "adopt it"
reasoning = "beats the baseline"

[outcomes."it's \\"odd\\""]
condition = "note == 'it''s \\"odd\\"'"
decision = "ask"
reasoning = "a text decides"

[outcomes.rest]
residual = true
decision = "look again"
reasoning = "whatever else"
"""
COMMAND = "python scripts/experiments/train_model.py {json}"


class Desk(CommandLine):
    """The repository and its verbs."""

    def __init__(self, research: Any) -> None:
        self.research = research
        self.root: Path = research.root

    @property
    def reason(self) -> dict[str, Any]:
        """Why the gate has refused, for programs."""
        assert isinstance(self.error, GateError)
        return self.error.reason

    def write(self, name: str, text: str) -> Path:
        """Write a file of the repository."""
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    def add(self, *rows: Any, options: tuple[str, ...] = (), command: str = COMMAND) -> list[str]:
        """Queue one run per metrics object that its script is to write; return the ids."""
        file = self.root.parent / "rows.json"
        file.write_text(json.dumps([{"json": json.dumps(row)} for row in rows]))
        words = ("--experiment", "E001", "--sweep-file", str(file), "--command", command)
        found = json.loads(self.cli("queue", "add", *words, *options, "--json"))
        return [run["job_id"] for run in found["runs"]]

    def told(self, job_id: str) -> dict[str, Any]:
        """Return what the ledger says of a run's pre-registration."""
        entry = self.research.entry(job_id)
        names = ("status", "outcome", "outcome_residual", "sidecar_mode", "agent_mode")
        return {name: entry[name] for name in names if name in entry}


@pytest.fixture
def desk(research: Any) -> Desk:
    """A repository with a script that must have a sidecar, and has one."""
    made = Desk(research)
    made.write("scripts/experiments/train_model.py", SCRIPT)
    made.write("scripts/experiments/train_model.aexp.toml", SIDECAR)
    return made
