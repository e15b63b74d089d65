"""A command that leaves a witness of every execution, and ways to end processes hard."""

import os
import signal
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

# The lock belongs to the whole process tree of one execution, so a second execution beside
# the first is seen however the first one's wrapper died.
SCRIPT = """#!/bin/sh
# witness.sh ID SECONDS EXIT_CODE
dir={folder}
exec 9>>"$dir/$1.lock"
flock -n 9 || echo "overlap $1 $$" >>"$dir/log"
test -e "{workspace}/$1/terminal.json" && echo "late $1 $$" >>"$dir/log"
echo "start $1 $$" >>"$dir/log"
sleep "$2"
while test -e "$dir/hold-$1"; do sleep 0.05; done
echo "end $1 $$" >>"$dir/log"
exit "$3"
"""


class Witness:
    """What really was executed, as the commands themselves have written it down."""

    def __init__(self, research: Any) -> None:
        self.research = research
        self.folder = research.root.parent / "witness"
        self.folder.mkdir()
        self.log = self.folder / "log"
        self.log.touch()
        script = self.folder / "witness.sh"
        workspace = research.root / ".runs" / "workspace"
        script.write_text(SCRIPT.format(folder=self.folder, workspace=workspace))
        self.script = script

    def experiment(self, seconds: str = "{sleep}", code: str = "{code}", more: str = "") -> None:
        """Make the witness the command of E001, with these arguments."""
        self.research.experiment(f"sh {self.script} {{job_id}} {seconds} {code}", more)

    def lines(self) -> list[tuple[str, str]]:
        """Return (word, job id) of every line, in the order in which they were written."""
        rows = [line.split() for line in self.log.read_text().splitlines()]
        return [(row[0], row[1]) for row in rows]

    def count(self, word: str) -> Counter[str]:
        """Return how often each run has written `word`."""
        return Counter(job_id for said, job_id in self.lines() if said == word)

    def order(self) -> list[str]:
        """Return the ids in the order in which they were started."""
        return [job_id for word, job_id in self.lines() if word == "start"]

    def hold(self, job_id: str) -> None:
        """Let this run's command go on until `let_go`."""
        (self.folder / f"hold-{job_id}").touch()

    def let_go(self, job_id: str) -> None:
        """Let a held command end."""
        (self.folder / f"hold-{job_id}").unlink()

    def assert_no_overlap(self) -> None:
        """No two executions of a run at once, none after its end was recorded."""
        assert not self.count("overlap"), self.log.read_text()
        assert not self.count("late"), self.log.read_text()


@pytest.fixture
def witness(research: Any) -> Witness:
    made = Witness(research)
    made.experiment()
    return made


class Processes:
    """The processes that work in one research repository."""

    def __init__(self, root: Path) -> None:
        self.root = str(root)

    def matching(self, word: str) -> list[int]:
        """Return the live processes with this word among their arguments."""
        found = []
        for name in os.listdir("/proc"):
            if not name.isdigit():
                continue
            try:
                arguments = Path(f"/proc/{name}/cmdline").read_bytes().split(b"\0")
                if word.encode() not in arguments or b"-c" in arguments[:2]:
                    continue
                if os.readlink(f"/proc/{name}/cwd") == self.root:
                    found.append(int(name))
            except OSError:
                continue
        return found

    def wrappers(self) -> list[int]:
        """Return the processes that execute a run."""
        return self.matching("run-queued")

    def kill(self, pids: list[int], number: int = signal.SIGKILL) -> None:
        """Signal processes; those that have gone are no error."""
        for pid in pids:
            try:
                os.kill(pid, number)
            except ProcessLookupError:
                continue

    def wait_for_none(self, word: str, timeout: float = 60.0) -> None:
        """Wait until no process has this word among its arguments."""
        end = time.monotonic() + timeout
        while self.matching(word):
            assert time.monotonic() < end, f"{word} still runs"
            time.sleep(0.05)


@pytest.fixture
def processes(research: Any) -> Processes:
    return Processes(research.root)


def _finish(process: Any, timeout: float = 120.0) -> tuple[int, str]:
    output, _ = process.communicate(timeout=timeout)
    return process.returncode, output.decode(errors="replace")


@pytest.fixture
def finish() -> Any:
    """Wait for a started process; return its exit code and output."""
    return _finish


def _evidence(research: Any) -> dict[str, bytes]:
    files = [
        *(research.root / ".aexp" / "ledger").glob("*.json"),
        *(research.root / ".runs" / "workspace").glob("*/terminal.json"),
    ]
    return {str(path.relative_to(research.root)): path.read_bytes() for path in files}


@pytest.fixture
def evidence() -> Any:
    """Read all ledger entries and sentinels."""
    return _evidence


def _snapshot(root: Path) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for folder, folders, names in os.walk(root):
        folders[:] = [name for name in folders if name not in (".git", ".snakemake")]
        for name in names:
            path = os.path.join(folder, name)
            status = os.stat(path)
            found[path] = (status.st_size, status.st_mtime_ns, status.st_ino)
    return found


@pytest.fixture
def snapshot() -> Any:
    """Return size, time and inode of every file of the repository, without Snakemake's own."""
    return _snapshot
