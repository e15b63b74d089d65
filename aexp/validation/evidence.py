"""All runs that any layer knows: the ledger, this machine's store, the runs index."""

import json
import os
from collections.abc import Hashable, Mapping
from typing import Any, NamedTuple

from aexp.errors import AexpError, CorruptFile, RunNotFound
from aexp.kb.values import asks_for, found_by
from aexp.ledger.digests import digest_of_runs, entry_digest
from aexp.ledger.entries import scan_ledger
from aexp.ledger.runs_index import IndexEntry, scan_indexes
from aexp.model import Run, section
from aexp.paths import Repo
from aexp.runs.earlier import ended_elsewhere
from aexp.runs.publish import entry_of
from aexp.runs.store import compute_job_id, read_run, run_ids
from aexp.validation.statistics import as_number

_INDEX_KEYS = frozenset({"experiment_id", "condition"})


class Record(NamedTuple):
    """One run, as far as any layer knows it.

    Attributes
    ----------
    job_id : str
        The run.
    experiment_id : str or None
        The experiment it belongs to.
    sp : dict
        Its state point; from a runs index only experiment and condition.
    status : str
        Its status word.
    source : str
        The layer this comes from: ``ledger``, ``store`` or ``index``.
    entry : dict
        The ledger entry, or what it would be for an ended run of the store; else empty.
    machine : str or None
        Label of the machine that registered it, where that is known.
    """

    job_id: str
    experiment_id: str | None
    sp: dict[str, Any]
    status: str
    source: str
    entry: dict[str, Any]
    machine: str | None = None

    @property
    def metrics(self) -> dict[str, float]:
        """The final numbers; ``NaN`` and the infinities, which JSON has by name, as floats."""
        found: dict[str, float] = {}
        for key, value in section(self.entry, "metrics").items():
            number = as_number(value)
            if number is not None:
                found[key] = number
        return found

    @property
    def code_commit(self) -> str | None:
        """The commit of the code that ran."""
        value = self.entry.get("code_commit", self.sp.get("code_commit"))
        return value if isinstance(value, str) and value else None

    @property
    def code_dirty(self) -> bool | None:
        """Whether that code had changes that were not committed."""
        value = self.entry.get("code_dirty", self.sp.get("code_dirty"))
        return value if isinstance(value, bool) else None

    @property
    def ended_at(self) -> str | None:
        """When the run ended."""
        value = self.entry.get("ended_at")
        return value if isinstance(value, str) else None

    @property
    def attempts(self) -> list[dict[str, Any]]:
        """Every execution of the run, oldest first."""
        value = self.entry.get("attempts")
        return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


