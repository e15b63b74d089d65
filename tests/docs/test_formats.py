"""The pages about files and errors list what the code writes and raises."""

import ast
import hashlib
import inspect
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import aexp
from aexp import errors
from aexp.ledger import projection
from aexp.model import STATUSES

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
ARCHITECTURE = (DOCS / "architecture.md").read_text()
LEDGER = (DOCS / "ledger.md").read_text()
TROUBLES = (DOCS / "troubleshooting.md").read_text()


def part(page: str, heading: str) -> str:
    """Return what stands below a heading of the second level."""
    return page.split(f"\n## {heading}\n")[1].split("\n## ")[0]


def first_cells(text: str) -> set[str]:
    """Return the names in the first column of a text's tables."""
    return {
        name
        for line in text.splitlines()
        if line.startswith("| `")
        for name in re.findall(r"`([^`]+)`", line.split(" | ")[0])
    }


def record_keys() -> Iterator[tuple[str, str]]:
    """Return the keys that the code reads from or writes to ``aexp_run``, with their module."""
    for path in sorted(ROOT.glob("aexp/**/*.py")):
        if path.name == "session.py":  # its record is the session's
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            holder: ast.expr | None = None
            key: ast.expr | None = None
            if isinstance(node, ast.Subscript):
                holder, key = node.value, node.slice
            elif (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Attribute)
                and node.func.attr in ("get", "pop", "setdefault")
                and node.args
            ):
                holder, key = node.func.value, node.args[0]
            if holder is None or not isinstance(key, ast.Constant):
                continue
            if ast.unparse(holder) in ("record", "run.record", "fresh.record", "self.record"):
                yield str(key.value), path.name


def test_every_key_of_our_record_is_listed() -> None:
    listed = first_cells(part(ARCHITECTURE, "Job document"))
    from aexp.queue.settings import SETTINGS

    used = {key for key, _ in record_keys()} | set(SETTINGS)
    assert len(used) > 20
    assert used - listed == set()


def test_what_is_really_written_is_listed(research: Any) -> None:
    """Documents of runs that have gone many ways have no key that the page does not name."""
    command = (
        "sleep 0.3; cp $AEXP_JOB_WORKSPACE/signac_job_document.json ../running-{seed};"
        " echo '{\"m\": 1}' > $AEXP_METRICS_PATH; test {seed} = 0"
    )
    research.experiment(command, "retries: 1\n")
    (research.root / "new.py").write_text("")  # a dirty tree
    options = ("--tag", "t", "--timeout", "1m", "--max-faults", "2", "--priority", "1")
    good, bad = research.add("seed=0..1", *options, "--resources", "mem_mb=1*2")
    child = research.one(
        "seed=0,x=1", "--after", bad, "--runner-hint", "shell", "--command", "true"
    )
    research.aexp("queue", "run", "--continue-on-failure", rc=None)
    research.aexp("reconcile")
    research.aexp("queue", "retry", good, bad)
    documents = [research.doc(job_id) for job_id in (good, bad, child)]
    research.aexp("run-queued", good)
    documents.append(research.doc(good))
    documents.append(json.loads((research.root.parent / "running-0").read_text()))
    assert "proc" in documents[-1]["queue"]
    listed = first_cells(part(ARCHITECTURE, "Job document"))
    for doc in documents:
        written = {*doc, *doc["queue"], *doc["aexp_run"]}
        for attempt in doc["aexp_run"].get("attempts", []):
            written |= set(attempt)
        assert written - listed == set()
    assert json.loads((research.workspace(good) / "terminal.json").read_text()).keys() == set(
        json.loads(re.search(r"```json\n(\{.*?\})\n```", ARCHITECTURE)[1])  # type: ignore[index]
    )


def test_the_claim_and_the_statuses_are_listed() -> None:
    from aexp.runs.claims import Owner

    claim = first_cells(part(ARCHITECTURE, "Sentinel, gate, claim, heartbeat"))
    assert set(Owner._fields) - claim == set()
    transitions = part(ARCHITECTURE, "Statuses and transitions")
    for status in STATUSES:
        assert f"`{status}`" in transitions


