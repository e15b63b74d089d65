"""``aexp.toml``: what a repository says about itself as one project among others."""

import os
import re
from typing import Any

from aexp.errors import CorruptFile, UsageError
from aexp.files import read_bytes
from aexp.model import printable
from aexp.paths import Repo

CONFIG = "aexp.toml"
SYNC_FILTERS = ("project", "none")
_SLUG = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")
_NOT_IN_SLUG = re.compile(r"[^a-z0-9._-]+")


def read_config(repo: Repo) -> dict[str, Any]:
    """Return the content of ``aexp.toml``, empty without one.

    Raises
    ------
    CorruptFile
        If it is no TOML.
    """
    data = read_bytes(repo.at(CONFIG))
    if data is None:
        return {}
    import tomllib

    try:
        return tomllib.loads(data.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise CorruptFile(
            f"{CONFIG} cannot be read: {printable(error)}",
            'correct it; for instance: project_slug = "ripple"',
        ) from None


def configured_slug(repo: Repo) -> str | None:
    """Return the project's name if ``aexp.toml`` says one.

    Raises
    ------
    CorruptFile
        If it says something else.
    """
    value = read_config(repo).get("project_slug")
    if value is None:
        return None
    try:
        return check_slug(value)
    except UsageError as error:
        raise CorruptFile(f"{CONFIG}: {error.message}", error.hint) from None


def project_slug(repo: Repo) -> str:
    """Return the project's name: the configured one, else the repository's folder's."""
    return configured_slug(repo) or default_slug(repo.root)


def default_slug(root: str) -> str:
    """Return the name that a folder gives its project."""
    name = _NOT_IN_SLUG.sub("-", os.path.basename(os.path.abspath(root)).lower())
    return name.strip("-._")[:63] or "project"


def check_slug(value: object) -> str:
    """Return `value` if it can be a project's name.

    Raises
    ------
    UsageError
        If it cannot.
    """
    if not isinstance(value, str) or not _SLUG.fullmatch(value):
        raise UsageError(
            f"{value!r} cannot be a project_slug",
            "use small letters, digits, dots, dashes and underscores, at most 63",
        )
    return value


def sync_filter(repo: Repo) -> str:
    """Return ``project``, when only the project's own runs are synced, or ``none``.

    Raises
    ------
    CorruptFile
        If ``aexp.toml`` says something else.
    """
    value = read_config(repo).get("sync_filter", "project")
    if value not in SYNC_FILTERS:
        raise CorruptFile(
            f"{CONFIG}: sync_filter is {value!r}", f"one of: {', '.join(SYNC_FILTERS)}"
        )
    return str(value)
