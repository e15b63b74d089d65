"""The adapter of docs/trackers.md, built and installed as the package the page describes."""

import json
import re
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest

PAGE = Path(__file__).parents[2] / "docs" / "trackers.md"


def block(language: str, word: str) -> str:
    """Return the page's code block that contains a word."""
    blocks = re.findall(rf"```{language}\n(.*?)```", PAGE.read_text(), re.DOTALL)
    (found,) = [one for one in blocks if word in one]
    return found


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the page's package as a wheel and install it; without a network."""
    source = tmp_path_factory.mktemp("labbook")
    (source / "labbook.py").write_text(block("python", "class LabBookAdapter"))
    (source / "pyproject.toml").write_text(block("toml", "labbook-for-aexp"))
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel"],
        cwd=source,
        check=True,
        capture_output=True,
    )
    (wheel,) = (source / "dist").glob("*.whl")
    site = tmp_path_factory.mktemp("site")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)
    assert (site / "labbook_for_aexp-1.0.dist-info" / "entry_points.txt").exists()
    return site


def test_the_page_s_adapter_tracks_queued_runs(research: Any, installed: Path) -> None:
    research.env["PYTHONPATH"] = str(installed)
    listed = {one["name"]: one for one in research.json("trackers", "list")}
    assert listed["labbook"]["class"] == "labbook:LabBookAdapter"
    assert listed["labbook"]["usable"]
    assert not listed["labbook"]["built_in"]
    # The contract, as the page says to check it.
    checked = research.json(
        *("trackers", "check", "labbook", "--online"),
        *("--option", f"path={research.root.parent}/try.db"),
    )
    assert checked["ok"], checked
    assert len(checked["checks"]) > 10
    # Settings that its class does not take are refused before anything is queued.
    book = research.root / "lab.db"
    wrong = f"tracker: {{backend: labbook, options: {{file: '{book}'}}}}\n"
    research.experiment("true", wrong, "E002")
    refused = research.aexp("queue", "add", "--experiment", "E002", "--sp", "a=1", rc=2)
    assert "has no option file" in refused.stderr
    assert "path" in refused.stderr
    told = json.loads(research.aexp("validate", "--kb-only", "--json", rc=1).stdout)["issues"]
    (issue,) = [one for one in told if one["code"] == "kb.tracker"]
    assert Path(issue["path"]).name == "E002-test.md"
    assert "has no option file" in issue["message"]
    del research.env["PYTHONPATH"]  # a machine without the package: that is no mistake
    told = json.loads(research.aexp("validate", "--kb-only", "--json", rc=1).stdout)["issues"]
    assert "kb.tracker_unknown" in {one["code"] for one in told if one["severity"] == "warning"}
    assert "kb.tracker" not in {one["code"] for one in told}
    research.env["PYTHONPATH"] = str(installed)
    # A run of two attempts.
    more = f"tracker: {{backend: labbook, project: ecg, options: {{path: '{book}'}}}}\n"
    (research.root / "train.sh").write_text(
        'echo "{\\"step\\": $AEXP_ATTEMPT, \\"loss\\": 0.$AEXP_ATTEMPT}" >> $AEXP_METRICS_PATH\n'
        'echo "{\\"step\\": 9$AEXP_ATTEMPT, \\"acc\\": NaN}" >> $AEXP_METRICS_PATH\n'
        "[ $AEXP_ATTEMPT = 2 ]\n"
    )
    research.experiment("sh train.sh", more)
    job = research.one("lr:=0.1", "--retries", "1")
    research.aexp("run-queued", job)
    assert research.doc(job)["tracker"] == {
        "backend": "labbook",
        "run_id": job,
        "url": None,
        "project": "ecg",
        "group": f"H001/E001/{job[:8]}",
    }
    assert research.entry(job)["tracker"]["backend"] == "labbook"
    code = (
        "import json, sys\nfrom aexp.trackers import get_adapter\n"
        f"(run,) = get_adapter('labbook', path={str(book)!r}).list_runs(project='ecg')\n"
        "print(json.dumps([run.id, run.state, run.summary, run.tags]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], env=research.env, capture_output=True, text=True, check=True
    )
    run_id, state, summary, tags = json.loads(done.stdout)
    assert (run_id, state) == (job, "finished")
    assert summary["loss"] == research.entry(job)["metrics"]["loss"] == 0.2
    assert summary["acc"] != summary["acc"]
    assert "E001" in tags


def test_a_package_that_does_not_load_costs_only_itself(research: Any, tmp_path: Path) -> None:
    info = tmp_path / "broken-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: broken\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[aexp.trackers]\nbroken = no_such_module:Adapter\nnoop = no_such_module:Noop\n"
        "function = json:dumps\n"
    )
    research.env["PYTHONPATH"] = str(tmp_path)
    listed = {one["name"]: one for one in research.json("trackers", "list")}
    assert "cannot be imported" in listed["broken"]["problem"]
    assert "no subclass" in listed["function"]["problem"]
    assert listed["noop"]["usable"]  # a name of ours stays ours
    refused = research.aexp(
        *("queue", "add", "--experiment", "E001", "--sp", "seed=1", "--tracker", "broken"), rc=1
    )
    assert "no_such_module" in refused.stderr
    assert "Traceback" not in refused.stderr
    assert research.json("queue", "list") == []


def test_a_check_that_crashes_queues_nothing(research: Any, tmp_path: Path) -> None:
    info = tmp_path / "hasty-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: hasty\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[aexp.trackers]\nhasty = hasty:Hasty\n")
    (tmp_path / "hasty.py").write_text(
        "from aexp.trackers import NoopAdapter\n"
        "class Hasty(NoopAdapter):\n"
        "    @classmethod\n"
        "    def check(cls, settings): settings['no such key']\n"
    )
    research.env["PYTHONPATH"] = str(tmp_path)
    refused = research.aexp(
        *("queue", "add", "--experiment", "E001", "--sp", "seed=1", "--tracker", "hasty"), rc=1
    )
    assert "the tracker hasty cannot check its settings: KeyError" in refused.stderr
    assert "Traceback" not in refused.stderr
    assert research.json("queue", "list") == []
