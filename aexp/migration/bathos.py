"""``aexp import bathos``: the runs of its Parquet catalogue as ledger entries."""

import json
import os
import warnings
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from aexp.catalogue.foreign import FILE, Unreadable, read_foreign
from aexp.environment.scrub import scrub_arguments, scrub_value
from aexp.errors import CorruptFileWarning, UsageError
from aexp.ledger.entries import scan_ledger, write_entry
from aexp.ledger.folders import LEDGER, TOP, check_folders
from aexp.ledger.projection import SCHEMA_VERSION, flat_numbers
from aexp.model import COMPLETE, FAILED, STOPPED, check_tag, printable, utc_at, utc_now
from aexp.paths import Repo
from aexp.project import project_slug
from aexp.runs.adhoc import ADHOC
from aexp.runs.store import compute_job_id

SOURCE = "bathos"
_STATUSES = {"completed": COMPLETE, "failed": FAILED, "killed": STOPPED}
_NEEDED = ("id", "status")
_YEAR_9000 = 221_845_392_000  # what is later, or before 1970, is no time of a run
NEW, UNCHANGED, UPDATED = "new", "unchanged", "updated"


class ImportedRun(NamedTuple):
    """One run of the other catalogue.

    Attributes
    ----------
    id : str
        Its id there.
    job_id : str
        Its id here.
    action : str
        ``new``, ``updated`` or ``unchanged``.
    status : str
        Its status here.
    """

    id: str
    job_id: str
    action: str
    status: str


class Import(NamedTuple):
    """What an import has done.

    Attributes
    ----------
    runs : list of ImportedRun
        By their ids there.
    skipped : dict
        Why runs were left out, and how many.
    projects : dict
        How many runs each project has, those that were left out, too.
    unreadable : list of str
        Files that could not be read.
    """

    runs: list[ImportedRun]
    skipped: dict[str, int]
    projects: dict[str, int]
    unreadable: list[str]


def import_bathos(
    repo: Repo,
    path: str,
    *,
    projects: Iterable[str] = (),
    every_project: bool = False,
    dry_run: bool = False,
) -> Import:
    """Write the ended runs of a catalogue into the ledger; again changes nothing.

    What is not recorded there stays unknown here: a run without a time gets none, and one
    without an end is left out.

    Parameters
    ----------
    repo : Repo
        The repository.
    path : str
        The catalogue's folder, or one of its files.
    projects : iterable of str
        Its ``project_slug``; default this repository's.
    every_project : bool, default False
        Whatever its project.
    dry_run : bool, default False
        Write nothing.

    Raises
    ------
    UsageError
        If there is no Parquet file, or no run of these projects.
    StoreReadOnly, CorruptFile
        If the ledger cannot be written.
    """
    rows, unreadable = _read(_files(path))
    wanted = set(projects) or {project_slug(repo)}
    counts = Counter(_text(row, "project_slug") or "" for row in rows.values())
    chosen = {
        key: row
        for key, row in rows.items()
        if every_project or _text(row, "project_slug") in wanted
    }
    if not chosen and rows:
        there = ", ".join(
            f"{printable(name or '(none)')} ({n})" for name, n in sorted(counts.items())
        )
        raise UsageError(
            f"no run there belongs to {', '.join(map(printable, sorted(wanted)))}",
            f"its projects: {there}; choose with --project, or take all: --all-projects",
        )
    skipped: Counter[str] = Counter()
    if len(chosen) < len(rows):
        skipped["of another project"] = len(rows) - len(chosen)
    known = _imported_before(repo)
    ids = {
        key: known[key]["job_id"] if key in known else compute_job_id(_state_point(row))
        for key, row in chosen.items()
        if _text(row, "status") in _STATUSES
    }
    ids = {**{key: entry["job_id"] for key, entry in known.items()}, **ids}
    if not dry_run:
        check_folders(repo, TOP, LEDGER)
    runs = []
    for key, row in sorted(chosen.items()):
        status = _STATUSES.get(_text(row, "status") or "")
        if status is None:
            skipped[f"is {printable(row.get('status'))}: it has no end"] += 1
            continue
        runs.append(_import_one(repo, key, row, known.get(key), ids, dry_run=dry_run))
    return Import(runs, dict(skipped), dict(sorted(counts.items())), unreadable)


def _files(path: str) -> list[str]:
    """Return the catalogue's files, without those that a writer has not finished."""
    full = os.path.abspath(os.path.expanduser(path))
    found = [full] if os.path.isfile(full) else []
    for folder, folders, names in os.walk(full):
        folders.sort()
        found += [
            os.path.join(folder, name)
            for name in sorted(names)
            if name.endswith(".parquet") and not name.endswith(".tmp.parquet") and name[0] != "."
        ]
    if not found:
        raise UsageError(
            f"there is no Parquet file in {printable(path)}",
            "name the catalogue's folder, for instance: aexp import bathos ~/.bth/catalog",
        )
    return found


def _read(files: list[str]) -> tuple[dict[str, dict[str, Any]], list[str]]:
    """Return the rows by id; of several with one id the one that has ended counts."""
    rows: dict[str, dict[str, Any]] = {}
    unreadable = []
    for row in read_foreign(files):
        if isinstance(row, Unreadable):
            unreadable.append(row.path)
            _warn(f"{row.path} cannot be read: {printable(row.reason)}")
            continue
        key = _text(row, "id")
        if key is None or not all(isinstance(row.get(name), str) for name in _NEEDED):
            _warn(f"{row.get(FILE)} has a row that is no run: it has no id or no status")
            continue
        if key not in rows or _text(rows[key], "status") not in _STATUSES:
            rows[key] = row
    return rows, unreadable


