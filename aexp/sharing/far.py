"""A record at a remote: what is there, and how files get into it whole or not at all.

What is to be taken in is copied into a folder of this clone's below ``.aexp/.incoming`` first. A
script there then renames it into place, under a lock: a new file only where there is none, a
changed one only if what it replaces is still what was compared. What does not fit any more stays,
and is compared again. So neither a kill nor another writer leaves anything torn or older.
"""

import hashlib
import os
import socket
from collections.abc import Sequence
from tempfile import TemporaryDirectory
from typing import NamedTuple

from aexp.errors import AexpError, RemoteError
from aexp.files import parse_object
from aexp.model import printable
from aexp.paths import Repo
from aexp.remotes.machine import Machine, Said
from aexp.sharing.travel import CAMPAIGNS, ENTRIES, Item

_MIRROR = (
    "--filter=- .*",
    f"--filter=+ /{ENTRIES}/",
    f"--filter=+ /{ENTRIES}/*.json",
    f"--filter=+ /{CAMPAIGNS}/",
    f"--filter=+ /{CAMPAIGNS}/**",
    "--filter=- *",
    "--max-size=16m",
    "--modify-window=-1",  # to the nanosecond: an entry can change twice in a second
    "--delete",
    "--delete-excluded",
)
_LOOK = """
[ -d {root} ] || exit 0
cd {root} || exit 1
echo aexp:folder
for name in .aexp .aexp/ledger .aexp/campaigns .aexp/files; do
  [ ! -L $name ] || echo aexp:link $name
done
[ ! -d .aexp ] || echo aexp:record
[ ! -d .aexp/files ] || echo aexp:files
[ -d .aexp/ledger ] && [ -d .aexp/campaigns ] && [ -d .aexp/.incoming ] && echo aexp:complete
[ ! -f .aexp/installed.json ] || {{ sed 's/^/aexp:| /' .aexp/installed.json; echo; }}
exit 0
"""
_MAKE = """
set -e
{make}
cd {root}
mkdir -p .aexp/ledger .aexp/campaigns .aexp/.incoming {more}
echo aexp:made
"""
_TAKE_IN = """
cd {root}/.aexp || exit 1
exec 9>.incoming/lock || exit 1
if command -v flock >/dev/null 2>&1; then flock 9; fi
stage=.incoming/{own}
sum=sha256sum
command -v $sum >/dev/null 2>&1 || sum='shasum -a 256'
export stage sum LC_ALL=C
if [ -s $stage/new.entries ]; then
  xargs -n 100 sh -c 'cd '$stage'/new/ledger && mv -n -- "$@" ../../../../ledger/' sh \\
    < $stage/new.entries
fi
while read -r name; do
  mkdir -p "${{name%/*}}"
  mv -n -- "$stage/new/$name" "$name"
done < $stage/new.others
if [ -s $stage/changed.list ]; then
  xargs -n 200 sh -c '
    fits=$(printf "%s  %s\\n" "$@" | $sum -c 2>/dev/null | sed -n "s|^ledger/\\(.*\\): OK\\$|\\1|p")
    [ -z "$fits" ] || (cd $stage/changed/ledger && mv -f -- $fits ../../../../ledger/)' sh \\
    < $stage/changed.list
fi
(cd $stage && find new changed -type f) | sed 's/^/aexp:left /'
rm -rf -- "$stage"
echo aexp:done
"""


class Far(NamedTuple):
    """What was found at a remote.

    Attributes
    ----------
    is_there : bool
        Whether its folder exists.
    has_record : bool
        Whether there is a folder ``.aexp`` in it.
    is_complete : bool
        Whether there are all folders that a push needs.
    has_files : bool
        Whether files of runs were sent there.
    marker : dict
        Content of its ``installed.json``; empty when it is no repository that was set up.
    """

    is_there: bool
    has_record: bool
    is_complete: bool
    has_files: bool
    marker: dict[str, object]


