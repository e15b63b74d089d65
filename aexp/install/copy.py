"""Copy the scaffold's files, and leave alone what a user has changed."""

import os
from collections.abc import Iterable

from aexp.install.scaffold import FOLDERS, ScaffoldFile
from aexp.install.target import Target


def copy_files(target: Target, files: Iterable[ScaffoldFile], *, force: bool) -> None:
    """Write the files that are missing; `force` renews tooling and keeps what was there."""
    for file in files:
        if target.is_ours(file.name):
            _copy(target, file, force)


def _copy(target: Target, file: ScaffoldFile, force: bool) -> None:
    present = target.read(file.name)
    if present is None:
        target.note("copied", file.name)
        target.write(file.name, file.content)
    elif _lines(present) == _lines(file.content):
        target.note("skipped_identical", file.name)
    elif force and file.is_tooling:
        target.note("updated", file.name, f"your version is now {target.keep(file.name)}")
        target.write(file.name, file.content)
    else:
        detail = "differs from this version's; --force renews it" if file.is_tooling else ""
        target.note("preserved_user_modified", file.name, detail)


def _lines(content: bytes) -> bytes:
    """Return content with one kind of line ends: git may have changed them on checkout."""
    return content.replace(b"\r\n", b"\n")


def make_folders(target: Target, folders: Iterable[str] = FOLDERS) -> None:
    """Give git something to keep in folders that are empty; default those of the record."""
    for folder in folders:
        name = os.path.join(folder, ".gitkeep")
        try:
            is_used = bool(os.listdir(os.path.join(target.root, folder)))
        except OSError:
            is_used = False
        if not is_used and target.is_ours(name):
            target.note("copied", name)
            target.write(name, b"")
