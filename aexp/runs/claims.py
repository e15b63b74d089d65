"""Claims: who executes a run now. At most one owner, taken over only from the dead."""

import contextlib
import json
import os
import signal
from typing import Any, NamedTuple

from aexp import slurm
from aexp.errors import AexpError, CorruptFile, StatusError
from aexp.files import create_exclusive, read_object, remove, temporary_name
from aexp.model import Run, section, short, utc_now
from aexp.paths import CLAIM, HEARTBEAT, Repo
from aexp.processes import (
    end_processes,
    group_members,
    host_identity,
    is_running,
    marked_processes,
    signal_group,
    start_time,
)
from aexp.runs.document import run_lock
from aexp.runs.store import read_run

MARKER_VARIABLE = "AEXP_CLAIM"
# Names of the variables by which a command opens its run of a tracker: not for runs within it.
TRACKER_VARIABLES = "AEXP_TRACKER_VARIABLES"
# A command may fork while it is being ended: look again until nothing is left.
_KILL_ROUNDS = 50


class Owner(NamedTuple):
    """What a claim file says about the process that executes a run."""

    nonce: str
    host: str
    machine_id: str
    boot_id: str
    pid_namespace: str
    pid: int
    start: float | None
    slurm_job_id: str | None
    slurm_restart: int
    claimed_at: str
    slurm_cluster: str | None = None

    @property
    def where(self) -> str:
        """The owner in words."""
        place = f"process {self.pid} on {self.host}"
        return f"Slurm job {self.slurm_job_id} ({place})" if self.slurm_job_id else place


class Liveness(NamedTuple):
    """Whether an owner still lives: ``alive``, ``dead`` or ``unknown``, and why."""

    state: str
    reason: str


class Held(NamedTuple):
    """The answer to a claim that somebody else holds."""

    owner: Owner | None
    liveness: Liveness


class Claim(NamedTuple):
    """A claim that this process holds."""

    job_id: str
    owner: Owner


def this_owner() -> Owner:
    """Return what a claim of this process says, with a nonce of its own."""
    identity = host_identity()
    return Owner(
        nonce=os.urandom(8).hex(),
        host=identity.host,
        machine_id=identity.machine_id,
        boot_id=identity.boot_id,
        pid_namespace=identity.pid_namespace,
        pid=os.getpid(),
        start=start_time(os.getpid()),
        slurm_job_id=slurm.allocation(),
        slurm_restart=slurm.restart_count(),
        claimed_at=utc_now(),
        slurm_cluster=slurm.cluster(),
    )


def read_owner(repo: Repo, job_id: str) -> Owner | None:
    """Return who claims a run, None when nobody does.

    Raises
    ------
    CorruptFile
        If the claim file cannot be understood.
    """
    path = repo.run_file(job_id, CLAIM)
    try:
        content = read_object(path)
        return None if content is None else parse_owner(content, path)
    except CorruptFile as error:
        hint = f"if nothing executes this run: aexp queue release {short(job_id)}"
        raise CorruptFile(error.message, hint) from None


def parse_owner(content: dict[str, Any], path: str) -> Owner:
    """Return the owner that a file's content names, else raise `CorruptFile`."""
    try:
        # What a later version has added is none of our business.
        owner = Owner(**{key: content[key] for key in Owner._fields if key in content})
    except TypeError as error:
        raise CorruptFile(f"{path} is not a claim: {error}") from None
    texts = (owner.nonce, owner.host, owner.machine_id, owner.boot_id, owner.pid_namespace)
    numbers = (owner.pid, owner.slurm_restart)
    if not all(isinstance(text, str) for text in texts) or not all(
        isinstance(number, int) for number in numbers
    ):
        raise CorruptFile(f"{path} is not a claim: a field is of another type")
    return owner


def liveness(owner: Owner, states: slurm.JobStates | None = None) -> Liveness:
    """Tell whether an owner is known to live, known to be dead, or neither.

    On the same machine the process id with its start time decides; a Slurm job is asked
    of Slurm; for anything else only a person can tell (``aexp queue release``).
    """
    here = host_identity()
    if owner.host == here.host and owner.machine_id == here.machine_id:
        if owner.boot_id != here.boot_id:
            return Liveness(slurm.DEAD, f"{owner.host} has been restarted since")
        if owner.pid_namespace == here.pid_namespace:
            if is_running(owner.pid, owner.start):
                return Liveness(slurm.ALIVE, f"{owner.where} is running")
            return Liveness(slurm.DEAD, f"process {owner.pid} on {owner.host} has ended")
    if owner.slurm_job_id:
        if owner.slurm_job_id == slurm.allocation() and owner.slurm_restart < slurm.restart_count():
            return Liveness(slurm.DEAD, f"Slurm has requeued job {owner.slurm_job_id}")
        if slurm.available():
            known = states or slurm.JobStates()
            return Liveness(*known.of(owner.slurm_job_id, owner.slurm_restart, owner.slurm_cluster))
        return Liveness(slurm.UNKNOWN, f"{owner.where}; Slurm cannot be asked from here")
    return Liveness(slurm.UNKNOWN, f"{owner.where}, which cannot be checked from here")


