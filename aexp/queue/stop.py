"""Stop runs that are executing: the intent first, then the signals."""

import signal
import time
from pathlib import Path

from aexp import slurm
from aexp.errors import AexpError, CorruptFile, StopJobError
from aexp.model import QUEUED, RUNNING, Run, section, short
from aexp.paths import Repo, hostname
from aexp.processes import host_identity, is_running, signal_group
from aexp.queue.change import Change
from aexp.runs import claims
from aexp.runs.claims import Claim, Owner
from aexp.runs.settle import settle_dead_attempt
from aexp.runs.status import request_stop, stop_unstarted
from aexp.runs.store import read_run, resolve_id

DEFAULT_GRACE_S = 5.0
_SETTLE_S = 10.0


def stop_queued(
    job_id: str,
    *,
    grace_s: float = DEFAULT_GRACE_S,
    force: bool = False,
    repo_root: str | Path | None = None,
) -> int:
    """Stop one run that is executing and return 0 once its status is ``stopped``.

    Parameters
    ----------
    job_id : str
        The run's id or a unique beginning of it.
    grace_s : float, default 5
        Seconds between SIGTERM and SIGKILL to the command's process group.
    force : bool, default False
        SIGKILL at once.
    repo_root : str or Path, optional
        Default: the repository around the current folder.

    Raises
    ------
    StopJobError
        If the run does not execute, or executes where it cannot be reached from.
    """
    repo = Repo.installed(repo_root)
    stop_run(repo, read_run(repo, resolve_id(repo, job_id)), grace_s=grace_s, force=force)
    return 0


def stop_run(repo: Repo, run: Run, *, grace_s: float, force: bool, dry_run: bool = False) -> Change:
    """Stop one run (see `stop_queued`)."""
    owner = _owner(repo, run.job_id)
    if run.is_terminal or (run.status != RUNNING and owner is None):
        hint = (
            "take it out with: aexp queue remove" if run.status == QUEUED else "see: aexp show-run"
        )
        raise StopJobError(
            f"run {short(run.job_id)} is {run.status}, not running", f"{hint} {short(run.job_id)}"
        )
    _check_reachable(run, owner)
    if dry_run:
        where = owner.where if owner else "a process that may be gone"
        return Change(run.job_id, run.status, True, f"would be stopped ({where})")
    request_stop(repo, run.job_id)
    if owner is not None and owner.slurm_job_id and not _is_here(owner):
        slurm.cancel([owner.slurm_job_id])
        wait_s = max(grace_s, 1.0) + _SETTLE_S
    else:
        _signal(repo, run.job_id, grace_s, force)
        wait_s = _SETTLE_S
    after = _settled(repo, run.job_id, owner, wait_s)
    if not after.is_terminal:
        return Change(
            run.job_id, after.status, True, "will be stopped as soon as its owner hears it"
        )
    return Change(run.job_id, after.status, True, after.status)


def _owner(repo: Repo, job_id: str) -> Owner | None:
    try:
        return claims.read_owner(repo, job_id)
    except CorruptFile:
        return None


def _is_here(owner: Owner) -> bool:
    here = host_identity()
    return (owner.host, owner.machine_id, owner.pid_namespace) == (
        here.host,
        here.machine_id,
        here.pid_namespace,
    )


def _check_reachable(run: Run, owner: Owner | None) -> None:
    if owner is None:
        host = section(run.queue, "proc").get("host")
        if host not in (None, hostname()):
            raise StopJobError(
                f"run {short(run.job_id)} executes on {host}, this is {hostname()}",
                f"log in to {host} and stop it there",
            )
        return
    if _is_here(owner):
        return
    if owner.slurm_job_id and slurm.available():
        return
    how = "on a Slurm login node" if owner.slurm_job_id else f"on {owner.host}"
    raise StopJobError(
        f"run {short(run.job_id)} is executed by {owner.where}, this is {hostname()}",
        f"call aexp queue stop {short(run.job_id)} {how}",
    )


def _signal(repo: Repo, job_id: str, grace_s: float, force: bool) -> None:
    """End the command's process group, unless the recorded process is not it any more."""
    process = section(read_run(repo, job_id).queue, "proc")
    pgid, started = process.get("pgid"), process.get("start_fingerprint")
    if not isinstance(pgid, int) or pgid <= 1:
        return
    if not is_running(pgid, started if isinstance(started, float) else None):
        return  # ended, or its number belongs to another process by now
    if not force:
        signal_group(pgid, signal.SIGTERM)
        end = time.monotonic() + grace_s
        while time.monotonic() < end:
            if not is_running(pgid, started if isinstance(started, float) else None):
                return
            time.sleep(0.05)
    signal_group(pgid, signal.SIGKILL)


def _settled(repo: Repo, job_id: str, owner: Owner | None, wait_s: float) -> Run:
    """Wait for the owner to record the end; record it ourselves if the owner is dead."""
    end = time.monotonic() + wait_s
    while True:
        run = read_run(repo, job_id)
        if run.is_terminal:
            return run
        now = _owner(repo, job_id)
        dead = now is None or claims.liveness(now).state == slurm.DEAD
        if dead:
            return _record_stop(repo, job_id, owner)
        if time.monotonic() > end:
            return run
        time.sleep(0.1)


def _record_stop(repo: Repo, job_id: str, owner: Owner | None) -> Run:
    got = claims.acquire(repo, job_id)
    if not isinstance(got, Claim):
        return read_run(repo, job_id)
    try:
        run = read_run(repo, job_id)
        if run.status == RUNNING:
            run = settle_dead_attempt(repo, job_id, "stopped by aexp queue stop", owner)
        if run.status == QUEUED:
            run = stop_unstarted(repo, job_id)
        return run
    except AexpError:
        return read_run(repo, job_id)
    finally:
        claims.release(repo, got)
