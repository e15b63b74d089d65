"""Push checkpoints to a remote: their files first, the manifest last.

``objects/ab/<sha256>`` are files, ``manifests/<run>/<folder>.<12 digits of the id>.json`` say
what they are. A checkpoint is at a remote when its manifest is. Every step may be repeated
and done by several at once: a name says what it holds.
"""

import os
import time
from collections.abc import Callable, Set
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

from aexp.checkpoints.manifest import Component, Manifest, parse_manifest
from aexp.checkpoints.outbox import (
    DAMAGED,
    LAST_DELAY_S,
    PUSHED,
    QUEUED,
    Outbox,
    Upload,
    pushed_ids,
)
from aexp.checkpoints.store import Checkpoint, checkpoints_dir, list_checkpoints
from aexp.errors import AexpError, CheckpointDamaged, RemoteError
from aexp.files import locked
from aexp.paths import Repo
from aexp.remotes.config import Remote
from aexp.remotes.store import Mismatch, RemoteStore, open_store

# Files at a time: of those that are sent in one request more, they take little memory.
_THREADS, _THREADS_SMALL = 4, 8
_SMALL = 64 << 10


class Pushed(NamedTuple):
    """What became of one checkpoint.

    Attributes
    ----------
    job, id, folder, remote : str
        Which one, and where to.
    state : str
        ``pushed``, ``already there``, ``failed``, ``damaged``; ``queued`` when nothing was done.
    bytes : int
        The sum of its files' sizes.
    sent_files, sent_bytes : int
        What was not at the remote before.
    seconds : float
        How long it took.
    error : AexpError or None
        Why it failed.
    """

    job: str
    id: str
    folder: str
    remote: str
    state: str
    bytes: int
    sent_files: int = 0
    sent_bytes: int = 0
    seconds: float = 0.0
    error: AexpError | None = None

    @property
    def ok(self) -> bool:
        """Whether it is at the remote now, or nothing was to be done."""
        return self.error is None


def object_key(sha256: str) -> str:
    """Return where a file of this content is at a remote."""
    return f"objects/{sha256[:2]}/{sha256}"


def manifest_key(manifest: Manifest) -> str:
    """Return where a manifest is at a remote.

    Its id is in the name: another machine that executes the same run has other checkpoints
    of the same steps.
    """
    return f"manifests/{manifest.job}/{manifest.folder}.{manifest.id[3:15]}.json"


def push_lock(repo: Repo, job_id: str, remote: Remote) -> str:
    """Return the lock of whoever pushes one of a run's checkpoints to a remote."""
    return os.path.join(checkpoints_dir(repo, job_id), f".push-{remote.name}.lock")


def to_push(repo: Repo, job_id: str) -> list[Checkpoint]:
    """Return the checkpoints that a run has saved, the newest first."""
    # Others are copies, for a run that began with them.
    return [item for item in list_checkpoints(repo, job_id) if item.job == job_id]


def push_run(
    repo: Repo,
    job_id: str,
    remote: Remote,
    store: RemoteStore | None = None,
    *,
    only_due: bool = False,
    again: bool = False,
    on_result: Callable[[Pushed], None] = lambda result: None,
    is_ending: Callable[[], bool] = lambda: False,
) -> list[Pushed]:
    """Push what a remote lacks of a run's checkpoints, the newest first, one after another.

    Parameters
    ----------
    repo : Repo
        The repository.
    job_id : str
        The run.
    remote : Remote
        Where to.
    store : RemoteStore, optional
        The same, opened; see `try_open`.
    only_due : bool, default False
        Leave alone what has failed and is to be tried later.
    again : bool, default False
        Send also what is there: it may have been damaged.
    on_result : callable
        Called after each checkpoint.
    is_ending : callable
        Whether no further one is to be begun with.

    Returns
    -------
    list of Pushed
        What was done, without what was known to be there. After a failure of the remote
        itself the rest is not tried.
    """
    results: list[Pushed] = []
    checkpoints = to_push(repo, job_id)
    if not checkpoints:
        return results
    with Outbox(repo, job_id) as outbox:
        known = {upload.id: upload for upload in outbox.fill(remote, checkpoints)}
        for checkpoint in checkpoints:
            if is_ending():
                break
            upload = known.get(checkpoint.id)
            if not again and upload is not None and not _is_due(upload, only_due):
                continue
            try:
                store = store or open_store(remote)
            except RemoteError as error:
                result: Pushed | None = _failed(outbox, _begun(remote, checkpoint), error)
            else:
                result = _push_locked(repo, outbox, store, remote, checkpoint, checkpoints, again)
            if result is None:
                continue
            results.append(result)
            on_result(result)
            if isinstance(result.error, RemoteError):
                break
    return results


def _is_due(upload: Upload, only_due: bool) -> bool:
    if upload.state == PUSHED:
        return False
    if not only_due:
        return True
    left = upload.next_try - time.time()
    # Longer than any pause: the clock was set back since.
    return upload.state != DAMAGED and not 0 < left <= LAST_DELAY_S


