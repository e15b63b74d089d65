"""What ``aexp install`` has set up in this clone, and the files of coding agents."""

import os
from collections.abc import Iterator

from aexp.doctor.diagnosis import Diagnosis, error, ok, warn
from aexp.errors import AexpError
from aexp.files import read_object
from aexp.install.install import MCP_FILE, SETTINGS
from aexp.install.scaffold import compute_scaffold_sha
from aexp.ledger.folders import linked_folders
from aexp.paths import Repo
from aexp.version import __version__


def marker(root: str) -> Iterator[Diagnosis]:
    """Check that this clone's settings can be read; needs no `Repo`, which reads them."""
    try:
        repo = Repo(root)
        label = repo.machine_label
    except AexpError as problem:
        mend = "aexp install --yes --force"
        if "machine label" in problem.message:
            mend += " --machine-label LABEL"
        elif "run_store_path" in problem.message or "run store" in problem.message:
            mend = "aexp install --yes --run-store .runs"
        yield error("install", problem.message, mend)
        return
    if not repo.marker:
        yield warn("install", "aexp install was never called in this clone", "aexp install --yes")
        return
    yield ok("install", f"aexp {__version__}, machine label {label}")
    if repo.marker.get("scaffold_sha", compute_scaffold_sha()) != compute_scaffold_sha():
        yield warn(
            "install",
            f"the tooling was set up by aexp {repo.marker.get('version')}, this is {__version__}",
            "aexp install --yes    (--force also renews what you have changed)",
        )


def scaffold(repo: Repo) -> Iterator[Diagnosis]:
    """Check the folders that the other verbs need."""
    for found in linked_folders(repo):
        yield error("install", found.message, found.mend)
    missing = [
        name
        for name in ("kb/research", "kb/ACTIVE.md", "kb/mission/CHALLENGE.md", "workflow/Snakefile")
        if not os.path.exists(repo.at(name))
    ]
    if missing:
        yield warn("install", f"{', '.join(missing)} missing", "aexp install --yes")


def agent_files(repo: Repo) -> Iterator[Diagnosis]:
    """Check what coding agents read, unless they are not wanted here."""
    if repo.marker.get("agents") is False:
        yield ok("agents", "no files for coding agents, as it was asked for (--no-agents)")
        return
    damaged = False
    for name in (MCP_FILE, SETTINGS):
        try:
            read_object(repo.at(name))
        except AexpError as problem:
            damaged = True
            yield error("agents", f"{name}: {problem.message.partition(' is ')[2]}", f"edit {name}")
    hooks = _commands(repo) if not damaged else []
    if any("-m aexp.hooks." in command for command in hooks):
        what = f"{SETTINGS} has hooks of an older tool, with a path of one machine"
        yield error("agents", what, "aexp install --yes")
    elif not damaged and not any(command.startswith("aexp hook ") for command in hooks):
        yield warn("agents", f"{SETTINGS} has no hooks of aexp", "aexp install --yes")
    elif hooks and not _is_on_path():
        what = "aexp is not on the PATH, so a coding agent's hooks do nothing"
        yield warn("agents", what, "activate aexp's environment before you start the agent")
    elif not damaged:
        yield ok("agents", "hooks are registered" + _server_needs())


def _commands(repo: Repo) -> list[str]:
    """Return every hook command, whatever else the settings hold."""
    settings = read_object(repo.at(SETTINGS)) or {}
    events = settings.get("hooks")
    found = []
    for groups in events.values() if isinstance(events, dict) else ():
        for group in groups if isinstance(groups, list) else ():
            commands = group.get("hooks") if isinstance(group, dict) else None
            for hook in commands if isinstance(commands, list) else ():
                if isinstance(hook, dict) and isinstance(hook.get("command"), str):
                    found.append(hook["command"])
    return found


def _server_needs() -> str:
    """Return what the MCP server lacks: no fault, where nobody uses it."""
    from importlib.util import find_spec

    return "" if find_spec("mcp") else "; the MCP server needs: pip install 'aexp[mcp]'"


def _is_on_path() -> bool:
    import shutil

    return shutil.which("aexp") is not None
