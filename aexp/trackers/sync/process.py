"""One sync in a process of its own: bounded in time, ended with whoever asked for it.

The parent writes one line of JSON to the child's stdin and keeps it open. When it closes, for
whatever reason (the time is over, Ctrl-C, kill -9), the child ends its whole process group.
"""

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from aexp.errors import AexpError
from aexp.files import read_object, write_atomic
from aexp.model import printable
from aexp.processes import end_processes, group_members, marked_processes, signal_group
from aexp.trackers.contract import OfflineRun, SyncResult, TrackerAdapter, call_supported
from aexp.trackers.sync import unsent

_MARK = "AEXP_SYNC"
# For an adapter that keeps the time itself, to end and to say why.
_LEAST_GRACE_S, _MOST_GRACE_S = 2.0, 15.0
_ANSWER = "answer.json"


class Processes:
    """The sync processes that are running, so that all of them can be ended."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self._is_over = False

    def sync(
        self, run: OfflineRun, options: Mapping[str, Any], *, root: str | None, timeout_s: float
    ) -> SyncResult:
        """Sync one offline run in a child process and return how it went."""
        began = time.monotonic()
        nonce = os.urandom(8).hex()
        grace = min(max(timeout_s, _LEAST_GRACE_S), _MOST_GRACE_S)
        with tempfile.TemporaryDirectory(prefix="aexp-sync-") as folder:
            answer_path = os.path.join(folder, _ANSWER)
            request = {
                "run": {**asdict(run), "path": str(run.path)},
                "options": dict(options),
                "timeout_s": timeout_s,
                "answer": answer_path,
            }
            with tempfile.TemporaryFile() as output:
                child = self._start(nonce, output, root)
                try:
                    is_late = _ask(child, request, timeout_s + grace)
                finally:
                    self._end(nonce, child)
                output.seek(0)
                said = output.read().decode(errors="replace").strip()
            answer = _read_answer(answer_path, run)
        if answer is not None:
            return answer
        reason = f"the sync has not ended within {timeout_s:g} s and was ended"
        if not is_late:
            reason = f"the process that syncs has ended with code {child.returncode}"
        hint = "allow more time: --timeout SECONDS" if is_late else "see what it said: --json"
        return SyncResult(
            run.path,
            False,
            f"{reason}\n{said}".strip(),
            hint,
            seconds=time.monotonic() - began,
            returncode=child.returncode,
        )

    def end_all(self) -> None:
        """End every sync that is running, and let no further one begin."""
        with self._lock:
            self._is_over = True
            running = dict(self._running)
        for nonce, child in running.items():
            _kill(nonce, child)

    def _start(self, nonce: str, output: Any, root: str | None) -> "subprocess.Popen[bytes]":
        with self._lock:
            if self._is_over:
                raise KeyboardInterrupt
            child = subprocess.Popen(
                [sys.executable, "-P", "-m", "aexp.trackers.sync.process"],
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=root,
                env={**os.environ, _MARK: nonce},
                start_new_session=True,
            )
            self._running[nonce] = child
        return child

    def _end(self, nonce: str, child: "subprocess.Popen[bytes]") -> None:
        _kill(nonce, child)
        child.wait()
        if child.stdin is not None:
            with contextlib.suppress(OSError):
                child.stdin.close()
        with self._lock:
            self._running.pop(nonce, None)


def _ask(child: "subprocess.Popen[bytes]", request: dict[str, Any], timeout_s: float) -> bool:
    """Give the child its task and wait; True when the time is over."""
    assert child.stdin is not None
    try:
        child.stdin.write(json.dumps(request).encode() + b"\n")
        child.stdin.flush()
    except BrokenPipeError:
        pass  # what it says before it dies is the answer
    try:
        child.wait(timeout_s)
    except subprocess.TimeoutExpired:
        return True
    return False


def _kill(nonce: str, child: "subprocess.Popen[bytes]") -> None:
    """End a child's process group, and what has left the group."""
    if child.poll() is None or group_members(child.pid):
        signal_group(child.pid, signal.SIGKILL)
    if sys.platform.startswith("linux"):
        end_processes(marked_processes(f"{_MARK}={nonce}"))


def _read_answer(path: str, run: OfflineRun) -> SyncResult | None:
    with contextlib.suppress(AexpError, TypeError):
        value = read_object(path)
        if value is not None:
            return SyncResult(**{**value, "path": run.path})
    return None


def answer(request: Mapping[str, Any], adapter: TrackerAdapter | None = None) -> SyncResult:
    """Do what a request asks for; whatever happens becomes the result."""
    from aexp.trackers.registry import get_adapter

    run = OfflineRun(**{**request["run"], "path": Path(request["run"]["path"])})
    try:
        if unsent.is_one(run):
            return unsent.send(run, timeout_s=request["timeout_s"])
        adapter = adapter or get_adapter(run.backend, **request["options"])
        done = call_supported(adapter.sync, run, timeout_s=request["timeout_s"])
    except AexpError as error:
        return SyncResult(run.path, False, error.message, error.hint or "")
    except Exception as error:  # another package's code
        return SyncResult(run.path, False, f"{type(error).__name__}: {printable(error)}")
    if not isinstance(done, SyncResult):
        return SyncResult(run.path, False, f"sync of {run.backend} returned {type(done).__name__}")
    return done


def _end_with_parent() -> None:
    """Wait until nobody holds the other end of stdin, then end this process group."""
    while os.read(0, 4096):
        pass
    os.killpg(os.getpgrp(), signal.SIGKILL)


def main() -> None:
    """Read a request from stdin, answer it into the file that it names."""
    line = b""
    while not line.endswith(b"\n"):
        piece = os.read(0, 65536)
        if not piece:
            return
        line += piece
    request = json.loads(line)
    tempfile.tempdir = os.path.dirname(request["answer"])  # the parent clears it up in any case
    threading.Thread(target=_end_with_parent, daemon=True).start()
    done = answer(request)
    write_atomic(request["answer"], json.dumps({**asdict(done), "path": str(done.path)}).encode())


if __name__ == "__main__":
    main()
