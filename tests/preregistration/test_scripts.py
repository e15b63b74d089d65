"""Folders of scripts: made by init, filled by new-experiment, judged by lint."""

import json
import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from aexp.preregistration.folders import FOLDERS, folder_of, name_fault

ROOT = Path(__file__).parents[2]


def lint(desk: Any, rc: int, *arguments: str) -> dict[str, Any]:
    return dict(json.loads(desk.cli("lint", "--json", *arguments, rc=rc)))


def codes(found: dict[str, Any]) -> set[tuple[str, str]]:
    return {(item["path"], item["code"]) for item in found["problems"]}


def test_what_is_scaffolded_is_sound_and_runs(desk: Any) -> None:
    """Executed for real: by hand, from the queue, and judged by its own sidecar."""
    shutil.rmtree(desk.root / "scripts")
    shutil.rmtree(desk.root / "kb" / "research" / "experiments")
    desk.research.git("add", "-A")
    desk.research.git("commit", "-qm", "nothing")
    desk.cli("init", "--yes")
    desk.cli("new-hypothesis", "--title", "coins are fair")
    desk.cli("new-experiment", "--script", "toss_coin", "--title", "Coin", "--hypothesis", "H001")
    desk.cli("new-experiment", "--script", "benchmarks/time_toss")
    found = lint(desk, 0)
    assert found["problems"] == []
    for name in ("experiments/toss_coin.py", "benchmarks/time_toss.py"):
        script = desk.root / "scripts" / name
        assert script.stat().st_mode & stat.S_IXUSR
        command = [sys.executable, str(script), "--seed", "3"]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        assert 0 < json.loads(done.stdout)["score"] < 1
    desk.research.git("add", "-A")
    desk.research.git("commit", "-qm", "script")
    runs = json.loads(
        desk.cli("queue", "add", "--experiment", "E001", "--sweep", "seed=0..1", "--json")
    )
    desk.research.aexp("queue", "run")
    for run in runs["runs"]:
        assert desk.told(run["job_id"]) == {
            "status": "complete",
            "sidecar_mode": "declared",
            "outcome": "at_chance",
            "outcome_residual": False,
        }
    assert lint(desk, 0)["problems"] == []


def test_new_experiment_overwrites_nothing_and_leaves_no_halves(desk: Any) -> None:
    before = desk.research.tree()
    for name in ("Train", "train", "../x_y", "a/b_c", "analysis/plot_it", "x_y.sh", "train_model",
                 "experiments/train_model.py", "slurm/run_it", "x_y\n", "é_è", ""):  # fmt: skip
        desk.cli("new-experiment", "--script", name, rc=2)
    # The page cannot be made: neither is the script.
    words = ("--title", "x", "--hypothesis", "H099")
    desk.cli("new-experiment", "--script", "fit_it", *words, rc=2)
    desk.cli("new-experiment", "--script", "fit_it", "--title", "x", rc=2)
    desk.cli("new-experiment", "--script", "fit_it", "--dry-run")
    desk.cli("new-experiment", rc=2)
    assert desk.research.tree() == before
    # A script that is there gets the sidecar that it lacks, and is not touched.
    (desk.root / "scripts/experiments/train_model.aexp.toml").unlink()
    script = (desk.root / "scripts/experiments/train_model.py").read_bytes()
    made = json.loads(desk.cli("new-experiment", "--script", "train_model", "--json"))["made"]
    assert made == ["scripts/experiments/train_model.aexp.toml"]
    assert (desk.root / "scripts/experiments/train_model.py").read_bytes() == script
    outside = desk.root.parent / "outside"
    outside.mkdir()
    (desk.root / "scripts" / "benchmarks").symlink_to(outside)
    desk.cli("new-experiment", "--script", "benchmarks/time_it", rc=2)
    assert list(outside.iterdir()) == []


def test_lint_names_file_and_line(desk: Any, tmp_path: Path) -> None:
    desk.cli("init", "--yes")
    (desk.root / "scripts/experiments/train_model.aexp.toml").unlink()
    good = {
        "experiments/fit_it.py", "analysis/plot_it.py", "slurm/train_it.slurm",
        "debug/261121_nan.py", "explore/260229_look_at_it.py", "experiments/_helper.py",
        "experiments/.hidden.py", "experiments/README.md", "data/load_it.py",
    }  # fmt: skip
    bad = {
        "experiments/Fit.py": "script.name",
        "experiments/run_it.sh": "script.name",
        "slurm/run_it.py": "script.name",
        "debug/nan_loss.py": "script.name",
        "explore/261301_month.py": "script.name",
        "other/x.py": "script.folder",
        "validation/check_it.py": "sidecar.expected",
        "benchmarks/time_it.py": "sidecar.missing",
        "experiments/train_model.py": "sidecar.missing",
        "scratch/261121_kept.py": "script.tracked",
        "analysis/orphan_it.aexp.toml": "sidecar.orphan",
        "experiments/hidden_it.py": "script.ignored",
    }
    for name in (*good, *bad):
        if name != "experiments/train_model.py":
            desk.write(f"scripts/{name}", "pass\n")
    sidecar = "[preregistration]\nquestion = 'x'\n[metrics]\na = 'float'\n[outcomes.x]\n"
    sound = "residual = true\ndecision = 'd'\nreasoning = 'r'\n"
    for name in ("fit_it", "Fit", "run_it", "hidden_it"):
        desk.write(f"scripts/experiments/{name}.aexp.toml", sidecar + sound)
    desk.write("scripts/analysis/orphan_it.aexp.toml", sidecar + sound)
    with (desk.root / ".gitignore").open("a") as file:
        file.write("hidden_it.py\n")
    desk.research.git("add", "-f", "scripts/scratch/261121_kept.py")
    found = codes(lint(desk, 1))
    assert {(path, code) for path, code in found if path.startswith("scripts/")} == {
        (f"scripts/{path}", code) for path, code in bad.items()
    }
    # Broken content, an experiment's file, the ledger: each with file and line, from anywhere.
    desk.write("scripts/experiments/fit_it.aexp.toml", sidecar + "residual = 'yes'\n")
    note = desk.research.experiment("true", "retries: -1\n")
    desk.write(".aexp/ledger/" + "0" * 32 + ".json", "{")
    desk.write(".aexp/ledger/\x1b[31m.json", "{}")
    shown = desk.cli("lint", rc=1)
    line = note.read_text().splitlines().index("retries: -1") + 1
    assert (
        "scripts/experiments/fit_it.aexp.toml:6: error sidecar.invalid: outcomes.x.resid" in shown
    )
    assert f"kb/research/experiments/E001-test.md:{line}: error kb.run_settings" in shown
    assert f".aexp/ledger/{'0' * 32}.json: error entry.unreadable" in shown
    assert "\x1b" not in shown
    assert all(": error " in row or ": warning " in row for row in shown.splitlines()[:-1])
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    before = desk.research.tree()
    done = desk.research.aexp("lint", "--project-root", str(desk.root), cwd=elsewhere, rc=1)
    assert done.stdout == shown
    assert desk.research.tree() == before  # it writes nothing
    desk.research.aexp("lint", "--project-root", str(elsewhere), cwd=elsewhere, rc=2)


