"""A terminal that is drawn on again and again, and given back as it was."""

import contextlib
import os
import select
import shutil
import signal
import sys
import termios
import time
from collections.abc import Iterator, Sequence
from types import FrameType
from typing import Any

import click

# Another screen, no cursor, no wrapping of lines that are longer than we think.
_BEGIN = "\x1b[?1049h\x1b[?25l\x1b[?7l"
_END = "\x1b[?7h\x1b[?25h\x1b[?1049l"
_ENDING = (signal.SIGTERM, signal.SIGHUP)


def can_draw() -> bool:
    """Return whether standard output is a terminal on which lines can be drawn over."""
    return sys.stdout.isatty() and os.environ.get("TERM", "dumb") != "dumb"


class LiveTerminal:
    """Standard output's terminal while a view is shown on it."""

    def __init__(self) -> None:
        self._out = sys.stdout.fileno()
        self._keys = sys.stdin.fileno() if sys.stdin is not None and sys.stdin.isatty() else None
        self._before: list[Any] | None = None
        self._woken, self._wake = os.pipe()

    @contextlib.contextmanager
    def shown(self) -> Iterator["LiveTerminal"]:
        """Take the terminal for the block; whatever ends it, the terminal is given back."""
        for end in (self._woken, self._wake):
            os.set_blocking(end, False)
        sys.stdout.flush()
        waker = signal.set_wakeup_fd(self._wake, warn_on_full_buffer=False)
        handlers = {
            signal.SIGWINCH: lambda *_: None,  # that it came is enough: wait() returns
            signal.SIGTSTP: self._suspend,
            **dict.fromkeys(_ENDING, _end),
        }
        before = {number: signal.signal(number, each) for number, each in handlers.items()}
        try:
            self._take()
            yield self
        finally:
            self._give_back()
            for number, handler in before.items():
                signal.signal(number, handler)
            signal.set_wakeup_fd(waker)
            os.close(self._woken)
            os.close(self._wake)

    @property
    def size(self) -> tuple[int, int]:
        """Columns and lines, as they are now."""
        try:
            found = os.get_terminal_size(self._out)
        except OSError:
            found = shutil.get_terminal_size()
        return found.columns or 80, found.lines or 24

    def draw(self, lines: Sequence[str]) -> None:
        """Show these lines in place of what is shown."""
        self._write("\x1b[H" + "\x1b[K\r\n".join(lines) + "\x1b[K\x1b[J")

    def wait(self, until: float) -> str | None:
        """Wait until a moment of the monotonic clock, a key, or another size.

        Returns
        -------
        str or None
            The keys that were pressed, empty when the view must be drawn again, None
            when the time is over.
        """
        watched = [self._woken] if self._keys is None else [self._woken, self._keys]
        left = until - time.monotonic()
        if left <= 0:
            return None
        ready, _, _ = select.select(watched, [], [], left)
        if self._keys in ready and self._keys is not None:
            pressed = os.read(self._keys, 256)
            if not pressed:
                raise SystemExit(128 + signal.SIGHUP)  # the terminal has gone
            return pressed.decode(errors="replace")
        if self._woken in ready:
            with contextlib.suppress(BlockingIOError):
                while os.read(self._woken, 256):
                    pass
            return ""
        return None

    def _take(self) -> None:
        if self._keys is not None:
            with contextlib.suppress(termios.error):
                self._before = termios.tcgetattr(self._keys)
                changed = termios.tcgetattr(self._keys)
                changed[3] &= ~(termios.ECHO | termios.ICANON)
                termios.tcsetattr(self._keys, termios.TCSANOW, changed)
        self._write(_BEGIN)

    def _give_back(self) -> None:
        with contextlib.suppress(OSError, SystemExit):
            self._write(_END)
        if self._keys is not None and self._before is not None:
            with contextlib.suppress(termios.error):
                termios.tcsetattr(self._keys, termios.TCSADRAIN, self._before)

    def _suspend(self, number: int, unused: FrameType | None) -> None:
        """Ctrl-Z: give the terminal back, stop, and take it again when we go on."""
        self._give_back()
        signal.signal(signal.SIGTSTP, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGTSTP)
        signal.signal(signal.SIGTSTP, self._suspend)
        self._take()

    def _write(self, text: str) -> None:
        data = memoryview(text.encode(sys.stdout.encoding, "replace"))
        try:
            while data:
                data = data[os.write(self._out, data) :]
        except OSError:
            raise SystemExit(128 + signal.SIGHUP) from None  # the terminal has gone


def _end(number: int, unused: FrameType | None) -> None:
    raise SystemExit(128 + number)


def styled(text: str, look: str) -> str:
    """Return a line in a colour or bold."""
    if look == "bold":
        return click.style(text, bold=True)
    return click.style(text, fg=look) if look else text
