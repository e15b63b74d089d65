"""Recorded files beside those that are there now."""

from collections.abc import Iterator, Mapping
from typing import Any

from aexp.errors import AexpError
from aexp.footprint.digests import Digests, FileFact, list_digest
from aexp.footprint.patterns import expand
from aexp.freshness.verdict import (
    CODE,
    INPUT,
    OUTPUT,
    STALE,
    UNVERIFIABLE,
    Reason,
    named,
)
from aexp.ledger.footprint import is_inside
from aexp.model import section
from aexp.paths import Repo

_NO_FILES = "its record names no files of the repository"
_FIELDS = ((CODE, "code_files", "code"), (INPUT, "inputs", "inputs"))


class PresentFiles:
    """The repository's files as they are now; each is read, each pattern expanded, once."""

    def __init__(self, repo: Repo) -> None:
        self._repo = repo
        self._digests = Digests(repo)
        self._expanded: dict[tuple[str, ...], list[str]] = {}

    def of(self, path: str) -> FileFact | None:
        """Return one file, None when it is not there."""
        return self._digests.of(path)

    def matching(self, patterns: list[str]) -> list[str]:
        """Return the files that match, by their names."""
        key = tuple(patterns)
        if key not in self._expanded:
            self._expanded[key] = expand(self._repo, patterns)
        return self._expanded[key]

    def remember(self) -> None:
        """Keep what was read for the next time."""
        self._digests.remember()

    def compare(self, recorded: Any, patterns: list[str]) -> tuple[list[str], list[str], list[str]]:
        """Return what has changed, what is missing, and what is new among recorded files.

        Raises
        ------
        AexpError, OSError
            If the present files cannot be read, or what was recorded is no list of files.
        """
        if isinstance(recorded, dict):  # too many to be named
            if not isinstance(recorded.get("digest"), str):
                raise AexpError(_NO_FILES)
            facts = [fact for path in self.matching(patterns) if (fact := self.of(path))]
            same = list_digest(facts) == recorded.get("digest")
            if same:
                return [], [], []
            return [f"{recorded.get('count')} files, now {len(facts)}, which"], [], []
        changed, missing = [], []
        names = set()
        for item in recorded if isinstance(recorded, list) else [recorded]:
            path = item.get("path") if isinstance(item, dict) else None
            if not isinstance(path, str) or not is_inside(path):  # a foreign hand wrote it
                raise AexpError(_NO_FILES)
            names.add(path)
            now = self.of(path)
            if now is None:
                missing.append(path)
            elif now.sha256 != item.get("sha256"):
                changed.append(path)
        return changed, missing, [path for path in self.matching(patterns) if path not in names]


def code_and_inputs(files: PresentFiles, entry: Mapping[str, Any]) -> Iterator[Reason]:
    """Say what of an entry's code and inputs is not what it was."""
    declared = section(entry, "declared")
    for kind, field, key in _FIELDS:
        patterns = _patterns(declared, key)
        if field not in entry:
            if patterns:
                yield Reason(UNVERIFIABLE, kind, "its files could not be recorded")
            continue
        try:
            changed, missing, new = files.compare(entry[field], patterns)
        except (AexpError, OSError) as error:
            yield Reason(UNVERIFIABLE, kind, _said(error))
            continue
        words = named(changed, "changed") + named(missing, "is gone") + named(new, "is new")
        if words:
            yield Reason(STALE, kind, ", ".join(words))


def outputs(
    files: PresentFiles,
    entry: Mapping[str, Any],
    *,
    is_here: bool,
    makers: Mapping[str, list[str]],
) -> Iterator[Reason]:
    """Say what of an entry's outputs is not what it was.

    Parameters
    ----------
    files : PresentFiles
        The files that are there.
    entry : mapping
        The run.
    is_here : bool
        Whether the run was executed in this clone: elsewhere, a missing file says nothing.
    makers : mapping
        By digest, the runs that have made such a file.
    """
    patterns = _patterns(section(entry, "declared"), "outputs")
    if "outputs" not in entry:
        if patterns:
            yield Reason(UNVERIFIABLE, "outputs", "they could not be recorded")
        return
    recorded = entry["outputs"]
    if patterns and recorded == []:
        yield Reason(OUTPUT, "missing", f"{', '.join(patterns[:3])}: nothing was made")
    try:
        changed, missing, _ = files.compare(recorded, patterns)
    except (AexpError, OSError) as error:
        yield Reason(UNVERIFIABLE, "outputs", _said(error))
        return
    if missing and not is_here:
        yield Reason(UNVERIFIABLE, "outputs", ", ".join(named(missing, "is not in this clone")))
    elif missing:
        yield Reason(OUTPUT, "missing", ", ".join(named(missing, "is gone")))
    if changed:
        words = named(changed, "changed")
        other = _maker(files, changed[0], makers, str(entry.get("job_id")))
        by = f"; {changed[0]} is now as run {other[:8]} has made it" if other else ""
        yield Reason(OUTPUT, "changed", ", ".join(words) + by)


def _maker(files: PresentFiles, path: str, makers: Mapping[str, list[str]], own: str) -> str | None:
    now = files.of(path)
    found = [job_id for job_id in makers.get(now.sha256, []) if job_id != own] if now else []
    return found[-1] if found else None


def _patterns(declared: Mapping[str, Any], key: str) -> list[str]:
    found = declared.get(key)
    items = found if isinstance(found, list) else []
    return [item for item in items if isinstance(item, str) and is_inside(item)]


def _said(error: Exception) -> str:
    if isinstance(error, AexpError):
        return error.message
    return str(getattr(error, "strerror", None) or error)
