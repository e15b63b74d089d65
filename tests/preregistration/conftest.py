"""A repository with a script that has a sidecar, and the command line in this process."""

import contextlib
import json
import warnings
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from aexp.cli.commands import cli
from aexp.errors import AexpError, GateError

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


class Desk:
    """The repository and its verbs."""

    def __init__(self, research: Any) -> None:
        self.research = research
        self.root: Path = research.root
        self.stderr = ""
        self.reason: dict[str, Any] = {}

    def write(self, name: str, text: str) -> Path:
        """Write a file of the repository."""
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    def cli(self, *arguments: str, rc: int = 0) -> str:
        """Run a verb; return what it printed, remarks are in `stderr`."""
        with contextlib.chdir(self.root), warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            done = CliRunner().invoke(cli, arguments)
        error, code = done.exception, done.exit_code
        self.stderr = done.stderr
        if isinstance(error, AexpError):
            code = error.exit_code
            self.stderr += f"error: {error.message}\nhint: {error.hint}\n"
            if isinstance(error, GateError):
                self.reason = error.reason
        elif error is not None and not isinstance(error, SystemExit):
            raise error
        self.stderr += "".join(f"warning: {one.message}\n" for one in caught)
        assert code == rc, (arguments, code, done.stdout, self.stderr)
        return done.stdout

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
