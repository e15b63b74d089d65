"""The store, the ledger and the notes: corrupt files, dead claims, entries that are missing."""

import os
from collections.abc import Iterator

from aexp import slurm
from aexp.doctor.ask import ask_git
from aexp.doctor.diagnosis import Diagnosis, error, ok, quoted, warn
from aexp.errors import AexpError, CorruptFile
from aexp.files import read_object
from aexp.kb.artifacts import KINDS, artifact_names, read_artifact
from aexp.ledger.entries import list_ledger_job_ids
from aexp.model import JOB_ID, RUNNING, TERMINAL_STATUSES, Run, short
from aexp.paths import CLAIM, DOCUMENT, SENTINEL, STATEPOINT, Repo
from aexp.runs import claims
from aexp.runs.settle import run_liveness
from aexp.runs.store import compute_job_id, read_run, run_ids

_SHOWN = 5


def store(repo: Repo) -> Iterator[Diagnosis]:
    """Check that the run store is one, and every run in it."""
    config = os.path.join(repo.store_dir, ".signac", "config")
    if not os.path.isfile(config):
        yield error("store", f"there is no run store at {repo.store}", "aexp install --yes")
        return
    if os.path.exists(repo.workspace) and not os.path.isdir(repo.workspace):
        name = repo.relative(repo.workspace)
        yield error("store", f"{name} is a file, not a folder", f"mv {quoted(name)} {name}.old")
        return
    runs, faults = [], []
    for job_id in run_ids(repo):
        try:
            runs.append(_read(repo, job_id))
        except AexpError as problem:
            faults.append((job_id, problem))
    for job_id, fault in faults[:_SHOWN]:
        yield error("store", fault.message, _restore(repo, repo.run_dir(job_id)))
    if len(faults) > _SHOWN:
        yield error("store", f"{len(faults) - _SHOWN} more runs cannot be read", "aexp validate")
    if not faults:
        yield ok("store", f"{len(runs)} run(s) in {repo.store}, all readable")
    yield from _claims(repo, runs)
    yield from _unpublished(repo, runs)


def _read(repo: Repo, job_id: str) -> Run:
    run = read_run(repo, job_id)
    if compute_job_id(run.sp) != job_id:
        path = repo.relative(repo.run_file(job_id, STATEPOINT))
        raise CorruptFile(f"{path} was changed after the run was created")
    if not run.doc:
        raise CorruptFile(f"{repo.relative(repo.run_file(job_id, DOCUMENT))} is missing or empty")
    return run


def _claims(repo: Repo, runs: list[Run]) -> Iterator[Diagnosis]:
    """Report runs whose owner has died, and those of which nobody here can tell."""
    states = slurm.JobStates()
    dead, unknown = [], []
    for run in runs:
        try:
            if run.status == RUNNING:
                state = run_liveness(repo, run, states)
            elif os.path.exists(repo.run_file(run.job_id, CLAIM)):
                owner = claims.read_owner(repo, run.job_id)
                if owner is None:
                    continue
                state = claims.liveness(owner, states)
            else:
                continue
        except CorruptFile as problem:
            yield error("claims", problem.message, f"aexp queue release {short(run.job_id)}")
            continue
        if state.state == slurm.DEAD:
            dead.append(f"{short(run.job_id)}: {state.reason}")
        elif state.state == slurm.UNKNOWN:
            unknown.append((run.job_id, state.reason))
    if dead:
        what = f"{len(dead)} run(s) are claimed by dead owners, {dead[0]}"
        yield warn("claims", what, "aexp reconcile")
    for job_id, reason in unknown[:_SHOWN]:
        what = f"nobody can tell from here whether {short(job_id)} is being executed: {reason}"
        yield warn("claims", what, f"aexp queue release {short(job_id)}    (only if it is dead)")
    if not dead and not unknown:
        yield ok("claims", "no claim of a dead owner")


