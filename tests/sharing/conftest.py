"""A bare remote with two clones of one research repository: a laptop and a cluster."""

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest


class Clones(NamedTuple):
    """Three real repositories."""

    remote: Path
    laptop: Any
    cluster: Any


def identify(clone: Any) -> None:
    clone.git("config", "user.name", "t")
    clone.git("config", "user.email", "t@example.org")


@pytest.fixture
def clones(research: Any, tmp_path: Path) -> Iterator[Clones]:
    remote = tmp_path / "remote.git"
    subprocess.run(["git", "init", "-q", "--bare", str(remote)], check=True)
    research.git("branch", "-M", "main")
    research.git("--git-dir", str(remote), "symbolic-ref", "HEAD", "refs/heads/main")
    research.git("remote", "add", "origin", str(remote))
    research.git("push", "-q", "-u", "origin", "main")
    research.aexp("install", "--yes", "--machine-label", "laptop")
    identify(research)
    root = tmp_path / "cluster"
    subprocess.run(["git", "clone", "-q", str(remote), str(root)], check=True)
    cluster = type(research)(root)
    cluster.aexp("install", "--yes", "--machine-label", "cluster")
    identify(cluster)
    yield Clones(remote, research, cluster)
    cluster.close()


def commit(clone: Any, message: str = "work") -> None:
    """Commit everything of a clone and push it, as a person does."""
    clone.git("add", "--all")
    clone.git("commit", "-q", "--allow-empty", "-m", message)
    clone.git("pull", "-q", "--no-rebase", "--no-edit", "origin", "main")
    clone.git("push", "-q", "origin", "main")


@pytest.fixture(name="commit")
def commit_fixture() -> Any:
    return commit
