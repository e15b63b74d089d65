"""Pull checkpoints from a remote: verified file by file, then published as if saved here."""

import itertools
import os
import re
import shutil
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

from aexp.checkpoints.manifest import Component, Manifest, parse_manifest
from aexp.checkpoints.objects import Objects, copy_file, hash_file
from aexp.checkpoints.past import past_in
from aexp.checkpoints.push import object_key
from aexp.checkpoints.staging import open_staging
from aexp.checkpoints.store import (
    Checkpoint,
    list_checkpoints,
    publish,
    sync_folder,
)
from aexp.checkpoints.verify import problems
from aexp.errors import (
    CheckpointDamaged,
    CheckpointError,
    CheckpointNotFound,
    CheckpointWarning,
    UsageError,
)
from aexp.files import remove, temporary_name
from aexp.model import short
from aexp.paths import Repo
from aexp.remotes.config import Remote
from aexp.remotes.store import RemoteStore, open_store

_THREADS = 4
_NAME = re.compile(r"(step|snapshot)-(\d{9,16}|final)\.([0-9a-f]{12})\.json")


class RemoteCheckpoint(NamedTuple):
    """A checkpoint as a listing of the remote shows it.

    Attributes
    ----------
    key : str
        Where its manifest is.
    kind : str
        ``checkpoint`` or ``snapshot``.
    step : int or None
        None for a final snapshot without a step.
    id : str
        The beginning of its id, with ``ck_``.
    """

    key: str
    kind: str
    step: int | None
    id: str


class Pulled(NamedTuple):
    """One checkpoint that is here now, and whether it was before."""

    checkpoint: Checkpoint
    was_here: bool


def remote_checkpoints(store: RemoteStore, job_id: str) -> list[RemoteCheckpoint]:
    """Return a run's checkpoints at a remote: those to go on from first, the newest of them first.

    A final snapshot is no place to go on from, however late it was saved.
    """
    found = []
    for key in store.keys(f"manifests/{job_id}"):
        match = _NAME.fullmatch(key.rpartition("/")[2])
        if match is None or key != f"manifests/{job_id}/{match[0]}":
            continue
        kind = "checkpoint" if match[1] == "step" else "snapshot"
        step = None if match[2] == "final" else int(match[2])
        found.append(RemoteCheckpoint(key, kind, step, f"ck_{match[3]}"))
    last = 10**17

    def order(item: RemoteCheckpoint) -> tuple[bool, int, str]:
        return item.kind == "checkpoint", last if item.step is None else item.step, item.id

    return sorted(found, key=order, reverse=True)


def choose(
    found: list[RemoteCheckpoint],
    *,
    kind: str | None = None,
    step: int | None = None,
    prefix: str | None = None,
) -> list[RemoteCheckpoint]:
    """Return those of a kind, of a step, or whose id begins with `prefix`."""
    wanted = "ck_" + prefix.strip().lower().removeprefix("ck_")[:12] if prefix else "ck_"
    return [
        item
        for item in found
        if (kind is None or item.kind == kind)
        and (step is None or item.step == step)
        and item.id.startswith(wanted)
    ]


def pull_run(
    repo: Repo,
    job_id: str,
    remote: Remote,
    *,
    kind: str | None = None,
    step: int | None = None,
    prefix: str | None = None,
    every: bool = False,
    store: RemoteStore | None = None,
    on_result: Callable[[Pulled], None] = lambda result: None,
) -> list[Pulled]:
    """Pull a run's newest checkpoint, or all, or those of a step or an id.

    When the newest is damaged at the remote, a warning names it, and the one before is taken.

    Raises
    ------
    CheckpointNotFound
        If the remote has none like that.
    CheckpointDamaged
        If all that it has are damaged.
    """
    store = store or open_store(remote)
    found = choose(remote_checkpoints(store, job_id), kind=kind, step=step, prefix=prefix)
    if not found:
        what = "no checkpoint" if step is None and not prefix else "no such checkpoint"
        raise CheckpointNotFound(
            f"remote {remote.name} has {what} of run {short(job_id)}",
            f"see: aexp pull {short(job_id)} --dry-run",
        )
    results: list[Pulled] = []
    damage: CheckpointDamaged | None = None
    for item in _by_worth(repo, job_id, store, remote, found):
        try:
            pulled = pull_checkpoint(repo, job_id, store, remote, item)
        except CheckpointDamaged as error:
            damage = error
            warnings.warn(error.message, CheckpointWarning, stacklevel=2)
            continue
        results.append(pulled)
        on_result(pulled)
        if not every:
            break
    if damage is not None and (every or not results):
        raise damage
    return results


def pull_checkpoint(
    repo: Repo, job_id: str, store: RemoteStore, remote: Remote, item: RemoteCheckpoint
) -> Pulled:
    """Pull one checkpoint into a run's folder, unless it is there and whole.

    Raises
    ------
    CheckpointDamaged
        If what the remote has is not what was pushed; nothing of it is kept.
    """
    for here in list_checkpoints(repo, job_id):
        if here.id.startswith(item.id) and not problems(here, "hash"):
            return Pulled(here, True)
    manifest = read_remote_manifest(store, remote, job_id, item)
    staging = open_staging(repo, job_id)
    try:
        fetch_files(store, remote, manifest, staging.folder, Objects(repo))
        return Pulled(publish(repo, staging.folder, manifest, job_id=job_id), False)
    except OSError as error:
        raise CheckpointError(
            f"cannot keep {item.key} here: {error.strerror or error}",
            "check the folder's permissions and the free space",
        ) from error
    finally:
        staging.close()


