"""A defect costs what it concerns, and is told; everything else is checked."""

import os
from collections.abc import Iterable, Iterator

from aexp.errors import AexpError
from aexp.validation.issue import Issue


def guarded(name: str, issues: Iterable[Issue], path: str | None = None) -> Iterator[Issue]:
    """Pass issues on; where finding them breaks off, say so instead.

    Parameters
    ----------
    name : str
        The check, as messages have it.
    issues : iterable of Issue
        What it finds, worked out here.
    path : str, optional
        The file that it is about, where that is one file.
    """
    try:
        yield from issues
    except AexpError as error:
        yield Issue.of("aexp.validator_unavailable", f"{name}: {error.message}", path, check=name)
    except Exception as error:
        if os.environ.get("AEXP_DEBUG"):
            raise
        message = f"{name}: this is a defect of aexp: {type(error).__name__}: {error}"
        yield Issue.of("aexp.validator_unavailable", message, path, check=name)
