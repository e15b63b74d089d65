"""What the wrapper says to the tracker's process: one line, or nothing when it is killed."""

import json
import os
import select
import threading
from collections.abc import Sequence
from typing import Any, NamedTuple

DEAD_S = 30.0  # how long the tracker may still take when nobody waits for it


class Ending(NamedTuple):
    """How an attempt ended, in the wrapper's words.

    Attributes
    ----------
    status : str
        The run's status now.
    exit_code : int or None
        The command's.
    seconds : float
        How long the wrapper waits.
    """

    status: str
    exit_code: int | None
    seconds: float


class Pipe:
    """The reading end, moved away from standard input so that no SDK asks questions there.

    Parameters
    ----------
    words : sequence of str
        Of `ending_words`, when the line had been read before this program began again.
    """

    def __init__(self, words: Sequence[str] = ()) -> None:
        self._text = words[0].encode() if words else b""
        self._descriptor = os.dup(0)
        null = os.open(os.devnull, os.O_RDONLY)
        os.dup2(null, 0)
        os.close(null)
        self._is_timed = False

    def wait(self, seconds: float) -> tuple[bool, Ending | None]:
        """Wait a moment; return whether the attempt has ended, and how if that was said."""
        if b"\n" not in self._text:
            if not select.select([self._descriptor], [], [], seconds)[0]:
                return False, None
            data = os.read(self._descriptor, 65536)
            self._text += data
            if data and b"\n" not in self._text:
                return False, None
        ending = self._ending()
        if not self._is_timed:
            self._is_timed = True
            self.end_by(DEAD_S if ending is None else ending.seconds)
        return True, ending

    def _ending(self) -> Ending | None:
        try:
            value: Any = json.loads(self._text)
            return Ending(value["status"], value["exit_code"], float(value["seconds"]))
        except (ValueError, LookupError, TypeError):
            return None  # the wrapper was killed

    def end_by(self, seconds: float) -> None:
        """End this process after so many seconds, whatever it is doing then."""
        timer = threading.Timer(seconds, os._exit, (3,))
        timer.daemon = True
        timer.start()

    def hand_on(self) -> None:
        """Make it standard input again, for the program that takes this one's place."""
        os.dup2(self._descriptor, 0)

    def ending_words(self) -> list[str]:
        """Return what has been read, as arguments for that program."""
        return [self._text.decode()] if self._text else []
