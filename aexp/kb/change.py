"""Change the status of an artifact; close a thread with its conclusion."""

import re
from collections.abc import Callable
from typing import NamedTuple

from aexp.errors import UsageError
from aexp.kb.artifacts import KINDS, Kind, check_id, find_artifact
from aexp.kb.edit import append_to_section, edit_file, record_lock, set_field, set_value
from aexp.kb.frontmatter import Document, frontmatter_span
from aexp.kb.markdown import find_section, headings, lines_of
from aexp.model import utc_now
from aexp.paths import Repo

_FORBIDDEN = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029]")
_UNDERLINE = re.compile(r" {0,3}(=+|-+)[ \t]*")
_COMMENT = re.compile(r"<!--(?:(?!-->).)*-->", re.DOTALL)


class StatusChange(NamedTuple):
    """A status before and after.

    Attributes
    ----------
    artifact_id, path : str
        The artifact, and its file relative to the repository.
    old_status, new_status : str or None
        The words.
    changed : bool
        Whether the file changed, or in a dry run would.
    """

    artifact_id: str
    path: str
    old_status: str | None
    new_status: str
    changed: bool


class ThreadStatusUpdate(NamedTuple):
    """A thread that was closed.

    Attributes
    ----------
    thread_id, path : str
        The thread, and its file relative to the repository.
    new_status : str
        ``CLOSED`` or ``PROMOTED``.
    conclusion_written : bool
        Whether a conclusion was written.
    """

    thread_id: str
    path: str
    new_status: str
    conclusion_written: bool


def check_status_word(kind: Kind, status: str) -> str:
    """Return a kind's status word, in capitals.

    Raises
    ------
    UsageError
        If the kind has no such word.
    """
    if not kind.statuses:
        raise UsageError(f"a {kind.name} has no status", "its impact and its claims say it all")
    word = status.strip().upper()
    if word not in kind.statuses:
        raise UsageError(
            f"{status!r} is not a status of {'an' if kind.letter == 'E' else 'a'} {kind.name}",
            "one of: " + ", ".join(kind.statuses),
        )
    return word


def set_artifact_status(
    repo: Repo, artifact_id: str, status: str, *, dry_run: bool = False
) -> StatusChange:
    """Change an artifact's status: the frontmatter, the line that shows it, and the dates.

    Everything else in the file stays byte for byte. Nothing is written when the status is
    that already.

    Raises
    ------
    UsageError
        If the artifact's kind has no such status.
    ArtifactNotFound
        If there is no such artifact.
    ArtifactReadError
        If its file cannot be edited as text.
    """
    path = find_artifact(repo, artifact_id)
    kind = KINDS[artifact_id[0]]
    word = check_status_word(kind, status)
    before: list[str | None] = []

    def change(text: str) -> str:
        old = Document(path, text).meta.get("status")
        before.append(None if old is None else str(old))
        return _with_status(text, path, kind, word)

    changed = _edited(repo, path, change, dry_run)
    return StatusChange(artifact_id, repo.relative(path), before[-1], word, changed)


def close_thread(
    repo: Repo,
    thread_id: str,
    *,
    conclusion: str | None = None,
    status: str = "CLOSED",
    dry_run: bool = False,
) -> ThreadStatusUpdate:
    """End a thread, with what was concluded.

    Parameters
    ----------
    repo : Repo
        The repository.
    thread_id : str
        ``T001``.
    conclusion : str, optional
        Markdown below ``## Conclusion``; what stands there stays above it.
    status : str, default "CLOSED"
        ``CLOSED`` or ``PROMOTED``.
    dry_run : bool, default False
        Write nothing.

    Raises
    ------
    UsageError
        If the status does not end a thread, or the conclusion would change the note's
        structure: a heading, a block of code or a comment that is not closed.
    """
    kind = KINDS["T"]
    path = find_artifact(repo, check_id(thread_id, kind))
    word = check_status_word(kind, status)
    if word not in kind.final_statuses:
        raise UsageError(
            f"{word} does not end a thread", "one of: " + ", ".join(kind.final_statuses)
        )
    said = _plain_markdown(conclusion)
    written: list[bool] = []

    def change(text: str) -> str:
        new = _with_status(text, path, kind, word)
        if said:
            concluded = _with_conclusion(new, said, kind)
            written.append(concluded != new)
            new = concluded
        return new

    _edited(repo, path, change, dry_run)
    return ThreadStatusUpdate(thread_id, repo.relative(path), word, any(written))


def _edited(repo: Repo, path: str, change: Callable[[str], str], dry_run: bool) -> bool:
    if dry_run:
        return edit_file(repo, path, change, dry_run=True)
    with record_lock(repo):
        return edit_file(repo, path, change)


def _with_status(text: str, path: str, kind: Kind, word: str) -> str:
    if Document(path, text).meta.get("status") == word:
        return set_field(text, "Status", word)
    today = utc_now()[:10]
    new = set_value(text, path, "status", word)
    new = set_field(new, "Status", word)
    if kind.letter == "E":
        return set_value(new, path, "completed", today if word in kind.final_statuses else "")
    return set_value(new, path, "last_updated", today)


def _plain_markdown(conclusion: str | None) -> str:
    said = (conclusion or "").replace("\r\n", "\n").strip()
    if _FORBIDDEN.search(said):
        raise UsageError("the conclusion holds control characters", "write plain text")
    try:
        said.encode("utf-8")
    except UnicodeEncodeError:
        raise UsageError("the conclusion is not UTF-8", "write it again") from None
    above = False
    for line in lines_of(said):
        if above and line.counts and _UNDERLINE.fullmatch(line.text):
            raise UsageError(
                f"the conclusion has an underlined heading: {line.text.strip()[:20]}",
                "write it without headings; a rule of dashes needs an empty line above it",
            )
        above = line.counts and bool(line.text.strip())
    return said


def _with_conclusion(text: str, said: str, kind: Kind) -> str:
    """Return `text` with a conclusion, once, in place of the template's own remark."""
    body = frontmatter_span(text, "")[2]
    section = find_section(text, "Conclusion", body)
    before = headings(text, body)
    if section is not None:
        present = text[section.start : section.end].replace("\r\n", "\n")
        if f"\n{said}\n" in f"\n{present}\n":
            return text
        remark = find_section(kind.template, "Conclusion")
        match = _COMMENT.search(text, section.start, section.end)
        if match and remark and match[0] == kind.template[remark.start : remark.end].strip():
            text = _without(text, match.start(), match.end())
    new = append_to_section(text, "Conclusion", said, apart=True)
    after = headings(new, frontmatter_span(new, "")[2])
    if [item for item in after if item != (2, "Conclusion")] != [
        item for item in before if item != (2, "Conclusion")
    ]:
        raise UsageError(
            "the conclusion would change the note's headings",
            "write it without headings, and close every block of code and comment",
        )
    return new


def _without(text: str, start: int, end: int) -> str:
    """Return `text` without a remark and the line break behind it."""
    rest = re.match(r"[ \t]*(\r\n|\n|\r)?", text[end:])
    return text[:start] + text[end + (rest.end() if rest else 0) :]
