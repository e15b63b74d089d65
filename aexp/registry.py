"""The projects that are set up on this machine, by the place of their repositories.

``projects.json`` in the user's configuration folder is written when a repository is set up,
and by nothing else. It is a list of places to look at, never a source of truth: what is
missing there is simply not looked at.
"""

import os
from typing import Any, NamedTuple

from aexp.errors import AexpError, CorruptFile
from aexp.files import locked, pretty_json, read_object, write_atomic
from aexp.model import utc_now

SCHEMA = 1
REGISTRY = os.path.join("aexp", "projects.json")


class Registered(NamedTuple):
    """One entry of the registry.

    Attributes
    ----------
    root : str
        The repository's top folder.
    registered_at : str
        When it was set up first.
    """

    root: str
    registered_at: str


def config_folder() -> str:
    """Return aexp's folder among the user's configuration."""
    base = os.environ.get("XDG_CONFIG_HOME") or ""
    if not os.path.isabs(base):  # as the specification of these folders says
        base = os.path.join(os.path.expanduser("~"), ".config")
    return os.path.join(base, "aexp")


def registry_path() -> str:
    """Return where the registry lies."""
    return os.path.join(os.path.dirname(config_folder()), REGISTRY)


def read_registry() -> list[Registered]:
    """Return the registered projects, by their places; none when nothing was ever set up.

    Raises
    ------
    CorruptFile
        If the file cannot be read.
    """
    path = registry_path()
    try:
        content = read_object(path) or {}
    except CorruptFile as error:
        raise CorruptFile(
            error.message,
            f"move {path} away, then in each project: aexp install",
        ) from None
    projects = content.get("projects", {})
    if not isinstance(projects, dict):
        raise CorruptFile(
            f"{path}: projects is no object", f"move {path} away, then in each: aexp install"
        )
    return [
        Registered(root, _text(facts, "registered_at"))
        for root, facts in sorted(projects.items())
        if os.path.isabs(root)
    ]


def is_registered(root: str) -> bool:
    """Return whether a repository is in the registry.

    Raises
    ------
    CorruptFile
        If it cannot be read.
    """
    place = os.path.realpath(root)
    return any(project.root == place for project in read_registry())


def register(root: str) -> bool:
    """Add a repository to the registry; False when it is there already.

    Raises
    ------
    AexpError
        If the registry cannot be read or written. What it holds is not touched then.
    """
    place = os.path.realpath(root)
    path = registry_path()
    try:
        if is_registered(place):
            return False
        os.makedirs(config_folder(), mode=0o700, exist_ok=True)
        with locked(path + ".lock"):
            content: dict[str, Any] = read_object(path) or {}
            projects = content.get("projects")
            if projects is None:
                projects = {}
            if not isinstance(projects, dict):
                raise CorruptFile(f"{path}: projects is no object")
            projects[place] = {"registered_at": utc_now()}
            content = {**content, "schema": SCHEMA, "projects": projects}
            write_atomic(path, pretty_json(content), mode=0o600)
    except OSError as error:
        raise AexpError(f"cannot write {path}: {error.strerror or error}") from None
    return True


def _text(facts: Any, key: str) -> str:
    value = facts.get(key) if isinstance(facts, dict) else None
    return value if isinstance(value, str) else ""
