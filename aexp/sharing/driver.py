"""The rule as a merge driver, so that a plain ``git pull`` obeys it, too.

``.gitattributes`` (committed) names the driver, the clone's own git configuration says what
it is. A clone without that configuration merges line by line, and ``sync`` needs neither.
"""

import shlex
import sys

from aexp.files import read_bytes, write_atomic
from aexp.git import run_git
from aexp.ledger.merge import merge_bytes
from aexp.paths import Repo

_SECTION = "merge.aexp-ledger"


def configure(repo: Repo) -> None:
    """Tell this clone's git how to merge two versions of a ledger entry."""
    command = f"{shlex.quote(sys.executable)} -P -m aexp ledger merge-driver %O %A %B"
    wanted = {"name": "the record of a run", "driver": command}
    for key, value in wanted.items():
        name = f"{_SECTION}.{key}"
        if run_git(repo, "config", "--local", name).text != value:
            run_git(repo, "config", "--local", name, value)


def merge_files(ours: str, theirs: str) -> None:
    """Leave in the file `ours` the version that stays of two versions of an entry."""
    # git writes an empty file for a side that has none.
    kept = merge_bytes(read_bytes(ours) or None, read_bytes(theirs) or None)
    write_atomic(ours, kept or b"")
