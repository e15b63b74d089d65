"""The JSON that a coding agent gives its hooks on standard input, and what they answer."""

import json
import os
from typing import Any, NamedTuple

from aexp.errors import AexpError
from aexp.paths import Repo, find_root

_MAX_BYTES = 32_000_000


class Answer(NamedTuple):
    """What a hook says.

    Attributes
    ----------
    blocks : bool
        Whether the agent may not go on as it wanted.
    text : str
        For a block the reason, which the agent reads; else what it shall know.
    """

    blocks: bool = False
    text: str = ""


class BadPayload(ValueError):
    """Standard input does not hold what a coding agent sends."""


class Payload:
    """One call of a hook.

    Parameters
    ----------
    content : dict
        The JSON object that came on standard input.
    """

    def __init__(self, content: dict[str, Any]) -> None:
        self._content = content
        given = content.get("tool_input")
        self.tool_input: dict[str, Any] = given if isinstance(given, dict) else {}

    @classmethod
    def parse(cls, data: bytes) -> "Payload":
        """Read standard input; nothing at all is a call by hand."""
        if not data.strip():
            return cls({})
        if len(data) > _MAX_BYTES:
            raise BadPayload(f"over {_MAX_BYTES // 1_000_000} MB on standard input")
        try:
            content = json.loads(data)
        except (ValueError, RecursionError) as error:
            raise BadPayload(f"standard input is not JSON: {error}") from None
        if not isinstance(content, dict):
            raise BadPayload("standard input is not a JSON object")
        return cls(content)

    @property
    def is_second_stop(self) -> bool:
        """Whether the agent goes on only because a stop hook has held it already."""
        return self._content.get("stop_hook_active") is True

    @property
    def file_path(self) -> str | None:
        """The file that a tool writes, absolute."""
        value = self.tool_input.get("file_path")
        if not isinstance(value, str) or not value or "\0" in value:
            return None
        return os.path.normpath(os.path.join(self._folders()[0], value))

    def _folders(self) -> list[str]:
        """Return where the agent may be, the likeliest first."""
        places = (self._content.get("cwd"), os.environ.get("CLAUDE_PROJECT_DIR"), os.getcwd())
        found = [
            place for place in places if isinstance(place, str) and place and "\0" not in place
        ]
        return [place for place in found if os.path.isabs(place)] or [os.getcwd()]

    def repo(self) -> Repo | None:
        """Return the research repository that this call is about, None when there is none.

        Looked for around the file that is written, the agent's folder, its project and the
        current folder, whichever lies in a repository with a record. A file decides alone:
        what lies in another repository, or in none, is no business of this one.
        """
        path = self.file_path
        for place in [os.path.dirname(path)] if path else []:
            root = _record_around(place)
            if root is not None:
                return Repo(root)
        for place in self._folders():
            root = _record_around(place)
            if root is not None and (path is None or relative(root, path) is not None):
                return Repo(root)
        return None


def relative(root: str, path: str) -> str | None:
    """Return a file relative to a folder, links followed; None when it lies outside."""
    real = os.path.relpath(os.path.realpath(path), os.path.realpath(root))
    return None if real.split(os.sep)[0] == os.pardir else real


def _record_around(place: str) -> str | None:
    """Return the nearest repository around a folder that has a record."""
    while True:
        try:
            root = find_root(place)
        except AexpError:
            return None
        if os.path.isdir(os.path.join(root, "kb", "research")):
            return root
        place = os.path.dirname(root)  # a submodule, for instance
