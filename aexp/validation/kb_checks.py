"""Checks of the notes by themselves: names, ids, fields, references, headings."""

import os
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from aexp.errors import AexpError
from aexp.kb.artifacts import KINDS
from aexp.kb.declared_files import KINDS as DECLARED
from aexp.kb.declared_files import read_declared_files
from aexp.kb.experiments import Experiment, json_value
from aexp.kb.parameters import parse_schema
from aexp.preregistration.sidecar import of_note
from aexp.validation.context import Context
from aexp.validation.issue import Issue
from aexp.validation.notes import (
    ACTIVE,
    CHALLENGE,
    FIXED_HEADINGS,
    RESEARCH,
    Note,
    folder_letters,
)

# Field, and the frontmatter keys that may hold it; without keys, its own name.
_REQUIRED: Mapping[str, tuple[tuple[str, ...], ...]] = {
    "H": (("Status",), ("Created",)),
    "E": (("Status",), ("Hypothesis",), ("Created",)),
    "F": (("Hypothesis",), ("Experiment",), ("Impact",), ("Created",)),
    "T": (("Status",), ("Created",)),
    "L": (("Type", "source_type", "type"), ("Date reviewed",), ("Relevance",)),
    "CR": (("Target",), ("Requested by",), ("Reviewer",), ("Date", "date", "created")),
    "SR": (("Scope",), ("Challenge Review",), ("Date", "date", "created")),
}
# Which field of a kind names a parent of which kind, and whether the parent links back.
PARENTS: Mapping[str, tuple[tuple[str, str], ...]] = {
    "H": (("Thread", "T"),),
    "E": (("Hypothesis", "H"),),
    "F": (("Hypothesis", "H"), ("Experiment", "E")),
    "SR": (("Challenge Review", "CR"),),
}
_LINE = re.compile(r"\bline ([0-9]{1,9})\b")


def readable(context: Context) -> Iterator[Issue]:
    """Report every note that cannot be read."""
    for note in context.notes.all:
        if note.fault is not None:
            message = note.fault.message.replace(context.repo.at(note.path), "").lstrip(": ")
            yield Issue.of("kb.frontmatter", message, note.path, _line(note.fault))


def _line(error: AexpError) -> int | None:
    mark = getattr(error.__cause__, "problem_mark", None)
    if mark is not None:
        return int(mark.line) + 2  # YAML begins on the file's second line
    match = _LINE.search(error.message)
    return int(match[1]) if match else None


def files(context: Context) -> Iterator[Issue]:
    """Report fixed pages that are missing, and misnamed files."""
    paths = {note.path for note in context.notes.all}
    if not os.path.isdir(context.repo.at(RESEARCH)):
        yield Issue.of("kb.missing_file", f"there is no {RESEARCH}/", RESEARCH)
        return
    for path in (ACTIVE, CHALLENGE):
        if path not in paths:
            yield Issue.of("kb.missing_file", "the file is missing", path)
    for note in context.notes.all:
        letters = folder_letters(note.path)
        if letters and note.note_id is None and note.stem != "README":
            wanted = " or ".join(f"{letter}001-name.md" for letter in letters)
            yield Issue.of("kb.filename", f"the file name is not like {wanted}", note.path)


def identity(context: Context) -> Iterator[Issue]:
    """Report ids and aliases that are missing, wrong, or claimed twice."""
    for note in context.notes.all:
        if note.note_id is None:
            continue
        first = context.notes.by_id[note.note_id][0]
        if first is not note:
            message = f"{note.note_id} is already the id of {first.path}"
            yield Issue.of("kb.duplicate_id", message, note.path, id=note.note_id)
        if note.document is None:
            continue
        own = note.meta.get("id")
        if own is not None and own != note.note_id:
            message = f"id is {own!r}, but the file is called {note.note_id}"
            yield Issue.of("kb.id_mismatch", message, note.path, note.line("id"))
        if note.note_id not in note.aliases:
            message = f"aliases lack the note's own id, {note.note_id}"
            yield Issue.of("kb.alias_missing", message, note.path, note.line("aliases"))
    yield from _ambiguous_names(context)


def _ambiguous_names(context: Context) -> Iterator[Issue]:
    for name, claimants in context.notes.by_name.items():
        if len(claimants) == 1 or not any(note.is_part_of_record for note in claimants):
            continue  # files of the user's may be called alike
        owner, *rest = sorted(claimants, key=lambda note: (name != note.note_id, name != note.stem))
        for note in rest:
            if note.note_id is None or note.note_id != owner.note_id:
                message = f"the name {name!r} is also one of {owner.path}"
                yield Issue.of("kb.alias_conflict", message, note.path, note.line("aliases"))


