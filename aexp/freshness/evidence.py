"""The runs to judge, as ledger entries: those of the ledger, and those of the store."""

import os
import warnings
from typing import Any, NamedTuple

from aexp.errors import CorruptFileWarning
from aexp.ledger.entries import scan_ledger
from aexp.ledger.projection import checkpoint_parents, project_to_ledger_entry
from aexp.model import JOB_ID, section
from aexp.paths import SENTINEL, Repo
from aexp.runs.store import scan_runs


class Evidence(NamedTuple):
    """All runs of a project.

    Attributes
    ----------
    ended : dict
        Ledger entry by run id, of every run that has ended.
    active : dict
        Status by run id, of every run that is created, queued or running.
    experiments : dict
        Their experiments by run id.
    problems : list of str
        What could not be read.
    """

    ended: dict[str, dict[str, Any]]
    active: dict[str, str]
    experiments: dict[str, str | None]
    problems: list[str]


def load_evidence(repo: Repo) -> Evidence:
    """Read every run that ledger or store know; one that cannot be read is a problem."""
    ended: dict[str, dict[str, Any]] = {}
    problems: list[str] = []
    for file in scan_ledger(repo):
        if file.entry is not None and file.job_id is not None:
            ended[file.job_id] = file.entry
        else:
            problems.append(f"{repo.relative(repo.ledger_dir)}/{file.name} {file.fault}")
    # Of a run that has its sentinel, the ledger says what the store says.
    done = {job_id for job_id in ended if os.path.exists(repo.run_file(job_id, SENTINEL))}
    active: dict[str, str] = {}
    experiments: dict[str, str | None] = {}
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", CorruptFileWarning)
        for run in scan_runs(repo, leave_out=done):
            if run.is_terminal:
                stamp = str(run.record.get("promoted_at") or run.doc.get("ended_at") or "")
                ended.setdefault(
                    run.job_id,
                    project_to_ledger_entry(
                        run, promoted_at=stamp, registered_machine=repo.machine_label
                    ),
                )
            else:
                active[run.job_id] = run.status
                experiments[run.job_id] = run.experiment_id
    problems += [str(warning.message) for warning in caught]
    return Evidence(ended, active, experiments, problems)


def last_attempt(entry: dict[str, Any]) -> dict[str, Any]:
    """Return an entry's last attempt, empty when it was never executed."""
    attempts = entry.get("attempts")
    last = attempts[-1] if isinstance(attempts, list) and attempts else None
    return last if isinstance(last, dict) else {}


def experiment_of(entry: dict[str, Any]) -> str | None:
    """Return the experiment that a run belongs to."""
    linked = section(entry, "run_link").get("experiment_id")
    value = linked or section(entry, "statepoint").get("experiment_id")
    return value if isinstance(value, str) else None


def parents_of(entry: dict[str, Any]) -> dict[str, str]:
    """Return the runs that an entry says it stands on, each with the field that says so.

    The kinds are ``after``, ``declared`` and ``checkpoint`` (a run that it went on from,
    or whose weights it began with).
    """
    found: dict[str, str] = {}
    for kind, values in (
        ("after", entry.get("after")),
        ("declared", entry.get("derived_from")),
        ("checkpoint", checkpoint_parents(entry)),
    ):
        for value in values if isinstance(values, list) else [values]:
            if not isinstance(value, str) or not JOB_ID.fullmatch(value):
                continue
            if value != entry.get("job_id"):
                found.setdefault(value, kind)
    return found
