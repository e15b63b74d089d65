"""What was registered before a run, and which outcome it has had: queued, by hand, bypassed."""

import json
import sys
from typing import Any

import pytest

from aexp.paths import Repo
from aexp.preregistration.script import ScriptFinder
from aexp.preregistration.sidecar import present_digest

PATH = "scripts/experiments/train_model.aexp.toml"


def test_outcomes_of_a_sweep(desk: Any) -> None:
    """Nulls, quotes and nested values do not matter; what has not completed has no outcome."""
    odd = {"accuracy": None, "note": 'it\'s "odd"', "nested": {"a": [1, {"b": None}]}}
    good, text, rest, none = desk.add({"accuracy": 0.95, "x": "it's"}, odd, {"accuracy": 0.5}, None)
    (failed,) = desk.add(
        {"accuracy": 0.95},
        options=("--sp", "how=fail", "--agent-mode", "autonomous"),
        command="python scripts/experiments/train_model.py {json} {how}",
    )
    done = desk.research.aexp("queue", "run", "--continue-on-failure", rc=1)
    declared = {"sidecar_mode": "declared"}
    complete = {"status": "complete", **declared, "outcome_residual": False}
    assert desk.told(good) == {**complete, "outcome": "better"}
    assert desk.told(text) == {**complete, "outcome": 'it\'s "odd"'}
    residual = {**complete, "outcome": "rest", "outcome_residual": True}
    assert desk.told(rest) == desk.told(none) == residual
    assert desk.told(failed) == {
        **declared,
        "status": "failed",
        "outcome": "none",
        "outcome_residual": False,
        "agent_mode": "autonomous",
    }
    assert "outcome better: adopt it" in done.stderr
    assert "outcome rest: look again (there is no accuracy; there is no note)" in done.stderr
    entry = desk.research.entry(good)
    assert entry["sidecar"] == PATH
    assert entry["sidecar_sha256"] == present_digest(Repo(desk.root), PATH)
    assert "sidecar_sha256" not in entry["attempts"][0]  # it had not changed
    assert json.loads(desk.cli("ledger", "verify", "--json"))["problems"] == []
    desk.cli("ledger", "backfill", "--overwrite")
    assert desk.research.entry(good) == entry  # a pure function of the document
    # Taken back: the outcome of before; queued again and executed: a new one.
    desk.cli("queue", "retry", good, rest)
    assert "verdict" not in desk.research.doc(good)["aexp_run"]
    desk.cli("queue", "remove", good, rest)
    assert desk.told(good) == {**complete, "outcome": "better"}


def test_frozen_when_queued_and_changes_are_named(desk: Any) -> None:
    first, second, third = desk.add({"accuracy": 0.8}, {"accuracy": 0.7}, {"accuracy": 0.6})
    frozen = present_digest(Repo(desk.root), PATH)
    sidecar = desk.root / PATH
    later = sidecar.read_text().replace("0.9", "0.5")
    sidecar.write_text(later)
    changed = present_digest(Repo(desk.root), PATH)
    done = desk.research.aexp("run-queued", first)
    assert f"{PATH} has changed since the run was queued" in done.stderr
    entry = desk.research.entry(first)
    assert (entry["outcome"], entry["sidecar_sha256"]) == ("rest", frozen)
    assert entry["attempts"][0]["sidecar_sha256"] == changed
    sidecar.write_text("broken [")
    done = desk.research.aexp("run-queued", second)
    assert "has changed" in done.stderr
    sidecar.unlink()
    done = desk.research.aexp("run-queued", third)
    assert f"{PATH} is gone since the run was queued" in done.stderr
    entry = desk.research.entry(third)
    assert (entry["outcome"], entry["attempts"][0]["sidecar_sha256"]) == ("rest", "missing")
    # Adding it again registers what the sidecar says now; a retry keeps what was said then.
    desk.cli("queue", "retry", first)
    assert desk.research.doc(first)["aexp_run"]["preregistration"]["sha256"] == frozen
    desk.cli("queue", "remove", first)
    sidecar.write_text(later)
    assert desk.add({"accuracy": 0.8}) == [first]
    assert desk.research.doc(first)["aexp_run"]["preregistration"]["sha256"] == changed
    desk.research.aexp("run-queued", first)
    assert desk.told(first)["outcome"] == "better"


