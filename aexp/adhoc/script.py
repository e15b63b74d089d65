"""A hand-written batch script that has sourced the helper of ``aexp env shell``."""

import os
import shlex
from collections.abc import Sequence
from typing import NamedTuple

from aexp.errors import AexpError
from aexp.git import run_git
from aexp.paths import Repo, find_root

UNRECORDED = "AEXP_UNRECORDED"
OPTIONS = "AEXP_EXEC_OPTIONS"
_MAX_BYTES = 1 << 20
_MAX_CANDIDATES = 2000
_ENDINGS = ("*.sh", "*.slurm", "*.sbatch", "*.bash", "*.job")


class Script(NamedTuple):
    """The script, as it was started.

    Attributes
    ----------
    path : str
        The file that the shell reads. Slurm reads a copy of its own.
    shell : str
        The shell that has sourced the helper.
    arguments : tuple of str
        The script's own arguments.
    started : str or None
        The words that it was started with, the shell's first, each on a line, where the
        system tells them.
    """

    path: str
    shell: str
    arguments: tuple[str, ...] = ()
    started: str | None = None

    def argv(self) -> list[str]:
        """Return the command that starts the script again, from its first line."""
        return [*self._interpreter(), self.path, *self.arguments]

    def shown(self, repo: Repo) -> list[str]:
        """Return the command as it is recorded: with the script's name in the repository."""
        shell = self._interpreter()
        shell[0] = os.path.basename(shell[0])
        return [*shell, self._name(repo), *self.arguments]

    def _interpreter(self) -> list[str]:
        """Return the shell with the options that the script was started with."""
        shell = self.shell or "/bin/sh"
        words = (self.started or "").split("\n")
        if self.path in words[1:]:
            return [shell, *words[1 : words.index(self.path, 1)]]
        # Else those that its first line gives it.
        try:
            with open(self.path, "rb") as file:
                first = file.readline(1000).decode("utf-8", "replace")
            words = shlex.split(first[2:]) if first.startswith("#!") else []
        except (OSError, ValueError):
            words = []
        if words and os.path.basename(words[0]) == "env":
            words = words[1:]
        if words and os.path.basename(words[0]) == os.path.basename(shell):
            return [shell, *words[1:]]
        return [shell]

    def _name(self, repo: Repo) -> str:
        """Return the script's path from the present folder, also where Slurm reads a copy."""
        inside = _inside(repo, self.path)
        if inside is None:
            inside = self._of_copy(repo)
        if inside is None:
            return os.path.basename(self.path)
        return os.path.relpath(os.path.join(os.path.realpath(repo.root), inside), _here(repo))

    def _of_copy(self, repo: Repo) -> str | None:
        """Return the file of the repository that has the same content."""
        try:
            if os.path.getsize(self.path) > _MAX_BYTES:
                return None
            with open(self.path, "rb") as file:
                content = file.read()
            listed = run_git(
                repo,
                "ls-files",
                "-z",
                "--cached",
                "--others",
                "--exclude-standard",
                "--",
                *_ENDINGS,
            )
        except (OSError, AexpError):
            return None
        for name in listed.names[:_MAX_CANDIDATES] if listed.code == 0 else []:
            path = repo.at(name)
            try:
                if os.path.getsize(path) != len(content):
                    continue
                with open(path, "rb") as file:
                    if file.read() == content:
                        return name
            except OSError:
                continue
        return None


def repo_of_script(beside: str | None) -> Repo:
    """Return the repository around the present folder, else the one that the helper lies in.

    Raises
    ------
    RepoNotFound, NotInstalled
        If neither is one that has been set up.
    """
    try:
        return Repo.installed()
    except AexpError:
        if not beside:
            raise
        return Repo(find_root(os.path.dirname(os.path.abspath(beside)))).require_store()


def go_on_unrecorded(argv: Sequence[str]) -> None:
    """Become the script, which the helper then leaves alone; returns only if that fails."""
    os.environ[UNRECORDED] = os.environ.get("SLURM_JOB_ID") or "none"
    os.execvp(argv[0], list(argv))


def _inside(repo: Repo, path: str) -> str | None:
    relative = os.path.relpath(os.path.realpath(path), os.path.realpath(repo.root))
    return None if relative.split(os.sep)[0] == os.pardir else relative


def _here(repo: Repo) -> str:
    here = os.path.realpath(os.getcwd())
    return here if _inside(repo, here) is not None else os.path.realpath(repo.root)