def _push_locked(
    repo: Repo,
    outbox: Outbox,
    store: RemoteStore,
    remote: Remote,
    checkpoint: Checkpoint,
    others: list[Checkpoint],
    again: bool,
) -> Pushed | None:
    with locked(push_lock(repo, checkpoint.job, remote)):
        # Whoever held the lock may have pushed it.
        begun = {item.id: item for item in outbox.uploads(remote) if item.state != QUEUED}
        known = begun.get(checkpoint.id)
        if not again and known is not None and known.state == PUSHED:
            return None
        there = {
            component.sha256
            for item in others
            if item.id in begun
            for component in item.manifest.components
        }
        return _push(outbox, store, remote, checkpoint, there, again)


def _push(
    outbox: Outbox,
    store: RemoteStore,
    remote: Remote,
    checkpoint: Checkpoint,
    there: set[str],
    again: bool,
) -> Pushed | None:
    began = time.monotonic()
    outbox.begin(remote.name, checkpoint.id)
    result = _begun(remote, checkpoint)
    try:
        files, sent = push_checkpoint(store, checkpoint, there, again=again)
    except (RemoteError, CheckpointDamaged) as error:
        if isinstance(error, CheckpointDamaged) and not os.path.isdir(checkpoint.path):
            outbox.forget(remote.name, checkpoint.id)  # dropped meanwhile, as its keeper wants
            return None
        failed = _failed(outbox, result, error)
        return failed._replace(seconds=round(time.monotonic() - began, 3))
    outbox.end(remote.name, checkpoint.id, sent)
    return result._replace(
        state=PUSHED if files is not None else "already there",
        sent_files=files or 0,
        sent_bytes=sent,
        seconds=round(time.monotonic() - began, 3),
    )


def _begun(remote: Remote, checkpoint: Checkpoint) -> Pushed:
    size, name = checkpoint.manifest.total_bytes, checkpoint.path.name
    return Pushed(checkpoint.job, checkpoint.id, name, remote.name, PUSHED, size)


def _failed(outbox: Outbox, result: Pushed, error: AexpError) -> Pushed:
    damaged = isinstance(error, CheckpointDamaged)
    outbox.fail(result.remote, result.id, error.message, error.hint or "", damaged=damaged)
    return result._replace(state=DAMAGED if damaged else "failed", error=error)


def try_open(remote: Remote) -> RemoteStore | None:
    """Return a remote opened for `push_run`, None when that is to note why it cannot be."""
    try:
        return open_store(remote)
    except RemoteError:
        return None


def push_checkpoint(
    store: RemoteStore,
    checkpoint: Checkpoint,
    there: Set[str] = frozenset(),
    *,
    again: bool = False,
) -> tuple[int | None, int]:
    """Push one checkpoint and return how many files and bytes were sent.

    The number of files is None when its manifest was there already. Of `there` is what was
    sent before, perhaps: the remote is asked. It is not asked for other small files, because
    sending one costs no more than asking.

    Raises
    ------
    CheckpointDamaged
        If a file here is not what the manifest says: nothing wrong gets a right name.
    RemoteError
        If the remote does not take it. What it has taken is not sent again.
    """
    manifest = checkpoint.manifest
    key = manifest_key(manifest)
    if not again and _is_there(store, key, manifest):
        return None, 0
    missing = {component.sha256: component for component in manifest.components}.values()

    def send(component: Component) -> int | None:
        ask = not again and (component.size > _SMALL or component.sha256 in there)
        return _send(store, checkpoint, component, ask)

    small = [component for component in missing if component.size <= _SMALL]
    large = [component for component in missing if component.size > _SMALL]
    sent = [*_at_once(send, small, _THREADS_SMALL), *_at_once(send, large, _THREADS)]
    store.settle()
    store.put(key, manifest.to_bytes())
    sizes = [size for size in sent if size is not None]
    return len(sizes), sum(sizes)


def _at_once(
    send: Callable[[Component], int | None], components: list[Component], threads: int
) -> list[int | None]:
    if len(components) < 2:
        return [send(component) for component in components]
    pool = ThreadPoolExecutor(min(threads, len(components)))
    try:
        return list(pool.map(send, components))
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _is_there(store: RemoteStore, key: str, manifest: Manifest) -> bool:
    data = store.get(key)
    if data is None:
        return False
    try:
        return parse_manifest(data, key).id == manifest.id
    except CheckpointDamaged:
        return False


def _send(
    store: RemoteStore, checkpoint: Checkpoint, component: Component, ask: bool
) -> int | None:
    """Put one file, unless it is there; return its size if it was sent."""
    key = object_key(component.sha256)
    if ask and store.size(key) == component.size:
        return None
    path = os.path.join(checkpoint, component.path)
    hint = "see: aexp checkpoints verify; an earlier checkpoint is used instead"
    where = f"{checkpoint.path}: {component.path}"
    try:
        store.put_file(key, path, component.size, component.sha256)
    except Mismatch:
        raise CheckpointDamaged(f"{where} is not what the manifest says", hint) from None
    except OSError as error:
        raise CheckpointDamaged(
            f"{where} cannot be read: {error.strerror or error}", hint
        ) from error
    return component.size


def plan_push(repo: Repo, job_id: str, remote: Remote, *, again: bool = False) -> list[Pushed]:
    """Return what `push_run` would push, without contacting the remote or writing."""
    done = set() if again else pushed_ids(repo, job_id, [remote])[remote.name]
    return [
        Pushed(job_id, item.id, item.path.name, remote.name, "queued", item.manifest.total_bytes)
        for item in to_push(repo, job_id)
        if item.id not in done
    ]