class Evidence:
    """What is known about runs, read in one pass and looked up by key from then on.

    Attributes
    ----------
    ledger, local, index : dict
        Run id to `Record`, per layer.
    junk : dict
        Names of files in the ledger's folder that are no entries, with the reason; they
        satisfy nothing.
    unreadable : dict
        Ids of local runs that cannot be read, with the reason.
    index_faults : dict
        Paths of index files with what is wrong in them.
    runs : list of Run
        The local runs, with their documents.
    elsewhere : set of str
        Ids of runs that wait in this store, but have ended on another machine since.
    has_authority : bool
        Whether any layer is there at all, so that "no such run" means something.
    """

    def __init__(self) -> None:
        self.ledger: dict[str, Record] = {}
        self.local: dict[str, Record] = {}
        self.index: dict[str, Record] = {}
        self.junk: dict[str, str] = {}
        self.unreadable: dict[str, str] = {}
        self.index_faults: dict[str, str] = {}
        self.runs: list[Run] = []
        self.elsewhere: set[str] = set()
        self.store_fault: str | None = None
        self.has_store = False
        self._by_experiment: dict[str, dict[str, Record]] | None = None
        self._values: dict[tuple[str, str], _Values] = {}
        self._batches: dict[tuple[str, str], list[Record]] = {}
        self._entry_digests: dict[str, str | None] = {}
        self._batch_digests: dict[tuple[str, str], str | None] = {}

    @classmethod
    def read(cls, repo: Repo) -> "Evidence":
        """Read all layers once; what is missing or damaged costs itself only."""
        evidence = cls()
        for file in scan_ledger(repo):
            if file.entry is None or file.job_id is None:
                evidence.junk[file.name] = file.fault
            elif not _has_id(file.entry["statepoint"], file.job_id):
                evidence.junk[file.name] = "has the state point of another run"
            else:
                evidence.ledger[file.job_id] = _of_entry(file.job_id, file.entry)
        evidence._read_store(repo)
        for index in scan_indexes(repo):
            if index.fault is not None:
                evidence.index_faults[index.path] = index.fault
            for entry in index.entries:
                evidence.index.setdefault(entry.job_id, _of_index(entry))
        return evidence

    def _read_store(self, repo: Repo) -> None:
        try:
            ids = run_ids(repo)
        except OSError as error:
            self.store_fault = error.strerror or str(error)
            return
        config = os.path.join(repo.store_dir, ".signac", "config")
        self.has_store = os.path.isfile(config) or bool(ids)
        for job_id in ids:
            try:
                run = read_run(repo, job_id)
                self.local[job_id] = _of_run(repo, run)
                self.runs.append(run)
                entry = self.ledger.get(job_id)
                if entry and not run.is_terminal and ended_elsewhere(run, entry.entry):
                    self.elsewhere.add(job_id)
            except RunNotFound:
                self.unreadable[job_id] = "it has no state point"
            except (AexpError, RecursionError) as error:
                self.unreadable[job_id] = str(error).replace(repo.root + os.sep, "")

    @property
    def has_authority(self) -> bool:
        """Whether any layer is there at all, so that "no such run" means something."""
        return bool(self.ledger or self.index or self.has_store or self.unreadable)

    def get(self, job_id: str) -> Record | None:
        """Return a run: by the ledger, else by the store, else by an index."""
        return self.ledger.get(job_id) or self.local.get(job_id) or self.index.get(job_id)

    def experiment(self, experiment_id: str) -> list[Record]:
        """Return all runs of an experiment, sorted by id."""
        return list(self._experiment(experiment_id).values())

    def batch(self, experiment_id: str, selector: Mapping[str, Any]) -> list[Record]:
        """Return the runs of an experiment that have some state-point values, sorted by id.

        Values are compared as `aexp.kb.values.same_value` says. A run known from an index
        only is found by ``condition`` alone (see `undecided`).
        """
        key = _batch_key(experiment_id, selector)
        found = self._batches.get(key)
        if found is None:
            found = self._batches[key] = self._select(experiment_id, selector)
        return list(found)

    def undecided(self, experiment_id: str, selector: Mapping[str, Any]) -> list[Record]:
        """Return runs of an index that may belong to a batch.

        The index does not hold the keys that would tell.
        """
        if not self.index or not any(key not in _INDEX_KEYS for key in selector):
            return []
        known = {key: value for key, value in selector.items() if key in _INDEX_KEYS}
        return [item for item in self.batch(experiment_id, known) if item.source == "index"]

    def entry_digest(self, job_id: str) -> str | None:
        """Return the digest of a ledger entry, None when there is none; worked out once."""
        if job_id not in self._entry_digests:
            record = self.ledger.get(job_id)
            try:
                digest = None if record is None else entry_digest(record.entry)
            except CorruptFile:
                digest = None
            self._entry_digests[job_id] = digest
        return self._entry_digests[job_id]

    def batch_digest(self, experiment_id: str, selector: Mapping[str, Any]) -> str | None:
        """Return the digest of a batch's ledger entries, None when there is none.

        Worked out once, however many findings pin the batch.
        """
        key = _batch_key(experiment_id, selector)
        if key not in self._batch_digests:
            records = self.batch(experiment_id, selector)
            ids = [record.job_id for record in records if record.source == "ledger"]
            digests = [(job_id, digest) for job_id in ids if (digest := self.entry_digest(job_id))]
            is_whole = bool(ids) and len(digests) == len(ids)
            self._batch_digests[key] = digest_of_runs(digests) if is_whole else None
        return self._batch_digests[key]

    def _experiment(self, experiment_id: str) -> dict[str, Record]:
        if self._by_experiment is None:
            grouped: dict[str, dict[str, Record]] = {}
            for job_id in sorted({*self.ledger, *self.local, *self.index}):
                record = self.get(job_id)
                if record is not None and record.experiment_id is not None:
                    grouped.setdefault(record.experiment_id, {})[job_id] = record
            self._by_experiment = grouped
        return self._by_experiment.get(experiment_id, {})

    def _select(self, experiment_id: str, selector: Mapping[str, Any]) -> list[Record]:
        runs = self._experiment(experiment_id)
        if not selector:
            return list(runs.values())
        sets = []
        for key, wanted in selector.items():
            values = self._values.get((experiment_id, key))
            if values is None:
                values = self._values[experiment_id, key] = _Values(runs, key)
            sets.append(values.matching(wanted))
        sets.sort(key=len)
        return [runs[job_id] for job_id in sorted(sets[0].intersection(*sets[1:]))]


def _batch_key(experiment_id: str, selector: Mapping[str, Any]) -> tuple[str, str]:
    return experiment_id, json.dumps(selector, sort_keys=True, default=str)


class _Values:
    """The runs that have each value of one state-point key."""

    def __init__(self, runs: Mapping[str, Record], key: str) -> None:
        self._found_by: dict[Hashable, set[str]] = {}
        for job_id, record in runs.items():
            if key in record.sp:
                for name in found_by(record.sp[key]):
                    self._found_by.setdefault(name, set()).add(job_id)

    def matching(self, wanted: Any) -> set[str]:
        """Return the runs whose value is the one wanted, as `same_value` compares them."""
        return set().union(*(self._found_by.get(name, ()) for name in asks_for(wanted)))


def _has_id(sp: dict[str, Any], job_id: str) -> bool:
    """Return whether a state point is that of a run: the id is its hash."""
    try:
        return compute_job_id(sp) == job_id
    except RecursionError:
        return False


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None


def _of_entry(job_id: str, entry: dict[str, Any]) -> Record:
    sp = entry["statepoint"]
    experiment_id = section(entry, "run_link").get("experiment_id") or sp.get("experiment_id")
    return Record(
        job_id,
        _text(experiment_id),
        sp,
        entry["status"],
        "ledger",
        entry,
        _text(entry.get("registered_machine")),
    )


def _of_run(repo: Repo, run: Run) -> Record:
    entry = entry_of(repo, run) if run.is_terminal else {}
    return Record(run.job_id, run.experiment_id, run.sp, run.status, "store", entry)


def _of_index(entry: IndexEntry) -> Record:
    sp: dict[str, Any] = {"experiment_id": entry.experiment_id}
    if entry.condition is not None:
        sp["condition"] = entry.condition
    return Record(
        entry.job_id, entry.experiment_id, sp, entry.status, "index", {}, entry.machine_label
    )
