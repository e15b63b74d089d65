"""What a run has still to upload, and waiting for it."""

import fcntl
import os
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

from aexp.checkpoints.outbox import PUSHING, QUEUED, Outbox, Upload, delay_after, pushed_ids
from aexp.checkpoints.push import push_lock, push_run, to_push
from aexp.checkpoints.store import Checkpoint
from aexp.errors import AexpError, RemoteAway, UploadsIncomplete
from aexp.model import short
from aexp.paths import Repo
from aexp.remotes.config import Remote, list_remotes, takes_checkpoints

WAIT_VARIABLE = "AEXP_UPLOAD_TIMEOUT_S"
DEFAULT_WAIT_S = 600.0
_LONGEST_PAUSE_S = 15.0
_LOOK_S = 0.2


class Pending(NamedTuple):
    """One checkpoint that is not known to be at a remote, and why."""

    checkpoint: Checkpoint
    remote: Remote
    error: str
    hint: str


def required_remotes(repo: Repo) -> list[Remote]:
    """Return the remotes where a run's checkpoints must be."""
    return [remote for remote in list_remotes(repo) if remote.required]


def missing_at_required(repo: Repo, job_id: str) -> set[str]:
    """Return the ids of a run's checkpoints that a required remote still lacks.

    They must not be dropped here.
    """
    remotes = required_remotes(repo)
    if not remotes:
        return set()
    done = pushed_ids(repo, job_id, remotes)
    ids = {checkpoint.id for checkpoint in to_push(repo, job_id)}
    return {item for item in ids if any(item not in there for there in done.values())}


def pending_uploads(repo: Repo, job_id: str, remotes: Sequence[Remote]) -> list[Pending]:
    """Return what these remotes are not known to have of a run, the newest first."""
    if not remotes:
        return []
    checkpoints = to_push(repo, job_id)
    if not checkpoints:
        return []
    found = []
    with Outbox(repo, job_id) as outbox:
        for remote in remotes:
            known = {upload.id: upload for upload in outbox.fill(remote, checkpoints)}
            for checkpoint in checkpoints:
                upload = known.get(checkpoint.id)
                if upload is None or not upload.is_pushed:
                    error, hint = (upload.error, upload.hint) if upload else ("", "")
                    found.append(Pending(checkpoint, remote, error, hint))
    return found


def list_uploads(repo: Repo, job_id: str) -> list[Upload]:
    """Return a run's uploads to every remote, by remote and age; nothing is contacted.

    What has not been looked at yet is ``queued``.
    """
    remotes = [remote for remote in list_remotes(repo) if takes_checkpoints(remote)]
    checkpoints = to_push(repo, job_id)
    if not remotes or not checkpoints:
        return []
    with Outbox(repo, job_id) as outbox:
        known = {(item.remote, item.id): item for to in remotes for item in outbox.uploads(to)}
    found = []
    for remote in remotes:
        for item in reversed(checkpoints):
            size = item.manifest.total_bytes
            new = Upload(remote.name, item.id, item.path.name, size, QUEUED)
            upload = known.get((remote.name, item.id), new)
            if upload.state == PUSHING and not _is_at_work(repo, job_id, remote):
                upload = upload._replace(state=QUEUED)  # whoever began with it was killed
            found.append(upload)
    return found


def _is_at_work(repo: Repo, job_id: str, remote: Remote) -> bool:
    """Return whether somebody pushes a checkpoint of a run to a remote just now."""
    try:
        descriptor = os.open(push_lock(repo, job_id, remote), os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(descriptor)
    return False


def wait_for_uploads(
    repo: Repo,
    job_id: str,
    *,
    remotes: Sequence[Remote] | None = None,
    timeout_s: float | None = None,
    is_ending: Callable[[], bool] = lambda: False,
) -> int:
    """Push what is left of a run, and return how many checkpoints were not there before.

    Another process may be pushing the same: each checkpoint is pushed by one of them.

    Parameters
    ----------
    repo : Repo
        The repository.
    job_id : str
        The run.
    remotes : sequence of Remote, optional
        Default: those that are required.
    timeout_s : float, optional
        How long to go on trying while a remote does not answer; default
        ``AEXP_UPLOAD_TIMEOUT_S``, else 600. What is being sent at its end is sent.
    is_ending : callable
        Whether somebody wants this process to end: nothing more is waited for then.

    Raises
    ------
    UploadsIncomplete
        If something is not there in the end. It is named; it stays here, and queued.
    """
    chosen = required_remotes(repo) if remotes is None else remotes
    deadline = time.monotonic() + (default_wait() if timeout_s is None else timeout_s)
    # Counts also where no outbox can be kept: a full disk.
    arrived: set[tuple[str, str]] = set()
    tries = 0
    while _left(repo, job_id, chosen, arrived):
        errors: list[AexpError] = []
        for remote in chosen:
            try:
                results = push_run(repo, job_id, remote, is_ending=is_ending)
            except AexpError as error:  # a folder that cannot be written
                errors.append(error)
                continue
            arrived |= {(result.remote, result.id) for result in results if result.ok}
            errors += [result.error for result in results if result.error is not None]
        tries += 1
        pause = min(delay_after(tries) / 2, _LONGEST_PAUSE_S)
        can_help = any(isinstance(error, RemoteAway) for error in errors)
        if not can_help or time.monotonic() + pause > deadline or _pause(pause, is_ending):
            left = _left(repo, job_id, chosen, arrived)
            if left:
                raise _incomplete(job_id, left, errors)
            break
    return len(arrived)


def _left(
    repo: Repo, job_id: str, remotes: Sequence[Remote], arrived: set[tuple[str, str]]
) -> list[Pending]:
    found = pending_uploads(repo, job_id, remotes)
    return [item for item in found if (item.remote.name, item.checkpoint.id) not in arrived]


def _pause(seconds: float, is_ending: Callable[[], bool]) -> bool:
    """Wait; return whether it was cut short."""
    end = time.monotonic() + seconds
    while not is_ending() and time.monotonic() < end:
        time.sleep(min(_LOOK_S, seconds))
    return is_ending()


def default_wait() -> float:
    """Return for how long a remote that does not answer is tried before it is given up."""
    try:
        return max(0.0, float(os.environ.get(WAIT_VARIABLE, DEFAULT_WAIT_S)))
    except ValueError:
        return DEFAULT_WAIT_S


def _incomplete(job_id: str, left: list[Pending], errors: list[AexpError]) -> UploadsIncomplete:
    first = left[0]
    names = ", ".join(f"{item.checkpoint.path.name} to {item.remote.name}" for item in left[:5])
    more = f" and {len(left) - 5} more" if len(left) > 5 else ""
    reason = first.error or (errors[0].message if errors else "not tried")
    hint = first.hint or (errors[0].hint if errors else "") or ""
    return UploadsIncomplete(
        f"run {short(job_id)}: not uploaded: {names}{more}: {reason}",
        f"all of it is here; {hint + '; ' if hint else ''}then: aexp push {short(job_id)}",
    )
