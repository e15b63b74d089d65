"""The folder that is being set up; every file that ``install`` writes goes through it."""

import os
import shlex
from collections.abc import Iterable
from typing import NamedTuple

from aexp.errors import InstallRefused
from aexp.files import file_mode, read_bytes, write_atomic
from aexp.model import printable


class InstallAction(NamedTuple):
    """One thing that ``install`` did, or would do.

    Attributes
    ----------
    kind : str
        ``copied``, ``updated``, ``merged_json``, ``merged_block``, ``merged_gitignore``,
        ``initialized_runs``, ``removed_runs``, ``wrote_marker``, ``registered``;
        ``skipped_identical``, ``unchanged``;
        ``preserved_user_modified``, ``skipped_conflict``, ``skipped_symlink``,
        ``gitignore_migration_warning``, ``not_registered``.
    path : str
        Relative to the repository.
    detail : str
        A word of explanation, where one is needed.
    """

    kind: str
    path: str
    detail: str = ""


NOTHING_DONE = frozenset({"skipped_identical", "unchanged"})
LEFT_ALONE = frozenset(
    {"preserved_user_modified", "skipped_conflict", "skipped_symlink", "not_registered"}
)


class Target:
    """A folder to write into, or only to look at.

    Parameters
    ----------
    root : str
        The folder. No file outside of it is written, whatever its symbolic links say.
    dry_run : bool, default False
        Note what would be written, and write nothing.

    Attributes
    ----------
    actions : list of InstallAction
        What has been done so far.
    """

    def __init__(self, root: str, *, dry_run: bool = False) -> None:
        self.root = os.path.abspath(root)
        self.dry_run = dry_run
        self.actions: list[InstallAction] = []
        self._real_root = os.path.realpath(self.root)

    def note(self, kind: str, name: str, detail: str = "") -> None:
        """Remember an action."""
        self.actions.append(InstallAction(kind, name, detail))

    def place(self, name: str) -> str | None:
        """Return the file that `name` really is, None when it lies outside or in ``.git``."""
        real = os.path.realpath(os.path.join(self.root, name))
        inside = os.path.relpath(real, self._real_root).split(os.sep)
        return None if inside[0] in (os.pardir, ".git") else real

    def is_ours(self, name: str) -> bool:
        """Return whether `name` may be written; note it when a link leads out of the folder."""
        if self.place(name) is not None:
            return True
        self.note("skipped_symlink", name, "a symbolic link leads out of the repository")
        return False

    def require(self, name: str) -> None:
        """Insist that `name` lies in the folder.

        Raises
        ------
        InstallRefused
            If a symbolic link leads out of it.
        """
        if self.place(name) is None:
            raise InstallRefused(
                f"{name} leads out of the repository by a symbolic link",
                f"remove the link, then call install again: rm {name}",
            )

    def require_free(self, names: Iterable[str]) -> None:
        """Insist, before anything is written, that files can lie at these names.

        Raises
        ------
        InstallRefused
            If there is something else: a folder, a file where a folder must be, a pipe.
        """
        for name in names:
            if self.place(name) is None:
                continue  # not written at all
            above = os.path.dirname(name)
            while True:
                folder = os.path.join(self.root, above) if above else self.root
                if os.path.exists(folder) and not os.path.isdir(folder):
                    raise _in_the_way(above or self.root, "not a folder")
                if not above:
                    break
                above = os.path.dirname(above)
            path = os.path.join(self.root, name)
            if os.path.isdir(path):
                raise _in_the_way(name, "a folder, not a file")
            if os.path.exists(path) and not os.path.isfile(path):
                raise _in_the_way(name, "not an ordinary file")

    def read(self, name: str) -> bytes | None:
        """Return the content of a file, None when there is none."""
        return read_bytes(os.path.join(self.root, name))

    def read_text(self, name: str) -> str:
        """Return a file as text from which its bytes can be made again; empty without one."""
        return (self.read(name) or b"").decode("utf-8", errors="surrogateescape")

    def write(self, name: str, data: bytes) -> None:
        """Write a file, through a link that stays in the folder, unless this is a dry run."""
        place = self.place(name)
        assert place is not None, f"{name} was not checked"
        if not self.dry_run:
            write_atomic(place, data)

    def keep(self, name: str) -> str:
        """Keep what a file holds under a free name beside it; return that name.

        An earlier copy stays, and so does whatever else has the name: a folder, a link.
        """
        copy, number = f"{name}.orig", 0
        while os.path.lexists(os.path.join(self.root, copy)):
            number += 1
            copy = f"{name}.orig.{number}"
        path = os.path.join(self.root, name)
        data = read_bytes(path)
        if data is not None and not self.dry_run:
            # The folder's links were followed for `name` already: this is beside it.
            write_atomic(os.path.join(self.root, copy), data, mode=file_mode(path))
        return copy

    def write_text(self, name: str, text: str) -> None:
        """Write what `read_text` has returned, edited."""
        self.write(name, text.encode("utf-8", errors="surrogateescape"))


def _in_the_way(name: str, what: str) -> InstallRefused:
    return InstallRefused(
        f"{printable(name)} is in the way: it is {what}; nothing was written",
        f"move it away: mv {printable(shlex.quote(name))} {printable(shlex.quote(name + '.mine'))}",
    )
