"""Checks of the web between notes: what ``## Links`` names, lacks, and gets back."""

from collections.abc import Iterator

from aexp.validation.context import Context
from aexp.validation.issue import Issue
from aexp.validation.kb_checks import PARENTS
from aexp.validation.notes import ACTIVE, Note

_FIXED_NAMES = frozenset({"ACTIVE", "CHALLENGE", "DASHBOARD"})
_NEEDS_ACTIVE = frozenset({"H", "E", "F", "T"})


def links(context: Context) -> Iterator[Issue]:
    """Report notes without links, and links that lead nowhere."""
    for note in context.notes.all:
        if note.document is None or not note.is_part_of_record:
            continue
        if note.links is None:
            message = "there is no ## Links section"
            yield Issue.of("kb.links_missing", message, note.path)
        elif not note.links:
            line = note.headings["Links"]
            yield Issue.of("kb.links_missing", "## Links has no [[link]]", note.path, line)
        for link in note.links or ():
            # A fixed page that is missing is reported once, as a file.
            if link.target not in context.notes.by_name and link.target not in _FIXED_NAMES:
                message = f"[[{link.target}]] names no note"
                yield Issue.of("kb.link_target", message, note.path, link.line)


def required_links(context: Context) -> Iterator[Issue]:
    """Report parents, and the page ACTIVE, that ``## Links`` does not name."""
    has_active = any(note.path == ACTIVE for note in context.notes.all)
    for note in context.notes.all:
        if not note.links:
            continue
        wanted = [parent.note_id for parent in _parents(context, note) if parent.note_id]
        if has_active and note.letter in _NEEDS_ACTIVE:
            wanted.append("ACTIVE")
        for name in dict.fromkeys(wanted):
            if not _names(context, note, name):
                message = f"## Links lacks - [[{name}]]"
                line = note.headings.get("Links")
                yield Issue.of("kb.link_required", message, note.path, line, link=name)


def backlinks(context: Context) -> Iterator[Issue]:
    """Report parents that do not link their children."""
    for child in context.notes.all:
        for parent in _parents(context, child):
            # Without any link of its own it has been reported already.
            if parent.links and child.note_id and not _names(context, parent, child.note_id):
                message = f"## Links lacks - [[{child.note_id}]], which names it as its parent"
                line = parent.headings.get("Links")
                yield Issue.of("kb.backlink", message, parent.path, line, link=child.note_id)


def _parents(context: Context, note: Note) -> list[Note]:
    found = []
    for field, letter in PARENTS.get(note.letter, ()):
        value = note.field(field)
        if isinstance(value, str) and value.rstrip("0123456789") == letter:
            parent = context.notes.one(value)
            if parent is not None:
                found.append(parent)
    return found


def _names(context: Context, note: Note, wanted: str) -> bool:
    """Return whether one of a note's links means the note called `wanted`."""
    meant = {id(found) for found in context.notes.by_name.get(wanted, ())}
    return any(
        link.target == wanted
        or any(id(found) in meant for found in context.notes.by_name.get(link.target, ()))
        for link in note.links or ()
    )