def acquire(
    repo: Repo, job_id: str, *, adopt: bool = False, states: slurm.JobStates | None = None
) -> Claim | Held:
    """Claim a run for this process.

    Parameters
    ----------
    repo : Repo
        The repository.
    job_id : str
        The run to claim.
    adopt : bool, default False
        Also take over from an owner of whom it is not known whether it lives.
    states : JobStates, optional
        What Slurm has said already.

    Returns
    -------
    Claim or Held
        The claim, or who holds it.
    """
    path = repo.run_file(job_id, CLAIM)
    mine = this_owner()
    data = json.dumps(mine._asdict()).encode()
    while True:
        if create_exclusive(path, data):
            return Claim(job_id, mine)
        try:
            owner = read_owner(repo, job_id)
        except CorruptFile as error:
            return Held(None, Liveness(slurm.UNKNOWN, error.message))
        if owner is None:
            continue
        if owner.nonce == mine.nonce:  # NFS has said "exists" of a link that it had made
            return Claim(job_id, mine)
        state = liveness(owner, states)
        if state.state != slurm.DEAD and not (adopt and state.state == slurm.UNKNOWN):
            return Held(owner, state)
        if not _take_from(repo, job_id, owner):
            reason = f"the command of {owner.where} is still running and cannot be ended"
            return Held(owner, Liveness(slurm.UNKNOWN, reason))


def _take_from(repo: Repo, job_id: str, owner: Owner) -> bool:
    """Remove a dead owner's claim; False when its command cannot be ended here."""
    if not end_orphans(repo, job_id, owner):
        return False
    path = repo.run_file(job_id, CLAIM)
    aside = temporary_name(path)
    with run_lock(repo, job_id):
        # Under the lock only its owner, who is dead, could remove or replace this claim.
        if not _is_claimed_by(path, owner.nonce):
            return True
        try:
            os.rename(path, aside)
        except OSError:
            return True
        if not _is_claimed_by(aside, owner.nonce):
            # A file system without working locks: the claim is another process's, put it back.
            with contextlib.suppress(FileExistsError):
                os.link(aside, path)
        remove(aside)
    return True


def _is_claimed_by(path: str, nonce: str) -> bool:
    try:
        content = read_object(path)
    except CorruptFile:
        return False
    return content is not None and content.get("nonce") == nonce


def drop_dead(repo: Repo, job_id: str, states: slurm.JobStates | None = None) -> None:
    """Remove the claim that a dead owner has left on a run that is not running."""
    if not os.path.exists(repo.run_file(job_id, CLAIM)):
        return
    with contextlib.suppress(CorruptFile):
        owner = read_owner(repo, job_id)
        if owner is not None and liveness(owner, states).state == slurm.DEAD:
            _take_from(repo, job_id, owner)


def drop_spent(repo: Repo, run: Run) -> None:
    """Remove the claim of an ended run's last attempt; the run's lock must be held.

    Its owner has recorded the end and may have died, on any host, before giving it up.
    """
    nonce = run.attempts[-1].get("claim") if run.attempts else None
    path = repo.run_file(run.job_id, CLAIM)
    if isinstance(nonce, str) and _is_claimed_by(path, nonce):
        remove(path)


def end_orphans(repo: Repo, job_id: str, owner: Owner) -> bool:
    """Kill what a dead owner's command has left running on this machine.

    The processes are known by the claim's nonce in their environment, and by the process
    group that the owner recorded, for a command that empties its environment.

    Returns
    -------
    bool
        Whether all of them are gone.
    """
    group = _recorded_group(repo, job_id, owner)
    if group is not None:
        signal_group(group, signal.SIGKILL)  # all at once, so that none forks meanwhile
    for _ in range(_KILL_ROUNDS):
        orphans = set(marked_processes(f"{MARKER_VARIABLE}={owner.nonce}"))
        orphans.update(group_members(group) if group is not None else ())
        if not orphans:
            return True
        if not end_processes(sorted(orphans)):
            return False
    return False


def _recorded_group(repo: Repo, job_id: str, owner: Owner) -> int | None:
    if owner.host != host_identity().host:
        return None
    try:
        run = read_run(repo, job_id)
    except AexpError:
        return None
    process = section(run.queue, "proc")
    pid, started = process.get("pid"), process.get("start_fingerprint")
    last = run.attempts[-1] if run.attempts else {}
    if last.get("claim") != owner.nonce or not isinstance(pid, int) or pid <= 1:
        return None
    return pid if is_running(pid, started) else None


def release(repo: Repo, claim: Claim) -> None:
    """Give up a claim; nothing happens when it has passed to somebody else."""
    path = repo.run_file(claim.job_id, CLAIM)
    with contextlib.suppress(AexpError), run_lock(repo, claim.job_id):
        if _is_claimed_by(path, claim.owner.nonce):
            remove(path)
            remove(repo.run_file(claim.job_id, HEARTBEAT))


def drop_claim(repo: Repo, job_id: str) -> Owner | None:
    """Remove a run's claim on a person's word that its owner is dead.

    Raises
    ------
    StatusError
        If the owner is known to live.
    """
    owner: Owner | None = None
    with contextlib.suppress(CorruptFile):
        owner = read_owner(repo, job_id)
    if owner is not None:
        state = liveness(owner)
        if state.state == slurm.ALIVE:
            raise StatusError(
                f"run {short(job_id)} is being executed: {state.reason}",
                f"end it with: aexp queue stop {short(job_id)}",
            )
        end_orphans(repo, job_id, owner)
    with run_lock(repo, job_id):
        remove(repo.run_file(job_id, CLAIM))
        remove(repo.run_file(job_id, HEARTBEAT))
    return owner
