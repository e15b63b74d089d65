"""Prune and collect garbage as hard as possible, until it is killed; or save as hard."""

import itertools
import sys

import aexp
from aexp.checkpoints.gc import collect
from aexp.checkpoints.retention import prune
from aexp.kb.retention import Retention
from aexp.paths import Repo


def content(number: int) -> bytes:
    """Return one of five contents: what is dropped is soon saved again."""
    return b"%d" % (number % 5) * 2000


def save() -> None:
    """Save until stdin ends; each newest checkpoint must be whole at once."""
    run = aexp.current()
    run.keep_checkpoints(2, every=40)
    latest = run.latest_checkpoint()
    for step in itertools.count(0 if latest is None or latest.step is None else latest.step + 1):
        with run.checkpoint(step) as folder:
            (folder / "a.bin").write_bytes(content(step))
            (folder / "b.bin").write_bytes(content(step // 3))
        found = run.latest_checkpoint(verify="hash")
        assert found is not None
        assert found.step == step, (found.step, step)
        print(step, flush=True)


def clear(root: str, job_id: str) -> None:
    """Prune and collect without a pause."""
    repo = Repo(root)
    for number in itertools.count():
        prune(repo, job_id, Retention(keep_last=1 + number % 2, keep_every=40))
        collect(repo, delete=True, min_age_s=0)
        if number == 0:
            print("ready", flush=True)


if __name__ == "__main__":
    save() if len(sys.argv) == 1 else clear(*sys.argv[1:])
