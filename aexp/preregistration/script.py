"""Which script of the repository a command executes, and where its sidecar lies."""

import os
import re
import stat
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from aexp.paths import Repo
from aexp.preregistration.folders import ScriptFolder, folder_of, is_script

SUFFIX = ".aexp.toml"
_OPTION_C = re.compile(r"-[a-z]*c")
_SHELL = frozenset("'\"\\`$;&|<>(){}\n")


class Script(NamedTuple):
    """A script of the repository.

    Attributes
    ----------
    path : str
        Relative to the repository, with forward slashes.
    has_sidecar : bool
        Whether there is a sidecar beside it.
    """

    path: str
    has_sidecar: bool

    @property
    def sidecar(self) -> str:
        """Where its sidecar lies, or would."""
        return sidecar_path(self.path)

    @property
    def folder(self) -> ScriptFolder | None:
        """The folder of scripts whose rules hold for it."""
        return folder_of(self.path)

    @property
    def needs_sidecar(self) -> bool:
        """Whether it must not be executed without a sidecar."""
        folder = self.folder
        return folder is not None and folder.sidecar == "required"

    @property
    def expects_sidecar(self) -> bool:
        """Whether it should have a sidecar."""
        folder = self.folder
        return folder is not None and folder.sidecar is not None


def sidecar_path(script: str) -> str:
    """Return the path of a script's sidecar: ``train_model.py`` has ``train_model.aexp.toml``."""
    return os.path.splitext(script)[0] + SUFFIX


class ScriptFinder:
    """Finds the script of one command after another; each file is looked at once.

    Parameters
    ----------
    repo : Repo
        The repository; commands start in its top folder.
    """

    def __init__(self, repo: Repo) -> None:
        self._repo = repo
        self._root = os.path.realpath(repo.root)
        self._known: dict[str, Script | None] = {}

    def of_command(self, command: str) -> Script | None:
        """Return the script that a shell command executes (see `of_arguments`)."""
        return self.of_arguments(_words(command))

    def of_arguments(self, arguments: Sequence[str]) -> Script | None:
        """Return the first argument that is a script of the repository with a sidecar.

        A script that must have one counts without one, too. Else it is the first that should.
        """
        first: Script | None = None
        for word in _paths(arguments):
            found = self.of_path(word)
            if found is None:
                continue
            if found.has_sidecar or found.needs_sidecar:
                return found
            if first is None and found.expects_sidecar:
                first = found
        return first

    def of_path(self, path: str) -> Script | None:
        """Return the script at a path relative to the repository, or a full one; None for none."""
        if path not in self._known:
            self._known[path] = self._look(path)
        return self._known[path]

    def _look(self, path: str) -> Script | None:
        if not path or len(path) > 4000 or "\0" in path or path.endswith(SUFFIX):
            return None
        full = os.path.join(self._repo.root, path)
        if not _is_file(full):
            return None
        for name in (full, os.path.realpath(full)):
            folder = os.path.realpath(os.path.dirname(name))
            relative = os.path.relpath(os.path.join(folder, os.path.basename(name)), self._root)
            if relative.split(os.sep)[0] == os.pardir:
                continue
            own = relative.replace(os.sep, "/")
            found = Script(own, os.path.lexists(os.path.join(self._root, sidecar_path(own))))
            if found.has_sidecar or (found.expects_sidecar and is_script(full)):
                return found
        return None


def _is_file(path: str) -> bool:
    try:
        return stat.S_ISREG(os.stat(path).st_mode)
    except (OSError, ValueError):
        return False


def _paths(arguments: Sequence[str]) -> Iterator[str]:
    before = ""
    for word in arguments:
        if before == "-m":
            yield word.replace(".", "/") + ".py"
            yield word.replace(".", "/") + "/__main__.py"
        elif _OPTION_C.fullmatch(before) and any(c.isspace() for c in word):  # bash -lc "..."
            yield from _paths(_words(word))
        before = word
        yield word


def _words(command: str) -> list[str]:
    if _SHELL.isdisjoint(command):
        return command.split()
    import shlex

    lexer = shlex.shlex(command, posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    lexer.commenters = ""
    try:
        return list(lexer)
    except ValueError:  # an open quotation mark: the shell will say so
        return command.split()
