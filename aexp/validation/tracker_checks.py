"""What an experiment's ``tracker:`` says, asked of the tracker's adapter; no service is asked."""

import re
from collections.abc import Iterator, Mapping

from aexp.errors import AexpError, TrackerInitError
from aexp.kb.tracker import read_tracker
from aexp.validation.context import Context
from aexp.validation.issue import Issue
from aexp.validation.notes import Note


def tracker_settings(context: Context) -> Iterator[Issue]:
    """Report trackers that nothing provides here, and settings that theirs would refuse."""
    for note in context.notes.all:
        value = note.meta.get("tracker") if note.letter == "E" else None
        if value is None:
            continue
        try:
            settings = read_tracker(value)
            if settings is None:
                continue
            from aexp.trackers.binding import check_settings
            from aexp.trackers.registry import backends

            if settings["backend"] not in backends():
                message = f"no tracker is called {settings['backend']} here"
                yield Issue.of("kb.tracker_unknown", message, note.path, _line(note, "backend"))
            else:
                check_settings(settings)
        except TrackerInitError as error:
            line = _line(note, "backend")
            yield Issue.of("kb.tracker_unknown", error.message, note.path, line)
        except AexpError as error:
            message = f"{error.message}: {error.hint}" if error.hint else error.message
            yield Issue.of("kb.tracker", message, note.path, _line(note, error.message))


def _line(note: Note, words: str) -> int | None:
    """Return the line of the setting that a message names, else that of ``tracker``."""
    value = note.meta.get("tracker")
    options = value.get("options") if isinstance(value, Mapping) else None
    paths: list[tuple[str, ...]] = []
    if isinstance(options, Mapping):
        paths += [("options", str(key)) for key in options]
    if isinstance(value, Mapping):
        paths += [(str(key),) for key in value]
    for path in paths:
        if re.search(rf"(?<!\w){re.escape(path[-1])}(?!\w)", words):
            return note.line("tracker", *path)
    return note.line("tracker")
