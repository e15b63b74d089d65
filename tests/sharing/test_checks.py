"""The GitHub Action and the pre-commit hook: their own commands, executed in a real clone."""

import os
import re
import shlex
import subprocess
import sys
import sysconfig
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
ACTION = ROOT / ".github" / "actions" / "validate"
BROKEN = """---
id: "F001"
type: finding
hypothesis: "H001"
experiment: "E001"
created: "2026-01-01"
supporting_runs:
  - {type: job, id: ffffffffffffffffffffffffffffffff}
---
# F001
"""


def action() -> dict[str, Any]:
    return dict(yaml.safe_load((ACTION / "action.yml").read_text()))


def steps() -> dict[str, dict[str, Any]]:
    return {step["name"]: step for step in action()["runs"]["steps"]}


def environment(clone: Any, programs: Path = Path(sys.executable).parent) -> dict[str, str]:
    env = {**clone.env, "GITHUB_ACTION_PATH": str(ACTION)}
    env["PATH"] = os.pathsep.join([str(programs), env["PATH"]])
    return env


def run_step(clone: Any, step: dict[str, Any], env: dict[str, str], **inputs: str) -> Any:
    """Run a step as the runner does: expressions of `env` filled in, then bash."""

    def fill(text: str) -> str:
        return re.sub(r"\$\{\{ inputs\.([\w-]+) \}\}", lambda m: inputs[m[1]], text)

    assert "${{" not in step["run"], "an input in the text of a script is a script of its author"
    extra = {name: fill(text) for name, text in step.get("env", {}).items()}
    assert step["shell"] == "bash"
    return subprocess.run(
        ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", step["run"]],
        cwd=clone.root, env={**env, **extra}, capture_output=True, text=True, timeout=600,
    )  # fmt: skip


@pytest.fixture
def clone(research: Any, tmp_path: Path) -> Any:
    """What CI checks out: a clone with the ledger, no store of its own."""
    research.aexp("run-queued", research.one("condition=full,seed=0", "--no-commit"))
    research.git("add", ".aexp/ledger", "kb")
    research.git("commit", "-qm", "results")
    root = tmp_path / "checkout"
    subprocess.run(["git", "clone", "-q", str(research.root), str(root)], check=True)
    made = type(research)(root)
    assert not (root / ".runs" / "workspace").exists()
    return made


def cite_nothing(clone: Any) -> None:
    folder = clone.root / "kb" / "research" / "findings"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "F001-broken.md").write_text(BROKEN)


def test_the_action_is_a_composite_one_whose_inputs_have_defaults() -> None:
    described = action()
    assert described["runs"]["using"] == "composite"
    assert {"name", "description", "inputs"} <= set(described)
    assert all("default" in given for given in described["inputs"].values())


@pytest.mark.slow
def test_the_action_installs_the_aexp_it_came_with(clone: Any, tmp_path: Path) -> None:
    home = tmp_path / "python"
    subprocess.run([sys.executable, "-m", "venv", str(home)], check=True)
    # What aexp needs is taken from here; what is tested is which aexp comes.
    (site,) = home.glob("lib/python*/site-packages")
    (site / "needs.pth").write_text(sysconfig.get_path("purelib") + "\n")
    env = environment(clone, home / "bin")
    quiet = {**env, "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    done = run_step(clone, steps()["Install aexp"], quiet)
    assert done.returncode == 0, done.stdout + done.stderr
    where = [str(home / "bin" / "python"), "-P", "-c", "import aexp; print(aexp.__file__)"]
    found = subprocess.run(where, env=env, capture_output=True, text=True, check=True).stdout
    assert Path(found.strip()).is_relative_to(home)
    done = run_step(clone, steps()["Check the ledger"], env)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 entries" in done.stdout


def test_its_checks_pass_and_fail(clone: Any) -> None:
    check, default = steps()["Check the research record"], action()["inputs"]["strict-runs"]
    (clone.root / "kb" / "research" / "experiments" / "E001-test.md").unlink()
    given = {"strict-runs": default["default"]}
    done = run_step(clone, check, environment(clone), **given)
    assert done.returncode in (0, 1), done.stdout + done.stderr
    cite_nothing(clone)
    done = run_step(clone, check, environment(clone), **given)
    assert done.returncode == 1
    assert "finding.broken_run_citation" in done.stdout
    done = run_step(clone, check, environment(clone), **{"strict-runs": "$(touch pwned)"})
    assert done.returncode == 2
    assert not (clone.root / "pwned").exists()
    (path,) = (clone.root / ".aexp" / "ledger").glob("*.json")
    path.write_text("{")
    done = run_step(clone, steps()["Check the ledger"], environment(clone))
    assert done.returncode == 1
    assert "entry.unreadable" in done.stdout


def test_the_hook_stops_a_commit_of_a_broken_citation(clone: Any) -> None:
    (hook,) = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text())
    assert hook["id"] == "aexp-validate"
    assert hook["language"] == "python"
    assert hook["pass_filenames"] is False
    assert hook["always_run"] is True, "deleted files are not among those that `files` is asked of"
    assert not {"files", "types", "exclude"} & set(hook)
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert hook["additional_dependencies"] == extras["optional-dependencies"]["stats"]
    assert "[stats]" in steps()["Install aexp"]["run"]
    shown = (ROOT / "docs" / "machines.md").read_text()
    (snippet,) = re.findall(r"```yaml file=.pre-commit-config.yaml\n(.*?)```", shown, re.DOTALL)
    (documented,) = yaml.safe_load(snippet)["repos"][0]["hooks"]
    for key in ("id", "entry", "pass_filenames", "always_run"):
        assert documented[key] == hook[key]
    assert "files" not in documented
    path = clone.root / ".git" / "hooks" / "pre-commit"
    path.write_text("#!/bin/sh\nexec " + shlex.join(shlex.split(hook["entry"])) + "\n")
    path.chmod(0o755)
    cite_nothing(clone)
    clone.git("add", "--all")
    words = ["git", "-c", "user.name=t", "-c", "user.email=t@example.org", "commit", "-m", "x"]
    done = subprocess.run(
        words, cwd=clone.root, env=environment(clone), capture_output=True, text=True
    )
    assert done.returncode != 0
    assert "finding.broken_run_citation" in done.stdout + done.stderr
    assert "F001-broken.md" in done.stdout + done.stderr
