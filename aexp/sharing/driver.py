"""The rule as a merge driver, so that a plain ``git pull`` obeys it, too.

Both what it is and which files it is for stand in the clone's own ``.git``: a program that a
committed file names would have to be configured in every clone anyway. A clone that has
never synced merges line by line; ``sync`` itself does not need the driver.
"""

import shlex
import sys
from contextlib import suppress

from aexp.errors import StoreReadOnly
from aexp.files import read_bytes, write_atomic
from aexp.git import run_git
from aexp.ledger.merge import merge_bytes
from aexp.paths import Repo

_SECTION = "merge.aexp-ledger"
_ATTRIBUTES = b".aexp/ledger/*.json -text merge=aexp-ledger"


def configure(repo: Repo) -> None:
    """Tell this clone's git how to merge two versions of a ledger entry."""
    command = f"{shlex.quote(sys.executable)} -P -m aexp ledger merge-driver %O %A %B"
    wanted = {"name": "the record of a run", "driver": command}
    for key, value in wanted.items():
        name = f"{_SECTION}.{key}"
        if run_git(repo, "config", "--local", name).text != value:
            run_git(repo, "config", "--local", name, value)
    path = repo.at(run_git(repo, "rev-parse", "--git-path", "info/attributes").text)
    present = read_bytes(path) or b""
    line = run_git(repo, "rev-parse", "--show-prefix").text.encode() + _ATTRIBUTES
    if line not in present.splitlines():
        end = b"" if not present or present.endswith(b"\n") else b"\n"
        # A clone whose .git cannot be written can still be merged by line.
        with suppress(StoreReadOnly):
            write_atomic(path, present + end + line + b"\n")


def merge_files(ours: str, theirs: str) -> None:
    """Leave in the file `ours` the version that stays of two versions of an entry."""
    # git writes an empty file for a side that has none.
    kept = merge_bytes(read_bytes(ours) or None, read_bytes(theirs) or None)
    write_atomic(ours, kept or b"")
