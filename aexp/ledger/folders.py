"""Whether what is written below ``.aexp/`` stays in the repository, where git sees it."""

import os
from collections.abc import Iterator
from typing import NamedTuple

from aexp.errors import CorruptFile
from aexp.model import printable
from aexp.paths import Repo

TOP = ".aexp"
LEDGER = ".aexp/ledger"
TRACKED = (TOP, LEDGER, ".aexp/campaigns", ".aexp/runs-index")
_CACHE = ".aexp/cache"


class Linked(NamedTuple):
    """A folder of ours that is a link.

    Attributes
    ----------
    folder : str
        Relative to the repository.
    message : str
        What is wrong with that.
    mend : str
        What to do about it.
    """

    folder: str
    message: str
    mend: str


def linked_folders(repo: Repo, *folders: str) -> Iterator[Linked]:
    """Find folders that are links: git does not follow them, so nothing in them travels.

    Parameters
    ----------
    repo : Repo
        The repository.
    *folders : str
        Where to look; default everywhere. The cache, which does not travel, may be a link
        that stays in the repository.
    """
    for folder in folders or (*TRACKED, _CACHE):
        path = repo.at(folder)
        if not os.path.islink(path):
            continue
        if folder == _CACHE and _is_inside(os.path.realpath(path), os.path.realpath(repo.root)):
            continue
        message = f"{folder} is a link to {printable(os.readlink(path))}"
        message += (
            ", outside of the repository"
            if folder == _CACHE
            else ": git does not follow it, so nothing in it travels"
        )
        mend = f"make it a folder: rm {folder} && mkdir {folder}, then move its files back into it"
        yield Linked(folder, message, mend)


def check_folders(repo: Repo, *folders: str) -> None:
    """Insist that these folders are no links.

    Raises
    ------
    CorruptFile
        Naming the first that is one.
    """
    for found in linked_folders(repo, *folders):
        raise CorruptFile(found.message, found.mend)


def _is_inside(path: str, root: str) -> bool:
    return os.path.commonpath((path, root)) == root
