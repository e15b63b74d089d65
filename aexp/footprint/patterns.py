"""From the patterns that an experiment declares to the files that are there."""

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from aexp import paths
from aexp.errors import ParameterError
from aexp.kb.declared_files import check_pattern
from aexp.paths import Repo

MAX_FILES = 100_000
_PLACEHOLDER = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]*)\}")
_MAGIC = re.compile(r"[*?[]")
_NEVER = frozenset({"__pycache__", ".git"})
# Of a run's folder: what aexp itself keeps there is no file that a run makes.
_OWN = frozenset(
    {
        paths.STATEPOINT,
        paths.DOCUMENT,
        paths.SENTINEL,
        paths.GATE,
        paths.CLAIM,
        paths.HEARTBEAT,
        paths.METRICS,
        paths.SERIES,
        paths.PROGRESS,
        paths.OUTCOME,
        paths.ENVIRONMENT,
        paths.TRACKER,
        paths.CODE_PATCH,
        "logs",
    }
)


class TooManyFiles(ParameterError):
    """Patterns match more files than can be looked at one by one."""


def render(repo: Repo, patterns: Iterable[str], sp: Mapping[str, Any], job_id: str) -> list[str]:
    """Return patterns with a run's values in them.

    ``{key}`` is a value of the state point, in which ``*``, ``?`` and ``[`` mean themselves;
    ``{job_id}`` the run's id, ``{workspace}`` its folder. Other braces stay.

    Raises
    ------
    ParameterError
        If a pattern leaves the repository with these values.
    """
    own = {"job_id": job_id, "workspace": repo.relative(repo.run_dir(job_id))}

    def value(match: re.Match[str]) -> str:
        name = match[1]
        if name in own:
            return own[name]
        if name not in sp:
            return match[0]
        try:
            return _escape(str(sp[name]))
        except ValueError as error:  # an int of thousands of digits
            raise ParameterError(f"the value of {name!r} cannot be written: {error}") from None

    return [check_pattern("a pattern", _PLACEHOLDER.sub(value, item)) for item in patterns]


def _escape(text: str) -> str:
    return _MAGIC.sub(lambda match: f"[{match[0]}]", text)


def expand(repo: Repo, patterns: Iterable[str]) -> list[str]:
    """Return the files that match, relative to the repository, sorted.

    A folder stands for all files below it. Hidden files, and the run store, match only what
    names them.

    Raises
    ------
    TooManyFiles
        If there are more than `MAX_FILES`.
    """
    found: set[str] = set()
    for pattern in patterns:
        for path in _matches(repo, pattern):
            found.add(path)
            if len(found) > MAX_FILES:
                raise TooManyFiles(
                    f"{pattern} matches more than {MAX_FILES} files", "declare a narrower pattern"
                )
    return sorted(found)


def _matches(repo: Repo, pattern: str) -> Iterator[str]:
    normal = os.path.normpath(pattern)
    if not _MAGIC.search(normal):
        yield from _files_at(repo, normal, set())
        return
    from glob import iglob

    walked: set[str] = set()
    for name in iglob(normal, root_dir=repo.root, recursive=True):
        path = os.path.normpath(name)
        if not _is_of_store(repo, path) or _is_of_store(repo, normal):
            yield from _files_at(repo, path, walked)


def _files_at(repo: Repo, path: str, walked: set[str]) -> Iterator[str]:
    full = repo.at(path)
    parts = path.split(os.sep)
    if _NEVER.intersection(parts) or path.endswith(".pyc"):
        return
    if os.path.isfile(full):
        if _is_text(path):
            yield path
        return
    if not os.path.isdir(full) or any(
        path == done or path.startswith(done + os.sep) for done in walked
    ):
        return
    walked.add(path)
    for folder, folders, names in os.walk(full):
        relative = os.path.normpath(os.path.join(path, os.path.relpath(folder, full)))
        is_run = os.path.dirname(folder) == repo.workspace
        skip = _OWN if is_run else frozenset()
        folders[:] = sorted(n for n in folders if n[0] != "." and n not in _NEVER | skip)
        if not _is_of_store(repo, path):
            folders[:] = [n for n in folders if os.path.join(relative, n) != repo.store]
        for name in sorted(names):
            kept = os.path.normpath(os.path.join(relative, name))
            is_ours = name[0] == "." or name in skip or name.endswith(".pyc")
            if not is_ours and _is_text(kept) and os.path.isfile(os.path.join(folder, name)):
                yield kept


def _is_of_store(repo: Repo, path: str) -> bool:
    return path == repo.store or path.startswith(repo.store + os.sep)


def _is_text(path: str) -> bool:
    """Return whether a name can be kept: JSON has no bytes."""
    return path.isprintable()
