"""The Python of a command, when it is not the one that aexp runs in.

aexp may be installed as a tool of its own while the training code has another environment.
Nothing is executed to find that out: a command names its interpreter, directly or in the
first line of a script, and an environment tells by its folders what it has.
"""

import os
import re
import sys
from collections.abc import Mapping
from typing import Any

from aexp.environment.packages import conda_packages, installed_packages, site_folders
from aexp.environment.variables import without_home
from aexp.model import printable
from aexp.paths import Repo

_PYTHON = re.compile(r"(?:python|pypy)(?:\d+(?:\.\d+)*)?t?")
_WORDS = re.compile(r"[^\s;&|()<>\"'`]+")
_MAX_WORDS = 50
_MAX_LINKS = 10


def command_python(repo: Repo, command: str, variables: Mapping[str, str]) -> str | None:
    """Return the folder of the Python environment that a command uses, None if it is unknown."""
    words = _WORDS.findall(command)[:_MAX_WORDS]
    search = variables.get("PATH", os.defpath)
    if words[:2] == ["uv", "run"]:
        folder = variables.get("UV_PROJECT_ENVIRONMENT") or ".venv"
        found = os.path.join(repo.root, folder)
        return found if _is_environment(found) else None
    for word in words:
        if _PYTHON.fullmatch(os.path.basename(word)):
            return _environment_of(_resolve(repo, word, search))
    for word in words:
        if "=" not in word:
            return _environment_of(_script_python(repo, _resolve(repo, word, search), search))
    return None


def is_own(prefix: str) -> bool:
    """Return whether an environment is the one that this process runs in."""
    return os.path.realpath(prefix) == os.path.realpath(sys.prefix)


def describe(repo: Repo | None, prefix: str) -> dict[str, Any]:
    """Return version and packages of the Python environment at `prefix`."""
    folders = site_folders(prefix)
    packages = installed_packages(repo, folders)
    return {
        "version": _version(prefix, folders),
        "prefix": without_home(prefix),
        "packages": packages.versions,
        "sources": packages.sources,
        "conda": conda_packages(prefix),
        "told_by": "command",
    }


def describe_own(repo: Repo | None) -> dict[str, Any]:
    """Return version, place and packages of the Python that this process runs in."""
    packages = installed_packages(repo)
    return {
        "version": ".".join(map(str, sys.version_info[:3])),
        "implementation": sys.implementation.name,
        "executable": without_home(sys.executable or ""),
        "prefix": without_home(sys.prefix),
        "packages": packages.versions,
        "sources": packages.sources,
        "conda": conda_packages(sys.prefix),
    }


def _resolve(repo: Repo, word: str, search: str) -> str | None:
    if "/" in word:
        path = os.path.join(repo.root, os.path.expanduser(word))
        return path if os.path.isfile(path) else None
    for folder in search.split(os.pathsep):
        path = os.path.join(repo.root, folder, word)
        if os.path.isfile(path) and os.access(path, os.X_OK):
            return path
    return None


def _script_python(repo: Repo, path: str | None, search: str) -> str | None:
    """Return the interpreter that a script names in its first lines."""
    if path is None:
        return None
    try:
        with open(path, "rb") as file:
            head = file.read(400).decode(errors="replace")
    except OSError:
        return None
    if not head.startswith("#!"):
        return None
    first, _, second = head.partition("\n")
    # An interpreter whose path is too long for a first line is called from the second one.
    for word in _WORDS.findall(first[2:]) + _WORDS.findall(second)[:2]:
        if _PYTHON.fullmatch(os.path.basename(word)):
            return _resolve(repo, word, search)
    return None


def _environment_of(executable: str | None) -> str | None:
    """Return the environment an interpreter belongs to: its own folder's, else its target's."""
    for _ in range(_MAX_LINKS):
        if executable is None:
            return None
        prefix = os.path.dirname(os.path.dirname(os.path.abspath(executable)))
        if _is_environment(prefix):
            return prefix
        if not os.path.islink(executable):
            return None
        executable = os.path.join(os.path.dirname(executable), os.readlink(executable))
    return None


def _is_environment(prefix: str) -> bool:
    return os.path.isfile(os.path.join(prefix, "pyvenv.cfg")) or bool(site_folders(prefix))


def _version(prefix: str, folders: list[str]) -> str:
    try:
        with open(os.path.join(prefix, "pyvenv.cfg"), encoding="utf-8", errors="replace") as file:
            for line in file:
                key, _, value = line.partition("=")
                if key.strip() in ("version", "version_info"):
                    return printable(value.strip())
    except OSError:
        pass
    found = [re.search(r"/python(3[\d.]*)/", folder) for folder in folders]
    return next((match[1] for match in found if match), "")
