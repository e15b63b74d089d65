"""Save in the background: one thread, in the order of the calls, never without a word."""

import atexit
import contextlib
import os
import sys
import threading
import warnings
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING

from aexp.errors import AexpError, CheckpointWarning

if TYPE_CHECKING:
    from aexp.checkpoints.store import Checkpoint

# Copies that may wait for the disk at a time; one more waits for the first of them.
_MOST_WAITING = 2


class PendingSave:
    """A checkpoint that is being saved in the background."""

    def __init__(self, future: "Future[Checkpoint]", step: int | None) -> None:
        self._future = future
        self.step = step
        self._is_told = False

    def __repr__(self) -> str:
        return f"<aexp save of step {self.step}, {'done' if self.done() else 'under way'}>"

    def done(self) -> bool:
        """Return whether it has been saved, or could not be."""
        return self._future.done()

    def result(self, timeout: float | None = None) -> "Checkpoint":
        """Wait for the checkpoint.

        Raises
        ------
        CheckpointError
            If it could not be saved.
        TimeoutError
            If it takes longer than `timeout` seconds.
        """
        found = self._future.exception(timeout)
        if found is not None:
            self._is_told = True
            raise found
        return self._future.result()

    def wait(self) -> None:
        """Wait until it is `done`."""
        with contextlib.suppress(Exception):
            self._future.exception()

    def when_done(self, call: "Callable[[Checkpoint | None, str], None]") -> None:
        """Have `call` told of the checkpoint, or of what went wrong, in the thread that saves."""

        def tell(future: "Future[Checkpoint]") -> None:
            error = future.exception()
            if error is None:
                call(future.result(), "")
            else:
                call(None, error.message if isinstance(error, AexpError) else str(error))

        self._future.add_done_callback(tell)

    def untold_failure(self) -> str | None:
        """Return, once, why it could not be saved, unless `result` has said so."""
        if self._is_told or not self.done():
            return None
        error = self._future.exception()
        if error is None:
            return None
        self._is_told = True
        text = error.message if isinstance(error, AexpError) else f"{type(error).__name__} {error}"
        return f"the checkpoint of step {self.step} was not saved: {text}"


class Background:
    """The saves of one run that this process has under way."""

    def __init__(self) -> None:
        self._begin()

    def _begin(self) -> None:
        self._process = os.getpid()
        self._pool: ThreadPoolExecutor | None = None
        self._pending: list[PendingSave] = []
        self._lock = threading.Lock()

    def submit(self, save: "Callable[[], Checkpoint]", step: int | None) -> PendingSave:
        """Have `save` called, after those that were submitted before."""
        self._forget_parent()
        self.tell()
        with self._lock:
            if self._pool is None:
                self._pool = ThreadPoolExecutor(1, "aexp-checkpoint")
                atexit.register(self._say_at_exit)
            try:
                future = self._pool.submit(save)
            except RuntimeError:  # the interpreter is ending, and begins no threads any more
                future = Future()
                future.set_result(save())
            pending = PendingSave(future, step)
            self._pending.append(pending)
        return pending

    def make_room(self) -> None:
        """Wait until few enough copies wait for the disk."""
        self._forget_parent()
        waiting = [item for item in self._pending if not item.done()]
        for item in waiting[: max(0, len(waiting) - _MOST_WAITING + 1)]:
            item.wait()

    def wait(self) -> None:
        """Wait for all saves that are under way, and warn of those that failed."""
        self._forget_parent()
        for item in list(self._pending):
            item.wait()
        self.tell()

    def tell(self) -> None:
        """Warn of the saves that have failed and of which nobody knows yet."""
        for message in self._news():
            warnings.warn(message, CheckpointWarning, stacklevel=3)

    def _news(self) -> list[str]:
        with self._lock:
            ended = [item for item in self._pending if item.done()]
            self._pending = [item for item in self._pending if not item.done()]
        return [text for item in ended if (text := item.untold_failure())]

    def _say_at_exit(self) -> None:
        if os.getpid() == self._process:
            for message in self._news():
                print(f"aexp: {message}", file=sys.stderr)

    def _forget_parent(self) -> None:
        """In a forked child: the parent's thread is not here, and its saves are its own."""
        if os.getpid() != self._process:
            self._begin()