def pull_to(store: RemoteStore, remote: Remote, manifest: Manifest, folder: str) -> None:
    """Write a checkpoint's files into a new folder, which is there when it is whole.

    Raises
    ------
    UsageError
        If the folder exists.
    CheckpointDamaged
        If the remote's files are not those of the manifest.
    """
    target = os.path.abspath(folder)
    if os.path.lexists(target):
        raise UsageError(f"{target} exists", "name a folder that does not")
    temporary = temporary_name(target)
    try:
        os.makedirs(temporary)
        fetch_files(store, remote, manifest, temporary, None)
        os.rename(temporary, target)
        sync_folder(os.path.dirname(target))
    except OSError as error:
        raise CheckpointError(
            f"cannot write {target}: {error.strerror or error}", "check permissions and space"
        ) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def pull_newest_to(
    repo: Repo,
    store: RemoteStore,
    remote: Remote,
    job_id: str,
    folder: str,
    *,
    step: int | None = None,
    prefix: str | None = None,
) -> Manifest:
    """Write a run's newest checkpoint that is whole into a new folder; see `pull_run`."""
    found = choose(remote_checkpoints(store, job_id), step=step, prefix=prefix)
    if not found:
        raise CheckpointNotFound(
            f"remote {remote.name} has no such checkpoint of run {short(job_id)}",
            f"see: aexp pull {short(job_id)} --dry-run",
        )
    for number, item in enumerate(_by_worth(repo, job_id, store, remote, found), 1):
        try:
            manifest = read_remote_manifest(store, remote, job_id, item)
            pull_to(store, remote, manifest, folder)
            return manifest
        except CheckpointDamaged as error:
            if number == len(found):
                raise
            warnings.warn(error.message, CheckpointWarning, stacklevel=2)
    raise AssertionError("unreachable")


def _by_worth(
    repo: Repo,
    job_id: str,
    store: RemoteStore,
    remote: Remote,
    found: Sequence[RemoteCheckpoint],
) -> Iterator[RemoteCheckpoint]:
    """Yield the newest first, also of one step; at last what nothing goes on from any more.

    Their names do not tell that, so manifests are read where it matters.
    """
    past = past_in(repo, job_id)
    behind: list[RemoteCheckpoint] = []
    for _, group in itertools.groupby(found, key=lambda item: (item.kind, item.step)):
        items = list(group)
        if len(items) == 1 and not (past.attempt or past.turns):
            yield items[0]
            continue
        dated: list[tuple[str, RemoteCheckpoint]] = []
        for item in items:
            try:
                manifest = read_remote_manifest(store, remote, job_id, item)
            except CheckpointDamaged:  # named when it is pulled
                dated.append(("", item))
                continue
            if past.holds(Checkpoint(item.key, manifest)):
                behind.append(item)
            else:
                dated.append((manifest.created_at, item))
        yield from (item for _, item in sorted(dated, reverse=True))
    yield from behind


def read_remote_manifest(
    store: RemoteStore, remote: Remote, job_id: str, item: RemoteCheckpoint
) -> Manifest:
    """Read a manifest at a remote and insist that it is the one its name promises."""
    where = f"remote {remote.name}: {item.key}"
    data = store.get(item.key)
    if data is None:
        raise CheckpointDamaged(f"{where} has gone", "push it again from where it was saved")
    manifest = parse_manifest(data, where)
    if manifest.job != job_id or not manifest.id.startswith(item.id):
        raise CheckpointDamaged(f"{where} is of another checkpoint", _PUSH_AGAIN)
    return manifest


def fetch_files(
    store: RemoteStore, remote: Remote, manifest: Manifest, folder: str, objects: Objects | None
) -> None:
    """Write a manifest's files below a folder, each verified and on the disk.

    Raises
    ------
    CheckpointDamaged
        If one is missing at the remote, or has other content.
    """
    first: dict[str, str] = {}
    copies: list[tuple[str, str]] = []
    for component in manifest.components:
        path = os.path.join(folder, component.path)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        if component.sha256 in first:
            copies.append((first[component.sha256], path))
        first.setdefault(component.sha256, path)
    wanted = {component.sha256: component for component in reversed(manifest.components)}

    def fetch(component: Component) -> None:
        _fetch(store, remote, component, first[component.sha256], objects)

    pool = ThreadPoolExecutor(min(_THREADS, len(wanted)))
    try:
        list(pool.map(fetch, wanted.values()))
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
    for source, path in copies:
        copy_file(source, path)
        _settle(path)


_PUSH_AGAIN = "where it was saved: aexp push --again; an earlier checkpoint may be whole"


def _fetch(
    store: RemoteStore, remote: Remote, component: Component, path: str, objects: Objects | None
) -> None:
    if objects is not None and objects.take(component.sha256, path):
        return
    key = object_key(component.sha256)
    where = f"remote {remote.name}: {key} ({component.path})"
    try:
        if not store.get_file(key, path):
            raise CheckpointDamaged(f"{where} is missing", _PUSH_AGAIN)
        if os.stat(path).st_size != component.size or hash_file(path) != component.sha256:
            raise CheckpointDamaged(f"{where} has other content than was pushed", _PUSH_AGAIN)
    except CheckpointDamaged:
        remove(path)
        raise
    _settle(path)
    if objects is not None:
        objects.put(path, component.sha256)


def _settle(path: str) -> None:
    os.chmod(path, 0o444)
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
