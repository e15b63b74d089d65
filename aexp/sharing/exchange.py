"""``aexp sync``: bring the record of this clone to a remote, or a remote's record here."""

import os
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from tempfile import TemporaryDirectory
from typing import NamedTuple

from aexp.errors import RemoteAway, RemoteError, StoreReadOnly
from aexp.files import create_exclusive, locked, read_bytes, write_atomic
from aexp.ledger.folders import check_folders
from aexp.ledger.merge import merge_bytes
from aexp.paths import Repo
from aexp.project import project_slug, sync_filter
from aexp.remotes.address import SSH
from aexp.remotes.config import Remote, takes_record
from aexp.remotes.machine import Machine
from aexp.runs.document import run_lock
from aexp.runs.promotion import backfill
from aexp.sharing.far import look, make, mirror, take_in
from aexp.sharing.run_files import Moved, check_patterns, pull_files, push_files
from aexp.sharing.travel import Item, Plan, plan_travel

PUSH = "push"
PULL = "pull"
_TURNS = 6


class Exchange(NamedTuple):
    """What a sync has done, or would do.

    Attributes
    ----------
    remote : str
        Its name.
    direction : str
        ``push`` or ``pull``.
    added, updated : list of str
        Ids of runs whose entry was not there, and of those whose entry was superseded.
    kept : list of str
        Ids of runs whose entry there is the record, and was left alone.
    unchanged : int
        Number of runs whose entries are the same.
    filtered : int
        Number of runs of other projects, which were left out.
    campaign_files : list of str
        Files of campaigns that were brought, relative to ``.aexp``.
    files, bytes : int
        Number and size of files of runs that were new or changed.
    problems : list of str
        What was left out otherwise, and why.
    seconds : float
        How long it took.
    dry_run : bool
        Whether nothing was written.
    """

    remote: str
    direction: str
    added: list[str]
    updated: list[str]
    kept: list[str]
    unchanged: int
    filtered: int
    campaign_files: list[str]
    files: int
    bytes: int
    problems: list[str]
    seconds: float
    dry_run: bool

    @property
    def runs(self) -> int:
        """Number of runs whose entries were brought."""
        return len(self.added) + len(self.updated)


def exchange(
    repo: Repo,
    remote: Remote,
    *,
    pull: bool = False,
    patterns: Sequence[str] = (),
    dry_run: bool = False,
) -> Exchange:
    """Bring ledger entries, campaigns and chosen files of runs to a remote, or here.

    Nothing is ever deleted, and no entry is replaced by an older one. It may be called again
    at any time, and goes on where it was interrupted.

    Parameters
    ----------
    repo : Repo
        The repository; it need not have a run store.
    remote : Remote
        A machine (``ssh://``) or a folder.
    pull : bool, default False
        Get instead of send.
    patterns : sequence of str, optional
        Also these files of runs, relative to a run's folder: ``logs``, ``*.json``, ….
    dry_run : bool, default False
        Compare, and write nothing here or there.

    Raises
    ------
    RemoteAway
        If the remote does not answer, or others were faster each time.
    RemoteError, RemoteDenied
        If it refuses, is a bucket, or has nothing to pull.
    UsageError
        If a pattern can match nothing.
    CorruptFile
        If a folder of the record is a link, or ``aexp.toml`` cannot be read.
    """
    began = time.monotonic()
    chosen = check_patterns(patterns)
    if not takes_record(remote):
        raise RemoteError(
            f"remote {remote.name} is a bucket: it takes checkpoints, not the record",
            "sync with a machine or a folder: aexp remote add NAME ssh://host/folder",
        )
    check_folders(repo)
    check_folders(repo, ".aexp/files")
    slug = None if sync_filter(repo) == "none" else project_slug(repo)
    machine = Machine(remote)
    with _alone(repo, remote, dry_run=dry_run):
        turn = _pull if pull else _push
        done = turn(repo, remote, machine, slug, chosen, dry_run)
    return done._replace(seconds=round(time.monotonic() - began, 3))