def test_the_gate(desk: Any) -> None:
    sidecar = desk.root / PATH
    sidecar.write_text(sidecar.read_text().replace("accuracy >", "acuracy >"))
    before = desk.research.tree()
    words = ("queue", "add", "--experiment", "E001", "--sp", "json={}", "--command")
    command = "python scripts/experiments/train_model.py {json}"
    shown = json.loads(desk.cli(*words, command, "--json", "--agent-mode", "autonomous", rc=1))
    assert {key: shown[key] for key in ("gate", "gate_version", "sidecar", "agent_mode")} == {
        "gate": "sidecar_invalid",
        "gate_version": 1,
        "sidecar": PATH,
        "agent_mode": "autonomous",
    }
    assert shown["errors"][0]["key"] == "outcomes.better.condition"
    assert shown["errors"][0]["line"] == 9
    assert "did you mean accuracy" in shown["errors"][0]["message"]
    assert f"{PATH}:9" in desk.stderr
    assert "aexp lint" in desk.stderr
    sidecar.unlink()
    for line in (
        command,
        "python -m scripts.experiments.train_model {json}",
        "cd . && python ./scripts/experiments/train_model.py; true",
        "bash -lc 'exec python scripts/experiments/train_model.py'",
    ):
        desk.cli(*words, line, rc=1)
        assert desk.reason["gate"] == "sidecar_missing"
        assert desk.reason["script"] == "scripts/experiments/train_model.py"
        assert "aexp new-experiment --script train_model" in desk.stderr
        assert "--no-sidecar" in desk.stderr
    json.dumps(desk.reason)
    desk.cli(*words, command, "--agent-mode", "weird", rc=2)
    after = desk.research.tree()
    assert {name for name in after if name not in before} == set()  # no half-written state
    # Bypassed: allowed, and counted.
    (job_id,) = desk.add({"accuracy": 1}, options=("--no-sidecar",))
    desk.research.aexp("run-queued", job_id)
    assert desk.told(job_id) == {"status": "complete", "sidecar_mode": "bypassed"}
    # No sidecar, no agent mode: nothing is said, and nothing was looked for.
    plain = desk.research.one("seed=3")
    assert "preregistration" not in desk.research.doc(plain)["aexp_run"]


def test_which_script_it_is(desk: Any) -> None:
    """The folders count at the top of the repository only, whatever others are called."""
    script = "pass"
    for name in (
        "src/validation/deep/experiments/run_it.py",
        "scripts/experiments/_helper.py",
        "scripts/experiments/_lib/part.py",
        "scripts/experiments/sub/train_it.py",
        "scripts/validation/check_it.py",
        "scripts/analysis/plot_it.py",
        "scripts/experiments/config.yaml",
        "elsewhere/fit_it.py",
    ):
        desk.write(name, script)
    desk.write("elsewhere/fit_it.aexp.toml", (desk.root / PATH).read_text())
    finder = ScriptFinder(Repo(desk.root))

    def found(command: str) -> str | None:
        script = finder.of_command(command)
        return script.path if script is not None else None

    assert found("python src/validation/deep/experiments/run_it.py") is None
    assert (
        found("python scripts/experiments/_helper.py --x scripts/experiments/config.yaml") is None
    )
    assert found("python scripts/experiments/_lib/part.py") is None
    assert (
        found("python scripts/experiments/sub/train_it.py") == "scripts/experiments/sub/train_it.py"
    )
    assert found("python scripts/analysis/plot_it.py elsewhere/fit_it.py") == "elsewhere/fit_it.py"
    assert found(f"python {desk.root}/elsewhere/fit_it.py") == "elsewhere/fit_it.py"
    assert found("python 'elsewhere/fit_it.py' \"open") == None  # noqa: E711
    assert found("cat /etc/passwd ../x \0 ''") is None
    assert found("python elsewhere/fit_it.aexp.toml") is None
    words = ("queue", "add", "--experiment", "E001", "--sp", "seed=1", "--dry-run", "--command")
    desk.cli(*words, "python scripts/validation/check_it.py")
    assert "warning: scripts/validation/check_it.py has no sidecar" in desk.stderr
    desk.cli(*words, "python elsewhere/fit_it.py")
    desk.write("elsewhere/fit_it.aexp.toml", "x = 3")
    desk.cli(*words, "python elsewhere/fit_it.py")
    assert "elsewhere/fit_it.aexp.toml cannot be understood and does not count" in desk.stderr


NOTE = """preregistration:
  question: Does it learn?
  metrics: {accuracy: float}
  outcomes:
    better: {condition: accuracy > 0.9, decision: adopt it, reasoning: it beats the baseline}
    rest: {residual: true, decision: look again, reasoning: whatever else}
"""


def test_an_experiment_can_say_it_itself(desk: Any) -> None:
    note = desk.research.experiment("echo '{\"accuracy\": 0.'{seed}'}' > $AEXP_METRICS_PATH", NOTE)
    good = desk.research.one("seed=95")
    note.write_text(note.read_text() + "\nProgress: queued.\n")  # no change of what was registered
    done = desk.research.aexp("run-queued", good)
    assert "has changed" not in done.stderr
    entry = desk.research.entry(good)
    assert entry["outcome"] == "better"
    assert entry["sidecar"] == "kb/research/experiments/E001-test.md"
    note.write_text(note.read_text().replace("accuracy > 0.9", "acc > 0.9"))
    desk.cli("queue", "add", "--experiment", "E001", "--sp", "seed=1", rc=1)
    assert desk.reason["gate"] == "sidecar_invalid"
    shown = desk.cli("validate", "--kb-only", rc=1)
    lines = note.read_text().splitlines()
    line = next(at for at, text in enumerate(lines, 1) if "acc > 0.9" in text)
    assert f"kb.preregistration [kb/research/experiments/E001-test.md:{line}]" in shown


