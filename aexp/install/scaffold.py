"""What a repository gets: every file, with its content, in one list."""

import hashlib
import os
from typing import NamedTuple

_HERE = os.path.dirname(os.path.abspath(__file__))
_PACKAGE = os.path.dirname(_HERE)
TEMPLATES = os.path.join(_HERE, "templates")
AGENT_FILES = os.path.join(_HERE, "agent_files")
ARTIFACT_TEMPLATES = os.path.join(_PACKAGE, "kb", "templates")
COMMANDS_FOLDER = os.path.join(".claude", "commands")

# Folders of the record that git should keep although they are empty.
FOLDERS = (
    "kb/reports",
    "kb/research/data",
    "kb/research/experiments",
    "kb/research/findings",
    "kb/research/hypotheses",
    "kb/research/literature",
    "kb/research/threads",
)


class ScaffoldFile(NamedTuple):
    """One file of the scaffold.

    Attributes
    ----------
    name : str
        Relative to the repository.
    content : bytes
        What is written.
    is_tooling : bool
        Whether ``--force`` renews it; the record is never renewed.
    """

    name: str
    content: bytes
    is_tooling: bool


def scaffold_files(*, agents: bool = True) -> list[ScaffoldFile]:
    """Return the files that are copied as they are, sorted by name."""
    files = [
        ScaffoldFile(name, content, not name.startswith("kb" + os.sep))
        for name, content in _tree(TEMPLATES)
    ]
    files += [
        ScaffoldFile(os.path.join("templates", name), content, False)
        for name, content in _tree(ARTIFACT_TEMPLATES)
        if name.endswith(".md")
    ]
    if agents:
        files += [
            ScaffoldFile(os.path.join(COMMANDS_FOLDER, name), content, True)
            for name, content in slash_commands()
        ]
    return sorted(files)


def slash_commands() -> list[tuple[str, bytes]]:
    """Return the coding agent's commands: file name and content."""
    return _tree(os.path.join(AGENT_FILES, "commands"))


def agent_block(name: str) -> str:
    """Return our block of ``AGENTS.md`` or ``CLAUDE.md``, without its markers."""
    with open(os.path.join(AGENT_FILES, name), encoding="utf-8") as file:
        return file.read()


def compute_scaffold_sha() -> str:
    """Return the SHA-256 of this version's scaffold: name, NUL, content, NUL of each file."""
    digest = hashlib.sha256()
    files = [(file.name, file.content) for file in scaffold_files()]
    files += [(name, agent_block(name).encode()) for name in ("AGENTS.md", "CLAUDE.md")]
    for name, content in sorted(files):
        digest.update(name.encode() + b"\0" + content + b"\0")
    return digest.hexdigest()


def _tree(folder: str) -> list[tuple[str, bytes]]:
    found = []
    for place, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if name != "__pycache__"]
        for name in names:
            path = os.path.join(place, name)
            if name.endswith((".py", ".pyc")):
                continue
            with open(path, "rb") as file:
                found.append((os.path.relpath(path, folder), file.read()))
    return sorted(found)
