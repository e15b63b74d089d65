"""Make the run store: an ordinary signac 2 project."""

import os
from pathlib import Path

from aexp.files import write_atomic
from aexp.paths import Repo, check_store_path

CONFIG = b"schema_version = 2\n"


def init_run_store(repo_root: str | Path, path: str = ".runs") -> str:
    """Make an empty run store unless there is one; return its absolute path.

    The folder is a signac project of schema version 2 and can be opened with signac alone.

    Parameters
    ----------
    repo_root : str or Path
        The repository.
    path : str, default ".runs"
        Where in the repository, at any depth.
    """
    store = check_store_path(path, "the run store")
    folder = os.path.join(os.path.abspath(repo_root), store)
    config = os.path.join(folder, ".signac", "config")
    os.makedirs(os.path.join(folder, "workspace"), exist_ok=True)
    if not os.path.exists(config):
        write_atomic(config, CONFIG)
    return folder


def has_run_store(repo: Repo) -> bool:
    """Return whether the repository's run store exists."""
    return os.path.isfile(os.path.join(repo.store_dir, ".signac", "config"))
