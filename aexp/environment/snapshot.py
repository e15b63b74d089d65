"""Everything that is recorded of an attempt's environment, put together."""

import json
import os
import sys
import threading
from collections.abc import Callable, Mapping
from typing import Any

from aexp.environment import machine
from aexp.environment.code import CodeSnapshot, code_snapshot
from aexp.environment.digest import digest
from aexp.environment.gpu import read_gpus
from aexp.environment.interpreter import command_python, describe, describe_own, is_own
from aexp.environment.scrub import scrub_value
from aexp.environment.variables import select_variables
from aexp.model import section, utc_now
from aexp.paths import Repo
from aexp.version import __version__

SCHEMA = 1
_MAX_LOCK_BYTES = 64 << 20
_LOCK_FILES = (
    "uv.lock",
    "poetry.lock",
    "pdm.lock",
    "pylock.toml",
    "Pipfile.lock",
    "pixi.lock",
    "conda-lock.yml",
    "environment.yml",
    "environment.yaml",
    "requirements.txt",
    "requirements.lock",
    "renv.lock",
    "Manifest.toml",
    "Cargo.lock",
    "package-lock.json",
    "flake.lock",
)


def take_snapshot(
    repo: Repo, *, command: str | None, variables: Mapping[str, str]
) -> tuple[dict[str, Any], bytes]:
    """Return what surrounds a command now, and its uncommitted code as a patch.

    What cannot be found out is missing, with the reason under ``problems``.
    """
    problems: list[str] = []
    content: dict[str, Any] = {"schema": SCHEMA, "recorded_at": utc_now(), "aexp": __version__}
    code: dict[str, CodeSnapshot] = {}

    def part(name: str, read: Callable[[], Any], into: dict[str, Any] = content) -> None:
        try:
            into[name] = read()
        except Exception as error:
            problems.append(f"{name}: {type(error).__name__}: {error}")

    ask_git = threading.Thread(
        target=part, args=("code", lambda: code_snapshot(repo), code), daemon=True
    )
    ask_git.start()
    part("python", lambda: describe_own(repo))
    if command is not None:
        content["command"] = scrub_value(command)
        part("training_python", lambda: _other_python(repo, command, variables))
    part("locks", lambda: lock_digests(repo))
    part("platform", machine.read_platform)
    part("hardware", machine.read_hardware)
    part("gpu", lambda: read_gpus(repo))
    part("container", lambda: machine.read_container(variables))
    part("slurm", lambda: machine.read_slurm(variables))
    snakemake = section(section(content, "python"), "packages").get("snakemake")
    content["snakemake"] = {"version": snakemake} if snakemake else None
    part("selected", lambda: select_variables(variables))
    content.update(content.pop("selected", {}))
    ask_git.join()
    known = code.get("code") or CodeSnapshot(problem="the code version is not known")
    content["code"] = known.record()
    content = {key: value for key, value in content.items() if value is not None}
    if problems:
        content["problems"] = [scrub_value(problem) for problem in problems]
    return content, known.patch


def software_digest(content: Mapping[str, Any]) -> str:
    """Return ``sha256:…`` of Python, packages, lock files, system and container.

    Two attempts have the same one when they ran the same software, wherever that lay.
    """
    python = software_python(content)
    system = section(content, "platform")
    sources = section(python, "sources")
    facts = {
        "python": [python.get("version"), python.get("implementation")],
        "packages": section(python, "packages"),
        "conda": section(python, "conda"),
        "sources": {
            name: [facts.get("commit"), facts.get("editable")]
            for name, facts in sources.items()
            if isinstance(facts, dict)
        },
        "locks": section(content, "locks"),
        "platform": [system.get(key) for key in ("system", "machine", "libc", "distribution")],
        "container": section(content, "container").get("image"),
    }
    return digest(json.dumps(facts, sort_keys=True).encode())


def software_python(content: Mapping[str, Any]) -> dict[str, Any]:
    """Return the section of the Python that executed the command."""
    return section(content, "training_python") or section(content, "python")


def lock_digests(repo: Repo) -> dict[str, str]:
    """Return the digests of the lock and requirement files at the repository's top."""
    found = {}
    for name in _LOCK_FILES:
        path = repo.at(name)
        try:
            if os.path.isfile(path) and os.path.getsize(path) <= _MAX_LOCK_BYTES:
                with open(path, "rb") as file:
                    found[name] = digest(file.read())
        except OSError:
            found[name] = "unreadable"
    return found


def _other_python(repo: Repo, command: str, variables: Mapping[str, str]) -> dict[str, Any] | None:
    prefix = command_python(repo, command, variables)
    return None if prefix is None or is_own(prefix) else describe(repo, prefix)


def own_runtime() -> dict[str, str]:
    """Return what frameworks that this process has loaded say of their own libraries."""
    found = {}
    torch = sys.modules.get("torch")
    version = getattr(torch, "version", None)
    for key in ("cuda", "hip"):
        value = getattr(version, key, None)
        if isinstance(value, str):
            found[f"torch.{key}"] = value
    return found