def metadata(context: Context) -> Iterator[Issue]:
    """Report required fields that are missing, and unknown statuses."""
    for note in context.notes.all:
        if note.document is None:
            continue
        for field in _REQUIRED.get(note.letter, ()):
            if note.field(*field) is None:
                message = f"there is no {field[0]}"
                yield Issue.of("kb.metadata", message, note.path, 1, field=field[0])
        kind = KINDS.get(note.letter)
        status = note.meta.get("status")
        if kind and kind.statuses and status not in (None, "", *kind.statuses):
            message = f"status is {status!r}, none of {', '.join(kind.statuses)}"
            yield Issue.of("kb.status_unknown", message, note.path, note.line("status"))


def references(context: Context) -> Iterator[Issue]:
    """Report fields that name an artifact of the wrong kind, or none."""
    notes = context.notes
    for note in notes.all:
        for field, letter in PARENTS.get(note.letter, ()):
            value = note.field(field)
            if value is None:
                continue
            key = field.lower().replace(" ", "_")
            kind = KINDS[letter].named if letter in KINDS else f"a {letter}"
            if not isinstance(value, str) or value.rstrip("0123456789") != letter:
                message = f"{key} is {value!r}, not the id of {kind}"
            elif value not in notes.by_id:
                message = f"{key} is {value}, which does not exist"
            else:
                continue
            yield Issue.of("kb.reference", message, note.path, note.line(key))
        if note.letter == "F":
            yield from _same_hypothesis(context, note)


def _same_hypothesis(context: Context, note: Note) -> Iterator[Issue]:
    experiment_id, own = note.field("Experiment"), note.field("Hypothesis")
    experiment = context.notes.one(experiment_id) if isinstance(experiment_id, str) else None
    if experiment is None or own is None:
        return
    theirs = experiment.field("Hypothesis")
    listed = experiment.meta.get("sub_hypotheses")
    if theirs == own or (isinstance(listed, list) and own in listed):
        return
    for value in (own, theirs):
        if not (isinstance(value, str) and value in context.notes.by_id and value[0] == "H"):
            return  # it has been reported by itself
    message = f"hypothesis is {own}, but {experiment_id} tests {theirs}"
    yield Issue.of("kb.reference", message, note.path, note.line("hypothesis"))


def headings(context: Context) -> Iterator[Issue]:
    """Report headings of a note's template that are missing."""
    for note in context.notes.all:
        if note.document is None:
            continue
        kind = KINDS.get(note.letter)
        wanted = kind.headings if kind else FIXED_HEADINGS.get(note.path, ())
        for heading in wanted:
            if heading not in note.headings and heading != "Links":
                message = f"the heading '## {heading}' is missing"
                yield Issue.of("kb.missing_heading", message, note.path, heading=heading)


def experiment_settings(context: Context) -> Iterator[Issue]:
    """Report what an experiment says about its runs that cannot be understood."""
    for note in context.notes.all:
        if note.letter != "E" or note.artifact is None:
            continue
        path = note.artifact.path
        experiment = Experiment(note.artifact.artifact_id, path, note.meta)
        for key, read in _SETTINGS.items():
            try:
                read(experiment)
            except AexpError as error:
                code = "kb.conditions" if key == "conditions" else "kb.run_settings"
                message = error.message.replace(path + ": ", "")
                yield Issue.of(code, message, note.path, note.line(key), key=key)


def preregistrations(context: Context) -> Iterator[Issue]:
    """Report what an experiment pre-registers that cannot be understood."""
    for note in context.notes.all:
        if note.letter != "E" or note.document is None:
            continue
        found = of_note(context.repo, note.document)
        for problem in found.problems if found is not None else ():
            key = ".".join(problem.key)
            yield Issue.of("kb.preregistration", str(problem), note.path, problem.line, key=key)


def _conditions(experiment: Experiment) -> None:
    for name, block in experiment.conditions.items():
        for key, value in block.items():
            json_value(value, f"conditions.{name}.{key}")


def _declared(kind: str) -> Callable[[Experiment], Any]:
    return lambda experiment: read_declared_files({kind: experiment.meta.get(kind)})


_SETTINGS: Mapping[str, Callable[[Experiment], Any]] = {
    "conditions": _conditions,
    "parameters": lambda experiment: parse_schema(experiment.meta.get("parameters"), "parameters"),
    "runner_command": lambda experiment: experiment.runner_command,
    "prelude": lambda experiment: experiment.prelude,
    "retries": lambda experiment: experiment.retries,
    "max_faults": lambda experiment: experiment.max_faults,
    "max_preemptions": lambda experiment: experiment.max_preemptions,
    "timeout": lambda experiment: experiment.timeout_s,
    "resources": lambda experiment: experiment.resources,
    **{kind: _declared(kind) for kind in DECLARED},
    "checkpoints": lambda experiment: experiment.retention,
    "variation_ignore": lambda experiment: experiment.variation_ignore,
}
