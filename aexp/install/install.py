"""``aexp install``: set a repository up, and keep what is a user's."""

import os
from pathlib import Path
from typing import Any

from aexp.errors import AexpError, InstallRefused, RepoNotFound, UsageError
from aexp.install.copy import copy_files, make_folders
from aexp.install.gitignore import NAME as IGNORE_FILE
from aexp.install.gitignore import merge_gitignore
from aexp.install.marker import new_marker, read_marker, write_marker
from aexp.install.merge_json import hooks, merge_json, server
from aexp.install.merge_markdown import is_same_file, merge_markdown
from aexp.install.old_store import remove_old_store
from aexp.install.scaffold import (
    FOLDERS,
    ScaffoldFile,
    agent_block,
    scaffold_files,
    slash_commands,
)
from aexp.install.target import InstallAction, Target
from aexp.paths import DEFAULT_STORE, MARKER, check_store_path
from aexp.registry import REGISTRY, is_registered, register
from aexp.runs.initialize import init_run_store

SETTINGS = os.path.join(".claude", "settings.json")
MCP_FILE = ".mcp.json"
# Found on the PATH: a committed file names no interpreter of one machine.
MCP_SERVER = {"command": "aexp", "args": ["mcp"]}
_EDITS = "Write|Edit|MultiEdit"


def _hook(name: str, timeout: int, matcher: str | None = None) -> dict[str, Any]:
    command = {"type": "command", "command": f"aexp hook {name}", "timeout": timeout}
    return {**({"matcher": matcher} if matcher else {}), "hooks": [command]}


HOOKS = {
    "SessionStart": [_hook("session-start", 15)],
    "PreToolUse": [_hook("chain", 10, _EDITS)],
    "PostToolUse": [_hook("write-guard", 15, _EDITS)],
    "Stop": [_hook("stop", 60)],
}


def install_scaffold(
    repo_root: str | Path,
    *,
    run_store: str | None = None,
    force: bool = False,
    dry_run: bool = False,
    machine_label: str | None = None,
    agents: bool | None = None,
) -> list[InstallAction]:
    """Set the repository at `repo_root` up; safe to call again at any time.

    Nothing that a user wrote is overwritten; `force` renews the tooling (workflow, profiles,
    what a coding agent reads) only, keeping a copy of what was changed.

    Parameters
    ----------
    repo_root : str or Path
        The repository's top folder.
    run_store : str, optional
        Where the run store lies in the repository; default what it was, or ``.runs``.
    force : bool, default False
        Renew the tooling.
    dry_run : bool, default False
        Only say what would be done.
    machine_label : str, optional
        This machine's name in ledger entries; default what it was, or the host name.
    agents : bool, optional
        Write the files of coding agents; default what was said before, or True.

    Returns
    -------
    list of InstallAction
        What was done to each file, or would be.

    Raises
    ------
    RepoNotFound
        If `repo_root` is not a git repository.
    InstallRefused
        If it is the source of aexp itself, if its store or marker are links to elsewhere, or
        if a folder is in the way of a file, or a file in the way of a folder.
    UsageError
        If the label or the store's path is unusable, or the store would move.
    """
    root = os.path.abspath(repo_root)
    _check_root(root)
    target = Target(root, dry_run=dry_run)
    target.require(MARKER)
    target.require_free([MARKER])
    previous = read_marker(root, force=force)
    store = _store(target, previous, run_store)
    if agents is None:
        agents = previous.get("agents") is not False
    marker = new_marker(previous, store, machine_label, agents)
    files = scaffold_files(agents=agents)
    target.require_free(_names(files, store, agents))
    copy_files(target, files, force=force)
    make_folders(target)
    if agents:
        _agent_files(target, force)
    merge_gitignore(target, store)
    _init_store(target, store)
    write_marker(target, previous, marker)
    remove_old_store(target, previous, store)
    _register(target)
    return target.actions


