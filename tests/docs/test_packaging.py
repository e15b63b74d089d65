"""What a user gets from pip: the package with its workflow and templates, and nothing else."""

import os
import re
import subprocess
import sys
import zipfile
from email.parser import Parser
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SUFFIXES = {".py", ".smk", ".sh", ".yaml", ".md", ".typed"}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built without the network."""
    out = tmp_path_factory.mktemp("dist")
    words = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(out), "."]
    done = subprocess.run(words, cwd=ROOT, text=True, capture_output=True)
    assert done.returncode == 0, done.stdout + done.stderr
    (built,) = out.iterdir()
    return built


@pytest.fixture(scope="module")
def unpacked(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel's files, as pip lays them out."""
    folder = tmp_path_factory.mktemp("site")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder)
    return folder


def python(unpacked: Path, cwd: Path, *words: str) -> str:
    """Run Python where only the unpacked wheel can answer to ``import aexp``."""
    env = {**os.environ, "PYTHONPATH": str(unpacked)}
    done = subprocess.run(
        [sys.executable, *words], cwd=cwd, env=env, text=True, capture_output=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_holds_every_file_of_the_package_and_no_other(wheel: Path):
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    packaged = {name for name in names if ".dist-info/" not in name}
    source = {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "aexp").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert packaged == source
    assert {"aexp/py.typed", "aexp/workflow/Snakefile", "aexp/workflow/rules.smk"} <= packaged
    assert any(name.startswith("aexp/install/templates/") for name in packaged)
    stray = [
        name
        for name in packaged
        if Path(name).suffix not in SUFFIXES
        and Path(name).name != "Snakefile"
        and not name.startswith(("aexp/install/templates/", "aexp/preregistration/templates/"))
    ]
    assert stray == []


def test_metadata_says_what_is_needed(unpacked: Path):
    (info,) = unpacked.glob("aexp-*.dist-info")
    metadata = Parser().parsestr((info / "METADATA").read_text())
    assert metadata["Name"] == "aexp"
    assert re.fullmatch(r"\d+\.\d+\.\d+", metadata["Version"])
    assert metadata["License-Expression"] == "MIT"
    assert (info / "licenses" / "LICENSE").is_file()
    assert "aexp = aexp.cli:main" in (info / "entry_points.txt").read_text()
    needed = metadata.get_all("Requires-Dist")
    assert {re.match(r"[\w.-]+", line)[0] for line in needed if "extra ==" not in line} == {
        "snakemake",
        "snakemake-executor-plugin-slurm",
        "signac",
        "duckdb",
        "click",
        "pyyaml",
    }
    assert {"wandb", "demo", "all", "dev"} <= set(metadata.get_all("Provides-Extra"))


def test_runs_without_the_source_tree(unpacked: Path, tmp_path: Path):
    code = (
        "import aexp, aexp.workflow as w; print(aexp.__file__, w.snakefile(), w.rules(), sep='\\n')"
    )
    for line in python(unpacked, tmp_path, "-c", code).splitlines():
        assert Path(line).is_relative_to(unpacked)
        assert Path(line).is_file()
    assert "queue" in python(unpacked, tmp_path, "-m", "aexp", "--help")


def test_installs_a_repository_from_the_wheel_alone(unpacked: Path, tmp_path: Path):
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    python(unpacked, tmp_path, "-m", "aexp", "install", "--yes")
    assert (tmp_path / "workflow" / "Snakefile").is_file()
    assert (tmp_path / "profiles" / "slurm").is_dir()
    assert (tmp_path / ".runs" / ".signac" / "config").is_file()
