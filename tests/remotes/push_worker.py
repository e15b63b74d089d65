"""Push a run and kill this process at a named point: ROOT JOB POINT NUMBER.

The point is the NUMBERth call of a method, before or after it: ``put_file:before``.
"""

import itertools
import os
import signal
import sys
from typing import Any

from aexp.checkpoints.outbox import Outbox
from aexp.checkpoints.push import push_run
from aexp.paths import Repo
from aexp.remotes.config import get_remote
from aexp.remotes.folder import FolderStore
from aexp.remotes.objects import ObjectStore


def main() -> None:
    root, job_id, point, number = sys.argv[1:]
    name, _, when = point.partition(":")
    calls = itertools.count(1)  # counts by itself what several threads call

    def killing(method: Any) -> Any:
        def wrapped(*arguments: Any, **options: Any) -> Any:
            is_it = next(calls) == int(number)
            if is_it and when == "before":
                os.kill(os.getpid(), signal.SIGKILL)
            result = method(*arguments, **options)
            if is_it and when == "after":
                os.kill(os.getpid(), signal.SIGKILL)
            return result

        return wrapped

    for kind in (FolderStore, ObjectStore, Outbox):
        if hasattr(kind, name):
            setattr(kind, name, killing(getattr(kind, name)))
    repo = Repo(root)
    push_run(repo, job_id, get_remote(repo))
    sys.exit(3)  # the point was not reached


main()
