"""Files of runs between machines: those that are asked for, as copies beside the store.

The store of a machine holds what that machine has executed. What comes from another one lies in
``.aexp/files/<machine>/<job_id>/``, here as at a remote, and so never mixes with it.
"""

import os
import re
import stat
from collections.abc import Iterable, Iterator, Sequence
from fnmatch import fnmatchcase
from tempfile import TemporaryDirectory
from typing import NamedTuple

from aexp.errors import AexpError, UsageError
from aexp.model import JOB_ID, check_machine_label
from aexp.paths import CHECKPOINTS, CLAIM, HEARTBEAT, INCOMING, Repo, check_store_path
from aexp.remotes.machine import Machine
from aexp.runs.store import run_ids
from aexp.sharing.far import Far

FILES = "files"
_SENT = re.compile(r"[<>]f\S* (\d+) ")
_OF_A_MOMENT = frozenset({CLAIM, HEARTBEAT})
_LIST = """
cd {root} || exit 1
if cd -- {workspace} 2>/dev/null; then
  find . -type f | sed 's|^\\./|aexp:own |'
fi
cd {root} || exit 1
if cd .aexp/files 2>/dev/null; then
  find . -type f | sed 's|^\\./|aexp:other |'
fi
echo aexp:done
"""


class Moved(NamedTuple):
    """What files have come to.

    Attributes
    ----------
    number : int
        How many were new or changed.
    size : int
        Their bytes.
    """

    number: int = 0
    size: int = 0


def check_patterns(patterns: Iterable[str]) -> tuple[str, ...]:
    """Return patterns for names of files, relative to a run's folder.

    Raises
    ------
    UsageError
        If one can match nothing there.
    """
    found = []
    for text in patterns:
        pattern = text.removeprefix("./").rstrip("/")
        if not pattern or pattern.startswith("/") or ".." in pattern.split("/"):
            raise UsageError(
                f"{text!r} matches no file of a run",
                "name files or folders in a run's folder: logs, environment, 'metrics*.json', "
                "checkpoints",
            )
        found.append(pattern)
    return tuple(found)


def is_chosen(name: str, patterns: Sequence[str]) -> bool:
    """Return whether a file, relative to its run's folder, is asked for.

    Checkpoints are only by a pattern that begins with their folder; what is of a moment, being
    written, or a database that is in use, never is.
    """
    parts = name.split("/")
    if any(part.startswith(".") or part in ("", "..") for part in parts):
        return False
    if parts[0] in _OF_A_MOMENT or ".sqlite" in parts[-1] or not name.isprintable():
        return False
    in_checkpoints = parts[0] == CHECKPOINTS
    if in_checkpoints and parts[1:2] == [INCOMING]:
        return False
    return any(
        (fnmatchcase(name, pattern) or name.startswith(f"{pattern}/"))
        and (not in_checkpoints or pattern.split("/")[0] == CHECKPOINTS)
        for pattern in patterns
    )


def push_files(
    repo: Repo,
    machine: Machine,
    far: Far,
    patterns: Sequence[str],
    foreign: set[str],
    *,
    dry_run: bool,
) -> Moved:
    """Send files of this store's runs that a remote lacks or has older."""
    label = repo.machine_label
    names = []
    for job_id in sorted(set(run_ids(repo)) - foreign):
        inner = _files_of(repo.run_dir(job_id))
        names += [f"{job_id}/{name}" for name in inner if is_chosen(name, patterns)]
    if not names:
        return Moved()
    if dry_run and not far.has_files:
        sizes = (os.stat(os.path.join(repo.workspace, name)).st_size for name in names)
        return Moved(len(names), sum(sizes))
    target = machine.place(f".aexp/{FILES}/{label}")
    return _copy(machine, f"{repo.workspace}/", target, names, dry_run=dry_run)


def pull_files(
    repo: Repo,
    machine: Machine,
    far: Far,
    patterns: Sequence[str],
    foreign: set[str],
    *,
    dry_run: bool,
) -> Moved:
    """Get files of a remote's runs, and of those that others have sent there."""
    store, label = _marker(far, machine.name)
    workspace = f"{store}/workspace"
    said = machine.run(_LIST.format(root=machine.shell_path, workspace=f"'{workspace}'"))
    own, other = [], []
    for line in said.lines:
        kind, _, name = line.partition(" ")
        if kind == "aexp:own" and _is_wanted(name, patterns, foreign):
            own.append(name)
        elif kind == "aexp:other":
            whose, _, inner = name.partition("/")
            is_away = _is_label(whose) and whose != repo.machine_label
            if is_away and _is_wanted(inner, patterns, foreign):
                other.append(name)
    with TemporaryDirectory(prefix="aexp-sync-") as nowhere:
        folder = nowhere if dry_run else repo.at(".aexp", FILES)
        moved = Moved()
        for source, target, names in (
            (workspace, os.path.join(folder, label), own),
            (f".aexp/{FILES}", folder, other),
        ):
            if names:
                there = os.path.join(repo.at(".aexp", FILES), os.path.relpath(target, folder))
                target = there if dry_run and os.path.isdir(there) else target
                os.makedirs(target, exist_ok=True)
                new = _copy(machine, machine.place(source), f"{target}/", names, dry_run=dry_run)
                moved = Moved(moved.number + new.number, moved.size + new.size)
        return moved


def _copy(
    machine: Machine, source: str, target: str, names: Sequence[str], *, dry_run: bool
) -> Moved:
    # A copy by way of a third machine may be older than one that came directly.
    options = ["--update", *(["--dry-run"] if dry_run else [])]
    sizes = [
        int(found[1])
        for line in machine.copy(source, target, *options, names=names)
        if (found := _SENT.match(line))
    ]
    return Moved(len(sizes), sum(sizes))


def _is_wanted(name: str, patterns: Sequence[str], foreign: set[str]) -> bool:
    job_id, _, inner = name.partition("/")
    is_run = JOB_ID.fullmatch(job_id) is not None and job_id not in foreign
    return is_run and is_chosen(inner, patterns)


def _files_of(folder: str) -> Iterator[str]:
    """Return the plain files below a run's folder; no link is followed."""
    for place, folders, names in os.walk(folder):
        folders.sort()
        for name in sorted(names):
            path = os.path.join(place, name)
            try:
                if stat.S_ISREG(os.lstat(path).st_mode):
                    yield os.path.relpath(path, folder)
            except OSError:
                continue


def _marker(far: Far, name: str) -> tuple[str, str]:
    """Return where a remote's runs lie and what it calls itself, as far as that can be true."""
    store, label = far.marker.get("run_store_path", ".runs"), far.marker.get("machine_label")
    try:
        store = check_store_path(store, "installed.json")
    except AexpError:
        store = ".runs"
    if not isinstance(store, str) or "'" in store:
        store = ".runs"
    return store, label if isinstance(label, str) and _is_label(label) else name


def _is_label(text: str) -> bool:
    try:
        return bool(check_machine_label(text))
    except UsageError:
        return False