def _push(
    repo: Repo,
    remote: Remote,
    machine: Machine,
    slug: str | None,
    patterns: Sequence[str],
    dry_run: bool,
) -> Exchange:
    far = look(machine)
    if not far.is_there and remote.address.scheme != SSH:
        raise _missing(remote, "make it, or mount the disk that it is on")
    problems: list[str] = []
    if not dry_run:
        if os.path.isdir(repo.workspace):
            _, _, problems = backfill(repo)
        if not far.is_complete or (patterns and not far.has_files):
            make(machine, with_root=remote.address.scheme == SSH, with_files=bool(patterns))
    added: set[str] = set()
    updated: set[str] = set()
    campaign_files: set[str] = set()
    for _ in range(_TURNS):
        with _there(repo, machine, is_empty=not far.has_record and dry_run, dry_run=dry_run) as at:
            plan = plan_travel(repo.at(".aexp"), at, slug)
        left = set() if dry_run or not plan.items else take_in(repo, machine, plan.items)
        for item in plan.items:
            if item.name not in left:
                _count(item, added, updated, campaign_files)
        if not left:
            break
    else:
        raise RemoteAway(
            f"remote {remote.name} was changed by others each time", "call it again in a while"
        )
    moved = Moved()
    if patterns:
        moved = push_files(repo, machine, far, patterns, plan.foreign, dry_run=dry_run)
    return _result(
        remote, PUSH, plan, added, updated, campaign_files, moved, problems, dry_run=dry_run
    )


def _pull(
    repo: Repo,
    remote: Remote,
    machine: Machine,
    slug: str | None,
    patterns: Sequence[str],
    dry_run: bool,
) -> Exchange:
    far = look(machine)
    if not far.has_record:
        raise _missing(remote, f"see: aexp remote list; or send first: aexp sync {remote.name}")
    added: set[str] = set()
    updated: set[str] = set()
    campaign_files: set[str] = set()
    with _there(repo, machine, is_empty=False, dry_run=dry_run) as at:
        plan = plan_travel(at, repo.at(".aexp"), slug)
    for item in plan.items:
        if _take(repo, item, dry_run=dry_run):
            _count(item, added, updated, campaign_files)
    moved = Moved()
    if patterns:
        moved = pull_files(repo, machine, far, patterns, plan.foreign, dry_run=dry_run)
    return _result(remote, PULL, plan, added, updated, campaign_files, moved, [], dry_run=dry_run)


def _take(repo: Repo, item: Item, *, dry_run: bool) -> bool:
    """Write what was pulled; False where what is here by now stays."""
    target = repo.at(".aexp", item.name)
    if item.job_id is None:
        return not os.path.lexists(target) if dry_run else create_exclusive(target, item.data)
    with ExitStack() as stack:
        if not dry_run and os.path.isdir(repo.run_dir(item.job_id)):
            stack.enter_context(run_lock(repo, item.job_id))  # it may be ending just now
        if merge_bytes(read_bytes(target), item.data) != item.data:
            return False
        if not dry_run:
            write_atomic(target, item.data)
    return True


def _count(item: Item, added: set[str], updated: set[str], others: set[str]) -> None:
    if item.job_id is None:
        others.add(item.name)
    elif item.old is not None and item.job_id not in added:
        updated.add(item.job_id)
    else:
        added.add(item.job_id)


def _result(
    remote: Remote,
    direction: str,
    plan: Plan,
    added: set[str],
    updated: set[str],
    campaign_files: set[str],
    moved: Moved,
    problems: list[str],
    *,
    dry_run: bool,
) -> Exchange:
    brought = added | updated
    kept = set(plan.kept) - brought
    entries = plan.unchanged + len(plan.kept) + sum(item.job_id is not None for item in plan.items)
    return Exchange(
        remote=remote.name,
        direction=direction,
        added=sorted(added),
        updated=sorted(updated),
        kept=sorted(kept),
        unchanged=entries - len(brought) - len(kept),
        filtered=len(plan.foreign),
        campaign_files=sorted(campaign_files),
        files=moved.number,
        bytes=moved.size,
        problems=[*problems, *plan.problems],
        seconds=0.0,
        dry_run=dry_run,
    )


@contextmanager
def _there(repo: Repo, machine: Machine, *, is_empty: bool, dry_run: bool) -> Iterator[str]:
    """Give a copy of the remote's record: kept for the next time, unless nothing is written."""
    with ExitStack() as stack:
        folder = repo.cache("remotes", machine.name)
        if dry_run:
            folder = stack.enter_context(TemporaryDirectory(prefix="aexp-sync-"))
        if not is_empty:
            mirror(machine, folder)
        yield folder


@contextmanager
def _alone(repo: Repo, remote: Remote, *, dry_run: bool) -> Iterator[None]:
    """Keep two syncs of this clone with one remote apart."""
    if dry_run:
        yield
        return
    folder = repo.cache("remotes")
    try:
        os.makedirs(folder, exist_ok=True)
    except OSError as error:
        raise StoreReadOnly(
            f"cannot make {folder}: {error.strerror or error}", "see: aexp doctor"
        ) from error
    with locked(os.path.join(folder, f"{remote.name}.lock")):
        yield


def _missing(remote: Remote, hint: str) -> RemoteError:
    return RemoteError(f"remote {remote.name}: there is no record at {remote.url}", hint)
