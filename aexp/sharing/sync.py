"""``aexp ledger sync``: what ended here goes to the remote, what ended elsewhere comes here."""

import os
import random
import time
from typing import Any, NamedTuple

from aexp.errors import MergeConflict, RemoteUnreachable, UsageError
from aexp.files import locked
from aexp.ledger.folders import check_folders
from aexp.paths import Repo
from aexp.runs.promotion import backfill
from aexp.sharing.commits import check_ready, commit, pending
from aexp.sharing.driver import configure
from aexp.sharing.merging import entries_between, head, is_ancestor, merge_in
from aexp.sharing.remote import Remote, choose, current_branch, fetch, push, tip

RETRIES = 8


class SyncResult(NamedTuple):
    """What a sync did, or would do.

    Attributes
    ----------
    remote, branch : str or None
        The other side; None when it was not asked.
    promoted : list of str
        Ids of ended runs that got their entry now.
    committed : list of str
        Files that were committed, relative to the repository.
    received : list of str
        Ids of runs whose entries came or changed.
    behind : bool
        Whether the remote has something that is not here (after a sync: never).
    pushed : bool
        Whether the remote has something new from here.
    left_out : list of str
        Files in the ledger's folder that are not entries, and were not committed.
    problems : list of str
        Runs that could not be promoted.
    dry_run : bool
        Whether all this was only said.
    """

    remote: str | None
    branch: str | None
    promoted: list[str]
    committed: list[str]
    received: list[str]
    behind: bool
    pushed: bool
    left_out: list[str]
    problems: list[str]
    dry_run: bool

    def to_dict(self) -> dict[str, Any]:
        """Return the result for ``--json``."""
        return self._asdict()


def sync(
    repo: Repo,
    *,
    remote: str | None = None,
    branch: str | None = None,
    pull: bool = True,
    push_too: bool = True,
    message: str | None = None,
    retries: int = RETRIES,
    dry_run: bool = False,
) -> SyncResult:
    """Promote, commit, merge and push the ledger; safe to call again after any failure.

    Only the shared folders below ``.aexp/`` are committed, by merge commits and never by
    rebase or force. It may run while runs execute, and in several clones at once.

    Parameters
    ----------
    repo : Repo
        An installed repository.
    remote : str, optional
        A configured remote; default what the branch tracks, ``origin``, or the only one.
    branch : str, optional
        The branch there; default what the present branch tracks, or its own name.
    pull, push_too : bool, default True
        Whether to take what the remote has, and to give it what is here.
    message : str, optional
        Of the commit.
    retries : int, default 8
        How often to merge and push again when the remote has moved meanwhile.
    dry_run : bool, default False
        Ask the remote, but change nothing here or there.

    Raises
    ------
    RemoteUnreachable
        If the remote does not answer, or was busy each time. What was committed stays.
    MergeConflict
        If a person must decide about files outside the ledger. They are as they were.
    GitError
        If git refuses for another reason.
    CorruptFile
        If a folder below ``.aexp/`` is a link.
    """
    check_folders(repo)
    ours = current_branch(repo)
    other = choose(repo, ours, remote, branch) if pull or push_too else None
    check_ready(repo)
    if dry_run:
        return _plan(repo, other, push_too)
    os.makedirs(repo.cache_dir, exist_ok=True)
    with locked(repo.cache("sync.lock")):
        configure(repo)
        promoted, _, problems = backfill(repo)
        done = SyncResult(
            remote=other.name if other else None,
            branch=other.branch if other else None,
            promoted=promoted,
            committed=[],
            received=[],
            behind=False,
            pushed=False,
            left_out=[],
            problems=problems,
            dry_run=False,
        )
        return _exchange(repo, done, other, pull, push_too, message, retries)


def _exchange(
    repo: Repo,
    done: SyncResult,
    other: Remote | None,
    pull: bool,
    push_too: bool,
    message: str | None,
    retries: int,
) -> SyncResult:
    busy = ""
    for turn in range(retries + 1):
        files, left_out = pending(repo)
        commit(repo, files, message or f"ledger: {len(files)} file(s) from {repo.machine_label}")
        committed = sorted({*done.committed, *files})
        done = done._replace(committed=committed, left_out=left_out)
        if other is None:
            return done
        there = tip(repo, other)
        if pull and there is not None:
            before = head(repo)
            if not _take(repo, other, there):
                continue
            received = {*done.received, *entries_between(repo, before, head(repo))}
            done = done._replace(received=sorted(received))
        if not push_too or there == head(repo):
            return done
        if not pull and there is not None and not is_ancestor(repo, there, head(repo)):
            raise UsageError(
                f"{other.name} has commits that are not here, so nothing can be pushed",
                "leave --no-pull out",
            )
        refused = push(repo, other)
        if refused is None:
            return done._replace(pushed=True)
        busy = refused
        # Clones that have met once should not meet again.
        time.sleep(random.uniform(0.05, 0.2) * 2 ** min(turn, 5))
    raise RemoteUnreachable(
        f"{other.name if other else ''} was busy {retries + 1} time(s): {busy or 'new entries'}",
        "call sync again; what ended here is committed",
    )


def _take(repo: Repo, other: Remote, there: str) -> bool:
    """Merge the remote's branch; False when entries were written meanwhile: commit those first."""
    if is_ancestor(repo, there, head(repo)):
        return True
    fetched = fetch(repo, other)
    try:
        merge_in(repo, fetched, f"Merge {other.branch} of {other.name}")
    except MergeConflict:
        if pending(repo).files:
            return False
        raise
    return True


def _plan(repo: Repo, other: Remote | None, push_too: bool) -> SyncResult:
    promoted, _, problems = backfill(repo, dry_run=True)
    files, left_out = pending(repo)
    there = tip(repo, other) if other else None
    here = head(repo)
    names = {*files, *(repo.relative(repo.ledger_path(job_id)) for job_id in promoted)}
    return SyncResult(
        remote=other.name if other else None,
        branch=other.branch if other else None,
        promoted=promoted,
        committed=sorted(names),
        received=[],
        behind=there is not None and not is_ancestor(repo, there, here),
        pushed=push_too and (bool(names) or there is None or not is_ancestor(repo, here, there)),
        left_out=left_out,
        problems=problems,
        dry_run=True,
    )
