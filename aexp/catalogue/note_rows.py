"""One note of the record as rows, with what a finding cites."""

import os

from aexp.catalogue.rows import Row, Rows
from aexp.catalogue.values import as_json
from aexp.errors import AexpError
from aexp.kb.artifacts import Artifact, check_inside, id_in_name, read_artifact
from aexp.kb.findings import BatchCitation, JobCitation, citations
from aexp.model import printable
from aexp.paths import Repo


def add_note(repo: Repo, rows: Rows, path: str) -> str | None:
    """Add a note; return what is wrong with its file, if anything is."""
    name = os.path.basename(path)
    artifact_id = id_in_name(name)
    if artifact_id is None:
        return None  # any other page: not of the record
    full = repo.at(path)
    try:
        check_inside(repo, os.path.dirname(full))
        found = read_artifact(repo, full)
        if os.path.normpath(found.kind.folder) != os.path.dirname(path):
            return f"is {found.kind.named} in another folder"
        _add(rows, found, path)
    except AexpError as error:
        return _without(error.message, full, path)
    except RecursionError:
        return "holds objects nested too deeply"
    return None


def _add(rows: Rows, note: Artifact, path: str) -> None:
    meta = note.meta
    own: Row = (
        note.artifact_id,
        path,
        note.title,
        note.status,
        None if meta.get("created") is None else str(meta["created"]),
        note.tags,
    )
    letter = note.kind.letter
    if letter == "H":
        rows.hypotheses.append((*own, note.parent("thread")))
    elif letter == "E":
        command = meta.get("runner_command")
        shown = command if isinstance(command, str) and command else None
        rows.experiments.append((*own, note.parent("hypothesis"), shown))
    elif letter == "F":
        impact = None if meta.get("impact") is None else str(meta["impact"])
        rows.findings.append((*own, impact, note.parent("hypothesis"), note.parent("experiment")))
        _add_citations(rows, note, path)
    else:
        rows.threads.append(own)


def _add_citations(rows: Rows, note: Artifact, path: str) -> None:
    for cited in citations(note):
        own = (note.artifact_id, path, cited.line)
        row: Row
        if isinstance(cited, JobCitation):
            row = ("job", cited.job_id, None, None, cited.digest, None)
        elif isinstance(cited, BatchCitation):
            selector = as_json(cited.selector)
            row = ("batch", None, cited.experiment_id, selector, cited.digest, None)
        else:
            row = ("malformed", None, None, None, None, printable(cited.reason))
        rows.citations.append((*own, *row))


def _without(message: str, full: str, path: str) -> str:
    for name in (full, path):
        message = message.removeprefix(name)
    return message.lstrip(": ").strip()
