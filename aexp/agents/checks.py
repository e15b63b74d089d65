"""After a file is written, and before the agent stops: the record's own validation."""

import os
import warnings
from typing import TYPE_CHECKING

from aexp.agents.payload import Answer, Payload, relative
from aexp.model import printable

if TYPE_CHECKING:
    from aexp.validation.issue import Issue

_SHOWN = 20
_UNCHECKED = (os.path.join("kb", "research", "data"), os.path.join("kb", "lessons"))


def write_guard(payload: Payload) -> Answer:
    """Tell the agent what is wrong with the note that it has just written."""
    path = payload.file_path
    repo = payload.repo() if path else None
    name = relative(repo.root, path) if repo and path else None
    if repo is None or name is None or not _is_checked(name):
        return Answer()
    place = os.path.join(os.path.realpath(repo.root), name)
    if not os.path.isfile(place):
        return Answer()
    from aexp.validation.validate import validate_file

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        result = validate_file(repo, place)
    if result.ok:
        return Answer()
    return Answer(
        True, _told(f"{printable(name)} is not right yet", result.errors, "aexp validate")
    )


def stop(payload: Payload) -> Answer:
    """Hold the agent, once, as long as the record has errors."""
    repo = payload.repo()
    if repo is None:
        return Answer()
    from aexp.validation.validate import validate_repo

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        result = validate_repo(repo, mode="kb-only")
    if result.ok:
        return Answer()
    text = _told("the research record has errors", result.errors, "aexp validate --kb-only")
    # Held once already: whatever is left, an agent that cannot mend it must be able to stop.
    return Answer(not payload.is_second_stop, text)


def _is_checked(name: str) -> bool:
    parts = name.split(os.sep)
    return (
        parts[0] == "kb"
        and name.endswith(".md")
        and not any(part.startswith(".") for part in parts)
        and not name.startswith(tuple(folder + os.sep for folder in _UNCHECKED))
    )


def _told(head: str, errors: "list[Issue]", command: str) -> str:
    lines = [f"{head}: {len(errors)} error(s)."]
    for issue in errors[:_SHOWN]:
        where = f" [{printable(issue.where)}]" if issue.path else ""
        lines.append(f"- {issue.code}{where}: {printable(issue.message)}")
    if len(errors) > _SHOWN:
        lines.append(f"- and {len(errors) - _SHOWN} more")
    return "\n".join([*lines, f"Mend them; {command} shows what is left."])