BY_HAND = """\
import os
import sys
import aexp
with aexp.start("E001", {"accuracy": sys.argv[1]}, again=True, **eval(sys.argv[2])) as run:
    if sys.argv[1] == "bad":
        raise ValueError("on purpose")
    if os.path.exists("stop"):
        sys.exit(9)
    run.log({"accuracy": float(sys.argv[1]), "note": "x"})
"""


def by_hand(desk: Any, accuracy: str, options: str = "{}", rc: int = 0) -> str:
    import subprocess

    command = [sys.executable, "scripts/experiments/train_model.py", accuracy, options]
    done = subprocess.run(
        command, cwd=desk.root, env=desk.research.env, capture_output=True, text=True
    )
    assert done.returncode == rc, done.stderr
    return done.stderr


def test_runs_by_hand(desk: Any) -> None:
    desk.write("scripts/experiments/train_model.py", BY_HAND)
    assert "outcome better: adopt it" in by_hand(desk, "0.95")
    by_hand(desk, "bad", rc=1)
    by_hand(desk, "0.3", "{'sidecar': False, 'agent_mode': 'collaborative'}")
    entries = {
        json.loads(path.read_text())["statepoint"]["accuracy"]: path.stem
        for path in (desk.root / ".aexp" / "ledger").glob("*.json")
    }
    assert desk.told(entries["0.95"])["outcome"] == "better"
    assert desk.told(entries["bad"])["outcome"] == "none"
    assert desk.told(entries["0.3"]) == {
        "status": "complete",
        "sidecar_mode": "bypassed",
        "agent_mode": "collaborative",
    }
    # One that was interrupted goes on with what held when it began.
    sidecar = desk.root / PATH
    written = sidecar.read_text()
    (desk.root / "stop").touch()
    by_hand(desk, "0.7", rc=9)
    (desk.root / "stop").unlink()
    sidecar.write_text(written.replace("0.9", "0.6"))
    assert "has changed" in by_hand(desk, "0.7")
    (run,) = {path.stem for path in (desk.root / ".aexp" / "ledger").glob("*.json")} - {
        *entries.values()
    }
    assert desk.told(run)["outcome"] == "rest"
    sidecar.write_text(written)
    # Executed again it is registered again; without a sidecar it does not begin.
    sidecar.write_text(sidecar.read_text().replace("0.9", "0.99"))
    by_hand(desk, "0.95")
    assert desk.told(entries["0.95"])["outcome"] == "rest"
    sidecar.unlink()
    before = desk.research.doc(entries["0.95"])
    said = by_hand(desk, "0.95", rc=1)
    assert "GateError" in said
    assert "sidecar=False" in said
    assert desk.research.doc(entries["0.95"]) == before


def test_ends_that_nobody_has_judged(desk: Any) -> None:
    """A run that marks itself complete is judged all the same; one given up has no outcome."""
    mark = "import aexp; aexp.mark_status(aexp.open_run('{job_id}'), 'complete')"
    marked = desk.add(
        {"accuracy": 0.95},
        command=f'python scripts/experiments/train_model.py {{json}} && python -c "{mark}"',
    )[0]
    given_up, by_person = desk.add({"accuracy": 0.1}, {"accuracy": 0.2})
    desk.research.aexp("run-queued", marked)
    assert desk.told(marked)["outcome"] == "better"
    desk.cli("queue", "remove", given_up)
    assert desk.told(given_up)["outcome"] == "none"
    import aexp

    aexp.mark_status(aexp.open_run(by_person, repo_root=desk.root), "complete")
    assert desk.told(by_person)["outcome"] == "unknown"


def test_the_judge_never_trusts_a_document() -> None:
    from aexp.preregistration.judge import judge_values

    for broken in ({}, {"outcomes": 3}, {"outcomes": [3, {}, {"label": "a", "condition": "(("}]}):
        assert judge_values(broken, {"x": 1}).outcome == "unknown"
    both = {"outcomes": [{"label": "r", "residual": True}, {"label": "a", "condition": "x > 0"}]}
    assert judge_values(both, {"x": 1})[:2] == ("a", False)
    assert judge_values(both, {"x": 0})[:2] == ("r", True)
    assert judge_values(both, {"x": "\x1b[31m"}).notes == ["x is text"]


@pytest.mark.parametrize("metrics", ['{"accuracy": 0.5}\n{"accuracy": 0.95, "note": "x"}\n', "{"])
def test_metrics_files_of_lines_and_broken_ones(desk: Any, metrics: str) -> None:
    desk.write("out", metrics)
    (job_id,) = desk.add(
        {}, command=": scripts/experiments/train_model.py {json}; cp out $AEXP_METRICS_PATH"
    )
    desk.research.aexp("run-queued", job_id)
    assert desk.told(job_id)["outcome"] == ("rest" if metrics == "{" else "better")