def install_slash_commands(
    folder: str | Path, *, force: bool = False, dry_run: bool = False
) -> list[InstallAction]:
    """Write the coding agent's commands alone into any folder.

    Parameters
    ----------
    folder : str or Path
        For instance ``~/.claude/commands``, which serves every repository.
    force : bool, default False
        Renew those that were changed, keeping a copy.
    dry_run : bool, default False
        Only say what would be done.
    """
    target = Target(os.path.abspath(folder), dry_run=dry_run)
    files = [ScaffoldFile(name, content, True) for name, content in slash_commands()]
    target.require_free([file.name for file in files])
    copy_files(target, files, force=force)
    return target.actions


def is_scaffold_installed(repo_root: str | Path) -> bool:
    """Return whether the repository has been set up."""
    root = os.path.abspath(repo_root)
    return os.path.isfile(os.path.join(root, MARKER)) and os.path.isdir(os.path.join(root, "kb"))


def _check_root(root: str) -> None:
    if not os.path.exists(os.path.join(root, ".git")):
        raise RepoNotFound(
            f"{root} is not a git repository", "run: git init    and then: aexp install"
        )
    if os.path.isfile(os.path.join(root, "aexp", "install", "install.py")):
        raise InstallRefused(
            f"{root} is the source of aexp itself",
            "make a repository for your research: mkdir research && cd research && git init",
        )


def _store(target: Target, previous: dict[str, Any], wanted: str | None) -> str:
    root, before = target.root, previous.get("run_store_path")
    if wanted is not None and not wanted.strip():
        raise UsageError(
            f"the run store cannot be {wanted!r}", "name a folder, for instance .runs or data/runs"
        )
    store = check_store_path(wanted or before or DEFAULT_STORE, "--run-store")
    workspace = os.path.join(root, store, "workspace")
    if os.path.exists(workspace) and not os.path.isdir(workspace):
        raise UsageError(
            f"{os.path.relpath(workspace, root)} is a file, not a folder of runs",
            "move it away, then call install again",
        )
    if target.place(store) is None and not _is_store(root, store):
        raise InstallRefused(
            f"{store} leads out of the repository by a symbolic link",
            f"if that is where runs shall lie, say so there first: (cd {store} && signac init)",
        )
    if not isinstance(before, str) or not _moves(before, store):
        return store
    old = os.path.join(root, before, "workspace")
    if os.path.isdir(old) and os.listdir(old):
        raise UsageError(
            f"the run store is {before} and holds runs; it cannot become {store} by itself",
            f"move it first: git mv {before} {store} (or mv), then call install again",
        )
    return store


def _names(files: list[ScaffoldFile], store: str, agents: bool) -> list[str]:
    """Return every file that an install may write, or look into."""
    names = [file.name for file in files]
    names += [os.path.join(folder, ".gitkeep") for folder in FOLDERS]
    names += [IGNORE_FILE, os.path.join(store, ".signac", "config")]
    return names + (["AGENTS.md", "CLAUDE.md", MCP_FILE, SETTINGS] if agents else [])


def _moves(before: str, store: str) -> bool:
    """Return whether runs may lie where the store was; never at a path that cannot be one."""
    try:
        return check_store_path(before, MARKER) != store
    except AexpError:
        return False


def _is_store(root: str, store: str) -> bool:
    return os.path.isfile(os.path.join(root, store, ".signac", "config"))


def _init_store(target: Target, store: str) -> None:
    if _is_store(target.root, store):
        return
    target.note("initialized_runs", store)
    if not target.dry_run:
        init_run_store(target.root, store)


def _register(target: Target) -> None:
    """Put the project on this machine's list; without a place for one it goes on."""
    try:
        if is_registered(target.root):
            return
        if not target.dry_run:
            register(target.root)
    except AexpError as error:
        target.note("not_registered", REGISTRY, error.message)
    else:
        target.note("registered", REGISTRY, "in your configuration folder")


def _agent_files(target: Target, force: bool) -> None:
    merge_markdown(target, "AGENTS.md", agent_block("AGENTS.md"))
    if is_same_file(target, "CLAUDE.md", "AGENTS.md"):
        target.note("skipped_identical", "CLAUDE.md")
    else:
        merge_markdown(target, "CLAUDE.md", agent_block("CLAUDE.md"))
    merge_json(target, MCP_FILE, server("aexp", MCP_SERVER), force=force)
    merge_json(target, SETTINGS, hooks(HOOKS), force=force)