def test_a_folder_above_does_not_make_rules(tmp_path: Path) -> None:
    """A repository below a folder called validation, or scripts, is judged by its own folders."""
    assert folder_of("validation/x/scripts/experiments/a.py") is None
    assert folder_of("scripts/a.py") is None
    found = folder_of("scripts/experiments/sub/a.py")
    assert found is not None
    assert found.name == "experiments"


@pytest.mark.parametrize(
    ("folder", "name", "is_good"),
    [
        ("experiments", "train_model.py", True),
        ("experiments", "train_model_2.py", True),
        ("experiments", "train.py", False),
        ("experiments", "Train_model.py", False),
        ("experiments", "train-model.py", False),
        ("experiments", "2_train.py", False),
        ("debug", "261121_x.py", True),
        ("debug", "26112_x.py", False),
        ("debug", "261132_x.py", False),
        ("scratch", "٢٦١١٢١_x.py", False),
        ("slurm", "train_model.slurm", True),
        ("slurm", "train_model.py", False),
    ],
)
def test_names(folder: str, name: str, is_good: bool) -> None:
    rules = next(item for item in FOLDERS if item.name == folder)
    assert (name_fault(rules, name) is None) is is_good


def test_init_can_be_called_again(desk: Any) -> None:
    desk.write("scripts/README.md", "mine\n")
    announced = json.loads(desk.cli("init", "--yes", "--dry-run", "--json"))
    assert not (desk.root / "aexp.toml").exists()
    did = json.loads(desk.cli("init", "--yes", "--json"))
    assert did == announced
    assert (desk.root / "aexp.toml").read_text().splitlines()[-1] == 'project_slug = "research"'
    assert (desk.root / "scripts/README.md").read_text() == "mine\n"
    for folder in FOLDERS:
        assert (desk.root / folder.path).is_dir()
        probe = f"{folder.path}/261121_probe.py"
        desk.write(probe, "pass\n")
        ignored = subprocess.run(["git", "check-ignore", "-q", probe], cwd=desk.root)
        assert (ignored.returncode == 0) is (folder.tracked is False)
        (desk.root / probe).unlink()
    # Nothing that a user wrote is overwritten; nothing is done twice.
    (desk.root / "aexp.toml").write_text('project_slug = "mine"\nsync_filter = "none"\n')
    ignore = desk.root / ".gitignore"
    ignore.write_text(ignore.read_text().replace("/scripts/data/*\n", ""))
    before = desk.research.tree()
    assert "already installed" in desk.cli("init", "--yes")
    desk.cli("init", "--yes", "--slug", "mine")
    desk.cli("install", "--yes")
    assert desk.research.tree() == before
    desk.cli("init", "--yes", "--slug", "other", rc=2)
    desk.cli("init", "--yes", "--slug", "No Slug", rc=2)
    assert desk.research.tree() == before
    shutil.rmtree(desk.root / "scripts" / "data")
    desk.write("scripts/data", "a file in the way")
    before = desk.research.tree()
    desk.cli("init", "--yes", rc=2)
    assert "in the way" in desk.stderr
    assert desk.research.tree() == before


def test_init_of_a_fresh_folder(tmp_path: Path, desk: Any) -> None:
    folder = tmp_path / "My Project é"
    folder.mkdir()
    desk.research.aexp("init", cwd=folder, rc=1)  # no git repository
    assert os.listdir(folder) == []
    subprocess.run(["git", "init", "-q"], cwd=folder, check=True)
    desk.research.aexp("init", "--no-agents", cwd=folder)
    assert 'project_slug = "my-project"' in (folder / "aexp.toml").read_text()
    desk.research.aexp("lint", cwd=folder)


def test_the_page_lists_what_there_is() -> None:
    from aexp.lint.problem import CODES
    from aexp.preregistration.meaning import TYPES

    page = (ROOT / "docs" / "preregistration.md").read_text()
    for code, (severity, _) in CODES.items():
        assert f"| `{code}` | {severity} |" in page
    for folder in FOLDERS:
        assert f"| `{folder.name}/` | {folder.purpose} | `{folder.naming}{folder.suffix}` |" in page
    for kind in TYPES:
        assert f"`{kind}`" in page