def test_the_fields_of_a_ledger_entry_are_listed() -> None:
    fields = part(LEDGER, "Fields")
    listed = first_cells(fields)
    source = inspect.getsource(projection.describe)
    written = set(re.findall(r'entry\["(\w+)"\]', source))
    written |= set(re.findall(r'^        "(\w+)":', source, re.MULTILINE))
    assert {"schema_version", "metrics", "attempts"} <= written
    assert (written | set(projection.RECORD_KEYS)) - listed == set()
    # `resumed_from` belongs to other tools of this layout; aexp passes it on.
    for key in {*projection.LINK_KEYS, *projection.TRACKER_KEYS, *projection.ATTEMPT_KEYS}:
        assert f"`{key}`" in fields or key == "resumed_from", key


def test_the_example_entry_is_a_real_one() -> None:
    text = re.search(r"```json\n(.*?)```", LEDGER, re.DOTALL)[1]  # type: ignore[index]
    entry = json.loads(text)
    assert text == json.dumps(entry, indent=2, sort_keys=True) + "\n"
    digest = hashlib.md5(json.dumps(entry["statepoint"], sort_keys=True).encode()).hexdigest()
    assert digest == entry["job_id"]
    assert f"{digest}.json" in LEDGER
    listed = first_cells(part(LEDGER, "Fields"))
    assert set(entry) - listed == set()


def test_the_check_of_the_page_finds_an_altered_entry(
    research: Any, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    code = re.search(r"^  ```python\n(.*?)^  ```", LEDGER, re.DOTALL | re.MULTILINE)[1]  # type: ignore[index]
    research.experiment("true")
    good, bad = research.add("seed=0..1")
    research.aexp("queue", "run")
    path = research.root / ".aexp" / "ledger" / f"{bad}.json"
    path.write_text(path.read_text().replace('"seed": 1', '"seed": 2'))
    monkeypatch.chdir(research.root)
    exec(inspect.cleandoc(code), {})
    said = capsys.readouterr().out
    assert bad in said
    assert good not in said


def test_every_exit_code_and_error_is_listed() -> None:
    section = part(TROUBLES, "Exit codes")
    rows = {
        int(line.split("|")[1]): line
        for line in section.splitlines()
        if re.match(r"\| \d+ \|", line)
    }
    codes = {value for name, value in vars(errors).items() if name.startswith("EXIT_")}
    assert codes <= set(rows)
    for name, kind in vars(errors).items():
        if not inspect.isclass(kind):
            continue
        if issubclass(kind, Warning):
            assert f"`{name}`" in section
        elif kind is not errors.AexpError and kind.__name__ == name:
            assert f"`{name}`" in rows[kind.exit_code], name


@pytest.mark.parametrize("page", ["queue.md", "cli.md"])
def test_the_same_exit_codes_everywhere(page: str) -> None:
    for value in {value for name, value in vars(errors).items() if name.startswith("EXIT_")}:
        assert re.search(rf"^\| {value} \|", (DOCS / page).read_text(), re.MULTILINE)


def test_every_variable_of_the_environment_is_listed() -> None:
    page = (DOCS / "queue.md").read_text() + (DOCS / "agents.md").read_text()
    for path in ROOT.glob("aexp/**/*.py"):
        for name in re.findall(r"\bAEXP_[A-Z_]+\b", path.read_text()):
            assert name in page or name == "_AEXP_COMPLETE", (path.name, name)


def test_the_version_has_one_home() -> None:
    assert re.search(r"^## \[Unreleased\]$", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert f'"{aexp.__version__}"' not in (ROOT / "pyproject.toml").read_text()


def test_contributing_names_the_make_targets() -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = set(re.findall(r"^\| `make (\w+)` \|", (ROOT / "CONTRIBUTING.md").read_text(), re.M))
    assert named == targets - {"help"}
