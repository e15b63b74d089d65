"""Drive the queue without Snakemake: one run after the other, or one task of an array."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from aexp import slurm
from aexp.errors import EXIT_FAILED, EXIT_OK, EXIT_TEMPFAIL, AexpError, UsageError
from aexp.execution.run import execute_run
from aexp.execution.signals import SignalBox
from aexp.execution.terminal import say
from aexp.model import COMPLETE, short
from aexp.paths import Repo
from aexp.queue.arrays import array_id, frozen_list
from aexp.queue.pending import Queue
from aexp.runs.reconcile import reconcile
from aexp.runs.select import RunFilter
from aexp.runs.store import read_run


def run_queue(
    *,
    experiment_id: str | None = None,
    tag: str | None = None,
    index: int | None = None,
    array: str | None = None,
    continue_on_failure: bool = False,
    force: bool = False,
    dry_run: bool = False,
    adopt: bool = False,
    limit: int | None = None,
    sp: Mapping[str, Any] | None = None,
    repo_root: str | Path | None = None,
) -> list[int]:
    """Execute the queued runs under a filter, parents first, in queue order.

    Parameters
    ----------
    experiment_id, tag, sp
        Which runs.
    index : int, optional
        Execute only the run at this place of the array's list, which is frozen when the
        array's first task starts.
    array : str, optional
        Names the array; default ``SLURM_ARRAY_JOB_ID``.
    continue_on_failure : bool, default False
        Go on after a run that failed.
    force, dry_run, adopt : bool
        As for `run_queued`.
    limit : int, optional
        At most so many runs.
    repo_root : str or Path, optional
        Default: the repository around the current folder.

    Returns
    -------
    list of int
        Exit code of each run, in the order of execution.

    Raises
    ------
    UsageError
        If `index` is outside the list.
    """
    repo = Repo.installed(repo_root)
    chosen = RunFilter(experiment_id=experiment_id, tag=tag, sp=sp or {})
    if index is not None:
        return [_run_index(repo, chosen, index, array, _Options(force, dry_run, adopt))]
    if not dry_run and slurm.allocation() is None:
        reconcile(repo)
    ids = [item.run.job_id for item in Queue(repo, adopt=adopt).due(chosen, limit)]
    if not ids:
        say(f"nothing to run: {chosen.none('queued run')}")
        return []
    with SignalBox() as signals:
        options = _Options(force, dry_run, adopt)
        return _run_all(repo, ids, signals, options, go_on=continue_on_failure)


class _Options(NamedTuple):
    force: bool
    dry_run: bool
    adopt: bool


def _run_all(
    repo: Repo, ids: list[str], signals: SignalBox, options: _Options, *, go_on: bool
) -> list[int]:
    """Execute runs; those that others execute come last and are waited for."""
    codes: list[int] = []
    later: list[str] = []
    for position, job_id in enumerate(ids, start=1):
        say(f"{short(job_id)}: run {position} of {len(ids)}")
        code = _guarded(repo, job_id, signals, options, wait=False)
        if signals.ending:
            return [*codes, EXIT_TEMPFAIL]
        if code == EXIT_TEMPFAIL:
            if _may_come_back(repo, job_id):
                later.append(job_id)
                continue
            code = _code_by_now(repo, job_id)
        codes.append(code)
        if code != EXIT_OK and not go_on:
            return codes
    for job_id in later:
        code = _guarded(repo, job_id, signals, options, wait=None)
        codes.append(code)
        if signals.ending or (code != EXIT_OK and not go_on):
            return codes
    return codes


def _code_by_now(repo: Repo, job_id: str) -> int:
    """Return the exit code of a run that its owner may have ended since we asked."""
    try:
        run = read_run(repo, job_id)
    except AexpError:
        return EXIT_TEMPFAIL
    if not run.is_terminal:
        return EXIT_TEMPFAIL
    return EXIT_OK if run.status == COMPLETE else EXIT_FAILED


def _may_come_back(repo: Repo, job_id: str) -> bool:
    """Return whether a run was held by somebody else, and not interrupted or faulty here."""
    from aexp.runs.claims import read_owner

    try:
        return read_owner(repo, job_id) is not None or bool(read_run(repo, job_id).after)
    except AexpError:
        return False


def _guarded(
    repo: Repo, job_id: str, signals: SignalBox, options: _Options, *, wait: bool | None
) -> int:
    """Execute one run; an error about this run is told and does not end the others."""
    try:
        return execute_run(repo, job_id, signals, wait=wait, **options._asdict())
    except AexpError as error:
        say(f"{short(job_id)}: {error.message}")
        if error.hint:
            say(f"  hint: {error.hint}")
        return error.exit_code


def _run_index(
    repo: Repo, chosen: RunFilter, index: int, array: str | None, options: _Options
) -> int:
    identity = array_id(array)
    if identity is not None and not options.dry_run:
        ids = frozen_list(repo, chosen, identity, adopt=options.adopt)
    else:
        ids = [item.run.job_id for item in Queue(repo, adopt=options.adopt).due(chosen)]
        if not options.dry_run:
            say(
                "no array around this task: the index counts what is queued now; "
                "pass --array-id to freeze the list"
            )
    if not 0 <= index < len(ids):
        raise UsageError(
            f"--index {index} is out of range: {len(ids)} queued run(s) with {chosen}",
            f"size the array 0-{len(ids) - 1}"
            if ids
            else "see: aexp queue list --include-terminal",
        )
    with SignalBox() as signals:
        return execute_run(repo, ids[index], signals, **options._asdict())
