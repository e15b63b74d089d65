"""The code that an attempt executed, as far as it is recorded."""

import os
from typing import Any, NamedTuple

from aexp.environment.digest import digest
from aexp.errors import NotReproducible
from aexp.files import read_bytes
from aexp.model import Run, section, short
from aexp.paths import CODE_PATCH, ENVIRONMENT, Repo

_REASONS = {
    "secret": "named like a secret",
    "large": "too large",
    "unreadable": "it could not be read",
    "repository": "changes in a git repository of its own",
}


class Code(NamedTuple):
    """The code that an attempt executed, as far as it is recorded.

    Attributes
    ----------
    commit : str
        What to check out.
    branch, remote : str or None
        Where it was, for people.
    patch : bytes
        What was not committed.
    patch_path : str or None
        The file that holds it.
    left_out : list of dict
        ``name`` and ``reason`` of what the patch does not hold.
    submodules : dict
        Their commits by their paths.
    is_head : bool
        Whether the commit was checked out when the attempt started; else it is the last one
        that changed code, and notes may have changed since.
    """

    commit: str
    branch: str | None = None
    remote: str | None = None
    patch: bytes = b""
    patch_path: str | None = None
    left_out: list[dict[str, Any]] = []  # noqa: RUF012  (never mutated)
    submodules: dict[str, str] = {}  # noqa: RUF012
    is_head: bool = False


def recorded_code(
    repo: Repo, job_id: str, number: object, code: dict[str, Any], unknown: list[str]
) -> Code:
    """Return the code as it was at the attempt's start."""
    name = os.path.join(ENVIRONMENT, f"{number}.patch")
    path = repo.run_file(job_id, name)
    wanted = section(code, "patch")
    patch = b""
    if wanted:
        patch = read_bytes(path) or b""
        if digest(patch).removeprefix("sha256:") != wanted.get("sha256"):
            state = "was changed since" if patch else "is missing"
            raise NotReproducible(
                f"the attempt's uncommitted changes are not known: {repo.relative(path)} {state}",
                "restore the file from a backup, or reproduce another attempt (--attempt N)",
            )
    left_out = [item for item in code.get("left_out") or [] if isinstance(item, dict)]
    more = code.get("left_out_count")
    for item in left_out:
        unknown.append(
            f"not in the patch: {item.get('name')} ({_REASONS.get(str(item.get('reason')))})"
        )
    if isinstance(more, int) and more > len(left_out):
        unknown.append(f"not in the patch: {more - len(left_out)} more files")
    if "problem" in code:
        unknown.append(str(code["problem"]))
    return Code(
        str(code["commit"]),
        _text(code.get("branch")),
        _text(code.get("remote")),
        patch,
        path if patch else None,
        left_out,
        {str(key): str(value) for key, value in section(code, "submodules").items()},
        is_head=True,
    )


def queued_code(repo: Repo, run: Run, facts: dict[str, Any], unknown: list[str]) -> Code:
    """Return the code as it was when the run was queued: all that older runs have."""
    commit = run.sp.get("code_commit")
    if not isinstance(commit, str) or not commit:
        raise NotReproducible(
            f"which commit run {short(run.job_id)} executed is not recorded: it was queued "
            "without a code version",
            "queue it without --no-commit next time",
        )
    # Its document is here (git has it, perhaps), but not what the attempt has recorded.
    machine = _machine(repo, run) if section(facts, "environment") else None
    is_dirty = bool(run.sp.get("code_dirty"))
    if machine is not None and is_dirty:
        raise NotReproducible(
            f"run {short(run.job_id)} executed commit {commit[:12]} with changes that were not "
            f"committed; they are known on {machine} alone",
            bring_hint(repo, run.job_id, machine),
        )
    if machine is not None:
        unknown.append(f"the attempt's code, packages and Python are recorded on {machine} alone")
    else:
        unknown.append("the code at the attempt's start was not recorded")
    unknown.append("the code is taken as it was when the run was queued")
    patch, path = b"", None
    if is_dirty:
        path = _queued_patch(repo, run, facts)
        patch = read_bytes(path) or b"" if path else b""
        unknown.append(
            "files that git did not track then were not recorded"
            if patch
            else "the tree had changes that were not committed, and they were not recorded"
        )
    return Code(commit, patch=patch, patch_path=path if patch else None)


def _machine(repo: Repo, run: Run) -> str:
    """Return where a run was executed; this machine's own label tells of another clone."""
    store = section(run.record, "store")
    if store.get("id") == repo.store_id:
        return "a disk that has lost it"
    return str(store.get("machine") or run.record.get("registered_machine") or "another machine")


def bring_hint(repo: Repo, job_id: str, machine: object) -> str:
    """Return how to get what only another machine's run store has."""
    return f"copy {repo.store}/workspace/{job_id} from {machine}, then call this again"


def _queued_patch(repo: Repo, run: Run, facts: dict[str, Any]) -> str | None:
    """Return the patch of the queueing that led to an attempt."""
    number = facts.get("attempt")
    folder = repo.run_dir(run.job_id)
    kept = []
    for name in os.listdir(folder):
        last = name.removeprefix("code.until-attempt-").removesuffix(".patch")
        if last != name and last.isdecimal() and isinstance(number, int) and int(last) >= number:
            kept.append((int(last), name))
    name = min(kept)[1] if kept else CODE_PATCH
    path = os.path.join(folder, name)
    return path if os.path.exists(path) else None


def unborn_hint(repo: Repo, job_id: str, number: object) -> str:
    """Return what to do about an attempt from before the first commit."""
    path = repo.run_file(job_id, os.path.join(ENVIRONMENT, f"{number}.patch"))
    if os.path.exists(path):
        return f"its files are all in {repo.relative(path)}: git apply it in an empty folder"
    return "commit the code, and run it again"


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None
