"""Where a repository keeps its remotes, and whether it has any: asked by every run."""

import os

from aexp.paths import Repo


def remotes_dir(repo: Repo) -> str:
    """Return the folder of the remotes' files."""
    return repo.at(".aexp", "remotes")


def has_remotes(repo: Repo) -> bool:
    """Return whether it is worth to look for remotes at all; it costs one look at a folder."""
    return os.path.isdir(remotes_dir(repo))
