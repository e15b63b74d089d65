"""Read runs, notes and campaigns into rows; a file that cannot be read costs a row of its own."""

import os
from collections.abc import Iterable, Mapping
from typing import Any

from aexp.catalogue.campaign_rows import add_campaign
from aexp.catalogue.note_rows import add_note
from aexp.catalogue.rows import Rows
from aexp.catalogue.run_rows import TOO_DEEP, add_run
from aexp.catalogue.scan import (
    LEDGER,
    Sources,
    Stat,
    Unit,
    campaign_paths,
    kind_of,
    ledger_path,
    store_path,
)
from aexp.catalogue.schema import CAMPAIGN, RUN
from aexp.catalogue.values import TooDeep, text
from aexp.errors import CorruptFile
from aexp.files import parse_object, read_bytes
from aexp.ledger.entries import conflict_mend, entry_fault, has_conflict
from aexp.ledger.projection import describe
from aexp.model import Run
from aexp.paths import STATEPOINT, Repo
from aexp.runs.earlier import ended_elsewhere, known_entry

_MAX_BYTES = 16_000_000


class Reader:
    """Reads units and remembers what is wrong with their files.

    Parameters
    ----------
    repo : Repo
        The repository.
    rows : Rows
        Where the rows go.
    sources : Sources
        All files, as they were when they were looked at.
    project : str
        The project's name.
    """

    def __init__(self, repo: Repo, rows: Rows, sources: Sources, project: str) -> None:
        self._repo = repo
        self._root = repo.root + os.sep
        self._rows = rows
        self._files: Mapping[str, Stat] = sources.files
        self._project = project
        self._label = repo.machine_label
        self._faults: dict[str, str] = {}
        self._campaigns = campaign_paths(repo, sources)

    def read(self, units: Iterable[Unit], paths: Iterable[str]) -> None:
        """Add the rows of some units, and of the files in `paths`."""
        for kind, key in units:
            if kind == RUN:
                self._run(key)
            elif kind == CAMPAIGN:
                files = self._campaigns.get(key, [])
                self._faults.update(add_campaign(self._repo, self._rows, key, files))
            else:
                self._file(key)
            self._rows.flush_often()
        for path in paths:
            stat = self._files.get(path)
            if stat is not None:
                kind = kind_of(self._repo, path)
                row = (path, kind, stat[0], stat[1], self._faults.get(path))
                self._rows.source_files.append(row)
                self._rows.flush_often()
        self._rows.flush()

    def _file(self, path: str) -> None:
        if path not in self._files:
            return
        if kind_of(self._repo, path) == LEDGER:
            self._faults[path] = "is not called <run id>.json"
            return
        fault = add_note(self._repo, self._rows, path)
        if fault:
            self._faults[path] = fault

    def _run(self, job_id: str) -> None:
        entry = self._entry(job_id)
        run = self._document(job_id)
        try:
            if entry is not None and (run is None or _says_it_all(run, entry)):
                ended = run if run is not None and run.is_terminal else None
                sequence = None if ended is None else ended.record.get("sequence")
                add_run(
                    self._rows,
                    job_id,
                    entry,
                    source="ledger",
                    in_store=ended is not None,
                    project=self._project,
                    sequence=sequence,
                )
            elif run is not None:
                self._add_document(run)
        except TooDeep:
            path = ledger_path(job_id) if run is None else store_path(self._repo, job_id)
            self._faults[path] = TOO_DEEP

    def _add_document(self, run: Run) -> None:
        record = run.record
        told = describe(
            run,
            promoted_at=text(record.get("promoted_at")),
            registered_machine=text(record.get("registered_machine")) or self._label,
        )
        last = run.attempts[-1] if run.attempts else {}
        add_run(
            self._rows,
            run.job_id,
            told,
            source="store",
            in_store=True,
            project=self._project,
            command=text(last.get("command")),
            sequence=record.get("sequence"),
        )

    def _entry(self, job_id: str) -> dict[str, Any] | None:
        path = ledger_path(job_id)
        stat = self._files.get(path)
        if stat is None:
            return None
        if stat[0] < 0:
            self._faults[path] = "is a link or a folder"
            return None
        try:
            entry = self._object(path, stat[0])
        except CorruptFile as error:
            self._faults[path] = error.message
            return None
        fault = None if entry is None else entry_fault(entry, job_id)
        if fault:
            self._faults[path] = fault
            return None
        return entry

    def _document(self, job_id: str) -> Run | None:
        path = store_path(self._repo, job_id)
        point = store_path(self._repo, job_id, STATEPOINT)
        found = {}
        for name in (path, point):
            stat = self._files.get(name)
            if stat is None:
                continue
            if stat[0] < 0:
                self._faults[name] = "is a link or a folder"
                return None
            try:
                found[name] = self._object(name, stat[0])
            except CorruptFile as error:
                self._faults[name] = error.message
                return None
        sp = found.get(point)
        if sp is None:
            if path in found:
                self._faults[path] = f"has no {STATEPOINT} beside it"
            return None
        return Run(job_id, sp, found.get(path) or {})

    def _object(self, path: str, size: int) -> dict[str, Any] | None:
        """Return a JSON object; the reason why not is a `CorruptFile` without the path."""
        if size > _MAX_BYTES:
            raise CorruptFile(f"is over {_MAX_BYTES // 1_000_000} MB")
        data = _content(f"{self._root}{path}", size)
        if data is None:
            return None
        try:
            return parse_object(data, path)
        except CorruptFile as error:
            if has_conflict(data):
                raise CorruptFile(f"has a merge conflict; {conflict_mend(path)}") from None
            raise CorruptFile(error.message.removeprefix(path).strip()) from None


def _says_it_all(run: Run, entry: dict[str, Any]) -> bool:
    """Return whether a run's entry says what its document does, or is news from elsewhere."""
    if not run.is_terminal:
        return ended_elsewhere(run, entry)
    mine = [run.record.get("registered_machine"), run.doc.get("ended_at")]
    return known_entry(entry) == mine and entry.get("promoted_at") == run.record.get("promoted_at")


def _content(path: str, size: int) -> bytes | None:
    """Return a file's content; the quick way when it is as long as it was."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return read_bytes(path)
    try:
        data = os.read(descriptor, size + 1)
    except OSError:
        data = b""
    finally:
        os.close(descriptor)
    return data if len(data) == size > 0 else read_bytes(path)
