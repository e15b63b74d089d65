"""What in the surroundings may make a reproduction differ, or reach back to the original."""

import os
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote

from aexp.errors import UsageError
from aexp.git import run_git
from aexp.model import printable, section
from aexp.paths import Repo
from aexp.reproduction.worktree import is_inside

_SHOWN = 8
# Made again by the tools that made them.
_OF_TOOLS = frozenset(
    {
        "__pycache__",
        ".pytest_cache",
        ".mypy_cache",
        ".ruff_cache",
        ".ipynb_checkpoints",
        ".venv",
        "venv",
        ".DS_Store",
        ".vscode",
        ".idea",
        "build",
        "dist",
    }
)


def links_to_original(repo: Repo, command: str, python: Mapping[str, Any]) -> list[str]:
    """Return how a command may still use files of the original repository.

    Parameters
    ----------
    repo : Repo
        The original repository.
    command : str
        The command.
    python : mapping
        The Python that it would use now.
    """
    root = os.path.realpath(repo.root)
    found = []
    if any(place in command for place in {repo.root, root}):
        found.append(f"the command names files of {repo.root} by their full path")
    elsewhere = [
        path
        for path in os.environ.get("PYTHONPATH", "").split(os.pathsep)
        if path and _is_below(path, root)
    ]
    if elsewhere:
        found.append(f"PYTHONPATH leads to {printable(elsewhere[0])}, not to the worktree")
    for name in _editable_packages(root, python):
        found.append(
            f"package {name} is installed from {repo.root} in editable mode: a command that "
            "uses this environment imports the code there; in the worktree: pip install -e ."
        )
    return found


def _editable_packages(root: str, python: Mapping[str, Any]) -> list[str]:
    found = []
    for name, source in section(python, "sources").items():
        url = source.get("url")
        if not source.get("editable") or not isinstance(url, str):
            continue
        if url.startswith("file://") and _is_below(unquote(url.removeprefix("file://")), root):
            found.append(name)
    return found


def _is_below(path: str, root: str) -> bool:
    real = os.path.realpath(path)
    return real == root or real.startswith(root + os.sep)


def not_in_git(repo: Repo, command: str) -> list[str]:
    """Return what git ignores in the repository: data, for instance, that a worktree lacks."""
    done = run_git(
        repo,
        *("ls-files", "-z", "--others", "--ignored", "--exclude-standard", "--directory"),
    )
    if done.code != 0:
        return []
    ours = tuple(f"{folder}/" for folder in (repo.store, ".aexp", "kb", ".snakemake"))
    return [
        name
        for name in done.names
        if all(part not in _OF_TOOLS or part in command for part in name.split("/"))
        and not name.startswith(ours)
        and not name.endswith((".pyc", ".egg-info/", "~"))
    ]


def few(names: list[str]) -> str:
    """Return some names on one line."""
    shown = ", ".join(printable(name) for name in names[:_SHOWN])
    return shown + (f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else "")


def link_files(repo: Repo, path: str, names: tuple[str, ...]) -> None:
    """Make symbolic links in the worktree to files of the original repository.

    Raises
    ------
    UsageError
        If one does not exist there, or exists in the worktree.
    """
    for name in names:
        relative = os.path.relpath(os.path.join(repo.root, name), repo.root)
        source, target = repo.at(relative), os.path.join(path, relative)
        if relative.split(os.sep)[0] in ("..", ".", ".git") or not os.path.lexists(source):
            raise UsageError(
                f"--link {name}: the repository has no such file", "give a path relative to it"
            )
        if os.path.lexists(target) or not is_inside(os.path.dirname(target), path):
            raise UsageError(
                f"--link {name}: the worktree has it already", "only what git ignores is linked"
            )
        os.makedirs(os.path.dirname(target), exist_ok=True)
        os.symlink(source, target)
