"""The runbook for several machines is executed, and its files are what CI systems expect."""

import re
from collections.abc import Callable
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "machines.md"


def shown(name: str) -> object:
    """Return the content of a file that the page shows."""
    pattern = rf"^```yaml file={re.escape(name)}\n(.*?)^```$"
    (text,) = re.findall(pattern, PAGE.read_text(), re.MULTILINE | re.DOTALL)
    return yaml.safe_load(text)


def test_every_command_of_the_runbook_prints_what_it_says(replay: Callable[[Path], int]) -> None:
    assert replay(PAGE) >= 18


def test_its_workflow_uses_the_action_that_is_here() -> None:
    workflow = shown(".github/workflows/record.yml")
    assert isinstance(workflow, dict)
    (job,) = workflow["jobs"].values()
    step = job["steps"][-1]
    folder = step["uses"].removeprefix("OWNER/aexp/").partition("@")[0]
    action = yaml.safe_load((ROOT / folder / "action.yml").read_text())
    assert set(step["with"]) <= set(action["inputs"])


def test_its_hook_is_the_one_that_is_published() -> None:
    config = shown(".pre-commit-config.yaml")
    assert isinstance(config, dict)
    (repo,) = config["repos"]
    (local,) = repo["hooks"]
    (published,) = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text())
    for key in ("id", "name", "entry", "pass_filenames", "always_run"):
        assert local[key] == published[key]
