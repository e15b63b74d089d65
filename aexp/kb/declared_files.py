"""``code:``, ``inputs:`` and ``outputs:`` of an experiment: the files that its runs declare."""

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from aexp.errors import ParameterError

KINDS = ("code", "inputs", "outputs")
_MAX_PATTERNS = 200
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


class DeclaredFiles(NamedTuple):
    """Patterns of files, relative to the repository; ``{key}`` stands for a run's value.

    Attributes
    ----------
    code : tuple of str or None
        Files that a run executes; None when nothing is said, which means the files that its
        command names.
    inputs : tuple of str
        Files that it reads.
    outputs : tuple of str
        Files that it makes.
    """

    code: tuple[str, ...] | None = None
    inputs: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()

    @property
    def is_empty(self) -> bool:
        """Whether nothing is declared."""
        return not (self.code or self.inputs or self.outputs)


def read_declared_files(meta: Mapping[str, Any]) -> DeclaredFiles:
    """Return what a mapping, such as an experiment's frontmatter, declares.

    Raises
    ------
    ParameterError
        If a value is no list of patterns that stay inside the repository.
    """
    found = {kind: _patterns(kind, meta.get(kind)) for kind in KINDS}
    return DeclaredFiles(found["code"], found["inputs"] or (), found["outputs"] or ())


def _patterns(kind: str, value: Any) -> tuple[str, ...] | None:
    if value is None:
        return None
    items = [value] if isinstance(value, str) else value
    if not isinstance(items, (list, tuple)) or len(items) > _MAX_PATTERNS:
        raise ParameterError(
            f"{kind} is not a list of patterns", f'write {kind}: ["src/**/*.py", config.yaml]'
        )
    return tuple(dict.fromkeys(check_pattern(kind, item) for item in items))


def check_pattern(kind: str, value: Any) -> str:
    """Return `value` if it is a pattern of files inside the repository.

    Raises
    ------
    ParameterError
        If it is not.
    """
    if not isinstance(value, str) or not value.strip() or len(value) > 1000:
        raise ParameterError(f"{kind}: {value!r} is not a file pattern", "write it like data/*.csv")
    parts = value.split("/")
    if _CONTROL.search(value) or value.startswith(("/", "~")) or ".." in parts or ".git" in parts:
        raise ParameterError(
            f"{kind}: {value!r} does not stay inside the repository",
            "write a path relative to the repository's top; data elsewhere: link it in, and "
            "declare the link",
        )
    return value