def look(machine: Machine) -> Far:
    """Ask a remote what is there.

    Raises
    ------
    RemoteError
        If it cannot be reached, or a folder of the record there is a link.
    """
    said = machine.run(_LOOK.format(root=machine.shell_path))
    if said.code != 0:
        raise _failed(machine, said)
    for line in said.lines:
        if line.startswith("aexp:link "):
            raise RemoteError(
                f"remote {machine.name}: {printable(line[10:])} is a link there",
                "make it a folder: git does not follow it",
            )
    text = "\n".join(line[7:] for line in said.lines if line.startswith("aexp:| "))
    marker: dict[str, object] = {}
    if text:
        try:
            marker = parse_object(text.encode(errors="replace"), "installed.json")
        except AexpError:
            marker = {}
    lines = set(said.lines)
    return Far(
        is_there="aexp:folder" in lines,
        has_record="aexp:record" in lines,
        is_complete="aexp:complete" in lines,
        has_files="aexp:files" in lines,
        marker=marker,
    )


def make(machine: Machine, *, with_root: bool, with_files: bool) -> None:
    """Make the folders at a remote that are missing.

    Parameters
    ----------
    machine : Machine
        The remote.
    with_root : bool
        Also the remote's own folder; not where it may be a disk that is not mounted.
    with_files : bool
        Also the one for files of runs.
    """
    root = machine.shell_path
    script = _MAKE.format(
        root=root,
        make=f"mkdir -p {root}" if with_root else "",
        more=".aexp/files" if with_files else "",
    )
    said = machine.run(script)
    if "aexp:made" not in said.lines:
        raise _failed(machine, said)


def mirror(machine: Machine, folder: str) -> None:
    """Make a folder here equal to the record at a remote."""
    os.makedirs(folder, exist_ok=True)
    machine.copy(machine.place(".aexp"), f"{folder}/", *_MIRROR)


def take_in(repo: Repo, machine: Machine, items: Sequence[Item]) -> set[str]:
    """Bring files into the record at a remote; return the names of those that did not fit.

    Raises
    ------
    RemoteError
        If it could not be done.
    """
    own = own_id(repo)
    with TemporaryDirectory(prefix="aexp-sync-") as folder:
        lists: dict[str, list[str]] = {"new.entries": [], "new.others": [], "changed.list": []}
        for item in items:
            if item.old is not None:
                digest = hashlib.sha256(item.old).hexdigest()
                lists["changed.list"].append(f"{digest} {item.name}")
            elif item.job_id is not None:
                lists["new.entries"].append(f"{item.job_id}.json")
            else:
                lists["new.others"].append(item.name)
            kind = "new" if item.old is None else "changed"
            _write(os.path.join(folder, kind, item.name), item.data)
        for kind in ("new", "changed"):
            os.makedirs(os.path.join(folder, kind), exist_ok=True)
        for name, lines in lists.items():
            _write(os.path.join(folder, name), "".join(f"{ln}\n" for ln in lines).encode())
        # Of one that was killed there may be files: what is the same is not sent again.
        machine.copy(
            f"{folder}/", machine.place(f".aexp/.incoming/{own}"), "--checksum", "--delete"
        )
    said = machine.run(_TAKE_IN.format(root=machine.shell_path, own=own))
    if said.code != 0 or "aexp:done" not in said.lines:
        raise _failed(machine, said)
    left = [line[10:] for line in said.lines if line.startswith("aexp:left ")]
    if left and said.error and len(left) == len(items):
        raise _failed(machine, said)
    return {name.partition("/")[2] for name in left}


def own_id(repo: Repo) -> str:
    """Return what tells this clone's folder at a remote from those of others."""
    return hashlib.sha256(f"{socket.gethostname()}\0{repo.root}".encode()).hexdigest()[:16]


def _write(path: str, data: bytes) -> None:
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "xb") as file:
        file.write(data)


def _failed(machine: Machine, said: Said) -> RemoteError:
    lines = [line for line in said.error.splitlines() if line.strip()]
    what = printable(lines[-1])[:300] if lines else f"exit code {said.code}"
    return RemoteError(
        f"remote {machine.name}: {what}", f"mend that there; then: aexp remote test {machine.name}"
    )
