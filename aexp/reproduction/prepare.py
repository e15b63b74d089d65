"""A worktree becomes a research repository of its own, with the one run in its queue."""

import json
import os
import secrets
import shutil
from typing import Any

from aexp.errors import AexpError, NotReproducible
from aexp.files import remove, write_atomic
from aexp.kb.experiments import find_experiment
from aexp.ledger.entries import load_ledger_entry
from aexp.model import QUEUED, short, utc_now
from aexp.paths import DEFAULT_STORE, MARKER, Repo, hostname
from aexp.reproduction.attempt import SCRIPT, SOURCED, Recorded
from aexp.reproduction.command import experiment_file
from aexp.reproduction.worktree import is_inside
from aexp.runs.create import publish_run
from aexp.runs.earlier import known_entry
from aexp.runs.initialize import init_run_store
from aexp.runs.status import next_sequence
from aexp.version import __version__

_SPARE_STORE = ".reproduction"
_KEPT_SETTINGS = ("timeout_s", "resources")


def prepare(original: Repo, path: str, recorded: Recorded, command: str) -> list[str]:
    """Queue the run in the worktree; return what is not as it was, for people.

    Parameters
    ----------
    original : Repo
        The repository that the run is from.
    path : str
        The worktree.
    recorded : Recorded
        The attempt.
    command : str
        Exactly what to execute.
    """
    store = _choose_store(original, path)
    write_marker(original, path, store, recorded)
    init_run_store(path, store)
    repo = Repo(path)
    remarks = _bring_experiment(original, repo, recorded)
    folder = repo.run_dir(recorded.job_id)
    if os.path.isdir(folder):  # git has it: the document that was committed with the code
        shutil.rmtree(folder)
    if not publish_run(repo, recorded.job_id, recorded.run.sp, _document(repo, recorded)):
        raise NotReproducible(f"{folder} is in the way", "give another folder")
    write_atomic(repo.run_file(recorded.job_id, SCRIPT), os.fsencode(command))
    return remarks


def _choose_store(original: Repo, path: str) -> str:
    """Return where runs lie in the worktree; a link in the commit may lead out of it."""
    ours = os.path.join(path, os.path.dirname(MARKER))
    if os.path.islink(ours):
        os.unlink(ours)
    for store in dict.fromkeys((original.store, DEFAULT_STORE)):
        workspace = os.path.join(path, store, "workspace")
        if is_inside(workspace, path) and not os.path.isfile(os.path.join(path, store)):
            return store
    return _SPARE_STORE


def write_marker(original: Repo, path: str, store: str, recorded: Recorded) -> None:
    """Write what tells the worktree's store from the original one."""
    marker = {
        "version": __version__,
        "run_store_path": store,
        "machine_label": original.marker.get("machine_label") or hostname(),
        "store_id": secrets.token_hex(8),
        "reproduces": {"run": recorded.job_id, "attempt": recorded.attempt},
    }
    write_atomic(os.path.join(path, MARKER), (json.dumps(marker, indent=2) + "\n").encode())


def _bring_experiment(original: Repo, repo: Repo, recorded: Recorded) -> list[str]:
    """Have the experiment's file in the worktree; return what is not certain about it."""
    experiment = recorded.run.experiment_id
    if experiment is None:
        return []
    there = _find(repo, experiment)
    file = experiment_file(original, recorded)
    if file is None:
        return [f"experiment {experiment} is not known here"]
    remarks = []
    if there is None or not recorded.code.is_head:
        target = repo.at(file.name)
        if not is_inside(target, repo.root):
            return [f"experiment {experiment} was not copied: kb leads out of the worktree"]
        if there is not None:
            remove(there)
        write_atomic(target, file.data)
        if there is None:
            remarks.append(f"experiment {experiment} is not in the commit: it is {file.version}")
    if not _has_prelude(recorded) and file.experiment(experiment).prelude is not None:
        remarks.append(
            f"the prelude is that of {os.path.basename(file.name)} {file.version}; what it was "
            "when the run was executed is not recorded"
        )
    return remarks


def _has_prelude(recorded: Recorded) -> bool:
    return isinstance(recorded.facts.get("prelude"), str)


def _find(repo: Repo, experiment: str) -> str | None:
    try:
        return find_experiment(repo, experiment)
    except AexpError:
        return None


def _document(repo: Repo, recorded: Recorded) -> dict[str, Any]:
    run, now = recorded.run, utc_now()
    queue = {"queued_at": now, "runner_command_override": SOURCED}
    if _has_prelude(recorded):
        queue["prelude_override"] = recorded.facts["prelude"]
    if run.tag is not None:
        queue["tag"] = run.tag
    record: dict[str, Any] = {
        "sequence": next_sequence(),
        # No tracker: a run's id is also that of its tracked run, which must stay as it is.
        **{key: run.record[key] for key in _KEPT_SETTINGS if run.record.get(key)},
        "reproduces": {
            "attempt": recorded.attempt,
            "commit": recorded.code.commit,
            "started_at": recorded.facts.get("started_at"),
            "host": recorded.facts.get("host"),
        },
    }
    entry = load_ledger_entry(repo, recorded.job_id, quiet=True)
    if entry is not None:  # of the commit: it is no news later
        record["superseded"], record["known_entry"] = entry, known_entry(entry)
    return {
        "aexp": dict(run.link),
        "status": QUEUED,
        "created_at": now,
        "queue": queue,
        "aexp_run": record,
    }


def queue_line(path: str, job_id: str) -> str:
    """Return what to type to execute the prepared run."""
    import shlex

    return f"cd {shlex.quote(path)} && aexp run-queued {short(job_id)}"
