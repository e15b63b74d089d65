"""A command's output on the terminal: as it comes, and never at the cost of the run.

Whoever reads may be slow, may stop (Ctrl-S, a pager, a frozen connection), or may have gone.
The attempt's log has every byte in any case; time limits, signals and heartbeats go on.
"""

import os
import select
import sys
import time
from typing import TextIO

# select(2) calls a pipe writable when so many bytes fit without waiting (PIPE_BUF).
_ATOMIC = 4096
_CAPACITY = 1 << 18
_LIMIT = 1 << 22  # what a dying command may still pour out is not kept without end
PATIENCE_S = 10.0
_LAST_PATIENCE_S = 2.0


class Terminal:
    """Where output goes that somebody may be reading.

    Parameters
    ----------
    stream : text stream, optional
        Default: standard output. One without a file descriptor gets everything at once.
    """

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream or sys.stdout
        self._pending = bytearray()
        self._moved = time.monotonic()
        self._skipped = 0
        try:
            self._stream.flush()
            self._descriptor = self._stream.fileno()
        except (OSError, ValueError, AttributeError):
            self._descriptor = -1
        self._gone = False

    @property
    def is_behind(self) -> bool:
        """Whether something waits to be read."""
        return bool(self._pending)

    @property
    def is_full(self) -> bool:
        """Whether so much waits that the command should wait, too."""
        return len(self._pending) >= _CAPACITY

    def write(self, data: bytes) -> None:
        """Pass a piece on, or keep it until the reader goes on reading."""
        if self._gone:
            return
        if self._descriptor < 0:
            self._write_at_once(data)
            return
        if not self._pending:
            self._moved = time.monotonic()
        if self._skipped or len(self._pending) > _LIMIT:
            self._give_up()
            self._skipped += len(data)
        else:
            self._pending += data
        self.pump()

    def pump(self) -> None:
        """Write what the reader takes now; give up on one that has taken nothing for long."""
        try:
            while (self._pending or self._skipped) and _is_writable(self._descriptor, 0.0):
                if not self._pending:
                    self._pending += (
                        f"\n[aexp: {self._skipped} bytes are in the log only]\n".encode()
                    )
                    self._skipped = 0
                taken = os.write(self._descriptor, self._pending[:_ATOMIC])
                del self._pending[:taken]
                self._moved = time.monotonic()
        except (OSError, ValueError):  # the reader has gone
            self._gone = True
            say("nobody reads the output any more; the command goes on, its log has the rest")
            self._pending.clear()
            self._skipped = 0
            return
        if self.is_full and time.monotonic() - self._moved > PATIENCE_S:
            self._give_up()

    def finish(self) -> None:
        """Let a reader that still reads have the rest."""
        end = time.monotonic() + PATIENCE_S
        while self._pending and time.monotonic() < min(end, self._moved + _LAST_PATIENCE_S):
            self.pump()
            if self._pending:
                time.sleep(0.01)
        if self._pending:
            self._give_up()

    def _give_up(self) -> None:
        self._skipped += len(self._pending)
        self._pending.clear()

    def _write_at_once(self, data: bytes) -> None:
        try:
            binary = getattr(self._stream, "buffer", None)
            if binary is not None:
                binary.write(data)
                binary.flush()
        except (OSError, ValueError):
            self._gone = True


def say(text: str) -> None:
    """Print a line on stderr, unless nobody takes it."""
    try:
        if _is_writable(sys.stderr.fileno(), _LAST_PATIENCE_S):
            sys.stderr.write(f"aexp: {text}\n")
            sys.stderr.flush()
    except (OSError, ValueError, AttributeError):
        return


def _is_writable(descriptor: int, seconds: float) -> bool:
    watch = select.poll()
    watch.register(descriptor, select.POLLOUT)
    return bool(watch.poll(seconds * 1000))