def _warn(text: str) -> None:
    warnings.warn(text, CorruptFileWarning, stacklevel=4)


def _imported_before(repo: Repo) -> dict[str, dict[str, Any]]:
    """Return the entries of earlier imports by their ids there."""
    found = {}
    for file in scan_ledger(repo):
        sp = file.entry["statepoint"] if file.entry is not None else {}
        if sp.get("imported") == SOURCE and isinstance(sp.get("nonce"), str):
            found[sp["nonce"]] = file.entry or {}
    return found


def _import_one(
    repo: Repo,
    key: str,
    row: Mapping[str, Any],
    before: dict[str, Any] | None,
    ids: Mapping[str, str],
    *,
    dry_run: bool,
) -> ImportedRun:
    sp = before["statepoint"] if before is not None else _state_point(row)
    entry = {**_entry(repo, row, ids), "statepoint": sp, "job_id": compute_job_id(sp)}
    for name in ("code_commit", "code_dirty"):
        if name in sp:
            entry[name] = sp[name]
    stamps = {"promoted_at": utc_now(), "registered_machine": repo.machine_label}
    if before is not None:
        stamps = {name: before[name] for name in stamps}
        if before == {**entry, **stamps}:
            return ImportedRun(key, entry["job_id"], UNCHANGED, entry["status"])
        stamps["promoted_at"] = utc_now()
    if not dry_run:
        write_entry(repo, {**entry, **stamps})
    action = NEW if before is None else UPDATED
    return ImportedRun(key, entry["job_id"], action, entry["status"])


def _state_point(row: Mapping[str, Any]) -> dict[str, Any]:
    sp: dict[str, Any] = {"kind": ADHOC, "imported": SOURCE, "nonce": row["id"]}
    argv = row.get("argv")
    if isinstance(argv, list) and argv and all(isinstance(word, str) for word in argv):
        sp["argv"] = scrub_arguments(argv)
    commit = _text(row, "git_hash")
    if commit and commit != "unknown":
        sp["code_commit"] = commit
        if isinstance(row.get("git_dirty"), bool):
            sp["code_dirty"] = row["git_dirty"]
    return sp


def _entry(repo: Repo, row: Mapping[str, Any], ids: Mapping[str, str]) -> dict[str, Any]:
    """Return what an entry says beside identity and stamps: what the row has, nothing else."""
    status = _STATUSES[str(row["status"])]
    entry: dict[str, Any] = {"schema_version": SCHEMA_VERSION, "status": status}
    began, seconds = row.get("timestamp"), row.get("duration_s")
    has_seconds = isinstance(seconds, (int, float)) and 0 <= seconds < 1e9
    if isinstance(began, int) and 0 <= began / 1e6 < _YEAR_9000:
        entry["started_at"] = utc_at(began / 1e6)
        if has_seconds:
            entry["ended_at"] = utc_at(began / 1e6 + float(seconds or 0.0))
    if has_seconds:
        entry["wallclock_s"] = round(float(seconds or 0.0), 3)
    if isinstance(row.get("exit_code"), int) and status != STOPPED:
        entry["returncode"] = row["exit_code"]
    if status == STOPPED:
        entry["cause"] = "interrupted"
    tags = [tag for tag in _texts(row.get("tags")) if _is_tag(tag)]
    if tags:
        entry["tag"], entry["tags"] = tags[0], tags
    parent = _text(row, "parent_run_id")
    if parent is not None and parent != row["id"] and parent in ids:
        entry["derived_from"] = [ids[parent]]
    for name, key in (
        ("project", "project_slug"),
        ("outcome", "outcome"),
        ("sidecar_sha256", "sidecar_sha256"),
        ("sidecar_mode", "sidecar_mode"),
        ("agent_mode", "agent_mode"),
    ):
        if value := _text(row, key):
            entry[name] = value
    if "outcome" in entry:
        entry["outcome_residual"] = row.get("outcome_is_residual") is True
    sidecar = _text(row, "sidecar_path")
    if sidecar and (inside := _inside(repo, sidecar)):
        entry["sidecar"] = inside
    metrics = flat_numbers(_object(row.get("metadata")))
    if metrics:
        entry["metrics"] = metrics
    entry["imported"] = dict(_origin(repo, row))
    return entry


def _origin(repo: Repo, row: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Return what has no field of its own here."""
    yield "from", SOURCE
    yield "id", row["id"]
    for name, key in (
        ("schema_version", "schema_version"),
        ("branch", "git_branch"),
        ("slurm_job_id", "slurm_job_id"),
        ("host", "hostname"),
        ("parent", "parent_run_id"),
        ("campaign", "campaign_id"),
    ):
        if value := _text(row, key):
            yield name, value
    if not row.get("argv") and (command := _text(row, "command")):
        yield "command", scrub_value(command)
    outputs = [
        inside for path in _texts(row.get("output_paths")) if (inside := _inside(repo, path))
    ]
    if outputs:
        yield "output_paths", outputs


def _inside(repo: Repo, path: str) -> str | None:
    """Return a path relative to the repository, None for one that lies elsewhere."""
    relative = os.path.relpath(os.path.join(repo.root, path), repo.root)
    return None if relative.split(os.sep)[0] == os.pardir else relative


def _text(row: Mapping[str, Any], key: str) -> str | None:
    value = row.get(key)
    return value if isinstance(value, str) and value else None


def _texts(value: Any) -> list[str]:
    return [item for item in value if isinstance(item, str)] if isinstance(value, list) else []


def _is_tag(tag: str) -> bool:
    try:
        return bool(check_tag(tag))
    except UsageError:
        return False


def _object(value: Any) -> dict[str, Any]:
    try:
        found = json.loads(value) if isinstance(value, str) else None
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
