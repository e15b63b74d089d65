"""The part of a run's handle that tells training code when to save and end."""

import os
from typing import TYPE_CHECKING, NoReturn

from aexp.errors import EXIT_TEMPFAIL
from aexp.model import QUEUED

if TYPE_CHECKING:
    from aexp.handle.place import Place
    from aexp.handle.stop_watch import StopWatch


class Stopping:
    """Methods of `aexp.ActiveRun`."""

    _place: "Place"
    _stop_watch: "StopWatch | None" = None

    if TYPE_CHECKING:  # of the handle's other parts

        def wait_for_saves(self) -> None:
            """Wait for what is being saved in the background."""

        def _declare(self, status: str, reason: str | None = None, message: str = "") -> None: ...

    @property
    def _watch(self) -> "StopWatch":
        if self._stop_watch is None or self._stop_watch.place is not self._place:
            from aexp.handle.stop_watch import StopWatch

            self._stop_watch = StopWatch(self._place)
        return self._stop_watch

    def should_stop(self, margin: float | None = None) -> bool:
        """Return whether to save a checkpoint now and end: ``run.preempted()``.

        It is true from the moment that SIGTERM, SIGINT, SIGHUP, SIGUSR1 or SIGUSR2 has
        come, or the process that executes the run has asked for its end. Its first call in
        the main thread takes these signals: before, they end the process. A second Ctrl-C is
        a KeyboardInterrupt. It costs less than a microsecond mostly: ask at every step.

        Parameters
        ----------
        margin : float, optional
            Also when fewer seconds than this are left until a time limit.
        """
        if self._watch.was_asked():
            return True
        if margin is None:
            return False
        left = self._watch.seconds_left()
        return left is not None and left <= margin

    def seconds_left(self) -> float | None:
        """Return the seconds until this attempt will be ended, None when nobody has said.

        It is the nearest of the run's own ``--timeout``, the time limit of the Slurm job,
        and, once the run was asked to end, the moment when it will be killed.
        """
        return self._watch.seconds_left()

    def preempted(self, message: str = "") -> NoReturn:
        """End this process and have the run queued again: it goes on from its checkpoint.

        It waits for what is being saved in the background, and raises SystemExit(75). The
        same as ``sys.exit(75)``, and it also holds where a launcher changes the exit code.

        Parameters
        ----------
        message : str, optional
            Why, for people.
        """
        self.wait_for_saves()
        self._declare(QUEUED, "preempted", message)
        raise SystemExit(EXIT_TEMPFAIL)

    def _let_signals_go(self) -> None:
        """Leave signals to whom they belonged: this handle's block has ended."""
        watch, self._stop_watch = self._stop_watch, None
        if watch is not None and watch.process == os.getpid():
            watch.close()
