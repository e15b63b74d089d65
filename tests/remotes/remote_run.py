"""A run with checkpoints, a remote for it, and what must be true of that remote."""

import hashlib
import itertools
import os
from pathlib import Path
from typing import Any

from remote_servers import BUCKET

from aexp.checkpoints.manifest import parse_manifest
from aexp.checkpoints.save import Facts, save_staged
from aexp.checkpoints.staging import open_staging
from aexp.checkpoints.store import Checkpoint, list_checkpoints
from aexp.checkpoints.verify import problems
from aexp.paths import Repo
from aexp.remotes.config import Remote, add_remote, make_remote
from aexp.remotes.store import open_store

_serial = itertools.count()


class RemoteRun:
    """One run of a repository, and a remote called ``r``."""

    def __init__(self, research: Any, kind: str, where: Any) -> None:
        self.research = research
        self.repo = Repo(research.root)
        self.job = research.one("seed=0")
        self._whole: dict[str, bool] = {}
        if kind == "folder":
            self.folder = Path(where) / "archive"
            self.folder.mkdir()
            self.url, self.options = str(self.folder), {}
        else:
            self.url = f"s3://{BUCKET}/p{os.getpid()}-{next(_serial)}"
            self.options = {"endpoint": where.endpoint}

    def add(self, name: str = "r", **more: Any) -> Remote:
        """Write the remote's file."""
        options = more.pop("options", self.options)
        remote = make_remote(name, self.url, options=options, **more)
        add_remote(self.repo, remote, replace=True)
        return remote

    @property
    def remote(self) -> Remote:
        """The remote, whether its file is there or not."""
        return make_remote("r", self.url, options=self.options)

    @property
    def store(self) -> Any:
        """The remote, opened."""
        return open_store(self.remote)

    def save(self, step: int, files: dict[str, bytes] | None = None, **more: Any) -> Checkpoint:
        """Save a checkpoint of the run: a part of its own, and one that all share."""
        content = files or {
            "model.bin": bytes([step % 256]) * 200_000,
            "optimizer/state.bin": b"o%d" % step * 1000,
            "frozen.bin": b"f" * 300_000,
        }
        staging = open_staging(self.repo, self.job)
        for name, data in content.items():
            path = Path(staging.folder) / name
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(data)
        facts = Facts(job=self.job, variation="v", attempt=1, step=step, **more).checked()
        try:
            return save_staged(self.repo, staging.folder, facts, 0.0)
        finally:
            staging.close()

    def checkpoints(self) -> list[Checkpoint]:
        """What is here, each file of it whole."""
        found = list_checkpoints(self.repo, self.job)
        for item in found:
            assert problems(item, "hash") == []
        return found

    def arrived(self, *, anew: bool = True) -> list[int]:
        """Return the steps that are at the remote; assert that none of them is torn.

        Not `anew`: objects that were found whole are not read again.
        """
        store = self.store
        if anew:
            self._whole = {}
        whole = self._whole
        keys = store.keys("objects") + store.keys(f"manifests/{self.job}")
        steps = []
        for key in keys:
            if not key.startswith("manifests/"):
                continue
            manifest = parse_manifest(store.get(key), key)
            for component in manifest.components:
                where = f"objects/{component.sha256[:2]}/{component.sha256}"
                if component.sha256 not in whole:
                    data = store.get(where)
                    assert data is not None, f"{key} names {where}, which is not there"
                    whole[component.sha256] = (
                        hashlib.sha256(data).hexdigest() == component.sha256
                        and len(data) == component.size
                    )
                assert whole[component.sha256], f"{key} names {where}, which is torn"
            steps.append(manifest.step)
        return sorted(steps)

    def lose(self) -> None:
        """Remove all that is here of the run's checkpoints, as another machine has it."""
        import shutil

        shutil.rmtree(self.research.workspace(self.job) / "checkpoints")
        shutil.rmtree(self.research.root / ".aexp" / "objects", ignore_errors=True)
