"""An adapter for tests, which misbehaves as it is told; put on the path as a distribution."""

import os
import sys
import time
from pathlib import Path
from typing import Any

from aexp.trackers.contract import RunHandle, RunRecord, TrackerAdapter

FOREVER = 3600


def publish(folder: Path) -> dict[str, str]:
    """Lay this module out as a distribution with an entry point; return the environment."""
    (folder / "misbehaving-1.0.dist-info").mkdir(parents=True)
    (folder / "misbehaving.py").write_text(Path(__file__).read_text())
    (folder / "misbehaving-1.0.dist-info" / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: misbehaving\nVersion: 1.0\n"
    )
    (folder / "misbehaving-1.0.dist-info" / "entry_points.txt").write_text(
        "[aexp.trackers]\nmisbehaving = misbehaving:Misbehaving\n"
        "absent = no_such_module:Adapter\nother = misbehaving:RunRecord\n"
    )
    return {"PYTHONPATH": str(folder)}


class Misbehaving(TrackerAdapter):
    """Takes the seed's signatures only, and does what `mode` says."""

    name = "misbehaving"

    def __init__(self, mode: str = "well") -> None:
        self.mode = mode

    def init_run(
        self, *, project: Any, group: Any, tags: Any, config: Any, notes: Any, offline: Any
    ) -> RunHandle:
        if self.mode == "no handle":
            return None  # type: ignore[return-value]
        if self.mode == "init raises until told" and not Path(os.environ["TRACKED"]).exists():
            raise ValueError("no such project")
        if self.mode == "init raises" or (self.mode == "init raises online" and not offline):
            raise ValueError("no such key")
        if self.mode == "init hangs" or (self.mode == "init hangs online" and not offline):
            time.sleep(FOREVER)
        if self.mode == "garbage":
            os.write(1, b"\x1b[2J\x00\xff" * 50_000)
            os.write(2, b"\xfe\n" * 1000)
            print(sys.stdin.read())
        where = Path(os.environ["TRACKED"])
        with where.open("a") as file:
            file.write(f"{config['job_id']} offline={offline}\n")
        return RunHandle("own-id", self.name, "http://user:pw@host/run/1", project, group, {})

    def log(self, handle: RunHandle, metrics: Any) -> None:
        if self.mode == "log raises":
            raise RuntimeError("\x1b[31mred\n")
        if self.mode == "log hangs":
            time.sleep(FOREVER)
        if self.mode == "exits":
            os._exit(7)
        with open(os.environ["TRACKED"], "a") as file:
            file.write(f"{metrics}\n")

    def log_artifact(self, handle: RunHandle, name: str, path: Any) -> None:
        raise OSError("no artifacts")

    def finish(self, handle: RunHandle, *, exit_code: int = 0) -> None:
        if self.mode == "finish hangs":
            time.sleep(FOREVER)
        if self.mode == "a failure's finish waits" and exit_code:
            where = Path(os.environ["TRACKED"])
            with where.open("a") as file:
                file.write("finishing\n")
            while not where.with_name("go-on").exists():
                time.sleep(0.02)
        with open(os.environ["TRACKED"], "a") as file:
            file.write(f"finish {exit_code}\n")

    def list_runs(self, *, project: Any, group_prefix: Any) -> list[RunRecord]:
        return []
