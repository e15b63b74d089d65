"""Upload a folder with obstore alone, or push a run's checkpoints; print JSON of what it cost.

    upload_files.py loop|gather URL OPTIONS FOLDER
    upload_files.py push REPO JOB REMOTE
    upload_files.py save REPO JOB STEP FILES BYTES

OPTIONS are those of the remote, as JSON. `loop` puts one file after another, `gather` eight at
the same time, both as the library does it by default; in a folder they are then flushed to the
disk. Wall and CPU are those from before the store is opened to the end of the last upload; the
interpreter's start and imports are outside. `save` saves a checkpoint of new files; of no FILES:
the last one's once more.
"""

import asyncio
import itertools
import json
import os
import resource
import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

_AT_ONCE = 8


def measured(call: Callable[[], dict[str, Any]]) -> None:
    """Call, and print what it cost and told."""
    os.sync()  # what was written before is not for this one to wait for
    before, began = resource.getrusage(resource.RUSAGE_SELF), time.monotonic()
    told = call()
    wall, after = time.monotonic() - began, resource.getrusage(resource.RUSAGE_SELF)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    print(json.dumps({"cpu": cpu, "wall": wall, **told}))


def plain(way: str, url: str, options: str, folder: Path) -> None:
    """Upload as the library does it by itself."""
    import obstore
    from obstore.store import from_url

    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    given: dict[str, Any] = json.loads(options)
    if given:
        given["client_options"] = {"allow_http": True}

    def loop() -> dict[str, Any]:
        store = from_url(url, **given)
        for file in files:
            obstore.put(store, file.relative_to(folder).as_posix(), file)
        flush()
        return {}

    async def all_of_them() -> None:
        store, limit = from_url(url, **given), asyncio.Semaphore(_AT_ONCE)

        async def put(file: Path) -> None:
            async with limit:
                await obstore.put_async(store, file.relative_to(folder).as_posix(), file)

        await asyncio.gather(*map(put, files))

    def gather() -> dict[str, Any]:
        asyncio.run(all_of_them())
        flush()
        return {}

    def flush() -> None:
        if not given:
            top = Path(url.removeprefix("file://"))
            for path in [*top.rglob("*"), top]:
                descriptor = os.open(path, os.O_RDONLY)
                os.fsync(descriptor)
                os.close(descriptor)

    measured(loop if way == "loop" else gather)


def push(root: str, job: str, name: str) -> None:
    """Push all that the run has, as ``aexp push`` does."""
    import obstore  # noqa: F401  (as above, not in the time)

    from aexp.checkpoints.push import push_run
    from aexp.paths import Repo
    from aexp.remotes.config import get_remote
    from aexp.remotes.store import open_store

    repo = Repo(Path(root))
    remote = get_remote(repo, name)

    def ours() -> dict[str, Any]:
        store = Counting(open_store(remote))
        results = push_run(repo, job, remote, store)
        failed = [str(result.error) for result in results if result.error]
        if failed:
            raise SystemExit(failed[0])
        return {
            "checkpoints": len(results),
            "calls": next(store.calls),
            "bytes": sum(result.sent_bytes for result in results),
        }

    measured(ours)


class Counting:
    """A remote that counts what is asked of it."""

    def __init__(self, store: Any) -> None:
        self._store = store
        self.calls = itertools.count()

    def __getattr__(self, name: str) -> Any:
        if name != "settle":  # flushes a folder; asks no server for anything
            next(self.calls)
        return getattr(self._store, name)


def save(root: str, job: str, step: int, count: int, size: int) -> None:
    """Save a checkpoint, as a run would, and print its folder."""
    from aexp.checkpoints.save import Facts, save_staged
    from aexp.checkpoints.staging import open_staging
    from aexp.checkpoints.store import list_checkpoints
    from aexp.paths import Repo

    repo = Repo(Path(root))
    staging = open_staging(repo, job)
    for at in range(count):
        Path(staging.folder, f"part-{at:04}.bin").write_bytes(os.urandom(size))
    if not count:
        last = list_checkpoints(repo, job)[0]
        for component in last.manifest.components:
            shutil.copyfile(last.path / component.path, Path(staging.folder, component.path))
    facts = Facts(job=job, variation="v", attempt=1, step=step).checked()
    found = save_staged(repo, staging.folder, facts, 0.0)
    staging.close()
    print(json.dumps({"path": str(found.path)}))


def main() -> None:
    way, *words = sys.argv[1:]
    if way == "save":
        save(words[0], words[1], *map(int, words[2:]))
    elif way == "push":
        push(words[0], words[1], words[2])
    else:
        plain(way, words[0], words[1], Path(words[2]))
        # The library's threads may abort an interpreter that ends after its asynchronous calls.
        sys.stdout.flush()
        os._exit(0)


main()
