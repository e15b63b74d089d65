"""The process that uploads a run's checkpoints while it trains.

A process of its own: it takes nothing from the training loop, survives its crash, and holds
no thread that an interpreter would have to wait for. When the attempt has ended, or the
process that started this one, it sends what is left; it ends when there is nothing more, or
that has failed once more.
"""

import contextlib
import fcntl
import os
import subprocess
import sys
import time
from collections.abc import Iterator

from aexp.checkpoints.outbox import DAMAGED, PUSHED, Outbox
from aexp.checkpoints.push import push_run, try_open
from aexp.checkpoints.store import checkpoints_dir
from aexp.checkpoints.uploads import default_wait
from aexp.errors import AexpError, RemoteError
from aexp.model import RUNNING
from aexp.paths import Repo
from aexp.processes import is_running, start_time
from aexp.remotes.config import automatic_remotes
from aexp.remotes.store import RemoteStore
from aexp.runs.claims import MARKER_VARIABLE
from aexp.runs.store import read_run

LOG = "upload.log"
_LOCK = ".uploader.lock"
_POLL_S = 0.5
_REST_S = 2.0
_LOOK_AGAIN_S = 30.0
_MAX_LOG = 1 << 20
# Of this process: run to uploader, so that the one that has ended is noticed.
_started: dict[str, int] = {}


def upload_in_background(repo: Repo, job_id: str) -> bool:
    """Have a run's checkpoints uploaded from now on, where a remote wants them by itself.

    Call it after each checkpoint: it costs a look into a folder when there is no remote, or
    the process is there.

    Returns
    -------
    bool
        Whether a process was started.
    """
    try:
        if not automatic_remotes(repo):
            return False
    except AexpError:
        return False  # the verbs of remotes say what is wrong with a file
    if job_id in _started and _is_child(_started[job_id]):
        return False
    log = os.path.join(checkpoints_dir(repo, job_id), LOG)
    with contextlib.suppress(OSError):
        if os.path.getsize(log) > _MAX_LOG:
            os.truncate(log, 0)
    # Without the mark of the attempt's processes, which are ended with it.
    environment = {k: v for k, v in os.environ.items() if k != MARKER_VARIABLE}
    words = [repo.root, job_id, str(os.getpid()), str(start_time(os.getpid()) or 0.0)]
    try:
        with open(log, "ab") as output:
            process = subprocess.Popen(
                [sys.executable, "-P", "-m", "aexp.checkpoints.uploader", *words],
                cwd=repo.root,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
    except OSError:
        return False  # uploads are not the run: aexp push does them
    _started[job_id] = process.pid
    process.returncode = 0  # it may outlive this process, which need not hear of that
    return True


def _is_child(pid: int) -> bool:
    """Return whether a child of this process has not ended."""
    try:
        return os.waitpid(pid, os.WNOHANG)[0] == 0
    except ChildProcessError:
        return False


def serve(repo: Repo, job_id: str, owner: int, owner_started: float) -> None:
    """Upload until the owner has ended and nothing more can be done."""
    with _only_one(repo, job_id) as mine:
        if not mine:
            return
        stores: dict[tuple[str, str], RemoteStore | None] = {}
        seen: tuple[object, ...] = ()
        next_look = ends_at = 0.0
        while True:
            # Asked before looking: what it saved last is seen then.
            alive = is_running(owner, owner_started or None) and _is_executed(repo, job_id)
            state = _state(repo, job_id)
            if state != seen or time.monotonic() >= next_look or not alive:
                seen = state
                progress = _push(repo, job_id, stores, only_due=alive)
                next_look = time.monotonic() + _next_due(repo, job_id)
                if not alive:
                    ends_at = ends_at or time.monotonic() + default_wait()
                    if not progress or time.monotonic() > ends_at:
                        return
            time.sleep(_POLL_S)


def _push(
    repo: Repo, job_id: str, stores: dict[tuple[str, str], RemoteStore | None], *, only_due: bool
) -> bool:
    """Push once to each remote; return whether another time may do more."""
    progress = False
    try:
        remotes = automatic_remotes(repo)
    except AexpError as error:
        _say(error.message)
        return False
    for remote in remotes:
        key = (remote.name, str(remote.to_object()))
        try:
            stores[key] = stores.get(key) or try_open(remote)
            results = push_run(repo, job_id, remote, stores[key], only_due=only_due)
        except AexpError as error:
            _say(f"{remote.name}: {error.message}")
            continue
        for result in results:
            what = result.error.message if result.error else f"{result.sent_bytes} bytes"
            _say(f"{result.folder} to {remote.name}: {result.state}: {what}")
        progress = progress or any(result.ok for result in results)
        if any(isinstance(result.error, RemoteError) for result in results):
            stores.pop(key)  # credentials may have been renewed
    return progress


def _is_executed(repo: Repo, job_id: str) -> bool:
    try:
        return read_run(repo, job_id).status == RUNNING
    except AexpError:
        return False


def _next_due(repo: Repo, job_id: str) -> float:
    """Return in how many seconds something that has failed may be tried again."""
    try:
        remotes = automatic_remotes(repo)
    except AexpError:
        return _LOOK_AGAIN_S
    with Outbox(repo, job_id) as outbox:
        found = [upload for remote in remotes for upload in outbox.uploads(remote)]
    # What is damaged here is not tried again, and must not keep this process busy.
    times = [upload.next_try for upload in found if upload.state not in (PUSHED, DAMAGED)]
    return max(_REST_S, min([*(at - time.time() for at in times), _LOOK_AGAIN_S]))


def _state(repo: Repo, job_id: str) -> tuple[object, ...]:
    """Return what changes when a checkpoint is published."""
    try:
        names = os.listdir(checkpoints_dir(repo, job_id))
    except OSError:
        return ()
    return tuple(sorted(name for name in names if name.startswith(("step-", "snapshot-"))))


@contextlib.contextmanager
def _only_one(repo: Repo, job_id: str) -> Iterator[bool]:
    """Yield whether this is the run's only uploader; where locks do not work, it is."""
    path = os.path.join(checkpoints_dir(repo, job_id), _LOCK)
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError:
        yield False  # the run has gone
        return
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        except OSError:
            pass
        yield True
    finally:
        os.close(descriptor)


def _say(text: str) -> None:
    from aexp.model import printable, utc_now

    print(utc_now(), printable(text), flush=True)


def main() -> None:
    """Serve the run that the arguments name."""
    root, job_id, owner, started = sys.argv[1:]
    serve(Repo(root), job_id, int(owner), float(started))


if __name__ == "__main__":
    main()