def _unpublished(repo: Repo, runs: list[Run]) -> Iterator[Diagnosis]:
    ended = [run.job_id for run in runs if run.is_terminal]
    entries = list_ledger_job_ids(repo)
    without = [job_id for job_id in ended if job_id not in entries]
    if without:
        what = f"{len(without)} ended run(s) have no ledger entry, {short(without[0])} first"
        yield error("ledger", what, "aexp ledger backfill")
    bare = [job_id for job_id in ended if not os.path.exists(repo.run_file(job_id, SENTINEL))]
    if bare:
        what = f"{len(bare)} ended run(s) have no {SENTINEL}, {short(bare[0])} first"
        yield warn("store", what, "aexp reconcile")


def ledger(repo: Repo) -> Iterator[Diagnosis]:
    """Check that every file of the ledger is an entry, and that they are committed."""
    try:
        names = sorted(os.listdir(repo.ledger_dir))
    except FileNotFoundError:
        yield ok("ledger", "no entry yet")
        return
    except OSError as problem:
        name = repo.relative(repo.ledger_dir)
        what = f"{name} cannot be listed: {problem.strerror}"
        yield error("ledger", what, f"mv {name} {name}.old")
        return
    faults = []
    for name in names:
        if name.startswith("."):
            continue
        reason = _entry_fault(repo, name)
        if reason:
            faults.append((name, reason))
    for name, reason in faults[:_SHOWN]:
        what = f"{repo.relative(os.path.join(repo.ledger_dir, name))} {reason}"
        yield error("ledger", what, _renew(repo, name))
    if len(faults) > _SHOWN:
        yield error("ledger", f"{len(faults) - _SHOWN} more are no entries", "aexp ledger verify")
    if not faults:
        yield ok("ledger", f"{len(names)} file(s), all readable")
    status = ask_git(repo, "status", "--porcelain", "-uall", "--", ".aexp/ledger")
    waiting = len(status.text.splitlines()) if status and status.code == 0 else 0
    if waiting:
        what = f"{waiting} entries are not committed: other machines cannot see them"
        yield warn("ledger", what, 'git add .aexp/ledger && git commit -m "Results"')


def _entry_fault(repo: Repo, name: str) -> str | None:
    stem, ending = os.path.splitext(name)
    if ending != ".json" or not JOB_ID.fullmatch(stem):
        return "does not belong in the ledger"
    try:
        entry = read_object(os.path.join(repo.ledger_dir, name)) or {}
    except CorruptFile as problem:
        return "cannot be read: " + problem.message.rpartition(name)[2].strip(" :")
    if entry.get("job_id") != stem or entry.get("status") not in TERMINAL_STATUSES:
        return f"is not the entry of an ended run {short(stem)}"
    return None


def _renew(repo: Repo, name: str) -> str:
    """Return what gives a damaged entry back: the run itself, or git."""
    job_id = name.removesuffix(".json")
    path = os.path.join(repo.ledger_dir, name)
    if JOB_ID.fullmatch(job_id):
        try:
            if read_run(repo, job_id).is_terminal:
                return f"aexp ledger promote {job_id}"
        except AexpError:
            pass
        return _restore(repo, path)
    relative = quoted(repo.relative(path))
    return f"mv {relative} ."


def notes(repo: Repo) -> Iterator[Diagnosis]:
    """Check that every artifact can be read; whether it is right is what validate tells."""
    count = faults = 0
    for kind in KINDS.values():
        for name in artifact_names(repo, kind):
            path = repo.at(kind.folder, name)
            try:
                read_artifact(repo, path)
                count += 1
            except AexpError as problem:
                faults += 1
                yield error("kb", problem.message, _restore(repo, path, "edit " + path))
    if not faults:
        yield ok("kb", f"{count} artifact(s), all readable; aexp validate checks what they say")


def _restore(repo: Repo, path: str, otherwise: str | None = None) -> str:
    """Return the command that brings a file or folder back from git, if git has it."""
    name = quoted(repo.relative(path))
    known = ask_git(repo, "ls-tree", "-r", "--name-only", "HEAD", "--", path)
    if known is not None and known.code == 0 and known.text.strip():
        return f"git restore --source HEAD -- {name}"
    if otherwise is not None:
        return otherwise.replace(path, name)
    return f"rm -r {name}    (gives it up: git has no copy; look for a backup first)"
